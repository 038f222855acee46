"""A sandbox: platform keys, a trust register and transport secrets, made fresh in one directory.

Nothing here is known to any real platform. The private keys stay in the sandbox directory, never under
``keys/``; persons have ids of an unassigned division (GB/T 2260 has none that begins with 9999).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from verifier.keyfiles import write_secret
from verifier.ports import RandomBytes
from verifier.signatures import keys
from verifier.signatures.jws import Algorithm, SigningKey

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey

CVT: Final = "china_vocational_training"
XZY: Final = "new_occupation"
CVT_ISSUER: Final = "urn:sandbox:china-vocational-training"
XZY_ISSUER: Final = "urn:sandbox:new-occupation"

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

[[issuer.key]]
kid = "xzy-2021"
algorithm = "EdDSA"
file = "xzy-2021.pem"
state = "active"
not_before = 2021-01-01T00:00:00+08:00
"""

_ISSUER_KEYS: Final = {
    "cvt-2019": Algorithm.RS256,
    "cvt-2021": Algorithm.ES256,
    "xzy-2021": Algorithm.EDDSA,
}


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a simulated platform holds: its private keys and transport secrets.

    Attributes:
        register: path of the register's source form.
        certificate_keys: by key id.
        secrets: transport secrets by their name in the register.
        transport_key: 中国职业培训在线's Ed25519 key for ``v1a`` signatures.
    """

    register: Path
    certificate_keys: dict[str, SigningKey]
    secrets: dict[str, bytes]
    transport_key: Ed25519PrivateKey


def create(directory: Path, secrets_dir: Path, randbytes: RandomBytes) -> Sandbox:
    """Make a sandbox.

    Args:
        directory: for the register, the public keys in ``issuers/``, and the platforms' own keys in
            ``private/``.
        secrets_dir: where the service looks for transport secrets.
        randbytes: cryptographic randomness.

    Raises:
        ConfigurationError: KEY_REFUSED, there is a sandbox already.
    """
    issuers, private = directory / "issuers", directory / "private"
    for folder in (issuers, private, secrets_dir):
        folder.mkdir(parents=True, exist_ok=True)
    private.chmod(0o700)
    made: dict[str, PrivateKey] = {
        "cvt-2019": rsa.generate_private_key(65537, 3072),
        "cvt-2021": ec.generate_private_key(ec.SECP256R1()),
        "xzy-2021": Ed25519PrivateKey.generate(),
        "cvt-ed25519": Ed25519PrivateKey.generate(),
    }
    for name, key in made.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_secret(private / f"{name}.pem", pem)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (issuers / f"{name}.pem").write_bytes(public)
    write_secret(secrets_dir / "cvt-hmac", b"whsec_" + base64.b64encode(randbytes(32)))
    write_secret(secrets_dir / "xzy-gateway", randbytes(32).hex().encode())
    (directory / "trust.toml").write_text(REGISTER, encoding="utf-8")
    return load(directory, secrets_dir)


def load(directory: Path, secrets_dir: Path) -> Sandbox:
    """Read a sandbox that ``create`` made."""
    private = directory / "private"
    transport = keys.load_private_pem(
        (private / "cvt-ed25519.pem").read_bytes(), Algorithm.EDDSA, "cvt-ed25519"
    ).private
    assert isinstance(transport, Ed25519PrivateKey)
    hmac_secret = (secrets_dir / "cvt-hmac").read_bytes().removeprefix(b"whsec_")
    return Sandbox(
        register=directory / "trust.toml",
        certificate_keys={
            kid: keys.load_private_pem((private / f"{kid}.pem").read_bytes(), algorithm, kid)
            for kid, algorithm in _ISSUER_KEYS.items()
        },
        secrets={
            "cvt-hmac": base64.b64decode(hmac_secret),
            "xzy-gateway": (secrets_dir / "xzy-gateway").read_bytes(),
        },
        transport_key=transport,
    )
