"""The ledger's tree, its tiles, its entries and the evidence bound to it."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier import ledger, merkle
from verifier.errors import AccessDenied, Code, LedgerRefused
from verifier.merkle import EMPTY_ROOT, Frontier
from verifier.model.ledger import Node, Tile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The eight inputs that implementations of RFC 6962 commonly test with, and the roots of their prefixes.
STANDARD_INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
STANDARD_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

LEAVES = [merkle.leaf_hash(number.to_bytes(2, "big")) for number in range(600)]
FINAL, NODES = Frontier().append(LEAVES)
STORED = {(node.level, node.index): node.hash for node in NODES}

sizes = st.integers(1, 300)


def stored(level: int, index: int) -> bytes:
    return STORED[level, index]


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def flip(data: st.DataObject, items: Sequence[bytes]) -> list[bytes]:
    """The same hashes with one byte of one of them changed."""
    which = data.draw(st.integers(0, len(items) - 1))
    place = data.draw(st.integers(0, 31))
    changed = bytearray(items[which])
    changed[place] ^= data.draw(st.integers(1, 255))
    return [*items[:which], bytes(changed), *items[which + 1 :]]


# The tree


@pytest.mark.parametrize("size", range(9))
def test_the_standard_inputs_have_the_published_roots(size: int) -> None:
    tree, _ = Frontier().append([merkle.leaf_hash(body) for body in STANDARD_INPUTS[:size]])
    assert tree.root().hex() == STANDARD_ROOTS[size]


def test_the_standard_inputs_have_the_published_audit_path() -> None:
    _, nodes = Frontier().append([merkle.leaf_hash(body) for body in STANDARD_INPUTS])
    by_place = {(node.level, node.index): node.hash for node in nodes}
    path = merkle.inclusion_proof(0, 8, lambda level, index: by_place[level, index])
    assert [item.hex()[:16] for item in path] == ["96a296d224f285c6", "5f083f0a1a33ca07", "6b47aaf29ee3c2af"]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 60), max_size=5))
def test_a_frontier_grown_in_any_steps_agrees_with_the_recursive_definition(steps: list[int]) -> None:
    tree, nodes = Frontier(), list[Node]()
    for step in steps:
        tree, completed = tree.append(LEAVES[tree.size : tree.size + step])
        nodes += completed
    assert tree.size == sum(steps)
    assert tree.root() == naive_root(LEAVES[: tree.size])
    assert nodes == [node for node in NODES if (node.index + 1) << node.level <= tree.size], (
        "the nodes completed do not depend on the steps"
    )


def test_every_stored_node_is_the_root_of_the_leaves_it_covers() -> None:
    for node in NODES:
        first = node.index << node.level
        assert node.hash == naive_root(LEAVES[first : first + (1 << node.level)])


@given(st.integers(0, 600))
def test_a_frontier_of_any_earlier_size_is_read_back_from_the_nodes(size: int) -> None:
    assert Frontier.read(size, stored).root() == naive_root(LEAVES[:size])
    assert merkle.tree_root(LEAVES[:size]) == naive_root(LEAVES[:size])


def test_a_frontier_needs_one_hash_for_each_bit_of_its_size() -> None:
    for size, hashes in ((1, ()), (0, (EMPTY_ROOT,)), (-1, (EMPTY_ROOT,)), (1, (b"short",))):
        with pytest.raises(LedgerRefused) as refused:
            Frontier(size, hashes)
        assert refused.value.code is Code.RECORD_INVALID
    with pytest.raises(LedgerRefused):
        Frontier.read(-1, stored)
    with pytest.raises(LedgerRefused):
        Frontier().append([b"short"])
    with pytest.raises(LedgerRefused):
        merkle.tree_root([b"short"])
    assert merkle.tree_root([]) == EMPTY_ROOT


# Proofs


def test_every_inclusion_and_consistency_proof_of_small_trees_verifies() -> None:
    roots = [naive_root(LEAVES[:size]) for size in range(41)]
    for new in range(41):
        for old in range(new + 1):
            proof = merkle.consistency_proof(old, new, stored)
            merkle.verify_consistency(old, new, roots[old], roots[new], proof)
        for index in range(new):
            path = merkle.inclusion_proof(index, new, stored)
            merkle.verify_inclusion(LEAVES[index], index, new, path, roots[new])


@given(st.data(), sizes)
def test_inclusion_is_proved_for_every_leaf_and_refused_for_any_flipped_byte(
    data: st.DataObject, size: int
) -> None:
    index = data.draw(st.integers(0, size - 1))
    root = naive_root(LEAVES[:size])
    proof = merkle.inclusion_proof(index, size, stored)
    merkle.verify_inclusion(LEAVES[index], index, size, proof, root)

    leaf, bad_root, *bad_proof = flip(data, [LEAVES[index], root, *proof])
    with pytest.raises(LedgerRefused) as refused:
        merkle.verify_inclusion(leaf, index, size, bad_proof, bad_root)
    assert refused.value.code is Code.RECORD_INVALID


@given(st.data(), sizes)
def test_inclusion_is_refused_at_any_other_index_and_for_a_proof_of_other_length(
    data: st.DataObject, size: int
) -> None:
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(-1, size).filter(lambda number: number != index))
    root = naive_root(LEAVES[:size])
    proof = merkle.inclusion_proof(index, size, stored)
    longer, shorter = [*proof, EMPTY_ROOT], proof[:-1]
    for place, path in ((other, proof), (index, longer), (index, shorter)):
        if (place, path) != (index, proof):
            with pytest.raises(LedgerRefused):
                merkle.verify_inclusion(LEAVES[index], place, size, path, root)


def test_a_proof_must_have_the_length_that_the_sizes_ask_for_even_if_the_hashes_fit() -> None:
    a, b, c, d = LEAVES[:4]
    pair, triple = merkle.node_hash(a, b), merkle.node_hash(c, merkle.node_hash(a, b))
    merkle.verify_inclusion(a, 0, 2, [b], pair)
    too_large, too_small = (3, [b], pair), (2, [b, c], triple)
    for size, proof, root in (too_large, too_small):
        with pytest.raises(LedgerRefused):
            merkle.verify_inclusion(a, 0, size, proof, root)

    old, new = merkle.node_hash(c, a), merkle.node_hash(c, pair)
    merkle.verify_consistency(3, 4, old, new, [a, b, c])
    too_short = a, pair, [a, b]
    too_long = merkle.node_hash(d, old), merkle.node_hash(d, new), [a, b, c, d]
    for old_root, new_root, proof in (too_short, too_long):
        with pytest.raises(LedgerRefused):
            merkle.verify_consistency(3, 4, old_root, new_root, proof)


@given(st.data(), st.integers(2, 300))
def test_consistency_is_proved_for_every_older_size_and_refused_for_any_flipped_byte(
    data: st.DataObject, new: int
) -> None:
    old = data.draw(st.integers(1, new - 1))
    roots = naive_root(LEAVES[:old]), naive_root(LEAVES[:new])
    proof = merkle.consistency_proof(old, new, stored)
    merkle.verify_consistency(old, new, *roots, proof)

    old_root, new_root, *bad_proof = flip(data, [*roots, *proof])
    with pytest.raises(LedgerRefused) as refused:
        merkle.verify_consistency(old, new, old_root, new_root, bad_proof)
    assert refused.value.code is Code.RECORD_INVALID


@given(st.data(), st.integers(2, 300))
def test_consistency_is_refused_for_a_proof_of_other_length(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(1, new - 1))
    roots = naive_root(LEAVES[:old]), naive_root(LEAVES[:new])
    proof = merkle.consistency_proof(old, new, stored)
    for path in ([*proof, EMPTY_ROOT], proof[:-1], []):
        with pytest.raises(LedgerRefused):
            merkle.verify_consistency(old, new, *roots, path)


def test_consistency_of_equal_and_empty_trees_needs_no_proof_and_takes_none() -> None:
    root = naive_root(LEAVES[:5])
    merkle.verify_consistency(5, 5, root, root, [])
    merkle.verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    merkle.verify_consistency(0, 5, EMPTY_ROOT, root, [])
    for old, new, old_root, new_root, proof in (
        (5, 5, root, EMPTY_ROOT, []),
        (5, 5, root, root, [root]),
        (0, 0, root, root, []),
        (0, 0, EMPTY_ROOT, root, []),
        (0, 5, root, root, []),
        (0, 5, EMPTY_ROOT, root, [root]),
        (5, 4, root, root, []),
        (-1, 5, EMPTY_ROOT, root, []),
    ):
        with pytest.raises(LedgerRefused):
            merkle.verify_consistency(old, new, old_root, new_root, proof)


def test_a_rewritten_leaf_breaks_consistency() -> None:
    forked, nodes = Frontier().append([merkle.leaf_hash(b"rewritten"), *LEAVES[1:9]])
    by_place = {(node.level, node.index): node.hash for node in nodes}
    proof = merkle.consistency_proof(6, 9, lambda level, index: by_place[level, index])
    with pytest.raises(LedgerRefused):
        merkle.verify_consistency(6, 9, naive_root(LEAVES[:6]), forked.root(), proof)


def test_proofs_of_what_does_not_exist_are_refused() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(LedgerRefused):
            merkle.inclusion_proof(index, size, stored)
    for old, new in ((6, 5), (-1, 5)):
        with pytest.raises(LedgerRefused):
            merkle.consistency_proof(old, new, stored)


def test_a_hash_of_another_length_is_refused_everywhere() -> None:
    with pytest.raises(LedgerRefused):
        merkle.verify_inclusion(b"short", 0, 1, [], b"short")
    with pytest.raises(LedgerRefused):
        merkle.verify_consistency(1, 1, b"short", b"short", [])


@given(st.data(), sizes)
def test_coordinates_name_all_nodes_that_a_proof_reads_each_once(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    wanted = merkle.coordinates(lambda node: merkle.inclusion_proof(index, size, node))
    fetched = {place: STORED[place] for place in wanted}
    assert len(set(wanted)) == len(wanted) <= 2 * size.bit_length()
    proof = merkle.inclusion_proof(index, size, lambda level, place: fetched[level, place])
    merkle.verify_inclusion(LEAVES[index], index, size, proof, naive_root(LEAVES[:size]))


# Tiles


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (1, 0, 1, "tile/1/000.p/1"),
        (63, 999, 255, "tile/63/999.p/255"),
        (0, 1000, 256, "tile/0/x001/000"),
        (0, 1234067, 256, "tile/0/x001/x234/067"),
        (None, 1234067, 112, "tile/entries/x001/x234/067.p/112"),
    ],
)
def test_tile_paths_are_those_of_the_specification(
    level: int | None, index: int, width: int, path: str
) -> None:
    assert ledger.tile_path(level, index, width) == path
    assert ledger.parse_tile_path(path) == Tile(level, index, width)


@given(st.none() | st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_every_tile_path_is_read_back(level: int | None, index: int, width: int) -> None:
    assert ledger.parse_tile_path(ledger.tile_path(level, index, width)) == Tile(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/x001/x002",
        "tile/0/001/002",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/data/001",
        "tile/0/001.p/0",
        "tile/0/001.p/01",
        "tile/0/001.p/256",
        "tile/0/001.p/999",
        "tile/0/001.p/",
        "tile/0/001\n",
        "/tile/0/001",
        "tile/0/٠٠١",
        "tile/0/x009/x999/x999/x999/x999/x999/999",
        "tile/0/" + "x001/" * 100 + "001",
    ],
)
def test_any_other_spelling_of_a_tile_path_is_not_found(path: str) -> None:
    with pytest.raises(AccessDenied) as denied:
        ledger.parse_tile_path(path)
    assert denied.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    ("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**63, 1), (0, 0, 0), (0, 0, 257)]
)
def test_a_tile_that_cannot_exist_has_no_path(level: int, index: int, width: int) -> None:
    with pytest.raises(AccessDenied):
        ledger.tile_path(level, index, width)


def test_tiles_hold_the_nodes_of_every_eighth_level() -> None:
    assert ledger.tile_bytes(0, 1, 256, stored) == b"".join(LEAVES[256:512])
    assert ledger.tile_bytes(0, 2, 88, stored) == b"".join(LEAVES[512:600])
    assert ledger.tile_bytes(1, 0, 2, stored) == naive_root(LEAVES[:256]) + naive_root(LEAVES[256:512])


def test_a_tile_exists_from_the_tree_size_on_that_completes_its_last_node() -> None:
    # The specification's example of 70,000 leaves: 273 full tiles, widths 112, 17 and 1 at the right edge.
    for tile in (Tile(0, 272), Tile(0, 273, 112), Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)):
        assert tile.tree_size <= 70_000
    for tile in (Tile(0, 273, 113), Tile(1, 1, 18), Tile(2, 0, 2), Tile(3, 0, 1), Tile(None, 273, 113)):
        assert tile.tree_size > 70_000


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_an_entry_bundle_is_read_back(entries: list[bytes]) -> None:
    bundle = ledger.entry_bundle(entries)
    assert ledger.parse_entry_bundle(bundle) == entries
    with pytest.raises(LedgerRefused):
        ledger.parse_entry_bundle(bundle + b"\x00")
    if len(entries[-1]) > 0:
        with pytest.raises(LedgerRefused):
            ledger.parse_entry_bundle(bundle[:-1])


def test_entries_in_a_bundle_follow_their_length_in_two_bytes() -> None:
    assert ledger.entry_bundle([b"ab", b""]) == b"\x00\x02ab\x00\x00"
    assert len(ledger.entry_bundle([bytes(65_535)])) == 65_537


def test_a_bundle_holds_neither_nothing_nor_too_much() -> None:
    too_many, too_long = [b""] * 257, [bytes(65_536)]
    for entries in ([], too_many, too_long):
        with pytest.raises(LedgerRefused):
            ledger.entry_bundle(entries)
    for bundle in (b"", b"\x00\x00" * 257, b"\x00"):
        with pytest.raises(LedgerRefused):
            ledger.parse_entry_bundle(bundle)


# Entries and evidence


def test_an_entry_is_canonical_json() -> None:
    body = ledger.entry_body({"类型": "record", "b": [1, None, True], "a": {"z": "é", "y": 1.5}})
    assert body == '{"a":{"y":1.5,"z":"é"},"b":[1,null,true],"类型":"record"}'.encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": float("nan")},
        {"amount": 2**53},
        {"text": "\ud800"},
        {"\ud800": 1},
        {"raw": b"bytes"},
        {"long": "x" * 65_536},
    ],
)
def test_what_has_no_canonical_form_or_is_too_long_is_no_entry(fields: dict[str, object]) -> None:
    with pytest.raises(LedgerRefused) as refused:
        ledger.entry_body(fields)
    assert refused.value.code is Code.RECORD_INVALID
    assert refused.value.__cause__ is None


def test_the_longest_entry_fits_a_bundle() -> None:
    body = ledger.entry_body({"x": "x" * (65_535 - len('{"x":""}'))})
    assert ledger.parse_entry_bundle(ledger.entry_bundle([body])) == [body]


def test_a_row_digest_is_what_its_documentation_says() -> None:
    salt = bytes(range(16))
    row: dict[str, str | int | bytes | bool | None] = {
        "state": "刘",
        "count": 3,
        "open": True,
        "body": b"\x00\xff",
        "closed_at": None,
    }
    values = '{"body":{"base64":"AP8="},"closed_at":null,"count":3,"open":true,"state":"刘"}'
    text = f'{{"row":{values},"table":"facts"}}'
    assert ledger.row_digest(salt, "facts", row) == sha256(salt + text.encode()).digest()


@given(
    st.binary(min_size=14, max_size=32),
    st.dictionaries(
        st.text("abz_é\U0001f600\ue000", min_size=1, max_size=4),
        st.none()
        | st.booleans()
        | st.integers(-(2**54), 2**54)
        | st.binary(max_size=40)
        | st.text(max_size=9),
        max_size=6,
    ),
)
def test_a_form_of_rows_digests_as_row_digest_does(
    salt: bytes, row: dict[str, str | int | bytes | bool | None]
) -> None:
    def said(how: Callable[[], bytes]) -> bytes | Code:
        try:
            return how()
        except LedgerRefused as error:
            return error.code

    form = ledger.RowForm("facts", list(row))
    assert said(lambda: form.digest(salt, list(row.values()))) == said(
        lambda: ledger.row_digest(salt, "facts", row)
    )


@pytest.mark.parametrize(("salt", "value"), [(bytes(15), "a"), (bytes(16), "\ud800"), (bytes(16), 2**53)])
def test_a_form_of_rows_refuses_what_row_digest_refuses(salt: bytes, value: str | int) -> None:
    with pytest.raises(LedgerRefused):
        ledger.RowForm("facts", ["a"]).digest(salt, [value])


@given(
    st.binary(min_size=16, max_size=16),
    st.text(st.sampled_from("0123456789abcdefXYZ-_"), max_size=32),
    st.text(st.sampled_from("0123456789abcdefXYZ-_"), max_size=32),
    st.one_of(
        st.text(st.characters(codec="utf-8")), st.integers(0, 9), st.binary(), st.booleans(), st.none()
    ),
)
def test_rows_that_differ_in_two_texts_have_the_digests_of_row_digest(
    salt: bytes, first: str, second: str, alike: str | int | bytes | None
) -> None:
    form = ledger.RowForm("disclosures", ["what", "b", "a"])
    pieces = form.between([alike, "", ""], [2, 1])
    assert pieces is not None
    before, between, behind = pieces
    text = b"".join((before, first.encode(), between, second.encode(), behind))
    row = {"a": first, "b": second, "what": alike}
    assert sha256(salt + text).digest() == ledger.row_digest(salt, "disclosures", row)


def test_rows_whose_other_values_hold_the_mark_are_not_cut() -> None:
    form = ledger.RowForm("disclosures", ["a", "what"])
    assert form.between(["", ledger._MARK], [0]) is None


def test_a_row_digest_depends_on_salt_table_column_value_and_type() -> None:
    salt = bytes(16)
    digests = [
        ledger.row_digest(salt, "facts", {"a": "AP8="}),
        ledger.row_digest(bytes(15) + b"\x01", "facts", {"a": "AP8="}),
        ledger.row_digest(salt, "reviews", {"a": "AP8="}),
        ledger.row_digest(salt, "facts", {"b": "AP8="}),
        ledger.row_digest(salt, "facts", {"a": b64decode("AP8=")}),
        ledger.row_digest(salt, "facts", {"a": 1}),
        ledger.row_digest(salt, "facts", {"a": True}),
        ledger.row_digest(salt, "facts", {"a": None}),
        ledger.row_digest(salt, "facts", {}),
    ]
    assert len(set(digests)) == len(digests)


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(LedgerRefused):
        ledger.row_digest(bytes(15), "facts", {"a": 1})


digest_lists = st.lists(st.binary(min_size=32, max_size=32), max_size=20)


@given(digest_lists, st.data())
def test_the_evidence_root_does_not_depend_on_the_order(digests: list[bytes], data: st.DataObject) -> None:
    root = naive_root([merkle.leaf_hash(item) for item in sorted(digests)])
    assert ledger.evidence_root(data.draw(st.permutations(digests))) == root


@given(digest_lists.filter(bool), st.data())
def test_the_evidence_root_shows_a_digest_removed_doubled_or_changed(
    digests: list[bytes], data: st.DataObject
) -> None:
    root = ledger.evidence_root(digests)
    assert ledger.evidence_root(digests[1:]) != root
    assert ledger.evidence_root([*digests, digests[0]]) != root
    assert ledger.evidence_root(flip(data, digests)) != root


def test_without_evidence_the_root_is_that_of_the_empty_tree() -> None:
    assert ledger.evidence_root([]) == EMPTY_ROOT
