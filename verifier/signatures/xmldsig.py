"""Enveloped XML signatures in one fixed form (XML Signature Syntax and Processing 1.1).

1. ``open_enveloped`` settles the form and believes nothing. The standard leaves nearly everything to
   the sender: what is signed, where, through which transforms, by which key. Here the whole document is
   signed, by one signature at a fixed place, and the form is::

       <Signature>                                     the child of the root at the profile's position
         <SignedInfo>
           <CanonicalizationMethod Algorithm=…/>       inclusive 1.0 or 1.1, or exclusive 1.0; no comments
           <SignatureMethod Algorithm=…/>              RSA-SHA256 or ECDSA-SHA256
           <Reference URI=…>                           "" or "#" and the root's id: both are the root
             <Transforms>
               <Transform Algorithm=…/>                enveloped signature
               <Transform Algorithm=…/>                a canonicalisation as above
             </Transforms>
             <DigestMethod Algorithm=…/>               SHA-256
             <DigestValue/>
           </Reference>
         </SignedInfo>
         <SignatureValue/>
         <KeyInfo/>                                    may be missing, is never looked into
       </Signature>

   No other element, attribute or text: no second reference, no XPath or XSLT, no inclusive prefixes, no
   truncation, no Object.
2. The caller picks the key by what it has registered; the document has no say.
3. ``verify`` compares the algorithm with the key's, checks the signature and then the digest, and returns the
   document read again from the very bytes that were digested: nothing that was not signed is in it.

The caller still owes the root's name, freshness and replay.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Final, NewType, NoReturn

from lxml import etree
from lxml.etree import _Element as Element

from verifier.errors import SignatureRejected
from verifier.signatures import asymmetric, hmac, jws, strict_xml
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm, SigningKey, VerificationKey
from verifier.signatures.steps import Step
from verifier.signatures.strict_xml import StrictRoot

SignedRoot = NewType("SignedRoot", StrictRoot)
"""A document that was signed as a whole, without its signature: ``verify`` is the only maker of this type."""

NAMESPACE: Final = "http://www.w3.org/2000/09/xmldsig#"
ELEMENT: Final = f"{{{NAMESPACE}}}Signature"
ENVELOPED: Final = NAMESPACE + "enveloped-signature"
SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
SIGNATURE_METHODS: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": Algorithm.RS256,
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256": Algorithm.ES256,
    },
)
"""The methods that are verified (section 6.4), by the algorithm that the register names for the key."""
CANONICALIZATIONS: Final[Mapping[str, bool]] = MappingProxyType(
    {
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315": False,
        "http://www.w3.org/2006/12/xml-c14n11": False,
        "http://www.w3.org/2001/10/xml-exc-c14n#": True,
    },
)
"""Whether a canonicalisation is exclusive.

