from __future__ import annotations

import resource
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from verifier.errors import Code, RequestRejected
from verifier.signatures import strict_xml
from verifier.signatures.strict_xml import CHARSETS, LIMITS, Limits, StrictRoot

LIMIT = 1_048_576
UTF8 = frozenset({"utf-8"})


def parse(
    raw: bytes,
    charsets: frozenset[str] = CHARSETS,
    content_charset: str | None = None,
    limits: Limits = LIMITS,
) -> StrictRoot:
    return strict_xml.parse(
        raw, max_bytes=LIMIT, charsets=charsets, content_charset=content_charset, limits=limits
    )


def refused(
    raw: bytes,
    charsets: frozenset[str] = CHARSETS,
    content_charset: str | None = None,
    limits: Limits = LIMITS,
) -> RequestRejected:
    with pytest.raises(RequestRejected) as caught:
        parse(raw, charsets, content_charset, limits)
    return caught.value


def declared(charset: str, body: str = "<r>张三</r>") -> bytes:
    return f'<?xml version="1.0" encoding="{charset}"?>\n{body}'.encode(charset)


def test_an_ordinary_document_is_read_as_the_parser_reads_it() -> None:
    raw = (
        "<r xmlns='urn:a' xmlns:b='urn:b' b:k='1'>\r\n <n>张&amp;三&#x9;</n><b:m/>x<![CDATA[<&>]]>y</r>"
    ).encode()
    root = parse(raw)
    assert etree.tostring(root, method="c14n") == etree.tostring(etree.fromstring(raw), method="c14n")
    assert [child.tail for child in root] == [None, "x<&>y"]


@pytest.mark.parametrize("charset", ["utf-8", "gbk", "gb18030"])
def test_each_charset_is_read_when_declared(charset: str) -> None:
    for spelling in (charset, charset.upper()):
        assert parse(declared(spelling)).text == "张三"
        assert parse(declared(spelling), frozenset({charset}), charset.upper()).text == "张三"


@pytest.mark.parametrize(
    "declaration",
    [
        "<?xml version='1.0'?>",
        '<?xml version="1.0" standalone="no"?>',
        "<?xml\tversion = '1.0'\r\nencoding = 'utf-8'\nstandalone = 'yes' ?>\n\n",
        "",
    ],
)
def test_a_document_that_names_no_other_charset_is_utf_8(declaration: str) -> None:
    assert parse(f"{declaration}<r>张</r>".encode(), UTF8).text == "张"
    assert refused(declaration.encode() + b"<r>\xd5\xc5</r>", UTF8).code is Code.CHARSET_REFUSED
    assert refused(f"{declaration}<r/>".encode(), frozenset({"gbk"})).code is Code.CHARSET_REFUSED


@pytest.mark.parametrize(
    "declaration",
    [
        b"<?xml?>",
        b"<?xml version='1.1'?>",
        b"<?xml version='1.0\"?>",
        b"<?xml encoding='utf-8'?>",
        b"<?xml version='1.0' standalone='yes' encoding='utf-8'?>",
        b"<?xml version='1.0'encoding='utf-8'?>",
        b"<?xml version='1.0' encoding=''?>",
        b"<?xml version='1.0' encoding='utf-8' encoding='gbk'?>",
        b"<?xml version='1.0'" + b" " * 200 + b"?>",
        b" <?xml version='1.0'?>",
        b"<?xml-stylesheet href='x'?>",
    ],
)
def test_a_declaration_that_is_not_one_is_refused(declaration: bytes) -> None:
    assert refused(declaration + b"<r/>").code is Code.XML_REFUSED


@pytest.mark.parametrize(
    "charset", ["gb2312", "big5", "iso-8859-1", "utf-16", "utf-7", "utf8", "rot13", "idna"]
)
def test_a_charset_that_no_profile_may_declare_is_refused(charset: str) -> None:
    raw = f"<?xml version='1.0' encoding='{charset}'?><r/>".encode()
    assert refused(raw, CHARSETS | {charset}).code is Code.CHARSET_REFUSED


def test_a_charset_that_the_profile_or_the_content_type_does_not_name_is_refused() -> None:
    assert refused(declared("gbk"), UTF8).code is Code.CHARSET_REFUSED
    assert refused(declared("gbk"), CHARSETS, "gb18030").code is Code.CHARSET_REFUSED
    assert refused(b"<r/>", CHARSETS, "gbk").code is Code.CHARSET_REFUSED


