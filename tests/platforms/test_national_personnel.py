from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapters import national_personnel as npt
from tests.certificates import Kind
from tests.platforms import senders
from tests.platforms import sending_national_personnel as sending
from verifier import certificates
from verifier.errors import AdapterError, CertificateRejected, Code, SignatureRejected
from verifier.model.delivery import (
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    ItemOutcome,
    ItemState,
    PlatformSlug,
    UnreadableItem,
)
from verifier.signatures.steps import Step

NOW: Final = datetime(2021, 6, 1, 4, tzinfo=UTC)
ADAPTER: Final = npt.NationalPersonnel()
HEAD: Final = "<MSGID>R1</MSGID><KEYID>npt-ec-0</KEYID><SENDTIME>20210601120000</SENDTIME>"
REVOCATION: Final = {"FZJG": "npt-issuer", "ZSBH": "N1", "REASON": "r"}


def revocation(item_id: object, **change: object) -> dict[str, Any]:
    return {"ITEMID": item_id, "EVENT": "CX", "EVENTTIME": "20210421083005", **REVOCATION, **change}


def payload(message_id: object = "R1", items: object = None, **more: object) -> dict[str, Any]:
    return {"MSGID": message_id, **more, "ITEMS": [revocation("I1")] if items is None else items}


def request(
    inside: str = HEAD,
    *,
    root: str = "MESSAGE",
    charset: str = "GB18030",
    content_type: str = sending.CONTENT_TYPE,
    number: int = 0,
) -> Callback:
    """A document signed as it is written here."""
    document = etree.fromstring(f"<{root}>{inside}</{root.split(maxsplit=1)[0]}>")
    body = sending.signed(document, "ec", number, charset)
    return senders.request(sending.SLUG, body, (), NOW, content_type=content_type)


def authenticate(callback: Callback, now: datetime = NOW) -> AuthenticatedCallback:
    keys = [sending.registered(scheme, n) for scheme in ("rsa", "ec") for n in (0, 1)]
    return ADAPTER.authenticate(callback, keys, now)


def authentic(said: object, at: datetime = NOW, number: int = 0) -> AuthenticatedCallback:
    return authenticate(sending.send("ec", number, sending.render(said), "", at), at)


def refused(callback: Callback) -> str:
    with pytest.raises(SignatureRejected) as caught:
        authenticate(callback)
    return caught.value.step


def unreadable(authenticated: AuthenticatedCallback) -> tuple[Code, str]:
    with pytest.raises(AdapterError) as caught:
        ADAPTER.parse(authenticated)
    return caught.value.code, caught.value.pointer


# --- who sent it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("charset", ["GB18030", "gbk", "UTF-8"])
@pytest.mark.parametrize("media_type", ["application/xml", "text/xml"])
def test_a_document_is_read_in_the_charset_it_declares(charset: str, media_type: str) -> None:
    for parameter in ("", f"; charset={charset}", f'; charset="{charset.upper()}"'):
        callback = request(HEAD + "<BZ>测试</BZ>", charset=charset, content_type=media_type + parameter)
        assert authenticate(callback).key_id == "npt-ec-0"


@pytest.mark.parametrize("content_type", ["application/xml; charset=utf-8", "text/xml; charset=gbk"])
def test_a_content_type_that_names_another_charset_is_refused(content_type: str) -> None:
    assert refused(request(content_type=content_type)) == Step.MALFORMED


@pytest.mark.parametrize(
    "inside",
    [
        HEAD.replace("<SENDTIME>20210601120000</SENDTIME>", ""),
        HEAD.replace("20210601120000", ""),
        HEAD.replace("20210601120000", "2021-06-01 12:00:00"),
        HEAD.replace("20210601120000", "1622520000"),
        HEAD + "<SENDTIME>20210601120000</SENDTIME>",
        HEAD + "<KEYID>npt-ec-1</KEYID>",
        HEAD + "<KEYID>npt-ec-0</KEYID>",
        HEAD.replace("<KEYID>npt-ec-0", "<KEYID>npt-ec-0<X/>"),
        HEAD.replace("<KEYID>", '<KEYID a="b">'),
    ],
)
def test_key_and_time_stand_there_once_in_their_form(inside: str) -> None:
    assert refused(request(inside)) == Step.MALFORMED


