"""XML that has one meaning and a bounded cost (XML 1.0, Namespaces in XML 1.0).

The order matters: size, charset and every kind of markup that is refused are settled on the text, before the
parser sees it. Nothing is refused by the parser's good will alone:

1. The size, in bytes.
2. The charset: what the XML declaration names (UTF-8 if it names none) is one that the profile declares, and
   is what ``Content-Type`` names, if that names one. The bytes are decoded strictly.
3. No byte order mark, no control character but tab, LF and CR; private-use characters are refused by name.
4. No document type declaration, so that there is no entity but the five predefined ones and nothing to expand
   or fetch; no comment, which would part a text in two; no processing instruction. CDATA sections are text.
5. How many elements, attributes and namespaces there can be, counted on the text.
6. Then the parser, without network, and caps on what it made: depth, elements, attributes, names, texts.

Where 3, 4 and 5 cannot tell markup from the inside of a CDATA section, they refuse both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from threading import Thread
from typing import Final, NewType, NoReturn

from lxml import etree
from lxml.etree import _Element as Element

from verifier.errors import Code, RequestRejected
from verifier.model.person import PRIVATE_USE

StrictRoot = NewType("StrictRoot", Element)
"""The root of a document that ``parse`` has read: the only maker of this type."""

CHARSETS: Final = frozenset({"utf-8", "gbk", "gb18030"})
"""The charsets a profile may declare, by their registered names in lower case, which are Python's too.

