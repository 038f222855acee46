"""Profiles for tests: a small one that is right, and what a test changes in it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import tomlkit

from adapters.declared import DeclaredPlatform, load

SLUG: Final = "some_platform"
FIELDS: Final[Mapping[str, str]] = {
    "issuer": "iss",
    "number": "no",
    "holder_name": "name",
    "id_kind": "kind",
    "id_number": "id",
    "course_code": "code",
    "course_title": "title",
    "organisation": "org",
    "completed_at": "done",
    "completed_format": "rfc3339",
    "issued_at": "issued",
    "issued_format": "rfc3339",
}
RIGHT: Final[Mapping[str, Any]] = {
    "slug": SLUG,
    "name": "某平台",
    "profile": "assumed",
    "authenticity": {"scheme": "secret-in-header", "header": "x-secret"},
    "items": {"form": "single"},
    "events": {"word": "type", "words": {"done": "completed", "fixed": "corrected", "gone": "revoked"}},
    "revoked": {"issuer": "issuer", "number": "number"},
    "certificate": {
        "kind": "jws",
        "content": "token",
        "fields": {**FIELDS},
        "id_kinds": {"1": "resident_id"},
    },
    "answer": {"envelope": "data"},
}
"""A profile with nothing that it need not have."""

Changes = Mapping[str, Any]
"""New values by their path, as ``certificate.fields.issuer``; None takes something away."""


def text(changes: Changes) -> str:
    """The profile with some changes, as a file."""
    tree: dict[str, Any] = copy.deepcopy(dict(RIGHT))
    for path, value in changes.items():
        *tables, name = path.split(".")
        table = tree
        for one in tables:
            table = table.setdefault(one, {})
        if value is None:
            table.pop(name, None)
        else:
            table[name] = copy.deepcopy(value)
    return tomlkit.dumps(tree)


def declared(changes: Changes) -> DeclaredPlatform:
    """The platform made of it."""
    return _loaded(text(changes))


@lru_cache
def _loaded(source: str) -> DeclaredPlatform:
    return load(source.encode(), taken=())