@pytest.mark.parametrize(
    ("charset", "wrong"),
    [
        *(
            ("utf-8", wrong)
            for wrong in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe6\xb1")
        ),
        *(("gbk", wrong) for wrong in (b"\x80", b"\xff", b"\x81", b"\xaa\xa1", b"\x82\x35\x8f\x33")),
        *(
            ("gb18030", wrong)
            for wrong in (b"\x80", b"\xff", b"\x81\x30", b"\xe3\x32\x9a\x36", b"\x84\x31\xa5")
        ),
    ],
)
def test_bytes_that_are_not_of_the_charset_are_refused_where_they_stand(charset: str, wrong: bytes) -> None:
    raw = declared(charset).replace("三".encode(charset), wrong)
    error = refused(raw)
    assert error.code is Code.CHARSET_REFUSED
    assert error.pointer == f"offset {raw.index(wrong)}"


@pytest.mark.parametrize("raw", ["\ufeff<r/>".encode(), "<r/>".encode("utf-16"), "<r/>".encode("utf-32")])
def test_a_byte_order_mark_is_refused(raw: bytes) -> None:
    assert refused(raw).code in {Code.XML_REFUSED, Code.CHARSET_REFUSED}


def test_a_character_of_names_that_gbk_lacks_is_read_from_gb_18030() -> None:
    assert parse(declared("gb18030", "<r>䶮𠮷·ۋ</r>")).text == "䶮𠮷·ۋ"
    with pytest.raises(UnicodeEncodeError):
        declared("gbk", "<r>䶮</r>")


@pytest.mark.parametrize(
    "raw",
    [
        # 0xA8BC is U+1E3F in later editions of GB 18030, private use in Python 3.11's.
        declared("gb18030", "<r>X</r>").replace(b"X", b"\xa8\xbc"),
        declared("gb18030", "<r>X</r>").replace(b"X", b"\xaa\xa1"),
        "<r>\ue000</r>".encode(),
        "<r k='\uf8ff'/>".encode(),
        "<r>\U0010fffd</r>".encode(),
        b"<r>&#xE863;</r>",
        b"<r><a/>&#57344;</r>",
        b"<r k='&#xF0000;'/>",
    ],
)
def test_a_private_use_character_is_refused_by_name_unless_the_profile_looks_itself(raw: bytes) -> None:
    assert refused(raw).code is Code.PRIVATE_USE_CHARACTER
    root = strict_xml.parse(raw, max_bytes=LIMIT, charsets=CHARSETS, keep_private_use=True)
    assert strict_xml.has_private_use("".join(root.itertext()) + "".join(root.attrib.values()))
    assert not strict_xml.has_private_use("张三")


@pytest.mark.parametrize(
    "character", ["\0", "\x08", "\x1b", "\x7f", "\x85", "\x9f", "\ufdd0", "\ufffe", "\uffff"]
)
@pytest.mark.parametrize("keep_private_use", [True, False])
def test_a_control_character_is_refused_however_it_is_written(
    character: str, *, keep_private_use: bool
) -> None:
    for raw in (f"<r>{character}</r>", f"<r>&#{ord(character)};</r>", f"<r k='&#x{ord(character):X};'/>"):
        with pytest.raises(RequestRejected) as caught:
            strict_xml.parse(
                raw.encode(), max_bytes=LIMIT, charsets=CHARSETS, keep_private_use=keep_private_use
            )
        assert caught.value.code is Code.XML_REFUSED


LAUGHS = "".join(f"<!ENTITY l{i + 1} '{f'&l{i};' * 10}'>" for i in range(9))


