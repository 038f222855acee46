"""A profile is read whole or refused whole: everything that is wrong is said at once, each with its line."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import event, given
from hypothesis import strategies as st

from adapters.declared import load, load_all
from adapters.declared.document import MAX_BYTES, lines
from adapters.declared.schema import SECTIONS
from tests.platforms.examples import EXAMPLES, PROFILES
from tests.platforms.profiles import RIGHT, SLUG, Changes, declared, text
from verifier.errors import Code, ConfigurationError
from verifier.model.delivery import Accepts


def refused(raw: bytes | str, taken: frozenset[str] = frozenset(), named: str = "") -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(raw.encode() if isinstance(raw, str) else raw, taken=taken, named=named)
    assert caught.value.code is Code.CONFIGURATION_INVALID
    return caught.value


def faults(error: ConfigurationError) -> list[tuple[int, str]]:
    """Line and path of each."""
    found = []
    for row in error.detail.splitlines():
        form = re.fullmatch(r"第 (\d+) 行( \S+?)?：.+ · line \1\2?: .+", row)
        assert form is not None, row
        found.append((int(form[1]), (form[2] or "").strip()))
    return found


def test_the_least_profile_is_taken_with_its_defaults() -> None:
    platform = declared({})
    assert (platform.slug, platform.name, platform.profile) == (SLUG, "某平台", "assumed")
    assert platform.accepts == Accepts(frozenset({"application/json"}))
    assert platform.declaration.content == text({})
    assert len(platform.declaration.digest) == 64


def test_what_a_platform_accepts_is_declared() -> None:
    changes: Changes = {
        "content_types": ["text/json", "application/json"],
        "charset": "gb18030",
        "method": "PUT",
        "resource": "statements",
        "body_bytes": 4096,
    }
    assert declared(changes).accepts == Accepts(
        frozenset({"text/json", "application/json"}),
        charsets=frozenset({"gb18030"}),
        routes=frozenset({("PUT", "/statements")}),
        body_bytes=4096,
    )
    assert declared({"authenticity": {"scheme": "bearer"}, "delivery.id": "id"}).accepts.bearer


def test_the_words_of_a_platform_are_told() -> None:
    assert declared({}).events == {"done": "completed", "fixed": "corrected", "gone": "revoked"}
    roots: Changes = {**ROOTS, "items.roots": {"goneList": "revoked"}}
    assert declared(roots).events == {"goneList": "revoked"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.slug))
def test_a_platform_can_go_to_another_process(example: Any) -> None:
    assert pickle.loads(pickle.dumps(example.declaration)) == example.declaration  # noqa: S301 - our own


ROOTS: Changes = {"items.form": "roots", "events": None, "certificate": None}
CANONICAL: Changes = {"certificate.kind": "canonical", "certificate.signature": "s"}
JOINED: Changes = {**CANONICAL, "certificate.joined": True}
ALWAYS: Changes = {"events": {"always": "completed"}, "revoked": None}

WRONG: list[tuple[Changes, str]] = [
    ({"slug": None}, "slug"),
    ({"slug": "Some"}, "slug"),
    ({"slug": "no"}, "slug"),
    ({"slug": 7}, "slug"),
    ({"name": "Some platform"}, "name"),
    ({"profile": "guessed"}, "profile"),
    ({"content_types": []}, "content_types"),
    ({"content_types": "application/json"}, "content_types"),
    ({"content_types": ["application/json", "application/json"]}, "content_types"),
    ({"charset": "gb2312"}, "charset"),
    ({"method": "PUT"}, "method"),
    ({"body_bytes": True}, "body_bytes"),
    ({"body_bytes": 1}, "body_bytes"),
    ({"authenticity": None}, "authenticity"),
    ({"authenticity": "none"}, "authenticity"),
    ({"authenticity.scheme": "none"}, "authenticity.scheme"),
    ({"authenticity.header": "X-Secret"}, "authenticity.header"),
    ({"authenticity.header": None}, "authenticity.header"),
    ({"items.numbers_as_text": "yes"}, "items.numbers_as_text"),
    ({"items.form": "batch"}, "items.at"),
    ({"items.id": ["id", "id"]}, "items.id"),
    ({"items.id": []}, "items.id"),
    ({"items.id": ["a", 1]}, "items.id"),
    ({"items.id": "/a//b"}, "items.id"),
    ({"items.id": "/a~2"}, "items.id"),
    ({"items.form": "roots", "events": None, "revoked": None, "certificate": None}, "items.roots"),
    ({"items.roots": {"a": "completed"}}, "items.roots"),
    ({**ROOTS, "items.roots": {"a": "revoked", "b": "finished"}}, "items.roots.b"),
    ({"items.form": "roots", "items.roots": {"a": "completed"}}, "events"),
    ({"events.words": None}, "events.words"),
    ({"events.words.done": "unknown"}, "events.words.done"),
    ({"events.always": "completed"}, "events"),
    ({"events.word": None, "events.words": None}, "events"),
    ({"events.occurred_at": "when"}, "events.occurred_format"),
    ({**ALWAYS, "events.scope": "message"}, "events.scope"),
    ({"revoked": None}, "revoked"),
    ({"revoked.number": None}, "revoked.number"),
    ({"events.words": {"done": "completed"}}, "revoked"),
    ({"certificate": None}, "certificate"),
    ({"events.words": {"gone": "revoked"}}, "certificate"),
    ({"events.words": {"gone": "revoked"}, "certificate": None, "stated.number": "n"}, "stated"),
    ({"certificate.kind": "pdf"}, "certificate.kind"),
    ({"certificate.fields": None}, "certificate.fields"),
    ({"certificate.fields.issuer": None}, "certificate.fields.issuer"),
    ({"certificate.fields.issued_format": "iso"}, "certificate.fields.issued_format"),
    ({"certificate.fields.document": "type"}, "certificate.documents"),
    ({"certificate.documents": {"proof": "课程培训合格证明"}}, "certificate.documents"),
    ({"certificate.fields.level": "level"}, "certificate.levels"),
    ({"certificate.levels": {"3": "高级工"}}, "certificate.levels"),
    (
        {"certificate.fields.level": "level", "certificate.levels": {"3": "三级", "4": "中级工"}},
        "certificate.levels.3",
    ),
    ({"certificate.fields.started_at": "begun"}, "certificate.fields.started_format"),
    ({"certificate.fields.started_format": "rfc3339"}, "certificate.fields.started_format"),
    ({"certificate.fields.study_minutes": 90}, "certificate.fields.study_minutes"),
    ({"certificate.id_kinds": None}, "certificate.id_kinds"),
    ({"certificate.id_kinds": {}}, "certificate.id_kinds"),
    ({"certificate.id_kinds.2": "officer_card"}, "certificate.id_kinds.2"),
    ({"certificate.known": {"name": "n"}}, "certificate.known"),
    ({"certificate.kind": "canonical"}, "certificate.signature"),
    ({**CANONICAL, "certificate.other_names": ["a"]}, "certificate.other_names"),
    ({**JOINED, "certificate.encoding": "base64"}, "certificate.encoding"),
    ({**JOINED, "certificate.fields.issuer": "/a/b"}, "certificate.fields.issuer"),
    ({"answer": None}, "answer"),
    ({"answer.envelope": "xml"}, "answer.envelope"),
    ({"answer.envelope": "plain", "answer.success": "成功"}, "answer.success"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "path"), WRONG, ids=str)
def test_what_is_wrong_is_named_by_its_path_and_line(changes: Changes, path: str) -> None:
    source = text(changes)
    error = refused(source)
    assert error.pointer == path
    [(line, said)] = faults(error)
    assert said == path
    # The key's own line where it is there, else that of the nearest table that is.
    known = lines(source)
    way = tuple(path.split("."))
    while way and way not in known:
        way = way[:-1]
    assert line == known.get(way, 1)


UNKNOWN: list[tuple[Changes, str]] = [
    ({"colour": "red"}, "/"),
    ({"authenticity.password": "red"}, "authenticity"),
    ({"authenticity.tolerance_seconds": 5}, "authenticity"),  # another scheme's
    ({"answer.success": "OK"}, "answer"),  # another envelope's
    ({"items.limit": 5}, "items"),  # another form's
    ({"certificate.signature": "s"}, "certificate"),  # another kind's
    ({"certificate.colour": {"a": 1}}, "certificate"),
]


@pytest.mark.parametrize(("changes", "table"), UNKNOWN, ids=str)
def test_an_unknown_key_is_found_by_its_line_and_not_repeated(changes: Changes, table: str) -> None:
    source = text(changes)
    error = refused(source)
    [path] = changes
    name = path.rpartition(".")[2]
    assert error.pointer == table
    assert name not in error.detail
    assert faults(error) == [(lines(source)[tuple(path.split("."))], table.removeprefix("/"))]


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file() -> None:
    changes: Changes = {
        "charset": "latin-1",
        "items.id": "//",
        "revoked": None,
        "certificate.fields.number": None,
        "answer.envelope": "xml",
    }
    found = faults(refused(text(changes)))
    assert [path for _, path in found] == [
        "revoked",
        "charset",
        "items.id",
        "certificate.fields.number",
        "answer.envelope",
    ]
    assert [line for line, _ in found] == sorted(line for line, _ in found)


def test_with_a_scheme_that_is_none_the_keys_of_every_scheme_are_understood() -> None:
    changes: Changes = {"authenticity": {"scheme": "x", "header": "x-secret", "typ": "JWT", "other": 1}}
    error = refused(text(changes))
    assert [path for _, path in faults(error)] == ["authenticity.scheme", "authenticity"]


def test_no_value_of_the_file_is_in_the_error() -> None:
    for changes, _ in WRONG:
        for value in changes.values():
            if isinstance(value, str) and len(value) > 4 and value not in str(SECTIONS):
                assert value not in str(refused(text(changes)))


@pytest.mark.parametrize("slug", [SLUG])
def test_a_slug_that_another_platform_has_is_refused(slug: str) -> None:
    assert faults(refused(text({}), taken=frozenset({slug, "other"}))) == [(1, "slug")]


def test_the_file_bears_the_slug() -> None:
    assert faults(refused(text({}), named="another_platform")) == [(1, "slug")]
    assert load(text({}).encode(), taken=(), named=SLUG).slug == SLUG


def test_all_profiles_of_a_directory_are_read_and_all_faults_listed_by_file() -> None:
    good = {f"{SLUG}.toml": text({}).encode(), "another.toml": text({"slug": "another"}).encode()}
    assert [platform.slug for platform in load_all(good, taken=())] == ["another", SLUG]
    assert load_all({}, taken=()) == ()
    bad = {
        **good,
        "one.toml": b"=",
        "two.toml": text({"slug": "two", "charset": "x"}).encode(),
        "three.toml": text({}).encode(),
    }
    with pytest.raises(ConfigurationError) as caught:
        load_all(bad, taken=())
    assert caught.value.pointer == "one.toml:/"
    assert [row for row in caught.value.detail.splitlines() if row.endswith(".toml:")] == [
        "one.toml:",
        "three.toml:",
        "two.toml:",
    ]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"slug = 1\nname = \n", 2),
        (b"slug = 1\nslug = 2\n", 2),
        (b'name = """\n\n', 3),
        (b"a\n", 1),
        (b"# \xe4\xb8\xad\n\nslug = '\xff'\n", 3),
        (b"a = " + b"[" * 5000 + b"]" * 5000, 1),
        (b"#" * (MAX_BYTES + 1), 1),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(raw: bytes, line: int) -> None:
    error = refused(raw)
    assert error.pointer == "/"
    assert faults(error) == [(line, "")]


