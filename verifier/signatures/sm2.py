"""SM2 signatures with SM3 (GB/T 32918.2, GM/T 0009), by the system's libcrypto.

The library that serves all other keys has SM3 but no SM2, so that OpenSSL is called directly, through ctypes,
which releases the interpreter's lock for the time of each call.

The signer hashes in a *distinguishing id*. Who follows the standard's usual value uses ``DEFAULT_ID``; who
leaves it to OpenSSL before version 4 uses the empty one. Which one an issuer uses is registered with its key,
always set, and never found out by trying.
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import ctypes.util
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures.steps import Step

DEFAULT_ID: Final = b"1234567812345678"
"""The usual distinguishing id (GM/T 0009, section 10)."""
MAX_ID_BYTES: Final = 8190
"""Its length is hashed in as 16 bits that count bits (GB/T 32918.2, section 5.5); OpenSSL stops one short."""
MAX_CACHED_KEYS: Final = 256

# The recommended curve of GB/T 32918.5: y^2 = x^3 + a x + b modulo p, with a = p - 3.
_P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
_N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_POINT_BYTES: Final = 65
_PRIVATE_BYTES: Final = 32
_SPKI_PREFIX: Final = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
"""SubjectPublicKeyInfo of RFC 5480 up to the point: id-ecPublicKey on the curve 1.2.156.10197.1.301."""
_PKCS8_PREFIX: Final = bytes.fromhex(
    "308187020100301306072a8648ce3d020106082a811ccf5501822d046d306b0201010420"
)
"""PrivateKeyInfo (RFC 5208) around ECPrivateKey (RFC 5915), up to the 32 bytes of the private key."""
_PKCS8_BETWEEN: Final = bytes.fromhex("a144034200")
"""Between the private key and its point."""
_SEC1_PRIVATE: Final = slice(7, 39)
"""Where ECPrivateKey (RFC 5915) has its 32 bytes of private key."""
_MAX_SIGNATURE_BYTES: Final = 72
"""DER of two integers of 33 bytes."""
_PEM: Final = re.compile(
    r"-----BEGIN PRIVATE KEY-----\r?\n([A-Za-z0-9+/=\r\n]{1,512})-----END PRIVATE KEY-----\s*"
)

Pointer: TypeAlias = int | None
_P_, _INT, _BYTES, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t
_POINTER_TO: Final = ctypes.POINTER(ctypes.c_void_p)
_BYTES_TO: Final = ctypes.POINTER(ctypes.c_char_p)
_FUNCTIONS: Final = {
    "ERR_clear_error": (None, ()),
    "EVP_sm3": (_P_, ()),
    "EVP_MD_CTX_new": (_P_, ()),
    "EVP_MD_CTX_free": (None, (_P_,)),
    "EVP_PKEY_free": (None, (_P_,)),
    "EVP_PKEY_CTX_free": (None, (_P_,)),
    "EVP_PKEY_CTX_new_from_name": (_P_, (_P_, _BYTES, _BYTES)),
    "EVP_PKEY_CTX_set1_id": (_INT, (_P_, _BYTES, _INT)),
    "EVP_PKEY_keygen_init": (_INT, (_P_,)),
    "EVP_PKEY_keygen": (_INT, (_P_, _POINTER_TO)),
    "EVP_DigestVerifyInit": (_INT, (_P_, _POINTER_TO, _P_, _P_, _P_)),
    "EVP_DigestVerify": (_INT, (_P_, _BYTES, _SIZE, _BYTES, _SIZE)),
    "EVP_DigestSignInit": (_INT, (_P_, _POINTER_TO, _P_, _P_, _P_)),
    "EVP_DigestSign": (_INT, (_P_, _BYTES, ctypes.POINTER(_SIZE), _BYTES, _SIZE)),
    "d2i_PUBKEY": (_P_, (_POINTER_TO, _BYTES_TO, ctypes.c_long)),
    "d2i_AutoPrivateKey": (_P_, (_POINTER_TO, _BYTES_TO, ctypes.c_long)),
    "i2d_PUBKEY": (_INT, (_P_, _BYTES_TO)),
    "i2d_PrivateKey": (_INT, (_P_, _BYTES_TO)),
}
"""Every function used, with what it returns and takes: an undeclared pointer would be cut to 32 bits."""


def _unusable(detail: str) -> ConfigurationError:
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail)


def _refused(detail: str) -> ConfigurationError:
    return ConfigurationError(Code.KEY_REFUSED, detail)


def _names() -> tuple[str | None, ...]:
    """Names of libcrypto: the version this module is written for, then whatever the system calls so."""
    return ("libcrypto.so.3", ctypes.util.find_library("crypto"))


def _load(name: str) -> ctypes.CDLL | None:
    """The library of that name with all functions declared, or None if it is missing or lacks one."""
    try:
        library = ctypes.CDLL(name)
        for function, (result, arguments) in _FUNCTIONS.items():
            entry = getattr(library, function)
            entry.restype, entry.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return library


@lru_cache(maxsize=1)
def _libcrypto() -> ctypes.CDLL:
    for name in _names():
        library = _load(name) if name else None
        if library is not None:
            return library
    raise _unusable("SM2 needs OpenSSL 3 with SM2 and SM3: no such libcrypto is installed")


class _Handle:
    """A parsed key of libcrypto, freed with the last reference to it: a cache may drop it while it serves."""

    __slots__ = ("_free", "pointer")

    def __init__(self, library: ctypes.CDLL, pointer: Pointer) -> None:
        self.pointer = pointer
        # Bound here: when the interpreter ends, a module's names may be gone before its objects.
        self._free: Callable[[Pointer], None] = library.EVP_PKEY_free

    def __del__(self) -> None:
        self._free(self.pointer)


def _parsed(function: str, der: bytes) -> _Handle:
    library = _libcrypto()
    try:
        pointer: Pointer = getattr(library, function)(None, ctypes.byref(ctypes.c_char_p(der)), len(der))
    finally:
        library.ERR_clear_error()
    if pointer is None:
        raise _unusable("the installed libcrypto reads no SM2 key")
    return _Handle(library, pointer)


@lru_cache(maxsize=MAX_CACHED_KEYS)
def _public_handle(point: bytes) -> _Handle:
    """Parsing costs half of what verifying does, and few keys sign most documents."""
    return _parsed("d2i_PUBKEY", _SPKI_PREFIX + point)


def _der(function: str, handle: _Handle) -> bytes:
    """What an ``i2d`` function writes: first asked for the length, then for the bytes."""
    write = getattr(_libcrypto(), function)
    buffer = ctypes.create_string_buffer(write(handle.pointer, None))
    write(handle.pointer, ctypes.byref(ctypes.cast(buffer, ctypes.c_char_p)))
    return buffer.raw


@dataclass(frozen=True, slots=True)
class Sm2PublicKey:
    """A public key on the SM2 curve with the id that its holder hashes in.

    Attributes:
        point: 65 bytes, 04 || x || y.
        distinguishing_id: 0 to 8190 bytes.

    Raises:
        ConfigurationError: ``key_refused``: not an uncompressed point of the curve, or the id is too long.
    """

    point: bytes
    distinguishing_id: bytes = DEFAULT_ID

    def __post_init__(self) -> None:
        x, y = int.from_bytes(self.point[1:33]), int.from_bytes(self.point[33:])
        if len(self.point) != _POINT_BYTES or self.point[0] != 4:  # noqa: PLR2004 - X9.62: uncompressed
            raise _refused("an SM2 key is not an uncompressed point of 65 bytes")
        # Cofactor 1: every point of the curve but the one at infinity, which has no such form, is sound.
        if x >= _P or y >= _P or (y * y - (x * x - 3) * x - _B) % _P != 0:
            raise _refused("an SM2 key is no point of its curve")
        if len(self.distinguishing_id) > MAX_ID_BYTES:
            raise _refused("an SM2 distinguishing id has more than 8190 bytes")

    @classmethod
    def from_spki(cls, der: bytes, distinguishing_id: bytes = DEFAULT_ID) -> Sm2PublicKey:
        """Reads a SubjectPublicKeyInfo (RFC 5480) of an uncompressed point.

        Raises:
            ConfigurationError: ``key_refused``.
        """
        if not der.startswith(_SPKI_PREFIX):
            raise _refused("a key is not the SubjectPublicKeyInfo of an uncompressed SM2 point")
        return cls(der.removeprefix(_SPKI_PREFIX), distinguishing_id)

    def spki(self) -> bytes:
        """The SubjectPublicKeyInfo, DER."""
        return _SPKI_PREFIX + self.point

    def pem(self) -> bytes:
        """The SubjectPublicKeyInfo as a file; the distinguishing id is not in it."""
        return _pem(self.spki(), b"PUBLIC KEY")


def _pem(der: bytes, label: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[n : n + 64] for n in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN %b-----" % label, *lines, b"-----END %b-----" % label, b""])


def _initialised(
    library: ctypes.CDLL, function: str, context: Pointer, handle: _Handle, distinguishing_id: bytes
) -> None:
    """Prepares a digest context to sign or verify by a key with its id."""
    key_context = ctypes.c_void_p()
    start = getattr(library, function)
    arguments = (ctypes.byref(key_context), library.EVP_sm3(), None, handle.pointer)
    ready = context is not None and start(context, *arguments) == 1
    # Set even where it is empty: what a library takes for unset differs between its versions.
    identified = ready and library.EVP_PKEY_CTX_set1_id(
        key_context, distinguishing_id, len(distinguishing_id)
    )
    if identified != 1:
        raise _unusable("the installed libcrypto has no SM2 with SM3")


def verify(key: Sm2PublicKey, data: bytes, signature_der: bytes) -> None:
    """Verifies a signature over ``SM3(Z || data)`` (GB/T 32918.2, section 7).

    Args:
        key: the public key with its distinguishing id.
        data: what was signed.
        signature_der: the DER of r and s (GM/T 0009, section 7.3); no other encoding of them.

    Raises:
        SignatureRejected: ``signature``.
        ConfigurationError: ``configuration_invalid``: libcrypto is missing or has no SM2.
    """
    library = _libcrypto()
    handle = _public_handle(key.point)
    context: Pointer = library.EVP_MD_CTX_new()
    try:
        _initialised(library, "EVP_DigestVerifyInit", context, handle, key.distinguishing_id)
        result: int = library.EVP_DigestVerify(context, signature_der, len(signature_der), data, len(data))
    finally:
        library.EVP_MD_CTX_free(context)
        library.ERR_clear_error()  # the queue is the thread's, and other users of libcrypto read it
    if result != 1:  # 0 is a wrong signature, a negative number a malformed one
        raise SignatureRejected(Step.SIGNATURE)


_EXAMPLE_POINT: Final = bytes.fromhex(
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_EXAMPLE_MESSAGE: Final = b"message digest"
_EXAMPLE_SIGNATURE: Final = bytes.fromhex(
    "3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)
_EXAMPLE_SIGNATURE_EMPTY_ID: Final = bytes.fromhex(
    "304502206bd05fab3669bdff66f83a001ff6bb17fe5b1bf4f17513b7db5973a8f38c8523"
    "022100b5f269657c3a8399044f250a53758b6af21f9561b09b10462bd8237e7f0acbd0"
)
"""Ours, by the example's private key: the standard has no example with the empty id."""


