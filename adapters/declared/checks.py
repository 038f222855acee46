"""What a profile may not say although each of its keys is well-formed: contradictions and gaps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from adapters.declared.canonical import Carried, ParameterAlgorithm, Part
from adapters.declared.certificates import ContentEncoding
from adapters.declared.document import Document
from adapters.declared.message import ItemsForm, Scope
from verifier.model.certificate import CertificateKind
from verifier.model.delivery import EventKind
from verifier.model.time import TimeFormat

FORM: Final = "application/x-www-form-urlencoded"
_WRITTEN: Final[Mapping[TimeFormat, str]] = MappingProxyType(
    {
        TimeFormat.RFC3339: "2021-02-01T00:00:00.0+08:00Z",
        TimeFormat.EPOCH_SECONDS: "1612108800",
        TimeFormat.EPOCH_MILLISECONDS: "1612108800000",
        TimeFormat.COMPACT_BEIJING: "20210201000000",
        TimeFormat.SPACED_BEIJING: "2021-02-01 00:00:00",
        TimeFormat.DAY_BEIJING: "2021-02-01",
        TimeFormat.COMPACT_DAY_BEIJING: "20210201",
        TimeFormat.HTTP_DATE: "Mon, 01 Feb 2021 00:00:00 GMT",
    }
)
_PARTS: Final = MappingProxyType(
    {
        Part.METHOD: "POSTUT",
        Part.PATH: "/v1/callbacks/_",
        Part.QUERY: "a=b&c",
        Part.BODY_SHA256: "0123456789abcdef",
    }
)
"""What stands in every request: a separator must not."""
_FIXED: Final = frozenset({Part.METHOD, Part.KEY_ID, Part.TIMESTAMP, Part.NONCE, Part.BODY_SHA256})
"""What may be joined without a separator: of these at most the nonce has a length of its own."""
_KEYED: Final = frozenset({ParameterAlgorithm.HMAC_SHA256, ParameterAlgorithm.MD5})


def check(document: Document, taken: Collection[str], named: str) -> None:
    """Note every contradiction.

    Args:
        document: read by the schema; what has a fault there already has no value.
        taken: slugs that other platforms have.
        named: the slug that it has to have; empty for any.
    """
    top = document.values.get("", {})
    if top.get("slug") in taken:
        document.fault("", "slug", "与其他平台重名", "another platform has this slug")
    if named and top.get("slug") not in {named, None}:
        document.fault("", "slug", "须与文件名相同", "has to be the name of the file")
    if top.get("method") == "PUT" and not top.get("resource"):
        document.fault("", "method", "PUT 须有 resource", "PUT needs a resource")
    _SCHEMES.get(_value(document, "authenticity", "scheme"), lambda _: None)(document)
    _check_id(document)
    _check_events(document)
    _check_certificate(document)


def _check_id(document: Document) -> None:
    """Without an id of the platform's own, a repetition is known by a digest that its secret keys."""
    said = document.values.get("authenticity", {})
    keyed = said.get("scheme") == "gateway-hmac" or said.get("algorithm") in _KEYED
    secret = said.get("scheme") in {"secret-in-body", "secret-in-header", "standard-webhooks", None}
    if not (keyed or secret or _value(document, "delivery", "id")):
        zh = "没有共享密钥，须有投递编号，否则认不出重复投递"
        document.fault("delivery", "id", zh, "without a shared secret a repetition is known by its id alone")


def _value(document: Document, section: str, name: str) -> Any:
    return document.values.get(section, {}).get(name)


def _webhooks(document: Document) -> None:
    if _value(document, "delivery", "id"):
        zh, en = "投递编号就是请求头中的编号", "the scheme's own header is the delivery's id"
        document.fault("delivery", "id", zh, en)


