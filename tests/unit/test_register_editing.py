"""Changing the register's source form by program leaves everything else as a person wrote it."""

from __future__ import annotations

import difflib
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import Code, ConfigurationError
from verifier.keyring.editing import Entry, Kind, Source

ROOT = Path(__file__).parents[2]
MOMENT = datetime.fromisoformat("2021-05-01T12:00:00+08:00")

WRITTEN = """# 名册 register

[[platform]]
slug = "a" # first
# belongs to the slug

# about its transport
# in two lines

[[platform.transport]]
key_id = "t" # one

# about b

[[platform]]
slug = "b"
[[platform.recognised]]
from = 2021-01-01
# belongs to the recognition

# about the issuer
[[issuer]]
id = "i"
platforms = ["a",
  "b"]  # in two lines
[[issuer.key]]
kid = "k"   # kept
state = "active" # good

# about the anchor
[[issuer.anchor]]
id = "r"

# at the end
"""


def changes(before: str, after: bytes) -> list[str]:
    """The lines that differ: removed ones with a minus, added ones with a plus."""
    lines = difflib.ndiff(before.splitlines(), after.decode().splitlines())
    return [line for line in lines if line[0] in "+-"]


def test_a_key_stands_behind_the_holders_others_and_before_the_comment_on_what_follows() -> None:
    source = Source(WRITTEN.encode())
    source.add(Entry(Kind.KEY, "i", "n"), {"algorithm": "ES256", "not_before": MOMENT})
    expected = WRITTEN.replace(
        'state = "active" # good\n',
        'state = "active" # good\n\n[[issuer.key]]\nkid = "n"\nalgorithm = "ES256"\n'
        "not_before = 2021-05-01T12:00:00+08:00\n",
    )
    assert source.written().decode() == expected


def test_a_holders_first_key_stands_behind_all_that_is_the_holders() -> None:
    source = Source(WRITTEN.encode())
    source.add(Entry(Kind.TRANSPORT, "b", "n"), {"secret": "s"})
    expected = WRITTEN.replace(
        "# belongs to the recognition\n",
        '# belongs to the recognition\n\n[[platform.transport]]\nkey_id = "n"\nsecret = "s"\n',
    )
    assert source.written().decode() == expected


def test_a_new_issuer_with_its_first_anchor_stands_at_the_end() -> None:
    source = Source(WRITTEN.encode())
    source.add_issuer("j", "scope", ["a", "b"])
    source.add(Entry(Kind.ANCHOR, "j", "n"), {"crls": ["x.crl", "y.crl"]})
    added = (
        '[[issuer]]\nid = "j"\nnumber_scope = "scope"\nplatforms = ["a", "b"]\n\n'
        '[[issuer.anchor]]\nid = "n"\ncrls = ["x.crl", "y.crl"]\n'
    )
    assert source.written().decode() == WRITTEN.replace("\n# at the end\n", f"\n{added}\n# at the end\n")


def test_a_changed_entry_keeps_its_other_lines_and_comments() -> None:
    source = Source(WRITTEN.encode())
    source.change(Entry(Kind.KEY, "i", "k"), {"state": "compromised", "compromised_since": MOMENT})
    assert changes(WRITTEN, source.written()) == [
        '- state = "active" # good',
        '+ state = "compromised" # good',
        "+ compromised_since = 2021-05-01T12:00:00+08:00",
    ]


def test_changes_may_follow_each_other() -> None:
    source = Source(WRITTEN.encode())
    source.add(Entry(Kind.KEY, "i", "n"), {"state": "active"})
    source.change(Entry(Kind.KEY, "i", "k"), {"state": "retiring", "not_after": MOMENT})
    source.change(Entry(Kind.KEY, "i", "n"), {"state": "retired"})
    written = source.written()
    assert tomllib.loads(written.decode())["issuer"][0]["key"] == [
        {"kid": "k", "state": "retiring", "not_after": MOMENT},
        {"kid": "n", "state": "retired"},
    ]
    assert [line for line in changes(WRITTEN, written) if line.startswith("-")] == [
        '- state = "active" # good'
    ]
    assert '\nnot_after = 2021-05-01T12:00:00+08:00\n\n[[issuer.key]]\nkid = "n"\n' in written.decode()


def test_the_register_of_this_repository_can_be_changed() -> None:
    before = (ROOT / "keys" / "trust.toml").read_text(encoding="utf-8")
    source = Source(before.encode())
    source.add(Entry(Kind.TRANSPORT, "china_vocational_training", "2021-a"), {"secret": "s"})
    source.add_issuer("i", "i", ["new_occupation"])
    source.add(Entry(Kind.KEY, "i", "k"), {"state": "active"})
    assert not [line for line in changes(before, source.written()) if line.startswith("-")]


