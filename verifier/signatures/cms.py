"""Detached CMS signatures (RFC 5652) and those of GM/T 0010, which is PKCS #7 with object ids of its own.

1. ``open_detached`` settles the form and believes nothing: strict DER, one signer, its certificate enclosed.
2. The caller leads the enclosed chain to an anchor (``x509.build``), at a time of its choosing.
3. ``verify`` checks the signature with that key over the content that the caller has.

The caller still owes the chain, replay, and ``signing_time``: it is the signer's own word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ObjectIdentifier, load_der_x509_certificate

from verifier.errors import SignatureRejected
from verifier.signatures import asymmetric, der, x509, x509_form
from verifier.signatures import cms_syntax as syntax
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.steps import Step
from verifier.signatures.x509_form import Certificate

MAX_CMS_BYTES: Final = 65_536

_GM_DATA: Final = "1.2.156.10197.6.1.4.2.1"
_CONTENT_TYPES: Final = MappingProxyType(
    {
        "1.2.840.113549.1.7.2": "1.2.840.113549.1.7.1",  # RFC 5652
        "1.2.156.10197.6.1.4.2.2": _GM_DATA,  # GM/T 0010, for SM2 only
    },
)
"""Signed data, and the plain data that goes with it."""

_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
_SIGNING_TIME: Final = "1.2.840.113549.1.9.5"
_SIGNING_CERTIFICATE: Final = "1.2.840.113549.1.9.16.2.47"
_ALGORITHM_PROTECTION: Final = "1.2.840.113549.1.9.52"

_SHA256, _SM3 = "SHA-256", "SM3"
_DIGESTS: Final[Mapping[bytes, str]] = MappingProxyType(
    {**dict.fromkeys(der.SHA256, _SHA256), **dict.fromkeys(der.SM3, _SM3)},
)
_ALGORITHMS: Final[Mapping[bytes, tuple[Algorithm, str]]] = MappingProxyType(
    {
        # RFC 3370, section 3.2: the key's id alone means PKCS #1 v1.5 with the digest named beside it.
        **dict.fromkeys(der.with_or_without_null("1.2.840.113549.1.1.1"), (Algorithm.RS256, _SHA256)),
        **dict.fromkeys(der.RSA_WITH_SHA256, (Algorithm.RS256, _SHA256)),
        **dict.fromkeys(der.PSS_WITH_SHA256, (Algorithm.PS256, _SHA256)),
        der.ECDSA_WITH_SHA256: (Algorithm.ES256, _SHA256),
        # GM/T 0006: the signature algorithm, and the same with its digest.
        **dict.fromkeys(der.with_or_without_null("1.2.156.10197.1.301.1"), (Algorithm.SM2, _SM3)),
        **dict.fromkeys(der.SM2_WITH_SM3, (Algorithm.SM2, _SM3)),
    },
)
"""Signature algorithms, by the whole identifier, with the one digest of each."""


@dataclass(frozen=True, slots=True)
class UnverifiedCms:
    """A signature whose form is right; nothing in it is believed yet.

    Attributes:
        chain: DER, the signer's certificate first, then as far up as the enclosed ones lead; not verified.
        algorithm: what the signature calls itself.
        digest_algorithm: ``SHA-256`` or ``SM3``.
        message_digest: the signed attribute; None where there are no signed attributes.
        signed_attributes: DER of the set that is signed in place of the content; None where the content is.
        signature: ECDSA and SM2 in DER.
        signing_time: aware, UTC, as the signer says; None where it says none.
        content: what is enclosed, where something is: it must be the content itself.
    """

    chain: tuple[bytes, ...] = field(repr=False)
    algorithm: Algorithm
    digest_algorithm: str
    message_digest: bytes | None
    signed_attributes: bytes | None = field(repr=False)
    signature: bytes = field(repr=False)
    signing_time: datetime | None
    content: bytes | None = field(repr=False)


def _hash(algorithm: str, data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SM3() if algorithm == _SM3 else hashes.SHA256())
    digest.update(data)
    return digest.finalize()


def _signed_data(data: bytes) -> syntax.SignedData:
    if len(data) > MAX_CMS_BYTES:
        raise der.malformed()
    info = der.decode(syntax.ContentInfo, data)
    outer = info.content_type.dotted_string
    inner = info.content.encapsulated.content_type.dotted_string
    if outer not in _CONTENT_TYPES or _CONTENT_TYPES[outer] != inner:
        raise der.malformed()
    if info.content.version not in {1, 3}:
        raise der.malformed()
    return info.content


def _algorithms(data: syntax.SignedData, signer: syntax.SignerInfo) -> tuple[Algorithm, str]:
    content_type = data.encapsulated.content_type.dotted_string
    digest = _DIGESTS.get(der.encode(signer.digest_algorithm))
    known = _ALGORITHMS.get(der.encode(signer.signature_algorithm))
    if known is None or digest != known[1]:
        raise SignatureRejected(Step.ALGORITHM)
    if content_type == _GM_DATA and known[0] is not Algorithm.SM2:
        raise SignatureRejected(Step.ALGORITHM)
    if digest not in {_DIGESTS.get(der.encode(one)) for one in data.digest_algorithms.as_list()}:
        raise SignatureRejected(Step.ALGORITHM)
    return known


def _is_named(certificate: Certificate, signer: syntax.SignerInfo) -> bool:
    """RFC 5652, section 5.3: by issuer and number, or by subject key identifier."""
    named = signer.signer
    if isinstance(named, bytes):
        return certificate.key_id == named
    return certificate.serial == named.serial and certificate.issuer == der.encode(named.issuer)


def _only(certificates: Sequence[Certificate]) -> Certificate:
    if len(certificates) != 1:
        raise der.malformed()
    return certificates[0]


def _chain(data: syntax.SignedData, signer: syntax.SignerInfo) -> tuple[bytes, ...]:
    """The signer's certificate and those above it; what else is enclosed is not for this signature."""
    enclosed = {der.encode(one) for one in data.certificates or ()}
    if len(enclosed) > x509.MAX_CERTIFICATES:
        raise der.malformed()
    left = [x509_form.read(one) for one in sorted(enclosed)]
    found = [_only([one for one in left if _is_named(one, signer)])]
    while found[-1].issuer != found[-1].subject:
        left.remove(found[-1])
        above = [one for one in left if one.subject == found[-1].issuer]
        if not above:
            break
        found.append(_only(above))
    return tuple(one.der for one in found)


