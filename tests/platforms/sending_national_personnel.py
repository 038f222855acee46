"""How 中国国家人事人才培训网 sends: XML in GB 18030, signed by signxml; certificates signed as CMS.

Deliveries by an RSA key carry certificates by RSA keys, those by an EC key certificates by SM2 keys.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import strategies as st
from lxml import etree
from signxml.signer import XMLSigner

from tests import certificates, cms_messages
from tests.certificates import Issued, Kind
from tests.platforms.senders import START, Draw, Profile, Sender, request, trust, with_body
from verifier.keyring import IssuerAnchor, KeyState, Register
from verifier.model.delivery import Callback
from verifier.model.time import BEIJING
from verifier.signatures.jws import Algorithm
from verifier.signatures.transport import TransportKey

logging.getLogger("signxml").setLevel(logging.WARNING)  # it logs all that it signs

SLUG: Final = "national_personnel"
DECLARATION: Final = '<?xml version="1.0" encoding="{}"?>'
CONTENT_TYPE: Final = "application/xml; charset=gb18030"

# --- the message --------------------------------------------------------------------------------------------

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def render(payload: Any, charset: str = "GB18030") -> bytes:
    """A payload as the document, not signed yet: members are elements, arrays repeat theirs."""
    return (DECLARATION.format(charset) + _element("MESSAGE", payload)).encode(charset)


def _element(name: str, value: Any) -> str:
    name = name if _NAME.fullmatch(name) else f"x{name.encode().hex()}"
    return f"<{name}>{_inside(value)}</{name}>"


def _inside(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(_member(name, member) for name, member in value.items())
    if isinstance(value, list):
        return "".join(_element("ITEM", one) for one in value)
    return escape(value if isinstance(value, str) else json.dumps(value))


def _member(name: str, value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"CERT", "P7S"}:
        return _inside(value)
    if isinstance(value, list) and name != "ITEMS":
        return "".join(_element(name, one) for one in value)
    return "" if value is None else _element(name, value)


# --- certificates -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Issuing:
    """Who signs certificates, with the authorities above."""

    algorithm: Algorithm
    root: Issued
    authority: Issued
    leaf: Issued

    def trust(self, issuer: str) -> Register:
        crls = (certificates.crl(self.root), certificates.crl(self.authority))
        anchor = IssuerAnchor("root-2021", self.root.der, self.algorithm, KeyState.ACTIVE, START, crls=crls)
        return trust(SLUG, issuer, anchors=(anchor,))


@lru_cache
def issuing(kind: Kind) -> Issuing:
    """The same for the same kind of key."""
    root = certificates.root(kind=kind)
    authority = certificates.intermediate(root, kind=kind)
    leaf = certificates.leaf(authority, "人事人才培训网证书签发", kind=kind)
    return Issuing(Algorithm.SM2 if kind is Kind.SM2 else Algorithm.RS256, root, authority, leaf)


def content(claims: Any, charset: str = "GB18030") -> bytes:
    """A certificate as it is signed."""
    return (DECLARATION.format(charset) + _element("CERT", claims)).encode(charset)


@lru_cache(maxsize=256)
def _certified(kind: Kind, claims: str) -> tuple[str, str]:
    """Kept, since signing the same again by an SM2 key gives another signature."""
    signer, signed = issuing(kind), content(json.loads(claims))
    enclosed = [signer.leaf.der, signer.authority.der]
    message = cms_messages.cms(
        signer.leaf, signed, issuer=signer.authority, enclosed=enclosed, gm=kind is Kind.SM2
    )
    return base64.b64encode(signed).decode(), base64.encodebytes(message).decode()


def certify(kind: Kind, claims: Any) -> Any:
    """A certificate: content and signature are two elements."""
    signed, signature = _certified(kind, json.dumps(claims))
    return {"CERT": signed, "P7S": signature}


# --- transport ----------------------------------------------------------------------------------------------

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@lru_cache
def private(scheme: str, number: int) -> Private:  # noqa: ARG001 - for the cache
    """The transport key of a number."""
    if scheme == "rsa":
        return rsa.generate_private_key(65537, 3072)
    return ec.generate_private_key(ec.SECP256R1())


def key_id(scheme: str, number: int) -> str:
    return f"npt-{scheme}-{number}"


def registered(scheme: str, number: int) -> TransportKey:
    algorithm = "RS256" if scheme == "rsa" else "ES256"
    public = private(scheme, number).public_key()
    return TransportKey(key_id(scheme, number), START, public_key=public, algorithm=algorithm)


def signed(root: etree._Element, scheme: str, number: int, charset: str = "GB18030") -> bytes:
    """The document with its signature, by the library that is not under test."""
    signer = XMLSigner(
        signature_algorithm="rsa-sha256" if scheme == "rsa" else "ecdsa-sha256",
        c14n_algorithm="http://www.w3.org/2001/10/xml-exc-c14n#",
    )
    document = signer.sign(root, key=private(scheme, number))
    text: str = etree.tostring(document, encoding="unicode")
    return (DECLARATION.format(charset) + text).encode(charset)


def send(scheme: str, number: int, body: bytes, _delivery_id: str, at: datetime) -> Callback:
    """Adds key and time, and signs."""
    root = etree.fromstring(body.decode("gb18030").partition("?>")[2])
    for name, value in (("SENDTIME", stamp(at)), ("KEYID", key_id(scheme, number))):
        element = etree.Element(name)
        element.text = value
        root.insert(0, element)
    return request(SLUG, signed(root, scheme, number), (), at, content_type=CONTENT_TYPE)


def stamp(at: datetime) -> str:
    return at.astimezone(BEIJING).strftime("%Y%m%d%H%M%S")


def tamper(data: Draw, callback: Callback) -> Callback:
    """One character changed of a text that is signed."""
    text = callback.body.decode("gb18030")
    start, end = text.index("<MESSAGE"), text.index("<ds:Signature ")
    places = [n for found in re.finditer(r">([^<>]+)<", text[start:end]) for n in range(*found.span(1))]
    place = start + data.draw(st.sampled_from(places))
    other = data.draw(st.characters(min_codepoint=48, max_codepoint=57, exclude_characters=text[place]))
    return with_body(callback, (text[:place] + other + text[place + 1 :]).encode("gb18030"))


def _sender(scheme: str, kind: Kind) -> Sender:
    def trusted(issuer: str) -> Register:
        return issuing(kind).trust(issuer)

    sending: Callable[[int, bytes, str, datetime], Callback] = partial(send, scheme)
    return Sender(
        slug=SLUG,
        scheme=scheme,
        profile=Profile(render, partial(certify, kind), trusted),
        send=sending,
        register=partial(registered, scheme),
        tolerance=timedelta(seconds=300),
        tamper=tamper,
        raw=False,
    )


NATIONAL_PERSONNEL: Final[tuple[Sender, ...]] = (_sender("rsa", Kind.RSA), _sender("ec", Kind.SM2))