def _gateway(document: Document) -> None:
    said = document.values["authenticity"]
    signed, at = said["signed"], "authenticity"
    if signed is None:
        return
    if Part.TIMESTAMP not in signed:
        document.fault(at, "signed", "必须覆盖 timestamp", "the timestamp has to be signed")
    covered = not {Part.BODY, Part.BODY_SHA256}.isdisjoint(signed)
    if covered == said["body_unsigned"]:
        zh = "签名须覆盖请求体，或写明 body_unsigned = true"
        document.fault(at, "body_unsigned", zh, "either the body is signed, or body_unsigned = true says not")
    for part, key in ((Part.KEY_ID, "key_header"), (Part.NONCE, "nonce_header")):
        if part in signed and not said[key]:
            document.fault(at, key, f"签名覆盖 {part}，须有此项", f"{part} is signed, so this is needed")
    if Part.NONCE not in signed and said["nonce_header"]:
        document.fault(at, "nonce_header", "签名不覆盖 nonce", "the nonce is not signed")
    _check_separator(document, said, signed)


def _check_separator(document: Document, said: Mapping[str, Any], signed: Collection[Part]) -> None:
    separator = said["separator"]
    if separator is None:
        return
    if not separator:
        if not _FIXED.issuperset(signed):
            zh = "path、query、body 须有分隔符"
            document.fault("authenticity", "separator", zh, "path, query and body need a separator")
        return
    written = {**_PARTS, Part.TIMESTAMP: _WRITTEN.get(said["timestamp_format"], "")}
    if any(separator in written.get(part, "") for part in signed):
        zh = "分隔符会出现在被签名的内容里"
        document.fault("authenticity", "separator", zh, "the separator stands within what is signed")


def _sorted(document: Document) -> None:
    said, at = document.values["authenticity"], "authenticity"
    required = set(said["required"] or ())
    excluded = set(said["excluded"] or {said["signature_name"]})
    if said["signature_name"] not in {*excluded, None} or excluded & {
        said["time_name"],
        said["payload"],
        *required,
    }:
        zh = "须含签名参数，且不得含时间、payload 或必填参数"
        en = "has to hold the signature's parameter, and neither time, payload nor a required one"
        document.fault(at, "excluded", zh, en)
    if required and not required - {said["time_name"]}:
        zh, en = "除时间外还须有随机数或编号", "besides the time, a nonce or an id is needed"
        document.fault(at, "required", zh, en)
    suffix, algorithm = said["suffix_name"], said["algorithm"]
    if suffix and (suffix in known_names(said) or algorithm not in {*_KEYED, None}):
        zh = "不得与参数同名，且只用于共享密钥"
        document.fault(at, "suffix_name", zh, "not the name of a parameter, and for shared secrets only")
    if algorithm is ParameterAlgorithm.MD5 and not suffix:
        document.fault(at, "suffix_name", "MD5 须拼接密钥", "MD5 needs the secret in the text")
    form = said["parameters"] in {Carried.FORM, Carried.QUERY_AND_FORM}
    types = _value(document, "", "content_types")
    if said["parameters"] and types and form != (types == (FORM,)):
        zh, en = f"form 与 {FORM} 互为条件", f"form goes with {FORM}, and with it alone"
        document.fault("", "content_types", zh, en)


def known_names(said: Mapping[str, Any]) -> frozenset[str]:
    """The parameters that a profile knows."""
    single = {said[key] for key in ("time_name", "signature_name", "key_name", "payload")}
    return frozenset(single - {"", None}) | {*(said["required"] or ()), *(said["excluded"] or ())}


def _token(document: Document) -> None:
    if _value(document, "", "charset") not in {"utf-8", None}:
        document.fault("", "charset", "JWS 只用 utf-8", "a JWS is UTF-8")


_SCHEMES: Final = MappingProxyType(
    {
        "standard-webhooks": _webhooks,
        "gateway-hmac": _gateway,
        "sorted-parameters": _sorted,
        "jws-body": _token,
    }
)