def test_lines_are_found_whatever_the_writing() -> None:
    source = """\
# comment = 1
slug = "x"   # another
  'quoted key' = 'a = b'
a.b.c = 1

[ table ]
text = \"\"\"
not = "a key"
[nor a table]
\"\"\"
list = [
  "one", # [1]
  "two = 2",
]
inline = { x = 1, "y.z" = { w = 2 } }

[table."sub.table"]
key = 1

[[array]]
inside = 1
"""
    found = lines(source)
    assert found[("slug",)] == 2
    assert found[("quoted key",)] == 3
    assert found[("a", "b", "c")] == found[("a",)] == 4
    assert found[("table",)] == 6
    assert found[("table", "text")] == 7
    assert found[("table", "list")] == 11
    assert found[("table", "inline", "y.z", "w")] == 15
    assert found[("table", "sub.table")] == 17
    assert found[("table", "sub.table", "key")] == 18
    assert found[("array", "inside")] == 21
    assert ("not",) not in found
    assert ("table", "not") not in found


KEYS = st.text("abcdef", min_size=1, max_size=4)
VALUES = st.one_of(
    st.integers(0, 9),
    st.text("a#=[]\"'\n. ", max_size=8),
    st.lists(st.text("a#]=\n,", max_size=4), max_size=4),
)
TREES = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4)