@pytest.mark.parametrize(
    "text",
    [
        f"<!DOCTYPE r [<!ENTITY l0 'ha'>{LAUGHS}]><r>&l9;</r>",
        "<!DOCTYPE r [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><r>&x;</r>",
        "<!DOCTYPE r [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/x'>%p;]><r/>",
        "<!DOCTYPE r SYSTEM 'http://127.0.0.1:9/x.dtd'><r/>",
        "<!DOCTYPE r><r/>",
        "<!doctype r><r/>",
        "<r><!ENTITY x 'y'></r>",
        "<r><!-- --></r>",
        "<r/><!-- -->",
        "<r><?php x ?></r>",
        "<r/><?x?>",
        "<r><![cdata[x]]></r>",
        "<r><![IGNORE[x]]></r>",
    ],
)
def test_dtds_entities_comments_and_processing_instructions_are_refused_before_the_parser(text: str) -> None:
    error = refused(text.encode())
    assert error.code is Code.XML_REFUSED
    assert error.detail == "a DTD, a comment or a processing instruction"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "<r>",
        "<r></s>",
        "<r/><s/>",
        "<r/>x",
        "<r>&x;</r>",
        "<r k='&nbsp;'/>",
        "<r>&</r>",
        "<r>&#0;</r>",
        "<r>&#xD800;</r>",
        "<r>&#x110000;</r>",
        "<r a='1' a='2'/>",
        "<r xmlns:a='urn:x' xmlns:b='urn:x' a:k='1' b:k='2'/>",
        "<r a=1/>",
        "<r a='<'/>",
        "<a:r/>",
        "<r a:k='1'/>",
        "<r xmlns:a=''/>",
        "<a:b:c xmlns:a='urn:x'/>",
        "<r>]]></r>",
        "<r><![CDATA[x</r>",
    ],
)
def test_what_is_not_well_formed_is_refused_and_not_mended(text: str) -> None:
    error = refused(text.encode())
    assert error.code is Code.XML_REFUSED
    assert error.detail == "not well-formed, or nested too deep"
    assert error.__context__ is None


@pytest.mark.parametrize("name", ["xml:base", "xml:lang", "xml:space", "xml:id"])
def test_an_attribute_of_the_xml_namespace_is_refused(name: str) -> None:
    assert refused(f"<r><a k='1' {name}='preserve'/></r>".encode()).code is Code.XML_REFUSED


SMALL = Limits(depth=3, elements=4, namespaces=2, attributes=2, all_attributes=3, name=8, text=6)


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        ("<r><a><b/></a></r>", "<r><a><b><c/></b></a></r>"),
        ("<r><a/><a/><a/></r>", "<r><a/><a/><a/><a/></r>"),
        ("<r><a></a><a></a><a></a></r>", "<r><a></a><a></a><a></a><a></a></r>"),
        ("<r xmlns='u:' xmlns:a='v:'/>", "<r xmlns='u:' xmlns:a='v:' xmlns:b='w:'/>"),
        ("<r a='' b=''/>", "<r a='' b='' c=''/>"),
        ("<r a='' b=''><a a=''/></r>", "<r a='' b=''><a a='' b=''/></r>"),
        ("<r a=''>=====</r>", "<r a=''>======</r>"),
        ("<rrrrrrrr/>", "<rrrrrrrrr/>"),
        ("<r xmlns='u:abc'/>", "<r xmlns='u:abcd'/>"),
        ("<r aaaaaaaa=''/>", "<r aaaaaaaaa=''/>"),
        ("<r a='张张张张张张'/>", "<r a='张张张张张张张'/>"),
        ("<r>张张张张张张</r>", "<r>张张张张张张张</r>"),
        ("<r><a/>&lt;&lt;&lt;&lt;&lt;&lt;</r>", "<r><a/>&lt;&lt;&lt;&lt;&lt;&lt;&lt;</r>"),
    ],
)
def test_each_cap_is_exact(within: str, beyond: str) -> None:
    parse(within.encode(), limits=SMALL)
    assert refused(beyond.encode(), limits=SMALL).code is Code.XML_REFUSED
    parse(beyond.encode())


def test_the_size_is_settled_first() -> None:
    assert strict_xml.parse(b"<r/>", max_bytes=4, charsets=UTF8).tag == "r"
    with pytest.raises(RequestRejected) as caught:
        strict_xml.parse(b"<r />", max_bytes=4, charsets=UTF8)
    assert caught.value.code is Code.REQUEST_TOO_LARGE


def test_a_canonical_form_is_read_again_whatever_its_length() -> None:
    repeated = "".join("<a:x/>" for _ in range(40))
    root = parse(f"<r xmlns:a='urn:a'>{repeated}</r>".encode())
    canonical = etree.tostring(root, method="c14n", exclusive=True)
    assert canonical.count(b"xmlns") == 40
    assert etree.tostring(strict_xml.parse_again(canonical), method="c14n", exclusive=True) == canonical