Inclusive 1.0 and 1.1 differ only in attributes of the ``xml`` namespace, which no ``StrictRoot`` has.
"""

_ID_NAMES: Final = ("Id", "ID", "id")
_SPACE: Final = re.compile("[ \t\r\n]+")
_DIGEST: Final = re.compile("[A-Za-z0-9+/]{43}=")


@dataclass(frozen=True, slots=True)
class UnverifiedXml:
    """A signed document whose form is right; nothing in it is believed yet.

    Attributes:
        algorithm: what it calls its signature method.
        signed_info: the canonical bytes that are signed.
        signature: as base64 without white space; ECDSA as r || s (section 6.4.3).
        digest: the SHA-256 digest that is signed.
        content: the canonical bytes of the document without its signature, of which that is the digest.
    """

    algorithm: Algorithm
    signed_info: bytes = field(repr=False)
    signature: str = field(repr=False)
    digest: bytes = field(repr=False)
    content: bytes = field(repr=False)


def _malformed() -> NoReturn:
    raise SignatureRejected(Step.MALFORMED)


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _is_blank(text: str | None) -> bool:
    return text is None or _SPACE.fullmatch(text) is not None


def _parts(element: Element, *names: str, attributes: tuple[str, ...] = ()) -> list[Element]:
    """The children, when they are these in this order, with nothing between them."""
    children = list(element)
    blank = _is_blank(element.text) and all(_is_blank(child.tail) for child in children)
    if not blank or [child.tag for child in children] != [_tag(name) for name in names]:
        _malformed()
    if tuple(element.keys()) != attributes:
        _malformed()
    return children


def _algorithm(element: Element) -> str:
    """The ``Algorithm`` of an element that has nothing else."""
    _parts(element, attributes=("Algorithm",))
    return element.get("Algorithm", "")


def _canonicalization(element: Element) -> bool:
    uri = _algorithm(element)
    return CANONICALIZATIONS[uri] if uri in CANONICALIZATIONS else _malformed()


def _value(element: Element) -> str:
    """The base64 text of an element that has nothing else; white space may stand anywhere in it."""
    if len(element) or element.keys():
        _malformed()
    return _SPACE.sub("", element.text or "")


def _digest(element: Element) -> bytes:
    text = _value(element)
    digest = base64.b64decode(text) if _DIGEST.fullmatch(text) else None
    # Left-over bits would give one digest several spellings.
    if digest is None or base64.b64encode(digest).decode("ascii") != text:
        _malformed()
    return digest


def _reference(reference: Element, root: Element) -> tuple[bool, bytes]:
    """Whether the root is canonicalised exclusively, and its digest."""
    transforms, method, value = _parts(
        reference, "Transforms", "DigestMethod", "DigestValue", attributes=("URI",)
    )
    ids = {f"#{root.get(name)}" for name in _ID_NAMES if root.get(name)}
    if reference.get("URI") not in {"", *ids}:
        _malformed()
    enveloped, canonicalization = _parts(transforms, "Transform", "Transform")
    if _algorithm(enveloped) != ENVELOPED:
        _malformed()
    if _algorithm(method) != SHA256:
        raise SignatureRejected(Step.ALGORITHM)
    return _canonicalization(canonicalization), _digest(value)


def _canonical(root: Element, *, exclusive: bool) -> bytes:
    try:
        return etree.tostring(root, method="c14n", exclusive=exclusive, with_comments=False)
    except etree.C14NError:
        # The one cause in a strict document: a relative namespace name (Canonical XML, section 1.3).
        _malformed()


def _canonical_part(element: Element, *, exclusive: bool) -> bytes:
    """An element below the root, with the namespaces of its ancestors in scope.

    It is made the root of a document of its own first: where ancestors bind the default namespace, lxml's
    inclusive canonicalisation in place takes its children for unbound.
    """
    return _canonical(strict_xml.parse_again(etree.tostring(element, with_tail=False)), exclusive=exclusive)


def _remove(signature: Element, root: Element) -> None:
    """The enveloped signature transform: takes out the element, not the text that follows it."""
    tail, previous = signature.tail or "", signature.getprevious()
    root.remove(signature)
    if previous is None:
        root.text = (root.text or "") + tail
    else:
        previous.tail = (previous.tail or "") + tail


def open_enveloped(root: StrictRoot, *, position: int = -1) -> UnverifiedXml:
    """Takes a signed document apart without believing it.

    Args:
        root: is used up: its signature is taken out. Read only what ``verify`` returns.
        position: where among the root's children the signature stands, by the profile; -1 is the last.

    Raises:
        SignatureRejected: ``malformed`` or ``algorithm``; nothing else, whatever the document.
    """
    if not -len(root) <= position < len(root):
        _malformed()
    signature = root[position]
    if signature.tag != ELEMENT or sum(1 for _ in root.iter(ELEMENT)) != 1:
        _malformed()
    has_key_info = signature[-1:] != [] and signature[-1].tag == _tag("KeyInfo")
    signed_info, value, *_ = _parts(
        signature, "SignedInfo", "SignatureValue", *(("KeyInfo",) if has_key_info else ())
    )
    canonicalization, method, reference = _parts(
        signed_info, "CanonicalizationMethod", "SignatureMethod", "Reference"
    )
    exclusive, digest = _reference(reference, root)
    algorithm = SIGNATURE_METHODS.get(_algorithm(method))
    if algorithm is None:
        raise SignatureRejected(Step.ALGORITHM)
    # While it is still in its place: inclusive canonicalisation takes in the root's namespaces.
    signed = _canonical_part(signed_info, exclusive=_canonicalization(canonicalization))
    text = _value(value)
    _remove(signature, root)
    return UnverifiedXml(algorithm, signed, text, digest, _canonical(root, exclusive=exclusive))


def verify(xml: UnverifiedXml, key: VerificationKey) -> SignedRoot:
    """Verifies an opened document with one key.

    Returns:
        The document without its signature, now authentic: signed by the holder of ``key``.

    Raises:
        SignatureRejected: ``algorithm``, ``malformed`` or ``signature``; nothing else.
    """
    if xml.algorithm is not key.algorithm:
        raise SignatureRejected(Step.ALGORITHM)
    asymmetric.verify_text(key, xml.signed_info, xml.signature, SignatureEncoding.RAW_BASE64)
    if not hmac.equal(sha256(xml.content).digest(), xml.digest):
        raise SignatureRejected(Step.SIGNATURE)
    return SignedRoot(strict_xml.parse_again(xml.content))


_EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"


def sign_enveloped(document: bytes, key: SigningKey) -> str:
    """Signs a document in the form that is verified here, for the simulator; canonicalisation is exclusive.

    Args:
        document: strict XML of our own making, UTF-8, without XML declaration.
        key: by RS256 or ES256.

    Returns:
        The document with the signature as the root's last child, without XML declaration.
    """
    root = strict_xml.parse_again(document)
    digest = base64.b64encode(sha256(_canonical(root, exclusive=True)).digest()).decode("ascii")
    (method,) = [uri for uri, algorithm in SIGNATURE_METHODS.items() if algorithm is key.algorithm]
    reference = (
        f'<Transforms><Transform Algorithm="{ENVELOPED}"/><Transform Algorithm="{_EXCLUSIVE}"/></Transforms>'
        f'<DigestMethod Algorithm="{SHA256}"/><DigestValue>{digest}</DigestValue>'
    )
    info = (
        f'<SignedInfo xmlns="{NAMESPACE}"><CanonicalizationMethod Algorithm="{_EXCLUSIVE}"/>'
        f'<SignatureMethod Algorithm="{method}"/><Reference URI="">{reference}</Reference></SignedInfo>'
    )
    signed = _canonical(strict_xml.parse_again(info.encode()), exclusive=True)
    value = base64.b64encode(jws.signature(signed, key)).decode("ascii")
    signature = f'<Signature xmlns="{NAMESPACE}">{info}<SignatureValue>{value}</SignatureValue></Signature>'
    root.append(strict_xml.parse_again(signature.encode()))
    return etree.tostring(root, encoding="unicode")
