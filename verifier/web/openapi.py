"""The OpenAPI 3.1 document, made of the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from verifier.errors import CATALOGUE, Code
from verifier.model.access import CALLS, Scope
from verifier.web.bodies import JSON
from verifier.web.errors import PROBLEM, STATUS
from verifier.web.routes import OBJECT, Parameter, Route, Text, Word

_PART: Final = re.compile(r"\{([a-z_]+)(?::[^}]*)?\}")
_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail_en", "party", "reason", "pointer"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"enum": [code.value for code in Code]},
        "detail_en": {"type": "string"},
        "party": {"enum": sorted({one.party.value for one in CATALOGUE.values()})},
        "reason": {"type": "string"},
        "pointer": {"type": "string"},
        "request_id": {"type": "string"},
    },
}


def path_of(route_path: str) -> str:
    """A route's path as OpenAPI writes it: ``{tile:.+}`` is ``{tile}``."""
    return _PART.sub(r"{\1}", route_path)


def document(routes: Sequence[Route], server: str) -> dict[str, Any]:
    """The document.

    Args:
        routes: all of them.
        server: our address.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(path_of(route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "线上培训补贴资格核验 · Training verifier",
            "version": "1",
            "description": _codes(),
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM_SCHEMA},
            "securitySchemes": {
                "token": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": f"{server}/oauth/token",
                            "scopes": {scope.value: scope.value for scope in Scope},
                        }
                    },
                }
            },
        },
    }


def _codes() -> str:
    """Every reason code with its status and what to do, as a table."""
    rows = [
        f"| `{code.value}` | {STATUS[code]} | {one.party.value} | {one.zh} | {one.en} |"
        for code, one in CATALOGUE.items()
    ]
    return "\n".join(["| code | status | party | 处理 | what to do |", "|---|---|---|---|---|", *rows])


def _operation(route: Route) -> dict[str, Any]:
    parts = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PART.findall(route.path)
    ]
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _name(route),
        "parameters": [*parts, *map(_parameter, route.parameters)],
        "responses": {
            "200": {"description": "OK", "content": _content(route.gives)},
            "default": {
                "description": "错误 · Error",
                "content": (
                    {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
                    if route.envelope is None
                    else {JSON: {"schema": OBJECT}}
                ),
            },
        },
    }
    if route.takes:
        operation["requestBody"] = {"required": True, "content": _content(route.takes)}
    if route.roles:
        operation["security"] = [{"token": [CALLS[role].value]} for role in route.roles]
    return operation


def _content(schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {media_type: {"schema": schema} for media_type, schema in schemas.items()}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any]
    if isinstance(parameter, Text):
        schema = {"type": "string", "pattern": f"^(?:{parameter.form.pattern})$"}
        said = {"name": parameter.name, "in": "query", "description": parameter.meaning}
        return {**said, "required": parameter.default is None, "schema": schema}
    if isinstance(parameter, Word):
        schema = {"enum": list(parameter.words), "default": parameter.words[0]}
    else:
        schema = {"type": "integer", "minimum": parameter.least, "maximum": parameter.most}
        if parameter.default is not None:
            schema["default"] = parameter.default
    return {"name": parameter.name, "in": "query", "description": parameter.meaning, "schema": schema}


def _name(route: Route) -> str:
    """The call's name: its handler's; a handler of several calls has them told apart by what they add."""
    name = f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}"
    return f"{name}_resource_{route.method.lower()}" if route.path.endswith("/{resource}") else name
