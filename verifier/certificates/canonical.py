"""A certificate as parameters sorted by name and joined, ``a=1&b=2``, with its signature beside it.

``content`` is the joined text itself in UTF-8, as it was signed: it is never put together here, so that
nothing depends on how. Its form is strict, since two sets of parameters must never give one text: names rise
in the order of their bytes, none is doubled, and no value is empty or holds a ``&``, a ``=`` or a control
character.

``signature`` is written in the encoding that is registered with the key. The key is named by the parameter
``key_id``, or certified by the ``chain`` that stands beside; never both.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from verifier.certificates.form import Unverified, header_refused, malformed
from verifier.model.certificate import SignedCertificate
from verifier.signatures import asymmetric
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import VerificationKey

MAX_BYTES: Final = 8192
MAX_PARAMETERS: Final = 64
MAX_CHAIN: Final = 5
KEY_ID: Final = "key_id"
"""The parameter that names a registered key."""

_PARAMETER: Final = re.compile(r"([A-Za-z0-9_.\-]{1,64})=([^&=\x00-\x1f\x7f]+)")


def open_canonical(signed: SignedCertificate) -> Unverified:
    """Steps 1 and 2 of joined parameters."""
    claims = _parameters(signed.content)
    chain = _chain(signed.chain)
    if chain and KEY_ID in claims:
        raise header_refused("it names a key and brings a chain")
    return Unverified(
        claims,
        _Check(signed.content, signed.signature),
        key_id=claims.get(KEY_ID),
        chain=chain,
        texts=True,
    )


def _parameters(content: bytes) -> dict[str, str]:
    if len(content) > MAX_BYTES:
        raise malformed("the parameters are too long")
    try:
        parts = content.decode("utf-8").split("&")
    except UnicodeDecodeError:
        raise malformed("the parameters are not UTF-8") from None
    found = [(form[1], form[2]) for part in parts if (form := _PARAMETER.fullmatch(part))]
    if len(found) != len(parts) or len(found) > MAX_PARAMETERS:
        raise malformed("not name=value joined by &, or too many")
    names = [name for name, _ in found]
    if names != sorted(set(names)):
        raise malformed("the parameters are not sorted by name, or one is doubled")
    return dict(found)


def _chain(texts: tuple[str, ...]) -> tuple[bytes, ...]:
    if len(texts) > MAX_CHAIN:
        raise header_refused("the chain has more than 5 certificates")
    try:
        return tuple(base64.b64decode(text, validate=True) for text in texts)
    except (binascii.Error, ValueError):
        raise header_refused("a certificate of the chain is not base64") from None


class _Check:
    """Steps 6 and 7, over the text as it came."""

    __slots__ = ("_content", "_signature")

    def __init__(self, content: bytes, signature: str) -> None:
        self._content = content
        self._signature = signature

    def __call__(self, key: VerificationKey, encoding: SignatureEncoding) -> None:
        asymmetric.verify_text(key, self._content, self._signature, encoding)