@given(TREES, st.sampled_from(["\n", "\r\n"]))
def test_every_key_of_any_document_has_its_line(tree: dict[str, dict[str, Any]], end: str) -> None:
    source = tomlkit.dumps(tree).replace("\n", end)
    found, rows = lines(source), source.split("\n")
    for table, inner in tree.items():
        assert rows[found[(table,)] - 1].strip() == f"[{table}]"
        for name in inner:
            assert re.match(rf"{name} ?=", rows[found[(table, name)] - 1])


def test_a_document_that_cannot_be_taken_apart_still_has_lines() -> None:
    # Longer than any statement of a profile.
    source = "a = [\n" + "1,\n" * 300 + "]\nb = 1\n"
    assert lines(source)[("b",)] == 303


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_the_file_it_is_refused_by_one_kind_of_error(raw: bytes) -> None:
    refused(raw)


@given(st.data())
def test_whatever_stands_in_place_of_a_value_is_refused_or_read(data: st.DataObject) -> None:
    paths = [(section, key.name) for section, found in SECTIONS.items() for key in found.keys]
    section, name = data.draw(st.sampled_from(paths))
    value: Any = data.draw(
        st.one_of(
            st.booleans(),
            st.integers(-5, 2**40),
            st.text("aé/~. ", max_size=3),
            st.just([]),
            st.just({"a": 1}),
        )
    )
    path = f"{section}.{name}" if section else name
    tree = text({path: value}) if section != "items.roots" else text({})
    try:
        load(tree.encode(), taken=())
    except ConfigurationError as error:
        found = faults(error)
    else:
        found = []
    event(f"{len(found)} faults")


def test_the_examples_stand_in_files_of_their_own_names() -> None:
    files = {path.name: path.read_bytes() for path in Path(PROFILES).glob("*.toml")}
    assert [platform.slug for platform in load_all(files, taken=())] == [example.slug for example in EXAMPLES]
    assert RIGHT["slug"] not in {example.slug for example in EXAMPLES}