HEAVY = {
    "nesting": b"<a>" * 349_000,
    "elements": b"<r>" + b"<a/>" * 262_000 + b"</r>",
    "attributes": b"<r " + b" ".join(b"a%x=''" % i for i in range(110_000)) + b"/>",
    "namespaces": b"<r " + b" ".join(b"xmlns:a%x='u:'" % i for i in range(50_000)) + b"/>",
    "a long namespace for many elements": b"<r xmlns='u:%s'>" % (b"A" * 500_000) + b"<a/>" * 19_000 + b"</r>",
    "a long namespace for many attributes": b"<r xmlns:a='u:%s' " % (b"A" * 500_000)
    + b" ".join(b"a:a%05x=''" % i for i in range(45_000))
    + b"/>",
    "a long name": b"<" + b"a" * 1_000_000 + b"/>",
    "a long text": b"<r>" + b"a" * 1_000_000 + b"</r>",
    "open tags": b"<" * 1_000_000,
    "references": b"<r>" + b"&" * 1_000_000,
    "comments": b"<r>" + b"<!---->" * 140_000 + b"</r>",
    "a long declaration": b"<?xml" + b" " * 1_000_000,
}


@pytest.mark.parametrize("kind", HEAVY)
def test_a_heavy_document_is_refused_without_copies_that_grow_with_it(kind: str) -> None:
    tracemalloc.start()
    try:
        assert refused(HEAVY[kind]).code is Code.XML_REFUSED
        assert tracemalloc.get_traced_memory()[1] < 12 * LIMIT
    finally:
        tracemalloc.stop()


def test_names_made_up_by_senders_do_not_stay_in_memory() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()

    def made_up(number: int) -> bytes:
        names = (f"<a{number}_{index}_{'x' * 200}/>" for index in range(4_000))
        return f"<r>{''.join(names)}</r>".encode()

    parse(made_up(0))
    before = resident()
    for number in range(1, 25):
        parse(made_up(number))
    # They were 20 MiB of names.
    assert resident() - before < 8 * LIMIT


pieces = st.sampled_from(
    [
        *(
            "<r>",
            "</r>",
            "<r/>",
            "<a k='1'>",
            "</a>",
            "<b:c xmlns:b='u:'>",
            "</b:c>",
            " xmlns='u:'",
            "='",
            "'",
            ">",
        ),
        *(
            "<!DOCTYPE r>",
            "<![CDATA[",
            "]]>",
            "<!--",
            "-->",
            "<?x",
            "?>",
            "&lt;",
            "&x;",
            "&#xE000;",
            "&#9;",
            "&",
        ),
        *(
            "<?xml version='1.0' encoding='gbk'?>",
            "<?xml version='1.0'?>",
            "张",
            "\ue000",
            "\0",
            "\r\n",
            "xml:lang",
        ),
    ]
)
documents = st.one_of(
    st.binary(max_size=200),
    st.lists(pieces, max_size=12).map(lambda parts: "".join(parts).encode()),
    st.lists(pieces, max_size=12).map(lambda parts: "".join(parts).encode("gb18030")),
    st.lists(pieces, max_size=8).map(lambda parts: f"<r>{''.join(parts)}</r>".encode()),
)


@given(
    raw=documents,
    charsets=st.sets(st.sampled_from(sorted(CHARSETS))),
    named=st.sampled_from([None, "gbk", "é"]),
)
@example(raw=b"<r/>", charsets={"utf-8"}, named=None)
def test_whatever_comes_is_a_strict_tree_or_is_refused(
    raw: bytes, charsets: set[str], named: str | None
) -> None:
    try:
        root = parse(raw, frozenset(charsets), named, replace(LIMITS, depth=4))
    except RequestRejected:
        return
    assert all(isinstance(element.tag, str) for element in root.iter())
    canonical = etree.tostring(root, method="c14n").decode()
    assert "\ue000" not in canonical
    # Its canonical form holds nothing that would be refused, and is a fixed point.
    again = parse(canonical.encode())
    assert etree.tostring(again, method="c14n").decode() == canonical
