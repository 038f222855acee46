"""One genuine certificate of each kind, verified whole by this service and barely by the libraries."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import load_der_x509_certificate

from benchmarks import bare
from benchmarks.bare import Call
from tests import certificates as made
from tests import pdfs
from verifier import certificates
from verifier.keyring import Issuer, IssuerAnchor, IssuerKey, KeyState, Register
from verifier.model.certificate import CertificateFields, CertificateKind, SignedCertificate
from verifier.model.delivery import PlatformSlug
from verifier.model.time import TimeFormat
from verifier.signatures import cms, jws, pdf, strict_xml, xmldsig
from verifier.signatures.jws import Algorithm, PrivateKey, SigningKey, VerificationKey
from verifier.signatures.sm2 import Sm2PrivateKey

PLATFORM: Final = PlatformSlug("alpha")
ISSUER: Final = "urn:benchmark:issuer"
START: Final = datetime(2021, 1, 1, tzinfo=UTC)
RECEIVED: Final = datetime(2021, 6, 2, tzinfo=UTC)

CLAIMS: Final[Mapping[str, str]] = {
    "bbh": "1",
    "fzjg": ISSUER,
    "fzsj": "20210601120000",
    "jysj": "20210601110000",
    "kcdm": "KC-0001",
    "kcmc": "新职业在线学习：网络安全基础",
    "pxjgmc": "示例培训机构",
    "xm": "测试学员",
    "zjhm": "999901199003070025",
    "zjlx": "01",
    "zsbh": "BM202100000001",
    "zslx": "课程培训合格证明",
}
FIELDS: Final = CertificateFields(
    issuer="fzjg",
    number="zsbh",
    holder_name="xm",
    id_kind="zjlx",
    id_number="zjhm",
    course_code="kcdm",
    course_title="kcmc",
    organisation="pxjgmc",
    completed_at="jysj",
    issued_at="fzsj",
    document="zslx",
    revision="bbh",
    completed_format=TimeFormat.COMPACT_BEIJING,
    issued_format=TimeFormat.COMPACT_BEIJING,
    documents={},
    id_kinds={"01": "resident_id"},
)
_PAYLOAD: Final = json.dumps({**CLAIMS, "bbh": 1}, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Sample:
    """What is measured.

    Attributes:
        whole: all that this service does; it raises unless the certificate is accepted.
        bare: the library's calls for the same signatures.
        compared: what those are.
        goal: the least ratio of verifications per second; None where there is none.
    """

    name: str
    whole: Call
    bare: Call
    compared: str
    goal: float | None


def _verified(signed: SignedCertificate, **signers: Any) -> Call:
    issuer = Issuer(ISSUER, "all", frozenset({PLATFORM}), signers.get("keys", {}), signers.get("anchors", ()))
    register = Register("0" * 64, {}, {ISSUER: issuer})
    return partial(
        certificates.verify, signed, platform=PLATFORM, register=register, first_received_at=RECEIVED
    )


def _registered(key: VerificationKey) -> dict[str, IssuerKey]:
    return {key.kid: IssuerKey(key, KeyState.ACTIVE, START)}


def _anchored(root: bytes, *crls: bytes, algorithm: Algorithm = Algorithm.ES256) -> tuple[IssuerAnchor, ...]:
    return (IssuerAnchor("root", root, algorithm, KeyState.ACTIVE, START, crls=tuple(crls) or None),)


# --- tokens under registered keys


def _token(private: PrivateKey, algorithm: Algorithm, goal: float) -> tuple[Sample, Sample]:
    """The token's form and signature, which the goal is for; and the whole certificate, steps 1 to 11."""
    key = SigningKey("k", algorithm, private)
    token = jws.sign_compact(_PAYLOAD, key, typ="JWT")
    parsed = jws.parse_compact(token)
    signature = parsed.signature
    if algorithm is Algorithm.ES256:
        signature = jws._ecdsa_der(signature, ec.SECP256R1())  # noqa: SLF001 - what the library takes
    whole = _verified(
        SignedCertificate(CertificateKind.JWS, token.encode(), FIELDS),
        keys=_registered(key.verification_key),
    )
    alone, compared = bare.call(private.public_key(), signature, parsed.signing_input), "1 × cryptography"

    public = key.verification_key

    def signed() -> object:
        return jws.verify(jws.parse_compact(token), public)

    return (
        Sample(f"JWS {algorithm.value}, token", signed, alone, compared, goal),
        Sample(f"JWS {algorithm.value}, certificate", whole, alone, compared, None),
    )


# --- chains: two links, lists of both authorities


def _chain() -> tuple[made.Issued, made.Issued, made.Issued, tuple[bytes, ...]]:
    root = made.root()
    between = made.intermediate(root)
    leaf = made.leaf(between)
    return root, between, leaf, (made.crl(root), made.crl(between))


def _links(root: made.Issued, between: made.Issued, leaf: made.Issued) -> tuple[Call, Call]:
    return bare.link(leaf.parsed, between.parsed), bare.link(between.parsed, root.parsed)