@pytest.mark.parametrize("key_id", ["npt-ec-9", "npt-ec-0 ", ""])
def test_a_key_that_is_not_registered_is_none(key_id: str) -> None:
    assert refused(request(HEAD.replace("npt-ec-0", key_id))) == Step.NO_KEY
    assert refused(request(HEAD.replace("<KEYID>npt-ec-0</KEYID>", ""))) == Step.NO_KEY


def test_the_key_that_is_named_is_the_only_one_that_counts() -> None:
    assert refused(request(number=1)) == Step.SIGNATURE
    assert refused(request(HEAD.replace("npt-ec-0", "npt-rsa-0"))) == Step.ALGORITHM


def test_the_key_of_another_algorithm_than_the_registered_is_none() -> None:
    rsa = sending.registered("rsa", 0)
    for algorithm in ("ES256", "EdDSA", "raw-RSA", "PS256", ""):
        wrong = replace(rsa, algorithm=algorithm)
        callback = sending.send("rsa", 0, sending.render(payload()), "", NOW)
        with pytest.raises(SignatureRejected) as caught:
            ADAPTER.authenticate(callback, [wrong], NOW)
        assert caught.value.step == Step.NO_KEY


@pytest.mark.parametrize("root", ["message", "CERT", 'x:MESSAGE xmlns:x="urn:x"', 'MESSAGE xmlns="urn:x"'])
def test_another_signed_document_is_no_message(root: str) -> None:
    inside = HEAD.replace("<KEYID>", '<KEYID xmlns="">') if "xmlns=" in root else HEAD
    assert refused(request(inside, root=root)) == Step.MALFORMED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<MESSAGE>", b"<!DOCTYPE MESSAGE><MESSAGE>"),
        (b"<MSGID>", b"<!-- --><MSGID>"),
        (b"<MSGID>", b"<?x?><MSGID>"),
        (b"GB18030", b"GB2312"),
        (b"</MESSAGE>", b"\xff</MESSAGE>"),
        (b"</MESSAGE>", b""),
        (b"</MESSAGE>", b"</MESSAGE><MESSAGE/>"),
        (b"</MESSAGE>", b"<MSGID>R2</MSGID></MESSAGE>"),
    ],
)
def test_what_is_no_strict_xml_or_stands_outside_of_what_is_signed_is_refused(old: bytes, new: bytes) -> None:
    callback = request()
    assert refused(senders.with_body(callback, callback.body.replace(old, new, 1))) == Step.MALFORMED


def test_a_root_may_have_the_id_that_the_signature_refers_to_it_by() -> None:
    item = "<ITEMID>I1</ITEMID><EVENT>x</EVENT><EVENTTIME>20210421083005</EVENTTIME>"
    inside = f"{HEAD}<ITEMS><ITEM>{item}</ITEM></ITEMS>"
    (event,) = ADAPTER.parse(authenticate(request(inside, root='MESSAGE Id="m1"')))
    assert isinstance(event, Event)
    assert event.extra == {"item": {"EVENT": "x"}}


# --- which delivery it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["R1", "a.b-c_D9", "x" * 128])
def test_the_delivery_is_named_by_its_signed_message_id(name: str) -> None:
    assert authentic(payload(name)).delivery_id == name


@pytest.mark.parametrize("name", [None, "", " ", "x" * 129, "编号", "a b", "digest:00", {"a": "b"}])
def test_an_authentic_document_without_a_message_id_is_named_by_digest_and_unreadable(name: object) -> None:
    first = authentic(payload(name))
    assert re.fullmatch(r"digest:[0-9a-f]{64}", first.delivery_id)
    assert authenticate(first.callback).delivery_id == first.delivery_id
    assert authentic(payload(name), NOW + timedelta(seconds=1)).delivery_id != first.delivery_id
    assert unreadable(first) == (Code.DELIVERY_UNREADABLE, "/MSGID")


@pytest.mark.parametrize(
    ("written", "number"), [("1", 1), ("0020210421", 20210421), (None, None), ("", None)]
)
def test_a_running_number_is_handed_on(written: object, number: int | None) -> None:
    authenticated = authentic(payload(SEQNO=written))
    assert authenticated.sequence == number
    assert len(ADAPTER.parse(authenticated)) == 1


