"""What the register names, vetted: keys, secrets, certificates, revocation lists. Each may serve once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from verifier.errors import ConfigurationError
from verifier.signatures import authority, crl, keys, webhooks, x509, x509_form
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.sm2 import DEFAULT_ID
from verifier.toml_tables import Table

MIN_SECRET_BYTES: Final = webhooks.MIN_SECRET_BYTES
"""Least length of a transport secret: 24 bytes."""
MIN_RSA_BITS: Final = 3072
"""Least size of an issuer's RSA key: certificates are relied on for years (NIST SP 800-57, 128 bits)."""
MIN_TRANSPORT_RSA_BITS: Final = 2048
"""Least size of a transport key: a delivery is relied on for minutes (NIST SP 800-131A, 112 bits)."""

# No separator and no leading dot: a name in the register never leaves its directory.
FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SECRET: Final = re.compile(rb"[\x21-\x7e]{1,256}")
_SAMPLE: Final = re.compile(rb"change.?me|example|sample|default|passw|placeholder|12345678|abcdefgh")
_FEWEST_DISTINCT: Final = 8


@dataclass(slots=True)
class Material:
    """What one register names.

    Attributes:
        files: public files that were read, by name; they are in the digest.
    """

    read_key: Callable[[str], bytes]
    read_secret: Callable[[str], bytes]
    files: dict[str, bytes] = field(default_factory=dict)
    _served: set[bytes] = field(default_factory=set)

    def public_key(
        self,
        table: Table,
        name: str,
        algorithm: Algorithm,
        kid: str,
        *,
        min_rsa_bits: int = MIN_RSA_BITS,
        sm2_id: bytes = DEFAULT_ID,
    ) -> VerificationKey:
        """A public key from its PEM file."""
        pem = table.reference(name, self.read_key, FILE)
        try:
            key = keys.load_public_pem(pem, algorithm, kid, sm2_id=sm2_id)
        except ConfigurationError as error:
            raise table.refused(name, error.detail) from error
        assert not isinstance(key.public, bytes)
        if isinstance(key.public, RSAPublicKey) and key.public.key_size < min_rsa_bits:
            raise table.refused(name, f"an RSA key has fewer than {min_rsa_bits} bits")
        self._serve(table, name, keys.spki(key.public))
        self.files[table.text(name, FILE)] = pem
        return key

    def secret(self, table: Table, name: str) -> bytes:
        """A shared secret."""
        line = table.reference(name, self.read_secret, FILE).removesuffix(b"\n").removesuffix(b"\r")
        if _SECRET.fullmatch(line) is None:
            raise table.refused(name, "a secret is not one line of 1 to 256 printable ASCII characters")
        secret = line
        if line.startswith(b"whsec_"):
            try:
                secret = webhooks.decode_secret(line.decode("ascii"))
            except ConfigurationError as error:
                raise table.refused(name, error.detail) from error
        if len(secret) < MIN_SECRET_BYTES:
            raise table.refused(name, "a secret has fewer than 24 bytes")
        if len(set(secret)) < _FEWEST_DISTINCT or any(_SAMPLE.search(s.lower()) for s in (line, secret)):
            raise table.refused(name, "a secret looks like a sample")
        self._serve(table, name, secret)
        return secret

    def authority(self, table: Table, name: str, *, min_rsa_bits: int = MIN_RSA_BITS) -> bytes:
        """An authority's certificate from its file, PEM or DER, as DER."""
        raw = table.reference(name, self.read_key, FILE)
        try:
            certificate = x509.Anchor.load(raw).der
        except ConfigurationError as error:
            raise table.refused(name, error.detail) from error
        spki = x509_form.read(certificate).spki
        public = authority.public_key(spki, DEFAULT_ID)
        if isinstance(public, RSAPublicKey) and public.key_size < min_rsa_bits:
            raise table.refused(name, f"an authority's RSA key has fewer than {min_rsa_bits} bits")
        # Its key, so that neither the certificate nor another one of the same key stands here twice.
        self._serve(table, name, spki)
        self.files[table.text(name, FILE)] = raw
        return certificate

    def crls(self, table: Table, name: str) -> tuple[bytes, ...]:
        """Revocation lists from their files, PEM or DER, as DER. One list may serve several authorities."""
        found = []
        for file in table.texts(name, FILE):
            raw = table.read(name, file, self.read_key)
            try:
                found.append(crl.Crl.load(raw).der)
            except ConfigurationError as error:
                raise table.refused(name, error.detail) from error
            self.files[file] = raw
        return tuple(found)

    def _serve(self, table: Table, name: str, material: bytes) -> None:
        mark = sha256(material).digest()
        if mark in self._served:
            raise table.refused(name, "a key or secret stands in the register twice")
        self._served.add(mark)
