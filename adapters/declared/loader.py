"""Makes a platform of a profile's file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from adapters.declared import checks
from adapters.declared.answers import Answers
from adapters.declared.canonical import GatewayHmac, ParameterAlgorithm, SortedParameters
from adapters.declared.certificates import Certificate, ContentEncoding
from adapters.declared.document import Document, parse, refusal
from adapters.declared.message import Items, ItemsForm, Mapped, Revocation, Words
from adapters.declared.places import Moment, Place, Text
from adapters.declared.platform import Declaration, DeclaredPlatform
from adapters.declared.schemes import (
    AccessToken,
    Carrier,
    JsonBody,
    RawRsaQuery,
    Scheme,
    SecretInBody,
    SecretInHeader,
    SignedToken,
    StandardWebhooks,
)
from verifier.errors import Code, ConfigurationError
from verifier.model.certificate import CertificateFields
from verifier.model.delivery import Accepts
from verifier.model.fields import IDENTIFIER, TextField
from verifier.signatures.sorted_parameters import Canonical

_DELIVERY_ID: Final = re.compile(r"(?!digest:)[A-Za-z0-9_\-.:/+=@]{1,128}")
_ITEM_ID: Final = re.compile(r"[A-Za-z0-9_\-.:/+=@]{1,64}")
Values = Mapping[str, Any]


def load(raw: bytes, *, taken: Collection[str], named: str = "") -> DeclaredPlatform:
    """Read a profile.

    Args:
        raw: the TOML document.
        taken: slugs that other platforms have.
        named: the slug that it has to have; empty for any.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID: its detail lists everything that is wrong, one a row, each
            with its line in the file; its pointer is the path of the first.
    """
    document = parse(raw)
    checks.check(document, taken, named)
    if document.faults:
        raise refusal(document.faults)
    return DeclaredPlatform(_declaration(document, raw))


def load_all(files: Mapping[str, bytes], *, taken: Collection[str]) -> tuple[DeclaredPlatform, ...]:
    """Read every profile of an installation; each stands in the file that bears its slug.

    Args:
        files: by name, as ``some_platform.toml``.
        taken: slugs of the platforms that are built in.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, as for ``load``, of all files that have faults.
    """
    platforms, refused = [], []
    for name in sorted(files):
        try:
            platforms.append(load(files[name], taken=taken, named=name.removesuffix(".toml")))
        except ConfigurationError as error:
            refused.append((name, error))
    if refused:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID,
            "\n".join(f"{name}:\n{error.detail}" for name, error in refused),
            pointer=f"{refused[0][0]}:{refused[0][1].pointer}",
        )
    return tuple(platforms)


def _declaration(document: Document, raw: bytes) -> Declaration:
    values = document.values
    top, said, delivery = values[""], values["authenticity"], values.get("delivery", {})
    scheme, carrier = _SCHEMES[said["scheme"]](said, top["charset"])
    rest = f"/{top['resource']}" if top["resource"] else ""
    numeric = values["items"]["numbers_as_text"]
    return Declaration(
        slug=top["slug"],
        name=top["name"],
        profile=top["profile"],
        accepts=Accepts(
            frozenset(top["content_types"]),
            charsets=frozenset({top["charset"]}),
            routes=frozenset({(top["method"], rest)}),
            body_bytes=top["body_bytes"],
            bearer=isinstance(scheme, AccessToken),
        ),
        scheme=scheme,
        carrier=carrier,
        delivery_id=_text(delivery.get("id"), 128, _DELIVERY_ID, numeric=numeric),
        id_header=scheme.id_header if isinstance(scheme, StandardWebhooks) else "",
        sequence=Place(delivery["sequence"]) if delivery.get("sequence") else None,
        changing=frozenset(delivery.get("changing", ())) | _changing(scheme),
        mapped=_mapped(values),
        answers=Answers(
            values["answer"]["envelope"],
            values["answer"].get("success", ""),
            values["items"]["form"] is ItemsForm.SINGLE,
        ),
        digest=sha256(raw).hexdigest(),
        content=raw.decode(),
    )


def _changing(scheme: Scheme) -> frozenset[str]:
    """The members of the message that the scheme itself makes anew for each attempt."""
    if isinstance(scheme, SortedParameters):
        return frozenset({scheme.canonical.time_name, scheme.key_name}) - {""}
    if isinstance(scheme, SignedToken):
        return frozenset({scheme.time.removeprefix("/").partition("/")[0]})
    return frozenset()


# --- authenticity -------------------------------------------------------------------------------------------


def _webhooks(said: Values, charset: str) -> tuple[Scheme, Carrier]:
    scheme = StandardWebhooks(
        said["id_header"], said["timestamp_header"], said["signature_header"], said["tolerance_seconds"]
    )
    return scheme, JsonBody(charset)


def _gateway(said: Values, charset: str) -> tuple[Scheme, Carrier]:
    scheme = GatewayHmac(
        key_header=said["key_header"],
        timestamp_header=said["timestamp_header"],
        timestamp_format=said["timestamp_format"],
        nonce_header=said["nonce_header"],
        signature_header=said["signature_header"],
        signed=said["signed"],
        separator=said["separator"],
        ended=said["ends_with_separator"],
        digits=said["signature_form"],
        tolerance_seconds=said["tolerance_seconds"],
    )
    return scheme, JsonBody(charset)


def _sorted(said: Values, charset: str) -> tuple[Scheme, Carrier]:
    canonical = Canonical(
        names=checks.known_names(said),
        required=frozenset(said["required"]),
        time_name=said["time_name"],
        time_format=said["time_format"],
        excluded=frozenset(said["excluded"] or {said["signature_name"]}),
        drop_empty=said["drop_empty"],
        percent_encoded=said["percent_encoded"],
        charset=charset,
        suffix_name=said["suffix_name"],
        upper_hex=said["upper_hex"],
    )
    scheme = SortedParameters(
        carried=said["parameters"],
        canonical=canonical,
        algorithm=ParameterAlgorithm(said["algorithm"]),
        signature_name=said["signature_name"],
        key_name=said["key_name"],
        payload=said["payload"],
        tolerance_seconds=said["tolerance_seconds"],
    )
    return scheme, scheme


def _token(said: Values, _charset: str) -> tuple[Scheme, Carrier]:
    scheme = SignedToken(
        said["typ"], said["member"], said["time"], said["time_format"], said["tolerance_seconds"]
    )
    return scheme, scheme


def _raw_rsa(said: Values, charset: str) -> tuple[Scheme, Carrier]:
    names = (said["timestamp_name"], said["signature_name"], said["key_name"])
    return RawRsaQuery(*names, frozenset(said["other_names"]), said["tolerance_seconds"]), JsonBody(charset)


_SCHEMES: Final = MappingProxyType(
    {
        "standard-webhooks": _webhooks,
        "gateway-hmac": _gateway,
        "sorted-parameters": _sorted,
        "secret-in-body": lambda said, charset: (
            SecretInBody(said["secret"], charset),
            JsonBody(charset, hidden=said["secret"]),
        ),
        "secret-in-header": lambda said, charset: (
            SecretInHeader(said["header"], said["prefix"]),
            JsonBody(charset),
        ),
        "raw-rsa-query": _raw_rsa,
        "bearer": lambda _, charset: (AccessToken(), JsonBody(charset)),
        "jws-body": _token,
    }
)


# --- the message --------------------------------------------------------------------------------------------


def _text(
    names: tuple[str, ...] | None,
    limit: int,
    form: re.Pattern[str] | None = None,
    *,
    required: bool = True,
    numeric: bool = False,
) -> Text | None:
    return Text(Place(names), TextField("", limit, required, form), numeric) if names else None


def _mapped(values: Mapping[str, Values]) -> Mapped:
    items, events, delivery = values["items"], values.get("events", {}), values.get("delivery", {})
    numeric = items["numbers_as_text"]
    occurred_at = events.get("occurred_at")
    stated = {
        ours: _text(names, limit, required=False, numeric=numeric)
        for ours, limit in (("number", 64), ("holder_name", 100), ("id_number", 64))
        if (names := values.get("stated", {}).get(ours))
    }
    return Mapped(
        own=(*(delivery.get("id") or ()), *(delivery.get("sequence") or ())),
        items=Items(
            items["form"],
            items.get("at", ""),
            dict(values.get("items.roots", {})),
            items.get("limit", 1),
            _text(items["id"], 64, _ITEM_ID, numeric=numeric),
        ),
        words=Words(
            events.get("always"),
            _text(events.get("word"), 64, numeric=numeric),
            dict(values.get("events.words", {})),
            events.get("scope", ""),
            Moment(Place(occurred_at), events["occurred_format"]) if occurred_at else None,
        ),
        reason=Place(events["reason"]) if events.get("reason") else None,
        stated={ours: text for ours, text in stated.items() if text},
        certificate=_certificate(values) if "certificate" in values else None,
        revoked=_revocation(values["revoked"], numeric=numeric) if "revoked" in values else None,
        private_use=values[""]["charset"] == "utf-8",
    )


def _revocation(said: Values, *, numeric: bool) -> Revocation:
    issuer = _text(said["issuer"], 256, IDENTIFIER, numeric=numeric)
    number = _text(said["number"], 64, IDENTIFIER, numeric=numeric)
    assert issuer
    assert number
    return Revocation(issuer, number)


def _certificate(values: Mapping[str, Values]) -> Certificate:
    said, members = values["certificate"], values["certificate.fields"]
    fields = CertificateFields(
        **members,
        documents=dict(values.get("certificate.documents", {})),
        id_kinds=dict(values["certificate.id_kinds"]),
        levels=dict(values.get("certificate.levels", {})),
    )
    content = _text(said["content"], said["limit"])
    assert content
    known = {
        word: _text(names, 200, required=False) for word, names in values.get("certificate.known", {}).items()
    }
    return Certificate(
        said["kind"],
        fields,
        content,
        encoding=said.get("encoding", ContentEncoding.TEXT),
        joined=_joined(said, members) if said.get("joined") else None,
        signature=_text(said.get("signature"), said.get("signature_limit", 0)),
        chain=Place(said["chain"]) if said.get("chain") else None,
        known={word: text for word, text in known.items() if text},
    )


def _joined(said: Values, members: Values) -> Canonical:
    optional = {
        members[name] for name in ("document", "revision", "level", "started_at", "study_minutes")
    } - {""}
    required = {
        value for name, value in members.items() if isinstance(value, str) and not name.endswith("_format")
    }
    required -= optional | {""}
    return Canonical(
        names=frozenset(required | optional | {*said["other_names"]}),
        required=frozenset(required),
        time_name=members["issued_at"],
        time_format=members["issued_format"],
        excluded=frozenset(),
        suffix_name="",
    )
