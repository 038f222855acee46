"""How 人力资源社会保障部培训网 sends, by each of its two schemes; its certificates are signed PDFs.

Deliveries with a signed query name PDFs by RSA keys, those with a secret in the body PDFs by SM2 keys.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import strategies as st

from tests import certificates, pdf_certificates
from tests.certificates import Issued, Kind
from tests.pdfs import Signer
from tests.platforms.places import Member, Query
from tests.platforms.senders import START, Draw, Profile, Sender, encode, request, secret, trust
from verifier.keyring import IssuerAnchor, KeyState, Register
from verifier.model.delivery import Callback
from verifier.signatures.transport import TransportKey

SLUG: Final = "mohrss_training"


def milliseconds(at: datetime) -> int:
    return int(at.timestamp()) * 1000 + at.microsecond // 1000


# --- certificates -------------------------------------------------------------------------------------------


class Issuing:
    """Who signs certificates, with the authorities above, and the files made so far by their ids."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.root = certificates.root(f"根 {kind}", kind=kind)
        self.authority = certificates.intermediate(self.root, f"运营 {kind}", kind=kind)
        self.leaf: Issued = certificates.leaf(self.authority, "培训网证书签发", kind=kind)
        self.files: dict[str, bytes] = {}
        self._made: dict[str, tuple[Any, str]] = {}

    @property
    def signer(self) -> Signer:
        return pdf_certificates.signer(self.leaf, self.authority, self.root)

    def certify(self, claims: Any) -> dict[str, str]:
        """What names a certificate in an item: the file's id and the signature over it. Made once for all."""
        name = f"F-{claims['certNo']}-{claims.get('version', '1')}"
        if name not in self.files:
            self.files[name] = pdf_certificates.file(self.signer, claims)
            self._made[name] = (claims, pdf_certificates.signature(self.leaf, self.files[name]))
        known, signature = self._made[name]
        assert known == claims, "two fixtures have other claims under one number and version"
        return {"fileId": name, "esign": signature}

    def render(self, payload: Any) -> bytes:
        """A payload as JSON; where a file's content belongs stands the file that the certificate names."""
        return encode(self._written(payload))

    def _written(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._written(one) for one in value]
        if not isinstance(value, dict):
            return value
        written: dict[str, Any] = {}
        for name, member in value.items():
            if not isinstance(member, dict) or member.keys() != {"fileId", "esign"}:
                written[name] = self._written(member)
            elif name == "content":
                written[name] = base64.b64encode(self.files[member["fileId"]]).decode("ascii")
            else:
                written |= member
        return written

    def trust(self, issuer: str) -> Register:
        anchor = IssuerAnchor(
            "root-2021",
            self.root.der,
            pdf_certificates.ALGORITHMS[self.kind],
            KeyState.ACTIVE,
            START,
            crls=(certificates.crl(self.root), certificates.crl(self.authority)),
        )
        return trust(SLUG, issuer, anchors=(anchor,))

    @property
    def profile(self) -> Profile:
        return Profile(self.render, self.certify, self.trust, self.files)


# --- the signed query ---------------------------------------------------------------------------------------


@lru_cache
def private(number: int) -> rsa.RSAPrivateKey:  # noqa: ARG001 - for the cache
    """The transport key of a number."""
    return rsa.generate_private_key(65537, 2048)


def user(number: int) -> str:
    """The serial number of the sender's certificate."""
    return f"4D6F68727373{number:04X}"


def by_query(number: int, body: bytes, _delivery_id: str, at: datetime) -> Callback:
    """Signs by plain arithmetic (RFC 8017, sections 9.2 and 5.2.1), but for the DigestInfo."""
    time = milliseconds(at)
    digest = hashlib.sha256(body + time.to_bytes(8)).digest()
    numbers = private(number).private_numbers()
    modulus = numbers.public_numbers.n
    size = (modulus.bit_length() + 7) // 8
    padded = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
    signature = pow(int.from_bytes(padded), numbers.d, modulus).to_bytes(size).hex().upper()
    query = f"v=1.0.0.e1&ts={time}&sign={signature}&user={user(number)}"
    return request(SLUG, body, (), at, query=query)


def _query_key(number: int) -> TransportKey:
    public = private(number).public_key()
    return TransportKey(user(number), START, public_key=public, algorithm="raw-RSA")


# --- the secret in the body ---------------------------------------------------------------------------------


def password(number: int) -> str:
    return secret(SLUG, number).hex()


def by_secret(number: int, body: bytes, _delivery_id: str, at: datetime) -> Callback:
    """Adds secret and time."""
    message = {**json.loads(body), "privateKey": password(number), "sendTime": milliseconds(at)}
    return request(SLUG, encode(message), (), at)


def other_secret(data: Draw, callback: Callback) -> Callback:
    """One character changed of the secret: nothing else proves anything here."""
    place = Member("privateKey")
    genuine = place.get(callback)
    at = data.draw(st.integers(0, len(genuine) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=genuine[at]))
    return place.put(callback, genuine[:at] + other + genuine[at + 1 :])


def _secret_key(number: int) -> TransportKey:
    return TransportKey(f"mohrss-secret-{number}", START, secret=password(number).encode())


_QUERY: Final = tuple(map(Query, ("v", "ts", "sign", "user")))
RSA, SM2 = Issuing(Kind.RSA), Issuing(Kind.SM2)

MOHRSS_TRAINING: Final[tuple[Sender, ...]] = (
    Sender(
        slug=SLUG,
        scheme="query",
        profile=RSA.profile,
        send=by_query,
        register=_query_key,
        tolerance=timedelta(seconds=300),
        required=_QUERY,
        timestamp=Query("ts"),
        signature=Query("sign"),
    ),
    Sender(
        slug=SLUG,
        scheme="secret",
        profile=SM2.profile,
        send=by_secret,
        register=_secret_key,
        tolerance=timedelta(seconds=300),
        required=(Member("privateKey"), Member("sendTime")),
        timestamp=Member("sendTime"),
        tamper=other_secret,
        raw=False,
    ),
)
