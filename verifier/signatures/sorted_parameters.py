"""Signatures over parameters sorted by name, ``a=1&b=2``, as open platforms in China commonly make them.

Every platform has its own variant, and none says which in the message, so that a profile declares one as a
``Canonical`` and nothing else is tried. Two messages must never sign alike: the names are a fixed set, and a
``&`` or ``=`` inside a value is refused where the variant does not percent-encode it, because
``{a: "1&b=2"}`` and ``{a: "1", b: "2"}`` would give one string.

Signed are the parameters that ``Signed.parameters`` holds, and only those may be read on: a name that is left
out of the string and, under ``drop_empty``, an empty value can be added by anybody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.model.time import TimeFormat, parse_moment
from verifier.signatures import asymmetric, freshness, hmac
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.gateway import MIN_SECRET_BYTES
from verifier.signatures.jws import VerificationKey
from verifier.signatures.steps import Step

MAX_PARAMETERS: Final = 64
Parameters = Sequence[tuple[str, str]]
_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# What a serialiser may leave as it is (WHATWG URL, 5.2) and what careless ones leave besides; never a
# separator, as which old readers take the semicolon too.
_FORM_TEXT: Final = re.compile(r"(?:[!-$'-:<>-~]|%[0-9A-Fa-f]{2})*")
_UPPER: Final = re.compile(r"[0-9A-F]{32}(?:[0-9A-F]{32})?")
_LOWER: Final = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?")


class Keyed(StrEnum):
    """How a shared secret signs. Which one is the register's to say, never the message's."""

    HMAC_SHA256 = "HMAC-SHA256"
    MD5 = "MD5"
    """Legacy: without a proof of security. Only where the register calls the key so (``legacy``)."""


@dataclass(frozen=True, slots=True)
class Canonical:
    """One platform's variant of the string that is signed.

    Attributes:
        names: every parameter that may come; any other refuses the message.
        required: of these, the ones that must come with a value: at least time and nonce.
        time_name: the parameter that says when it was signed; always required and never left out.
        time_format: how it says so.
        excluded: those left out of the string, as the signature itself must be.
        drop_empty: whether parameters without a value are left out; otherwise ``name=`` stands for them.
        percent_encoded: whether values are signed percent-encoded (RFC 3986, upper-case digits, a space
            as ``%20``) instead of as they are.
        charset: in which the string becomes bytes: ``utf-8``, ``gbk`` or ``gb18030``.
        suffix_name: under which name the shared secret ends the string, as ``&key=SECRET``; empty where it
            does not.
        upper_hex: whether a keyed digest is written in upper-case hexadecimal digits or in lower-case ones.

    Raises:
        ConfigurationError: ``configuration_invalid``: a declaration that cannot be meant.
    """

    names: frozenset[str]
    required: frozenset[str]
    time_name: str
    time_format: TimeFormat
    excluded: frozenset[str] = frozenset({"sign"})
    drop_empty: bool = True
    percent_encoded: bool = False
    charset: str = "utf-8"
    suffix_name: str = "key"
    upper_hex: bool = True

    def __post_init__(self) -> None:
        declared = self.names | {self.suffix_name} if self.suffix_name else self.names
        if not (
            all(_NAME.fullmatch(name) for name in declared)
            and self.suffix_name not in self.names
            and len(self.names) <= MAX_PARAMETERS
            and {self.time_name, *self.required, *self.excluded} <= self.names
            and self.excluded.isdisjoint({self.time_name, *self.required})
            and self.charset in {"utf-8", "gbk", "gb18030"}
        ):
            raise ConfigurationError(Code.CONFIGURATION_INVALID, "a canonical form contradicts itself")

    def signed_parameters(self, parameters: Parameters) -> Mapping[str, str]:
        """The parameters that are in the string, sorted by name.

        Raises:
            SignatureRejected: ``malformed``: a name unknown, doubled or missing, or a value that could be
                taken for something else.
        """
        given = dict(parameters)
        if len(given) != len(parameters) or not given.keys() <= self.names:
            raise SignatureRejected(Step.MALFORMED)
        # The names are ASCII: their order as text is that of their bytes.
        signed = {
            name: given[name]
            for name in sorted(given.keys() - self.excluded)
            if given[name] or not self.drop_empty
        }
        if not all(signed.get(name) for name in (self.time_name, *self.required)):
            raise SignatureRejected(Step.MALFORMED)
        if any(map(self._ambiguous, signed.values())):
            raise SignatureRejected(Step.MALFORMED)
        return MappingProxyType(signed)

    def _ambiguous(self, value: str) -> bool:
        separators = not self.percent_encoded and ("&" in value or "=" in value)
        return separators or _CONTROL.search(value) is not None

    def canonical_string(self, parameters: Parameters) -> str:
        """The string that is signed, without the secret: ``a=1&b=2``.

        Args:
            parameters: name and value as the sender meant them, in any order.

        Raises:
            SignatureRejected: ``malformed``.
        """
        return _joined(self, self.signed_parameters(parameters)).decode(self.charset)


def _joined(canonical: Canonical, signed: Mapping[str, str]) -> bytes:
    try:
        encoded = {name: value.encode(canonical.charset) for name, value in signed.items()}
    except UnicodeEncodeError as error:
        raise SignatureRejected(Step.MALFORMED) from error
    if canonical.percent_encoded:
        encoded = {name: quote(value, safe="").encode("ascii") for name, value in encoded.items()}
    return b"&".join(name.encode("ascii") + b"=" + value for name, value in encoded.items())


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature was found to hold over.

    Attributes:
        parameters: the signed parameters, sorted by name.
        signed_at: the signed time, UTC.
    """

    parameters: Mapping[str, str]
    signed_at: datetime


