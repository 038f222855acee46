"""A sandbox: platform keys, a trust register and transport secrets, made fresh in one directory.

中国职业培训在线 and, by SM2, 就业创业和职业培训在线 sign certificates with keys that stand in the register.
新职业学习平台, 中国国家人事人才培训网 and 人力资源社会保障部培训网 sign with keys that roots certify: the
register has each root and its revocation list. Nothing here is known to any real platform. The private keys
stay in the sandbox directory, never under ``keys/``; persons have ids of an unassigned division (GB/T 2260
has none that begins with 9999).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from verifier.cli import authority
from verifier.keyfiles import write_secret
from verifier.ports import RandomBytes
from verifier.signatures import keys
from verifier.signatures.jws import Algorithm, SigningKey
from verifier.signatures.sm2 import DEFAULT_ID, Sm2PrivateKey

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey

CVT: Final = "china_vocational_training"
XZY: Final = "new_occupation"
JC: Final = "employment_training"
SKM: Final = "skill_master"
NPT: Final = "national_personnel"
MPX: Final = "mohrss_training"
CVT_ISSUER: Final = "urn:sandbox:china-vocational-training"
XZY_ISSUER: Final = "urn:sandbox:new-occupation"
JC_ISSUER: Final = "urn:sandbox:employment-training"
SKM_ISSUER: Final = "urn:sandbox:skill-master"
NPT_ISSUER: Final = "urn:sandbox:national-personnel"
MPX_ISSUER: Final = "urn:sandbox:mohrss-training"
XZY_SUBJECT: Final = "沙箱新职业学习平台"
"""Common name of the certificate by which 新职业学习平台 signs."""
NPT_SUBJECT: Final = "沙箱人事人才培训网"
"""Common name of the certificate by which 中国国家人事人才培训网 signs."""
MPX_SUBJECT: Final = "沙箱人社部培训网"
"""Common name of the certificate by which 人力资源社会保障部培训网 signs PDFs."""
MPX_USER: Final = "5D2021000000A1"
"""Serial number that 人力资源社会保障部培训网 sends by."""

REGISTER: Final = f"""# Sandbox trust register: made by this program, to try it out. No key is a platform's.

[[platform]]
slug = "{CVT}"
name = "中国职业培训在线"

[[platform.recognised]]
from = 2021-01-01
reference = "沙箱：新人社函〔2021〕17号 二（四）所列平台，起始日为本系统假定"

[[platform.transport]]
key_id = "cvt-hmac"
not_before = 2021-01-01T00:00:00+08:00
secret = "cvt-hmac"

[[platform.transport]]
key_id = "cvt-ed25519"
not_before = 2021-01-01T00:00:00+08:00
public_key = "cvt-ed25519.pem"

[[platform]]
slug = "{XZY}"
name = "新职业学习平台"

[[platform.recognised]]
from = 2021-01-01
reference = "沙箱：新人社函〔2021〕17号 二（四）所列平台，起始日为本系统假定"

[[platform.transport]]
key_id = "xzy-gateway"
not_before = 2021-01-01T00:00:00+08:00
secret = "xzy-gateway"

[[platform]]
slug = "{JC}"
name = "就业创业和职业培训在线"

[[platform.recognised]]
from = 2021-01-01
reference = "沙箱：新人社函〔2021〕17号 二（四）所列平台，起始日为本系统假定"

[[platform.transport]]
key_id = "jc-sm2"
not_before = 2021-01-01T00:00:00+08:00
public_key = "jc-sm2.pem"
algorithm = "SM3withSM2"
sm2_id = "default"
encoding = "raw+hex"

[[platform]]
slug = "{SKM}"
name = "技能大师在线培训"

[[platform.recognised]]
from = 2021-01-01
reference = "沙箱：新人社函〔2021〕17号 二（四）所列平台，起始日为本系统假定"

[[platform]]
slug = "{NPT}"
name = "中国国家人事人才培训网"

[[platform.recognised]]
from = 2021-01-01
reference = "沙箱：新人社函〔2021〕17号 二（四）所列平台，起始日为本系统假定"

[[platform.transport]]
key_id = "npt-rsa"
not_before = 2021-01-01T00:00:00+08:00
public_key = "npt-rsa.pem"
algorithm = "RS256"

[[platform]]
slug = "{MPX}"
name = "人力资源社会保障部培训网"

[[platform.recognised]]
from = 2021-01-01
reference = "沙箱：新人社函〔2021〕17号 二（四）所列平台，起始日为本系统假定"

[[platform.transport]]
key_id = "{MPX_USER}"
not_before = 2021-01-01T00:00:00+08:00
public_key = "mpx-rsa.pem"
algorithm = "raw-RSA"