def _private(holder: made.Issued) -> ec.EllipticCurvePrivateKey:
    assert isinstance(holder.key.private, ec.EllipticCurvePrivateKey)
    return holder.key.private


def _x5c(goal: float) -> Sample:
    root, between, leaf, crls = _chain()
    x5c: list[Any] = [base64.b64encode(one.der).decode("ascii") for one in (leaf, between)]
    key = SigningKey("k", Algorithm.ES256, _private(leaf))
    token = jws.sign_compact(_PAYLOAD, key, typ="JWT", headers={"x5c": x5c})
    parsed = jws.parse_compact(token, max_bytes=len(token), allow_x5c=True)
    signature = jws._ecdsa_der(parsed.signature, ec.SECP256R1())  # noqa: SLF001 - as above
    return Sample(
        "JWS x5c ES256",
        _verified(
            SignedCertificate(CertificateKind.JWS_X5C, token.encode(), FIELDS),
            anchors=_anchored(root.der, *crls),
        ),
        bare.each(
            bare.call(key.private.public_key(), signature, parsed.signing_input), *_links(root, between, leaf)
        ),
        "3 × cryptography (2 links)",
        goal,
    )


def _cms() -> Sample:
    root, between, leaf, crls = _chain()
    content = f"<CERT>{''.join(f'<{name}>{said}</{name}>' for name, said in CLAIMS.items())}</CERT>".encode()
    message = cms.sign_detached(content, _private(leaf), [leaf.der, between.der])
    signature = cms.open_detached(message).signature
    return Sample(
        "CMS ES256",
        _verified(
            SignedCertificate(CertificateKind.CMS, content, FIELDS, base64.b64encode(message).decode()),
            anchors=_anchored(root.der, *crls),
        ),
        bare.each(bare.call(_private(leaf).public_key(), signature, content), *_links(root, between, leaf)),
        "3 × cryptography (2 links)",
        None,
    )


def _pdf() -> Sample:
    signer = pdfs.p256()
    private, *_ = pkcs12.load_key_and_certificates(signer.pkcs12, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    leaf, root = map(load_der_x509_certificate, signer.chain)
    file = pdfs.foreign(signer, CLAIMS)
    unverified = pdf.open_pdf(file).cms
    beside = private.sign(file, ec.ECDSA(hashes.SHA256()))
    assert unverified.signed_attributes is not None
    return Sample(
        "PDF ES256",
        _verified(
            SignedCertificate(CertificateKind.PDF, file, FIELDS, base64.b64encode(beside).decode()),
            anchors=_anchored(signer.chain[1]),
        ),
        bare.each(
            bare.call(private.public_key(), unverified.signature, unverified.signed_attributes),
            bare.call(private.public_key(), beside, file),
            bare.link(leaf, root),
        ),
        "3 × cryptography (1 link)",
        None,
    )


# --- the others


def _canonical(goal: float) -> Sample:
    private = Sm2PrivateKey.generate()
    content = "&".join(
        f"{name}={value}" for name, value in sorted({**CLAIMS, "key_id": "k"}.items())
    ).encode()
    signature = private.sign(content)
    key = VerificationKey("k", Algorithm.SM2, private.public_key)
    return Sample(
        "canonical SM2",
        _verified(
            SignedCertificate(
                CertificateKind.CANONICAL, content, FIELDS, base64.b64encode(signature).decode()
            ),
            keys=_registered(key),
        ),
        bare.call(private.public_key, signature, content),
        "1 × OpenSSL EVP",
        goal,
    )


def _xml() -> Sample:
    key = SigningKey("k", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
    body = "".join(f"<{name}>{said}</{name}>" for name, said in CLAIMS.items())
    document = xmldsig.sign_enveloped(f"<CERT>{body}</CERT>".encode(), key).encode()
    registered = key.verification_key
    charsets = frozenset({"utf-8"})

    def whole() -> object:
        root = strict_xml.parse(document, max_bytes=16_384, charsets=charsets)
        return xmldsig.verify(xmldsig.open_enveloped(root), registered)

    opened = xmldsig.open_enveloped(strict_xml.parse(document, max_bytes=16_384, charsets=charsets))
    raw = base64.b64decode(opened.signature)
    der = jws._ecdsa_der(raw, ec.SECP256R1())  # noqa: SLF001 - as above
    return Sample(
        "XML ES256",
        whole,
        bare.call(key.private.public_key(), der, opened.signed_info),
        "1 × cryptography",
        None,
    )


def samples() -> tuple[Sample, ...]:
    """Every kind, with a goal where there is one."""
    return (
        *_token(ec.generate_private_key(ec.SECP256R1()), Algorithm.ES256, 0.8),
        *_token(Ed25519PrivateKey.generate(), Algorithm.EDDSA, 0.8),
        *_token(rsa.generate_private_key(65537, 3072), Algorithm.RS256, 0.5),
        _canonical(0.85),
        _x5c(0.5),
        _cms(),
        _pdf(),
        _xml(),
    )