def form_parameters(form: bytes, *, charset: str = "utf-8") -> tuple[tuple[str, str], ...]:
    """Reads ``application/x-www-form-urlencoded``, or a query, strictly; order and doubles are kept.

    Args:
        form: ``name=value`` joined by ``&``, a space as ``+`` or ``%20``; empty for no parameters.
        charset: of the percent-encoded bytes: ``utf-8``, ``gbk`` or ``gb18030``.

    Raises:
        SignatureRejected: ``malformed``: over 64 parameters, a pair without or with a second ``=``, a broken
            percent-encoding, or bytes that are not of the charset.
    """
    pairs = form.split(b"&", MAX_PARAMETERS) if form else []
    split = [pair.split(b"=") for pair in pairs]
    if len(pairs) > MAX_PARAMETERS or any(len(parts) != len(("name", "value")) for parts in split):
        raise SignatureRejected(Step.MALFORMED)
    return tuple((_form_text(name, charset), _form_text(value, charset)) for name, value in split)


def _form_text(encoded: bytes, charset: str) -> str:
    try:
        text = encoded.decode("ascii")
        if _FORM_TEXT.fullmatch(text) is None:
            raise SignatureRejected(Step.MALFORMED)
        return unquote_to_bytes(text.replace("+", " ")).decode(charset)
    except UnicodeDecodeError as error:
        raise SignatureRejected(Step.MALFORMED) from error


def _keyed(canonical: Canonical, signed: Mapping[str, str], secret: bytes, scheme: Keyed) -> str:
    if len(secret) < MIN_SECRET_BYTES:
        raise SignatureRejected(Step.NO_KEY)
    text = _joined(canonical, signed)
    if canonical.suffix_name:
        text += b"&" + canonical.suffix_name.encode("ascii") + b"=" + secret
    if scheme is Keyed.MD5:
        if not canonical.suffix_name:
            raise SignatureRejected(Step.ALGORITHM)  # a digest without the secret proves nothing
        # It is used for security, by legacy platforms; the flag lets a restricted build compute it at all.
        digest = hashlib.md5(text, usedforsecurity=False).digest()
    else:
        digest = hmac.hmac_sha256(secret, text)
    return digest.hex().upper() if canonical.upper_hex else digest.hex()


def sign_keyed(canonical: Canonical, parameters: Parameters, *, secret: bytes, scheme: Keyed) -> str:
    """The signature by a shared secret, in hexadecimal digits.

    Raises:
        SignatureRejected: ``malformed``, ``no_key`` or ``algorithm``.
    """
    return _keyed(canonical, canonical.signed_parameters(parameters), secret, scheme)


def _fresh(
    canonical: Canonical, parameters: Parameters, now: datetime, tolerance_seconds: int
) -> tuple[Mapping[str, str], datetime]:
    signed = canonical.signed_parameters(parameters)
    try:
        at = parse_moment(signed[canonical.time_name], canonical.time_format)
    except ValueError as error:
        raise SignatureRejected(Step.MALFORMED) from error
    freshness.check(at, now=now, tolerance_seconds=tolerance_seconds)
    return signed, at


def verify_keyed(
    canonical: Canonical,
    parameters: Parameters,
    signature: str,
    *,
    secret: bytes,
    scheme: Keyed,
    now: datetime,
    tolerance_seconds: int = 300,
) -> Signed:
    """Verifies a signature by a shared secret.

    The caller still owes the claim of the nonce, or of another delivery id: a replay within the window
    verifies, and under MD5 a nonce and a time are all that stands against one.

    Args:
        canonical: the profile's variant.
        parameters: as received, the signature among them or not.
        signature: hexadecimal digits in the variant's case.
        secret: at least 16 bytes; a shorter one is no secret.
        scheme: what the register says of the key: MD5 only where it calls it legacy.
        now: the current time, aware.
        tolerance_seconds: greatest distance of the signed time from ``now``, the boundary included.

    Raises:
        SignatureRejected: ``malformed``, ``no_key``, ``algorithm``, ``timestamp`` or ``signature``; nothing
            else.
    """
    if (_UPPER if canonical.upper_hex else _LOWER).fullmatch(signature) is None:
        raise SignatureRejected(Step.MALFORMED)
    signed, at = _fresh(canonical, parameters, now, tolerance_seconds)
    expected = _keyed(canonical, signed, secret, scheme)
    if not hmac.equal(expected.encode("ascii"), signature.encode("ascii")):
        raise SignatureRejected(Step.SIGNATURE)
    return Signed(signed, at)


def verify_public(
    canonical: Canonical,
    parameters: Parameters,
    signature: str,
    *,
    key: VerificationKey,
    encoding: SignatureEncoding,
    now: datetime,
    tolerance_seconds: int = 300,
) -> Signed:
    """Verifies a signature by a public key: SM3withSM2, SHA256withRSA or another that the register names.

    No secret ends the string. Arguments and what the caller still owes as in ``verify_keyed``.

    Args:
        canonical: the profile's variant.
        parameters: as received.
        signature: as received.
        key: the registered key; its algorithm is the only one tried.
        encoding: the one registered with the key.
        now: the current time, aware.
        tolerance_seconds: greatest distance of the signed time from ``now``, the boundary included.

    Raises:
        SignatureRejected: ``malformed``, ``timestamp``, ``algorithm`` or ``signature``.
        ConfigurationError: ``configuration_invalid``: an SM2 key, and libcrypto has no SM2.
    """
    signed, at = _fresh(canonical, parameters, now, tolerance_seconds)
    asymmetric.verify_text(key, _joined(canonical, signed), signature, encoding)
    return Signed(signed, at)