[[issuer]]
id = "{SKM_ISSUER}"
number_scope = "{SKM_ISSUER}"
platforms = ["{SKM}"]

[[issuer.key]]
kid = "skm-2021"
algorithm = "RS256"
file = "skm-2021.pem"
state = "active"
not_before = 2021-01-01T00:00:00+08:00

[[issuer]]
id = "{CVT_ISSUER}"
number_scope = "{CVT_ISSUER}"
platforms = ["{CVT}"]

[[issuer.key]]
kid = "cvt-2019"
algorithm = "RS256"
file = "cvt-2019.pem"
state = "retired"
not_before = 2019-01-01T00:00:00+08:00
not_after = 2021-01-01T00:00:00+08:00

[[issuer.key]]
kid = "cvt-2021"
algorithm = "ES256"
file = "cvt-2021.pem"
state = "active"
not_before = 2021-01-01T00:00:00+08:00

[[issuer]]
id = "{XZY_ISSUER}"
number_scope = "{XZY_ISSUER}"
platforms = ["{XZY}"]

[[issuer.anchor]]
id = "xzy-root"
algorithm = "EdDSA"
file = "xzy-root.pem"
crls = ["xzy-root.crl"]
leaf_subject = "CN={XZY_SUBJECT},C=CN"
state = "active"
not_before = 2021-01-01T00:00:00+08:00

[[issuer]]
id = "{JC_ISSUER}"
number_scope = "{JC_ISSUER}"
platforms = ["{JC}"]

[[issuer.key]]
kid = "jc-2021"
algorithm = "SM3withSM2"
sm2_id = "empty"
encoding = "der+hex"
file = "jc-2021.pem"
state = "active"
not_before = 2021-01-01T00:00:00+08:00

[[issuer]]
id = "{NPT_ISSUER}"
number_scope = "{NPT_ISSUER}"
platforms = ["{NPT}"]

[[issuer.anchor]]
id = "npt-root"
algorithm = "ES256"
file = "npt-root.pem"
crls = ["npt-root.crl"]
leaf_subject = "CN={NPT_SUBJECT},C=CN"
state = "active"
not_before = 2021-01-01T00:00:00+08:00

[[issuer]]
id = "{MPX_ISSUER}"
number_scope = "{MPX_ISSUER}"
platforms = ["{MPX}"]

