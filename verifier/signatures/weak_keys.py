"""Public keys whose private half, or whose signatures, can be found without it."""

from __future__ import annotations

from math import gcd, isqrt, prod
from typing import Final

from verifier.errors import Code, ConfigurationError

MIN_RSA_BITS: Final = 2048
"""NIST SP 800-131A: 112 bits of security."""
MAX_RSA_BITS: Final = 8192
"""Longer keys cost a verification more than they add."""
MIN_RSA_EXPONENT: Final = 65537
MAX_RSA_EXPONENT: Final = 2**32
_FERMAT_STEPS: Final = 100
_SMALL_PRIMES: Final = tuple(p for p in range(3, 168) if all(p % d for d in range(2, p)))


def _powers(base: int, modulus: int) -> frozenset[int]:
    """The subgroup that ``base`` generates modulo a prime."""
    elements, value = {1}, base % modulus
    while value not in elements:
        elements.add(value)
        value = value * base % modulus
    return frozenset(elements)


_ROCA_SUBGROUPS: Final = tuple((p, _powers(65537, p)) for p in _SMALL_PRIMES)

_ED25519_P: Final = 2**255 - 19
_ED25519_Y8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
"""The y of a point of order 8; the other y of that order is its negative."""
_ED25519_SMALL_ORDER: Final = frozenset({0, 1, _ED25519_P - 1, _ED25519_Y8, _ED25519_P - _ED25519_Y8})


def _refuse(detail: str) -> None:
    raise ConfigurationError(Code.KEY_REFUSED, detail)


def _is_roca(n: int) -> bool:
    """Whether a modulus bears the fingerprint of CVE-2017-15361.

    The faulty generator made primes that are powers of 65537 modulo the product of the first primes, and so
    is their product. A sound modulus passes all these subgroup tests with a chance below 2^-27.
    """
    return all(n % p in subgroup for p, subgroup in _ROCA_SUBGROUPS)


def _has_close_primes(n: int) -> bool:
    """Whether Fermat's factorisation finds the primes in a few steps (CVE-2022-26320)."""
    a = isqrt(n - 1) + 1
    for step in range(_FERMAT_STEPS):
        square = (a + step) ** 2 - n
        if isqrt(square) ** 2 == square:
            return True
    return False


def check_rsa(n: int, e: int) -> None:
    """Refuses a weak RSA public key.

    Args:
        n: modulus.
        e: public exponent.

    Raises:
        ConfigurationError: ``key_refused``: size outside 2048 to 8192 bits, exponent even or outside 65537 to
            2^32, a small factor, primes too close, or the ROCA fingerprint.
    """
    if not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS:
        _refuse("an RSA modulus is not of 2048 to 8192 bits")
    if e % 2 == 0 or not MIN_RSA_EXPONENT <= e <= MAX_RSA_EXPONENT:
        _refuse("an RSA exponent is even or not within 65537 to 2^32")
    if gcd(n, 2 * prod(_SMALL_PRIMES)) != 1:
        _refuse("an RSA modulus has a small factor")
    if _has_close_primes(n):
        _refuse("an RSA modulus has primes too close to each other")
    if _is_roca(n):
        _refuse("an RSA modulus bears the ROCA fingerprint")


def check_ed25519(raw: bytes) -> None:
    """Refuses an Ed25519 public key under which signatures can be made without a private key.

    Args:
        raw: the 32 bytes of RFC 8032, section 5.1.2.

    Raises:
        ConfigurationError: ``key_refused``: a point of small order, or not the canonical encoding.
    """
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _ED25519_P:
        _refuse("an Ed25519 key is not in canonical form")
    if y in _ED25519_SMALL_ORDER:
        _refuse("an Ed25519 key is a point of small order")