def _holds(message: bytes, distinguishing_id: bytes, signature_der: bytes) -> bool:
    try:
        verify(Sm2PublicKey(_EXAMPLE_POINT, distinguishing_id), message, signature_der)
    except SignatureRejected:
        return False
    return True


def self_test() -> None:
    """Tries the installed libcrypto on the example of GB/T 32918.5, annex A.2, and on its alterations.

    Raises:
        ConfigurationError: ``configuration_invalid``: libcrypto is missing, has no SM2, or decides wrongly.
    """
    right = (
        _holds(_EXAMPLE_MESSAGE, DEFAULT_ID, _EXAMPLE_SIGNATURE),
        _holds(_EXAMPLE_MESSAGE, b"", _EXAMPLE_SIGNATURE_EMPTY_ID),
    )
    wrong = (
        _holds(b"Message digest", DEFAULT_ID, _EXAMPLE_SIGNATURE),
        _holds(_EXAMPLE_MESSAGE, b"", _EXAMPLE_SIGNATURE),
        _holds(_EXAMPLE_MESSAGE, DEFAULT_ID, _EXAMPLE_SIGNATURE_EMPTY_ID),
    )
    if not all(right) or any(wrong):
        raise _unusable("the installed libcrypto fails the SM2 example of GB/T 32918.5")


