"""The body of an authentic delivery as a document; what cannot be read is the adapter's error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verifier.errors import AdapterError, RequestRejected
from verifier.model import fields
from verifier.signatures import strict_json


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