@pytest.mark.parametrize("written", ["-1", "1.5", " 1", "１", "9" * 16, {"a": "1"}])
def test_what_is_no_running_number_is_kept_and_unreadable(written: object) -> None:
    authenticated = authentic(payload(SEQNO=written))
    assert authenticated.sequence is None
    assert unreadable(authenticated) == (Code.DELIVERY_UNREADABLE, "/SEQNO")


# --- what it says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "pointer"),
    [("x", "/ITEMS"), ({"x": "y"}, "/ITEMS/ITEM"), ([], "/ITEMS"), ([""] * 201, "/ITEMS/ITEM")],
)
def test_a_batch_has_1_to_200_items(items: object, pointer: str) -> None:
    assert unreadable(authentic(payload(items=items))) == (Code.DELIVERY_UNREADABLE, pointer)


def test_a_batch_of_200_is_read_whole() -> None:
    read = ADAPTER.parse(authentic(payload(items=[revocation(f"I{n}") for n in range(200)])))
    assert [item.item for item in read] == [f"I{n}" for n in range(200)]
    assert all(isinstance(item, Event) for item in read)


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_a_batch_with_k_bad_items_keeps_exactly_the_others_with_k_reasons(good: list[bool]) -> None:
    items = [revocation(f"I{n}", **({} if ok else {"REASON": None})) for n, ok in enumerate(good)]
    read = ADAPTER.parse(authentic(payload(items=items)))
    assert [isinstance(item, Event) for item in read] == good
    assert [item for item in read if isinstance(item, UnreadableItem)] == [
        UnreadableItem(f"I{n}", Code.FIELD_MISSING, f"/ITEMS/ITEM/{n}/REASON")
        for n, ok in enumerate(good)
        if not ok
    ]


def test_what_stands_beside_the_items_is_kept() -> None:
    items = {"COUNT": "1", "ITEM": revocation("I1")}
    (event,) = ADAPTER.parse(authentic(payload(items=items, BZ=["a", "b"])))
    assert isinstance(event, Event)
    assert event.extra == {"message": {"BZ": ["a", "b"], "ITEMS": {"COUNT": "1"}}}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"REASON": "\ue000"}, "/REASON"),
        ({"ZSBH": "N\U0010fffd"}, "/ZSBH"),
        ({"BZ": {"inner": ["x", "\uf8ff"]}}, ""),
        ({"ITEMID": "\ue000"}, "/ITEMID"),
    ],
)
def test_a_private_use_character_costs_its_item_alone(change: dict[str, object], pointer: str) -> None:
    items = [revocation("I0"), revocation("I1", **change), revocation("I2", REASON="阿▀·买买提 \u4dae")]
    read = ADAPTER.parse(authentic(payload(items=items)))
    assert [isinstance(item, Event) for item in read] == [True, False, True]
    bad = read[1]
    assert isinstance(bad, UnreadableItem)
    assert (bad.code, bad.pointer) == (Code.PRIVATE_USE_CHARACTER, f"/ITEMS/ITEM/1{pointer}")


def test_a_code_that_this_mapping_takes_for_private_use_costs_its_item_alone() -> None:
    # A6D9 is a presentation form since 2005; the mapping of 2000 has it in private use, as the sender here.
    body = sending.render(payload(items=[revocation("I0", REASON="\ue78d"), revocation("I1")]))
    assert b"\xa6\xd9" in body
    read = ADAPTER.parse(authenticate(sending.send("ec", 0, body, "", NOW)))
    assert [getattr(item, "code", None) for item in read] == [Code.PRIVATE_USE_CHARACTER, None]


NUMBER: Final = "999901199003070025"
CLAIMS: Final = {
    "FZJG": "npt-issuer",
    "ZSBH": "NPT1",
    "AAC003": "测试甲",
    "AAC058": "01",
    "AAC044": NUMBER,
    "KCDM": "RS0107",
    "KCMC": "信息安全",
    "PXJGMC": "示例培训机构",
    "JYSJ": "20210420201500",
    "FZSJ": "20210421083000",
    "ZSLX": "课程培训合格证明",
}


