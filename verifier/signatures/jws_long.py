"""A compact JWS over a payload of many megabytes, made piece by piece: never two copies of it are there.

The token is, byte for byte but for the signature's randomness, that of ``jws.sign_compact``. The payload is
gone over twice: for its digest, and when it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from verifier.signatures import base64url, jws
from verifier.signatures.jws import SigningKey

_TOGETHER: Final = 3 << 16
"""Bytes that are encoded at once: a multiple of three, so that none but the last leaves bits over."""


@dataclass(frozen=True, slots=True)
class LongToken:
    """A signed token that is written only while it is sent.

    Attributes:
        length: of the whole in bytes.
    """

    length: int
    _header: bytes
    _payload: Sequence[bytes] = field(repr=False)
    _signature: bytes = field(repr=False)

    def pieces(self) -> Iterator[bytes]:
        """The token, in pieces that follow upon each other."""
        yield self._header
        yield from encoded(self._payload)
        yield self._signature


def sign(payload: Sequence[bytes], key: SigningKey, *, typ: str) -> LongToken:
    """Sign a payload that is there in pieces.

    Args:
        payload: signed as it is.
        key: as in ``jws.sign_compact``.
        typ: likewise.
    """
    header = jws.signing_input(b"", key, typ=typ)
    signature = b"." + base64url.encode(_signature(header, payload, key)).encode("ascii")
    # Without padding: of one byte left over come two characters, of two three.
    length = -(-sum(map(len, payload)) * 4 // 3)
    return LongToken(len(header) + length + len(signature), header, payload, signature)


def _signature(header: bytes, payload: Sequence[bytes], key: SigningKey) -> bytes:
    private = key.private
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return key.sign(b"".join((header, *encoded(payload))))
    kind = jws.hash_of(key.algorithm)
    digest = hashes.Hash(kind)
    digest.update(header)
    for piece in encoded(payload):
        digest.update(piece)
    r, s = decode_dss_signature(private.sign(digest.finalize(), ec.ECDSA(Prehashed(kind))))
    size = (private.curve.key_size + 7) // 8
    return r.to_bytes(size) + s.to_bytes(size)


def encoded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Base64url, without padding, of what the pieces are together."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= _TOGETHER:
            whole = len(waiting) - len(waiting) % 3
            yield base64url.encode(bytes(waiting[:whole])).encode("ascii")
            del waiting[:whole]
    if waiting:
        yield base64url.encode(bytes(waiting)).encode("ascii")
