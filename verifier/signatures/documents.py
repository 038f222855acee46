"""The body of an authentic delivery as a document; what cannot be read is the adapter's error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lxml.etree import _Element as Element

from verifier.errors import AdapterError, RequestRejected
from verifier.model import fields
from verifier.signatures import strict_json
from verifier.signatures.strict_xml import StrictRoot

MIXED: Final = ""
"""The member that holds an element's text beside its children."""


def json_object(body: bytes) -> Mapping[str, Any]:
    """Read a body as strict JSON.

    Args:
        body: as it was signed; its size was limited when the request came in.

    Raises:
        AdapterError: it is not strict JSON, or not an object.
    """
    try:
        return fields.members(strict_json.loads(body, max_bytes=len(body)), "")
    except RequestRejected as error:
        raise AdapterError(detail="the body is not strict JSON", pointer=error.pointer) from None


def xml_object(root: StrictRoot) -> Mapping[str, Any]:
    """What an XML document holds, as JSON would hold it, so that the same tables read both.

    An element with neither children nor attributes is its text, exactly as it came. Any other is an object:
    its children by name, several of one name as an array; its attributes with ``@`` before the name; and
    under ``MIXED`` whatever text stands between its children, unless that is blank. A name within a namespace
    is written ``{namespace}name``.

    Returns:
        The root's object; of a root that holds only text, that text under ``MIXED``.
    """
    value = _value(root)
    return value if isinstance(value, dict) else {MIXED: value}


def _value(element: Element) -> Any:
    if not len(element) and not element.attrib:
        return element.text or ""
    found: dict[str, list[Any]] = {f"@{name}": [value] for name, value in element.attrib.items()}
    mixed = element.text or ""
    for child in element:
        found.setdefault(str(child.tag), []).append(_value(child))
        mixed += child.tail or ""
    if mixed.strip():
        found[MIXED] = [mixed]
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}