def completion(
    claims: dict[str, str], change: Mapping[str, object] | None = None, kind: Kind = Kind.SM2
) -> Event | UnreadableItem:
    item: dict[str, object] = {"ITEMID": "I1", "EVENT": "JY", "EVENTTIME": "20210421083005"}
    item |= {"CERT": sending.certify(kind, claims), **(change or {})}
    (read,) = ADAPTER.parse(authentic(payload(items=[item])))
    return read


def code(event: Event | UnreadableItem, kind: Kind = Kind.SM2) -> tuple[Code, int]:
    assert isinstance(event, Event)
    assert event.certificate is not None
    with pytest.raises(CertificateRejected) as caught:
        certificates.verify(
            event.certificate,
            platform=PlatformSlug(sending.SLUG),
            register=sending.issuing(kind).trust("npt-issuer"),
            first_received_at=NOW,
        )
    return caught.value.code, caught.value.step


def test_a_certificate_with_a_private_use_character_is_refused_by_name() -> None:
    assert code(completion({**CLAIMS, "AAC003": "测试\ue863"})) == (Code.PRIVATE_USE_CHARACTER, 1)


def test_a_certificate_of_another_algorithm_than_the_pinned_one_is_refused() -> None:
    assert code(completion(CLAIMS, kind=Kind.RSA), Kind.SM2) == (Code.CERTIFICATE_CHAIN_REFUSED, 5)


@pytest.mark.parametrize(
    ("change", "stated"),
    [
        ({}, {}),
        ({"AAC002": NUMBER}, {"id_number": NUMBER}),
        ({"AAC044": NUMBER}, {"id_number": NUMBER}),
        ({"AAC044": NUMBER, "AAC002": NUMBER}, {"id_number": NUMBER}),
        ({"AAC003": "测试甲", "AAC002": "x"}, {"holder_name": "测试甲", "id_number": "x"}),
    ],
)
def test_either_number_repeats_the_certificates(change: dict[str, object], stated: dict[str, str]) -> None:
    event = completion(CLAIMS, change)
    assert isinstance(event, Event)
    assert (event.stated, event.extra) == (stated, {})


@pytest.mark.parametrize("written", ["*", "QUJ", "QUJD\u3000", "ＱＵＪＤ", "QU=JD"])
def test_a_content_that_is_no_base64_is_told_at_its_place(written: str) -> None:
    bad = completion(CLAIMS, {"CERT": written, "P7S": "MAA="})
    assert bad == UnreadableItem("I1", Code.FIELD_INVALID, "/ITEMS/ITEM/0/CERT")


def test_base64_may_be_broken_into_lines() -> None:
    event = completion(CLAIMS, {"CERT": " PENF\r\n\tUlQv Pg==\n", "P7S": "\nMA\nA=\n"})
    assert isinstance(event, Event)
    assert event.certificate is not None
    assert (event.certificate.content, event.certificate.signature) == (b"<CERT/>", "MAA=")
    assert code(event) == (Code.CERTIFICATE_MALFORMED, 1)


# --- what it is answered ------------------------------------------------------------------------------------


def test_a_batch_is_received_though_items_of_it_are_refused() -> None:
    bad = ItemOutcome("I1", ItemState.REFUSED, Code.ISSUER_NOT_ALLOWED, 4)
    answer = ADAPTER.acknowledge(DeliveryOutcome(DeliveryId("R1"), DeliveryState.ACCEPTED, (bad,)))
    assert answer.status == 200
    assert "<ERR>0</ERR><MSG>成功</MSG><MSGID>R1</MSGID>".encode("gb18030") in answer.body


def test_nothing_in_an_answer_is_markup() -> None:
    bad = ItemOutcome("<&>", ItemState.REFUSED, Code.FIELD_INVALID, pointer="/<x>")
    answer = ADAPTER.acknowledge(DeliveryOutcome(DeliveryId("a&b"), DeliveryState.ACCEPTED, (bad,)))
    text = answer.body.decode("gb18030").partition("?>")[2]
    root = etree.fromstring(text)
    said = [root.findtext(path) for path in ("MSGID", "ITEMS/ITEM/ITEMID", "ITEMS/ITEM/POINTER")]
    assert said == ["a&b", "<&>", "/<x>"]