def test_what_is_there_is_found_and_what_is_not_is_not() -> None:
    source = Source(WRITTEN.encode())
    assert source.get(Entry(Kind.KEY, "i", "k")) == {"kid": "k", "state": "active"}
    for nothing in (Entry(Kind.KEY, "i", "r"), Entry(Kind.KEY, "j", "k"), Entry(Kind.TRANSPORT, "b", "t")):
        assert source.get(nothing) is None


@pytest.mark.parametrize(
    ("pointer", "act"),
    [
        ("kid", lambda source: source.add(Entry(Kind.KEY, "i", "k"), {})),
        ("id", lambda source: source.add(Entry(Kind.KEY, "j", "k"), {})),
        ("slug", lambda source: source.add(Entry(Kind.TRANSPORT, "c", "t"), {})),
        ("kid", lambda source: source.change(Entry(Kind.KEY, "i", "n"), {})),
        ("id", lambda source: source.change(Entry(Kind.ANCHOR, "i", "n"), {})),
        ("key_id", lambda source: source.change(Entry(Kind.TRANSPORT, "b", "t"), {})),
        ("issuer", lambda source: source.add_issuer("i", "i", ["a"])),
    ],
)
def test_what_is_missing_or_there_already_is_said(pointer: str, act: Any) -> None:
    source = Source(WRITTEN.encode())
    with pytest.raises(ConfigurationError) as refused:
        act(source)
    assert (refused.value.code, refused.value.pointer) == (Code.CONFIGURATION_INVALID, pointer)
    assert source.written().decode() == WRITTEN


INTERLEAVED = '[[platform]]\nslug = "a"\n[[issuer]]\nid = "i"\n[[platform]]\nslug = "b"\n'
INLINE = '[[platform]]\nslug = "a"\ntransport = [{key_id = "t"}]\n'


def test_a_layout_that_would_not_stay_as_it_is_is_left_to_a_person() -> None:
    with pytest.raises(ConfigurationError, match="cannot be changed by program"):
        Source(INTERLEAVED.encode())
    with pytest.raises(ConfigurationError, match="cannot be changed by program"):
        Source(INLINE.encode()).add(Entry(Kind.TRANSPORT, "a", "n"), {})


def test_what_would_not_read_as_was_asked_for_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(WRITTEN.encode())
    monkeypatch.setattr("verifier.keyring.editing._append", lambda *_: None)
    source.add(Entry(Kind.KEY, "i", "n"), {})
    with pytest.raises(ConfigurationError, match="cannot be changed by program"):
        source.written()


@pytest.mark.parametrize("raw", [b"\xff", b"[[platform]", b"a = 1\na = 2\n"])
def test_what_is_not_toml_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigurationError, match="not TOML"):
        Source(raw)


@pytest.mark.parametrize("raw", ["", "platform = 1\n", "platform = [1]\n", '[platform]\nslug = "a"\n'])
def test_what_is_no_register_has_no_entries(raw: str) -> None:
    source = Source(raw.encode())
    with pytest.raises(ConfigurationError):
        source.add(Entry(Kind.TRANSPORT, "a", "t"), {})


def test_a_last_line_without_an_end_gets_one() -> None:
    source = Source(WRITTEN.removesuffix("\n").encode())
    source.add_issuer("j", "j", ["a"])
    assert source.written().endswith(b"\n\n# at the end\n")


lines = st.lists(st.sampled_from(["", "# remark", "# 说明"]), max_size=3).map(
    lambda found: "".join(f"{one}\n" for one in found)
)


@given(st.data())
def test_whatever_stands_around_it_only_the_entry_is_added(data: st.DataObject) -> None:
    parts = [data.draw(lines)]
    for header in (
        "[[platform]]\nslug = 'a'",
        "[[platform.transport]]\nkey_id = 't'",
        "[[platform]]\nslug = 'b'",
    ):
        parts += [header, data.draw(st.sampled_from(["\n", " # why\n"])), data.draw(lines)]
    for header in ("[[issuer]]\nid = 'i'", "[[issuer.key]]\nkid = 'k'", "[[issuer.anchor]]\nid = 'r'"):
        parts += [header, "\n", data.draw(lines)]
    before = "".join(parts)
    entry = data.draw(
        st.sampled_from(
            [
                Entry(Kind.TRANSPORT, "a", "n"),
                Entry(Kind.TRANSPORT, "b", "n"),
                Entry(Kind.KEY, "i", "n"),
                Entry(Kind.ANCHOR, "i", "n"),
            ]
        )
    )
    source = Source(before.encode())
    source.add(entry, {"not_before": MOMENT})
    after = source.written()
    assert not [line for line in changes(before, after) if line.startswith("-")]
    assert source.get(entry) is not None