GBK has no code for some characters of names (as U+4DAE): a sender needs GB 18030 for them. Python 3.11 maps
GB 18030 as in the year 2000, where later editions have code points of their own: such a character comes out
as private use, and is refused rather than taken for another one.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may hold. Together they bound the time that parsing and canonicalising it can take.

    Attributes:
        depth: greatest nesting of elements; a lone root has depth 1.
        elements: greatest number of elements.
        namespaces: how often the word ``xmlns`` may stand in it: inclusive canonicalisation looks up every
            namespace in scope for every element.
        attributes: greatest number of attributes of one element, namespaces not counted: canonicalisation
            sorts them by insertion.
        all_attributes: greatest number of attributes of all elements together.
        name: greatest length of a name with its namespace, in characters.
        text: greatest length of one run of text or one attribute value, in characters.
    """

    depth: int = 16
    elements: int = 20_000
    namespaces: int = 16
    attributes: int = 16
    all_attributes: int = 20_000
    name: int = 256
    text: int = 65_536


LIMITS: Final = Limits()

_XML_NAMESPACE: Final = "{http://www.w3.org/XML/1998/namespace}"
_MAX_DECLARATION: Final = 128
_S = rb"[ \t\r\n]"
_DECLARATION: Final = re.compile(
    rb"<\?xml" + _S + rb"+version" + _S + rb"*=" + _S + rb"*(?:\"1\.0\"|'1\.0')"
    rb"(?:" + _S + rb"+encoding" + _S + rb"*=" + _S + rb"*([\"'])(?P<charset>[A-Za-z][A-Za-z0-9._-]*)\1)?"
    rb"(?:" + _S + rb"+standalone" + _S + rb"*=" + _S + rb"*(?:\"(?:yes|no)\"|'(?:yes|no)'))?"
    rb"" + _S + rb"*\?>"
)  # fmt: skip
_CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff"
_FORBIDDEN: Final = re.compile(f"[{_CONTROL}]")
_FORBIDDEN_OR_PRIVATE: Final = re.compile(f"[{_CONTROL}{PRIVATE_USE}]")
_PRIVATE_USE: Final = re.compile(f"[{PRIVATE_USE}]")
_MARKUP: Final = re.compile(r"<\?|<!(?!\[CDATA\[)")


def _refuse(detail: str, pointer: str = "") -> NoReturn:
    raise RequestRejected(Code.XML_REFUSED, detail, pointer=pointer)


def _refuse_charset(detail: str, pointer: str = "") -> NoReturn:
    raise RequestRejected(Code.CHARSET_REFUSED, detail, pointer=pointer)


def _decoded(raw: bytes, charsets: frozenset[str], content_charset: str | None) -> str:
    """The text after the XML declaration."""
    declaration = _DECLARATION.match(raw[:_MAX_DECLARATION])
    if declaration is None and raw.startswith(b"<?xml"):
        _refuse("the XML declaration is malformed")
    named = declaration["charset"] if declaration is not None else None
    # Section 4.3.3: without a declaration it is UTF-8.
    charset = "utf-8" if named is None else named.decode("ascii").lower()
    if charset not in charsets & CHARSETS:
        _refuse_charset("the XML declaration names no charset that the profile declares")
    if content_charset is not None and content_charset.lower() != charset:
        _refuse_charset("the XML declaration and Content-Type name different charsets")
    start = 0 if declaration is None else declaration.end()
    try:
        return raw[start:].decode(charset)
    except UnicodeDecodeError as error:
        position = start + error.start
    _refuse_charset("a byte sequence is not of the declared charset", f"offset {position}")


def _check_characters(text: str, *, keep_private_use: bool) -> None:
    found = (_FORBIDDEN if keep_private_use else _FORBIDDEN_OR_PRIVATE).search(text)
    if found is None:
        return
    if has_private_use(found[0]):
        raise RequestRejected(
            Code.PRIVATE_USE_CHARACTER, "holds a private-use character, which stands for no certain one"
        )
    _refuse("holds a control character or a noncharacter")


def has_private_use(text: str) -> bool:
    """Whether a text holds a private-use character, for profiles that refuse the one item it stands in."""
    return _PRIVATE_USE.search(text) is not None


def _check_markup(text: str, limits: Limits) -> None:
    if (found := _MARKUP.search(text)) is not None:
        _refuse("a DTD, a comment or a processing instruction", f"offset {found.start()}")
    # An element is one tag or two.
    if text.count("<") > 2 * limits.elements:
        _refuse("too many elements")
    # An attribute has one sign of equality; texts may have as many again.
    if text.count("=") > 2 * limits.all_attributes:
        _refuse("too many attributes")
    if text.count("xmlns") > limits.namespaces:
        _refuse("too many namespaces")


def _parse_into(outcome: list[Element | tuple[int, int]], data: bytes) -> None:
    """Appends the root, or the line and column of what is not well-formed."""
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        strip_cdata=True,
        collect_ids=False,
    )
    try:
        outcome.append(etree.fromstring(data, parser))
    except etree.XMLSyntaxError as error:
        # Not the error itself: its message quotes what was sent.
        outcome.append(error.position)


def _parsed(data: bytes) -> Element:
    """Parses in a thread that ends with it.

    lxml keeps every name it has ever read in a dictionary of the thread, so that names made up by senders
    would fill the memory of a thread that lives on. This one's dictionary goes with the document.
    """
    outcome: list[Element | tuple[int, int]] = []
    own_thread = Thread(target=_parse_into, args=(outcome, data))
    own_thread.start()
    own_thread.join()
    (root,) = outcome
    if isinstance(root, tuple):
        _refuse("not well-formed, or nested too deep", f"line {root[0]}, column {root[1]}")
    return root


def _check_element(element: Element, limits: Limits) -> int:
    """Checks one element alone; the number of its attributes."""
    # Lengths come first: a long namespace is copied for every name that is looked at.
    if len(str(element.tag)) > limits.name:
        _refuse("a name is too long")
    if len(element.text or "") > limits.text or len(element.tail or "") > limits.text:
        _refuse("a text is too long")
    attributes = element.attrib
    if len(attributes) > limits.attributes:
        _refuse("an element has too many attributes")
    for name, value in attributes.items():
        if len(name) > limits.name or len(value) > limits.text:
            _refuse("an attribute is too long")
        if name.startswith(_XML_NAMESPACE):
            # Their meaning is inherited, in canonicalisation too: no profile needs one.
            _refuse("an attribute of the xml namespace")
    return len(attributes)


def _check_tree(root: Element, limits: Limits) -> None:
    level, elements, attributes = [root], 0, 0
    for _ in range(limits.depth):
        elements += len(level)
        for element in level:
            attributes += _check_element(element, limits)
            if attributes > limits.all_attributes:
                _refuse("too many attributes")
        level = [child for element in level for child in element]
        if not level:
            break
    if level:
        _refuse("nested too deep")
    if elements > limits.elements:
        _refuse("too many elements")


def _check_references(root: Element, *, keep_private_use: bool) -> None:
    """Characters that came as references (``&#xE000;``) are judged like those that came as they are."""
    for element in root.iter():
        texts = (element.text or "", element.tail or "", *element.attrib.values())
        _check_characters("".join(texts), keep_private_use=keep_private_use)


def parse(
    raw: bytes,
    *,
    max_bytes: int,
    charsets: frozenset[str],
    content_charset: str | None = None,
    keep_private_use: bool = False,
    limits: Limits = LIMITS,
) -> StrictRoot:
    """Parses one strict XML document by the six rules above.

    Args:
        raw: the document.
        max_bytes: its greatest length.
        charsets: names in lower case that the profile declares, of those in ``CHARSETS``.
        content_charset: what ``Content-Type`` names, if it names one.
        keep_private_use: for profiles that look with ``has_private_use`` item by item.
        limits: what the document may hold.

    Returns:
        The root. Below it are only elements and texts: no comment, processing instruction or entity; no
        attribute of the ``xml`` namespace.

    Raises:
        RequestRejected: ``request_too_large``, ``charset_refused``, ``private_use_character`` or
            ``xml_refused``; the pointer is an offset (in bytes for the charset, else in characters after the
            XML declaration) where one is known, never a value.
    """
    if len(raw) > max_bytes:
        raise RequestRejected(Code.REQUEST_TOO_LARGE, "the document is over the size limit")
    text = _decoded(raw, charsets, content_charset)
    if text.startswith("\ufeff"):
        _refuse("begins with a byte order mark")
    _check_characters(text, keep_private_use=keep_private_use)
    _check_markup(text, limits)
    root = _parsed(text.encode("utf-8"))
    _check_tree(root, limits)
    if "&#" in text:
        _check_references(root, keep_private_use=keep_private_use)
    return StrictRoot(root)


def parse_again(written: bytes) -> StrictRoot:
    """Reads again what was written of (a part of) a ``StrictRoot``, as UTF-8 or ASCII.

    The rules have been kept already, and need not hold as counted: exclusive canonicalisation repeats
    namespaces.
    """
    return StrictRoot(_parsed(written))