[[issuer.anchor]]
id = "mpx-root"
algorithm = "ES256"
file = "mpx-root.pem"
crls = ["mpx-root.crl"]
leaf_subject = "CN={MPX_SUBJECT},C=CN"
state = "active"
not_before = 2021-01-01T00:00:00+08:00
"""

_ISSUER_KEYS: Final = {
    "cvt-2019": Algorithm.RS256,
    "cvt-2021": Algorithm.ES256,
    "xzy-2021": Algorithm.EDDSA,
    "npt-2021": Algorithm.ES256,
    "mpx-2021": Algorithm.ES256,
    "skm-2021": Algorithm.RS256,
}
_SM2_IDS: Final = {"jc-sm2": DEFAULT_ID, "jc-2021": b""}
"""Keys for SM2 with what their holder hashes in: both ids are in use, and the register says which."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a simulated platform holds: its private keys and transport secrets.

    Attributes:
        register: path of the register's source form.
        certificate_keys: by key id.
        chains: certificates that certify such a key, the signer's first, DER; by its id, where there are any.
        secrets: transport secrets by their name in the register.
        transport_key: 中国职业培训在线's Ed25519 key for ``v1a`` signatures.
        document_key: 中国国家人事人才培训网's RSA key for XML signatures.
        raw_rsa_key: 人力资源社会保障部培训网's for deliveries.
        sm2_keys: 就业创业和职业培训在线's, for deliveries and certificates, by their ids.
    """

    register: Path
    certificate_keys: dict[str, SigningKey]
    chains: dict[str, tuple[bytes, ...]]
    secrets: dict[str, bytes]
    transport_key: Ed25519PrivateKey
    document_key: SigningKey
    raw_rsa_key: rsa.RSAPrivateKey
    sm2_keys: dict[str, Sm2PrivateKey]


def create(directory: Path, secrets_dir: Path, randbytes: RandomBytes) -> Sandbox:
    """Make a sandbox.

    Args:
        directory: for the register, what it names in ``issuers/``, and what the platforms and the root hold
            themselves in ``private/``.
        secrets_dir: where the service looks for transport secrets.
        randbytes: cryptographic randomness.

    Raises:
        ConfigurationError: KEY_REFUSED, there is a sandbox already; CONFIGURATION_INVALID, libcrypto has no
            SM2.
    """
    issuers, private = directory / "issuers", directory / "private"
    for folder in (issuers, private, secrets_dir):
        folder.mkdir(parents=True, exist_ok=True)
    private.chmod(0o700)
    made: dict[str, PrivateKey] = {
        "cvt-2019": rsa.generate_private_key(65537, 3072),
        "cvt-2021": ec.generate_private_key(ec.SECP256R1()),
        "cvt-ed25519": Ed25519PrivateKey.generate(),
        "npt-rsa": rsa.generate_private_key(65537, 3072),
        "mpx-rsa": rsa.generate_private_key(65537, 2048),
        "skm-2021": rsa.generate_private_key(65537, 3072),
    }
    for name, key in made.items():
        _keep(private, name, key)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (issuers / f"{name}.pem").write_bytes(public)
    _certify(issuers, private, randbytes, "xzy", Ed25519PrivateKey.generate(), XZY_SUBJECT)
    for name, subject in (("npt", NPT_SUBJECT), ("mpx", MPX_SUBJECT)):
        _certify(issuers, private, randbytes, name, ec.generate_private_key(ec.SECP256R1()), subject)
    for name, distinguishing_id in _SM2_IDS.items():
        private_key = Sm2PrivateKey.generate(distinguishing_id)
        write_secret(private / f"{name}.pem", private_key.pem())
        (issuers / f"{name}.pem").write_bytes(private_key.public_key.pem())
    write_secret(secrets_dir / "cvt-hmac", b"whsec_" + base64.b64encode(randbytes(32)))
    write_secret(secrets_dir / "xzy-gateway", randbytes(32).hex().encode())
    (directory / "trust.toml").write_text(REGISTER, encoding="utf-8")
    return load(directory, secrets_dir)


def _keep(private: Path, name: str, key: PrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_secret(private / f"{name}.pem", pem)


def _certify(
    issuers: Path,
    private: Path,
    randbytes: RandomBytes,
    name: str,
    key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey,
    subject: str,
) -> None:
    """Make a root for a platform, and the certificate of the platform's own key."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = authority.root(root_key, "沙箱根证书", randbytes)
    leaf = authority.leaf(root, root_key, key.public_key(), subject, randbytes)
    _keep(private, f"{name}-root", root_key)
    _keep(private, f"{name}-2021", key)
    (private / f"{name}-2021.crt").write_bytes(leaf.public_bytes(Encoding.PEM))
    (issuers / f"{name}-root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    listed = authority.revocation_list(root, root_key)
    (issuers / f"{name}-root.crl").write_bytes(listed.public_bytes(Encoding.PEM))


def _chain(private: Path, kid: str) -> tuple[bytes, ...]:
    leaf = x509.load_pem_x509_certificate((private / f"{kid}.crt").read_bytes())
    return (leaf.public_bytes(Encoding.DER),)


def load(directory: Path, secrets_dir: Path) -> Sandbox:
    """Read a sandbox that ``create`` made."""
    private = directory / "private"
    transport = keys.load_private_pem(
        (private / "cvt-ed25519.pem").read_bytes(), Algorithm.EDDSA, "cvt-ed25519"
    ).private
    raw_rsa = keys.load_private_pem((private / "mpx-rsa.pem").read_bytes(), Algorithm.RS256, MPX_USER).private
    assert isinstance(transport, Ed25519PrivateKey)
    assert isinstance(raw_rsa, rsa.RSAPrivateKey)
    hmac_secret = (secrets_dir / "cvt-hmac").read_bytes().removeprefix(b"whsec_")
    return Sandbox(
        register=directory / "trust.toml",
        certificate_keys={
            kid: keys.load_private_pem((private / f"{kid}.pem").read_bytes(), algorithm, kid)
            for kid, algorithm in _ISSUER_KEYS.items()
        },
        chains={kid: _chain(private, kid) for kid in ("xzy-2021", "npt-2021", "mpx-2021")},
        secrets={
            "cvt-hmac": base64.b64decode(hmac_secret),
            "xzy-gateway": (secrets_dir / "xzy-gateway").read_bytes(),
        },
        transport_key=transport,
        document_key=keys.load_private_pem(
            (private / "npt-rsa.pem").read_bytes(), Algorithm.RS256, "npt-rsa"
        ),
        raw_rsa_key=raw_rsa,
        sm2_keys={
            name: Sm2PrivateKey.from_pem((private / f"{name}.pem").read_bytes(), distinguishing_id)
            for name, distinguishing_id in _SM2_IDS.items()
        },
    )