def _attributes(signer: syntax.SignerInfo) -> dict[str, bytes]:
    """The one value of each signed attribute that is understood here; each may stand once only."""
    found: dict[str, bytes] = {}
    understood = {_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME, _SIGNING_CERTIFICATE, _ALGORITHM_PROTECTION}
    for attribute in signer.signed_attributes.as_list() if signer.signed_attributes else ():
        name, values = attribute.type.dotted_string, attribute.values.as_list()
        if name in understood:
            if name in found or len(values) != 1:
                raise der.malformed()
            found[name] = der.encode(values[0])
    return found


def _check_signing_certificate(value: bytes, leaf: bytes) -> None:
    """RFC 5035: the signer names the certificate that is to be used, so that none is put in its place."""
    named = der.decode(syntax.SigningCertificate, value).certificates
    if not named:
        raise der.malformed()
    parts = named[0].hash_algorithm
    digest = _SHA256 if parts is None else _DIGESTS.get(_sequence(parts))
    if digest is None:
        raise SignatureRejected(Step.ALGORITHM)
    if _hash(digest, leaf) != named[0].certificate_hash:
        raise SignatureRejected(Step.SIGNATURE)


def _sequence(parts: list[asn1.TLV] | None) -> bytes:
    """A sequence of the parts it was read as."""
    return der.unboxed(der.encode(syntax.Parts(parts=parts or [])))


def _check_algorithm_protection(value: bytes, signer: syntax.SignerInfo) -> None:
    """RFC 6211: the algorithms that were meant are signed too."""
    meant = der.decode(syntax.AlgorithmProtection, value)
    named = der.encode(meant.digest_algorithm), _sequence(meant.signature_algorithm)
    if named != (der.encode(signer.digest_algorithm), der.encode(signer.signature_algorithm)):
        raise SignatureRejected(Step.ALGORITHM)