def _check_events(document: Document) -> None:
    events, values = document.values.get("events", {}), document.values
    words, roots = values.get("events.words", {}), values.get("items.roots", {})
    rooted = _value(document, "items", "form") is ItemsForm.ROOTS
    if rooted != bool(roots):
        document.fault("items", "roots", 'form = "roots" 与本表互为条件', 'goes with form = "roots"')
    if bool(events.get("word")) != bool(words):
        document.fault("events", "words", "须与 word 同时有", "word and words go together")
    if [bool(events.get("word")), bool(events.get("always")), rooted].count(True) != 1:
        zh = "事件种类须由 word、always、items.roots 之一说明"
        document.fault(
            "events", "", zh, "exactly one of word, always and items.roots says the kind of an event"
        )
    if bool(events.get("occurred_at")) != bool(events.get("occurred_format")):
        zh = "须与 occurred_at 同时有"
        document.fault("events", "occurred_format", zh, "occurred_at and occurred_format go together")
    if events.get("scope") is Scope.MESSAGE and not (events.get("word") or events.get("occurred_at")):
        document.fault("events", "scope", "没有可说明的", "nothing stands there that it could say")


def kinds(values: Mapping[str, Mapping[str, Any]]) -> frozenset[EventKind]:
    """The kinds of event that the profile knows."""
    always = values.get("events", {}).get("always")
    tables = (values.get("events.words", {}), values.get("items.roots", {}), {"": always} if always else {})
    return frozenset(kind for table in tables for kind in table.values())


def _check_certificate(document: Document) -> None:
    values, used = document.values, kinds(document.values)
    if not used:
        return  # that is a fault of its own
    for section, wanted in (
        ("revoked", EventKind.REVOKED in used),
        ("certificate", bool(used - {EventKind.REVOKED})),
    ):
        if wanted != (section in values):
            zh, en = ("缺少本节", "this table is missing") if wanted else ("没有用到", "nothing uses it")
            document.fault(section, "", zh, en)
    if "stated" in values and "certificate" not in values:
        document.fault("stated", "", "没有用到", "nothing uses it")
    if "certificate" in values:
        _check_tables(document)
        _check_started(document)


def _check_started(document: Document) -> None:
    members, at = document.values.get("certificate.fields", {}), "certificate.fields"
    if bool(members.get("started_at")) != bool(members.get("started_format")):
        document.fault(at, "started_format", "与 started_at 同有同无", "goes with started_at alone")


def _check_words(document: Document, at: str, members: Mapping[str, Any]) -> None:
    values = document.values
    needed = {
        "fields": True,
        "id_kinds": True,
        "documents": bool(members.get("document")),
        "levels": bool(members.get("level")),
    }
    for name, wanted in needed.items():
        if wanted and not values.get(f"{at}.{name}"):
            document.fault(at, name, "缺少本节", "this table is missing")
    for name, field in (("documents", "document"), ("levels", "level")):
        if not needed[name] and f"{at}.{name}" in values and members:
            document.fault(at, name, f"没有 {field} 字段", f"there is no {field} field")


def _check_tables(document: Document) -> None:
    values, at = document.values, "certificate"
    said, members = values[at], values.get("certificate.fields", {})
    _check_words(document, at, members)
    if "certificate.known" in values and said["kind"] is not CertificateKind.OPEN_BADGE:
        document.fault(at, "known", "只用于 open-badge", "for open-badge alone")
    if said.get("other_names") and not said["joined"]:
        document.fault(at, "other_names", "只与 joined 同用", "goes with joined alone")
    if said.get("joined") and said["encoding"] is not ContentEncoding.TEXT:
        document.fault(at, "encoding", "拼接的内容就是文本", "what is joined is text")
    if said.get("joined"):
        for name, member in members.items():
            if isinstance(member, str) and member.startswith("/"):
                document.fault(
                    "certificate.fields", name, "拼接的内容没有层次", "what is joined has no depth"
                )
