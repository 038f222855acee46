"""The trust register: who may deliver, whose certificates they carry, under which keys, from when to when.

``load_register`` reads the source form (``keys/trust.toml``; its comments and ``keys/README.md`` explain
every field) and refuses it whole when anything in it is unknown, contradictory or weak: what decides on trust
is never half read. It opens no file: two callables hand over the public files and the transport secrets.

What it settles once, so that nobody has to ask again:

- a public key, secret or certificate serves one holder under one id. The same key for two issuers would let
  either sign for the other; the same key under two ids would survive its own compromise.
- algorithms, SM2 ids and encodings come from here, never from a token, and are never tried in turn.
- a platform carries the certificates of exactly the issuers that name it.
- whether an authority publishes revocations is said for each anchor, never assumed.

``register`` has what comes of it, ``loader`` reads it, ``material`` vets keys, ``packing`` keeps a register
in one text as it is adopted, and ``editing`` changes the source form.
"""

from verifier.keyring.loader import load_register
from verifier.keyring.material import MIN_RSA_BITS, MIN_SECRET_BYTES
from verifier.keyring.packing import PUBLIC, SOURCE, digested, load_packed, pack
from verifier.keyring.register import Issuer, IssuerAnchor, IssuerKey, KeyState, Platform, Register

__all__ = [
    "MIN_RSA_BITS",
    "MIN_SECRET_BYTES",
    "PUBLIC",
    "SOURCE",
    "Issuer",
    "IssuerAnchor",
    "IssuerKey",
    "KeyState",
    "Platform",
    "Register",
    "digested",
    "load_packed",
    "load_register",
    "pack",
]