def _check_signed_attributes(attributes: Mapping[str, bytes], content_type: ObjectIdentifier) -> bytes:
    """Where there are any, content type and message digest are among them (RFC 5652, section 5.3)."""
    if attributes.get(_CONTENT_TYPE) != der.encode(content_type) or _MESSAGE_DIGEST not in attributes:
        raise der.malformed()
    return der.decode(bytes, attributes[_MESSAGE_DIGEST])


def _signing_time(value: bytes | None) -> datetime | None:
    return None if value is None else der.moment(der.decode(syntax.SigningTime, der.boxed(value)).time)


def open_detached(data: bytes) -> UnverifiedCms:
    """Takes a signature apart without believing it.

    Args:
        data: DER of at most 64 KiB; in BER, indefinite lengths included, it is refused.

    Raises:
        SignatureRejected: ``malformed``; ``algorithm``: not one of those accepted, or its parts disagree;
            ``signature``: the signer names another certificate by its hash. Nothing else, whatever the bytes.
    """
    signed_data = _signed_data(data)
    signers = signed_data.signer_infos.as_list()
    if len(signers) != 1 or signers[0].version != (3 if isinstance(signers[0].signer, bytes) else 1):
        raise der.malformed()
    signer = signers[0]
    algorithm, digest_algorithm = _algorithms(signed_data, signer)
    chain = _chain(signed_data, signer)
    attributes = _attributes(signer)
    message_digest = signed_attributes = None
    if signer.signed_attributes is not None:
        message_digest = _check_signed_attributes(attributes, signed_data.encapsulated.content_type)
        # Signed as a SET OF, though it stands there as [0] (RFC 5652, section 5.4).
        signed_attributes = der.unboxed(der.encode(syntax.Attributes(attributes=signer.signed_attributes)))
    if _SIGNING_CERTIFICATE in attributes:
        _check_signing_certificate(attributes[_SIGNING_CERTIFICATE], chain[0])
    if _ALGORITHM_PROTECTION in attributes:
        _check_algorithm_protection(attributes[_ALGORITHM_PROTECTION], signer)
    return UnverifiedCms(
        chain=chain,
        algorithm=algorithm,
        digest_algorithm=digest_algorithm,
        message_digest=message_digest,
        signed_attributes=signed_attributes,
        signature=signer.signature,
        signing_time=_signing_time(attributes.get(_SIGNING_TIME)),
        content=signed_data.encapsulated.content,
    )


def _could_be_attributes(content: bytes) -> bool:
    """Whether a signature over signed attributes could be shown as one over this content."""
    try:
        der.decode(syntax.Attributes, der.boxed(content))
    except SignatureRejected:
        return False
    return True


def verify(unverified: UnverifiedCms, content: bytes, key: VerificationKey) -> None:
    """Verifies a signature over content with one key.

    Args:
        unverified: the signature.
        content: what the caller will use, byte for byte.
        key: the key of ``unverified.chain[0]`` after the chain was verified, or one that is registered.

    Raises:
        SignatureRejected: ``algorithm`` or ``signature``; nothing else.
        ConfigurationError: ``configuration_invalid``: an SM2 key, and libcrypto has no SM2.
    """
    if unverified.algorithm is not key.algorithm:
        raise SignatureRejected(Step.ALGORITHM)
    if unverified.content is not None and unverified.content != content:
        raise SignatureRejected(Step.SIGNATURE)
    if unverified.signed_attributes is None:
        if _could_be_attributes(content):
            raise SignatureRejected(Step.SIGNATURE)
        asymmetric.verify(key, content, unverified.signature)
        return
    if _hash(unverified.digest_algorithm, content) != unverified.message_digest:
        raise SignatureRejected(Step.SIGNATURE)
    asymmetric.verify(key, unverified.signed_attributes, unverified.signature)


def sign_detached(
    content: bytes, private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, chain: Sequence[bytes]
) -> bytes:
    """Signs content in the form that is verified here, without signed attributes, for the simulator.

    Args:
        content: signed as it is.
        private: RSA signs by PKCS #1 v1.5, both with SHA-256.
        chain: DER, the signer's own certificate first; all are enclosed.

    Returns:
        DER.
    """
    leaf, *above = map(load_der_x509_certificate, chain)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(leaf, private, hashes.SHA256())
    for certificate in above:
        builder = builder.add_certificate(certificate)
    plain = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoAttributes]
    return builder.sign(Encoding.DER, plain)