@dataclass(frozen=True, slots=True)
class Sm2PrivateKey:
    """A private key, for the simulator and the tests: this service signs nothing by SM2.

    Attributes:
        private: the private key's 32 bytes.
        public_key: its public half.

    Raises:
        ConfigurationError: ``key_refused``: not a number of 1 to n - 2 (GB/T 32918.1, section 6.1), with
            which no signature can be made.
    """

    private: bytes = field(repr=False)
    public_key: Sm2PublicKey

    def __post_init__(self) -> None:
        if len(self.private) != _PRIVATE_BYTES or not 0 < int.from_bytes(self.private) < _N - 1:
            raise _refused("an SM2 private key is not 32 bytes within its range")

    @classmethod
    def generate(cls, distinguishing_id: bytes = DEFAULT_ID) -> Sm2PrivateKey:
        """A new key, from libcrypto's generator.

        Raises:
            ConfigurationError: ``configuration_invalid``: libcrypto is missing or has no SM2.
        """
        library = _libcrypto()
        made = ctypes.c_void_p()
        context: Pointer = library.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
        try:
            ready = library.EVP_PKEY_keygen_init(context) == 1
            if not ready or library.EVP_PKEY_keygen(context, ctypes.byref(made)) != 1:
                raise _unusable("the installed libcrypto makes no SM2 key")
        finally:
            library.EVP_PKEY_CTX_free(context)
            library.ERR_clear_error()
        handle = _Handle(library, made.value)
        public = Sm2PublicKey.from_spki(_der("i2d_PUBKEY", handle), distinguishing_id)
        return cls(_der("i2d_PrivateKey", handle)[_SEC1_PRIVATE], public)

    @classmethod
    def from_pem(cls, pem: bytes, distinguishing_id: bytes = DEFAULT_ID) -> Sm2PrivateKey:
        """Reads an unencrypted PKCS #8 file as OpenSSL writes it, public key included.

        Raises:
            ConfigurationError: ``key_refused``: another form, or its halves do not belong together;
                ``configuration_invalid``: libcrypto is missing or has no SM2.
        """
        match = _PEM.fullmatch(pem.decode("ascii", "replace"))
        try:
            der = binascii.a2b_base64(match[1] if match else "=")
        except binascii.Error as error:
            raise _refused("an SM2 private key file cannot be read") from error
        private, point = der[len(_PKCS8_PREFIX) :][:_PRIVATE_BYTES], der[-_POINT_BYTES:]
        if der != _PKCS8_PREFIX + private + _PKCS8_BETWEEN + point:
            raise _refused("an SM2 private key file is not PKCS #8 with its public key")
        made = cls(private, Sm2PublicKey(point, distinguishing_id))
        try:
            verify(made.public_key, b"", made.sign(b""))
        except SignatureRejected as error:
            raise _refused("the halves of an SM2 key do not belong together") from error
        return made

    def _pkcs8(self) -> bytes:
        return _PKCS8_PREFIX + self.private + _PKCS8_BETWEEN + self.public_key.point

    def pem(self) -> bytes:
        """The PKCS #8 file, unencrypted."""
        return _pem(self._pkcs8(), b"PRIVATE KEY")

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data`` with the key's distinguishing id, DER.

        Raises:
            ConfigurationError: ``configuration_invalid``: libcrypto is missing or has no SM2.
        """
        library = _libcrypto()
        handle = _parsed("d2i_AutoPrivateKey", self._pkcs8())
        size = ctypes.c_size_t(_MAX_SIGNATURE_BYTES)
        buffer = ctypes.create_string_buffer(_MAX_SIGNATURE_BYTES)
        context: Pointer = library.EVP_MD_CTX_new()
        try:
            _initialised(library, "EVP_DigestSignInit", context, handle, self.public_key.distinguishing_id)
            done: int = library.EVP_DigestSign(context, buffer, ctypes.byref(size), data, len(data))
        finally:
            library.EVP_MD_CTX_free(context)
            library.ERR_clear_error()
        if done != 1:
            raise _unusable("libcrypto cannot sign by an SM2 key")
        return buffer.raw[: size.value]
