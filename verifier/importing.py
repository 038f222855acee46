"""One line of a platform's back-log on its way to the pipeline: steps 2 to 4b, without a transaction. Pure.

An import is under the same laws as callbacks, with one difference in what proves the sender. A callback is
authentic by the transport's signature, so that whatever it holds is kept. A file was handed over by an
operator, whose word does not make a certificate genuine. So a line is kept when something in it is proven:

- a certificate whose signature is genuine, whatever came of it afterwards (claims, times, identity);
- a revocation by number, for which its platform may speak, and an uploaded document: by the operator's word,
  as by the transport's signature in a callback;
- an item whose certificate is a document that is still to come.

Of any other line nothing is kept but its number and why (``rejected``).

The delivery says what it is: method ``IMPORT``, as path the file's digest and the line, as key the operator.
Its id is a keyed digest of the line: the same line, in whatever file, is the same delivery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from verifier import preparing
from verifier.errors import CATALOGUE, AdapterError, Code
from verifier.import_file import BadLine, Line
from verifier.keyring import Register
from verifier.model.delivery import (
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    Event,
    Headers,
    ItemOutcome,
    ItemState,
    UnreadableItem,
    Uploaded,
)
from verifier.ports import Adapter, Digest
from verifier.ports.importing import Counts, ImportForm, ImportSource
from verifier.preparing import HERE, Prepared, ProvenItem, Read

METHOD: Final = "IMPORT"
GENUINE_STEPS: Final = frozenset({8, 9, 11, 12})
"""Steps of ``verifier.certificates`` behind the one that proves the signature: what fails there is genuine.

But not step 10: by a compromised key anybody signs.
"""
_GENUINE: Final = frozenset({Code.IDENTIFIER_INVALID, Code.NAME_INVALID})
"""What is found wrong with a certificate after its last step."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an item was not simply taken in.

    Attributes:
        line: its line or row.
        item: its place among the items of its line, from 1; 0 where it is the line as a whole.
        state: what became of it; ``rejected`` if nothing is kept.
        last: the last line that belongs to it, if it goes over several.
    """

    line: int
    code: Code
    state: str
    item: int = 0
    pointer: str = ""
    step: int = 0
    last: int = 0

    def members(self) -> dict[str, Any]:
        """As the side file has it; no word of the line itself."""
        said = CATALOGUE[self.code]
        optional = {"item": self.item, "pointer": self.pointer, "step": self.step, "to_line": self.last}
        return {
            "line": self.line,
            "state": self.state,
            "code": self.code.value,
            **{name: value for name, value in optional.items() if value},
            "party": said.party.value,
            "zh": said.zh,
            "en": said.en,
        }


REJECTED: Final = "rejected"


@dataclass(frozen=True, slots=True)
class Readied:
    """A line before the transaction.

    Attributes:
        prepared: None where nothing of it is to be kept.
        problems: why not.
        wanted: the uploaded documents that it names; which have come, only the store knows.
    """

    line: int
    prepared: Prepared | None = field(default=None, repr=False)
    problems: tuple[Problem, ...] = ()
    wanted: frozenset[str] = frozenset()

    @property
    def last(self) -> int:
        """The last line that belongs to it."""
        return max([self.line, *(problem.last for problem in self.problems)])


@dataclass(frozen=True, slots=True)
class Preparer:
    """Prepares lines of one file.

    Attributes:
        form: the adapter's.
    """

    adapter: Adapter
    form: ImportForm
    register: Register = field(repr=False)
    digest: Digest = field(repr=False)
    source: ImportSource

    def ready(self, line: Line | BadLine, documents: Mapping[str, Uploaded], at: datetime) -> Readied:
        """Steps 2 to 4b for a line.

        Args:
            line: as it stands in the file.
            documents: those that it names and that have come, by id.
            at: when this service received it, aware UTC.
        """
        if isinstance(line, BadLine):
            problem = Problem(line.number, line.code, REJECTED, pointer=line.pointer, last=line.last)
            return Readied(line.number, problems=(problem,))
        try:
            read = self._read(line, at)
        except AdapterError as error:
            return _rejected(line, error.code, error.pointer)
        if read.code is not None:
            return _rejected(line, read.code, "")
        wanted = frozenset(preparing.documents_wanted(read))
        prepared = preparing.verify(read, self.register, self.digest, documents, HERE)
        if not proven(prepared, read):
            return Readied(line.number, None, tuple(_problems(line.number, prepared)), wanted)
        return Readied(line.number, slim(prepared), (), wanted)

    def _read(self, line: Line, at: datetime) -> Read:
        name = self.digest("import", b"\n".join((self.adapter.slug.encode(), line.item))).hex()
        packed = self.form.pack(line.item, name)
        if len(packed.body) > self.adapter.accepts.body_bytes:
            raise AdapterError(Code.REQUEST_TOO_LARGE, "the item is over the limit of a body")
        callback = Callback(
            platform=self.adapter.slug,
            method=METHOD,
            path=f"/import/{self.source.file_digest}/{line.number}",
            headers=Headers((("content-type", packed.content_type),)),
            body=packed.body,
            received_at=at,
            request_id=name[:32],
        )
        key_id = f"operator:{self.source.operator}"[:128]
        # A colon and a word that no platform's own id begins with, and a digest that nobody else can make.
        delivery_id = DeliveryId(f"import:{name}")
        return HERE.read(self.adapter, AuthenticatedCallback(callback, delivery_id, key_id, at))


def _rejected(line: Line, code: Code, pointer: str) -> Readied:
    if not line.whole and code in {Code.DELIVERY_UNREADABLE, Code.JSON_INVALID}:
        code, pointer = Code.IMPORT_LINE_TRUNCATED, ""
    elif code is Code.DELIVERY_UNREADABLE and not _is_text(line.item):
        code = Code.CHARSET_REFUSED
    return Readied(line.number, problems=(Problem(line.number, code, REJECTED, pointer=pointer),))


def _is_text(item: bytes) -> bool:
    try:
        item.decode()
    except UnicodeDecodeError:
        return False
    return b"\x00" not in item


def proven(prepared: Prepared, read: Read) -> bool:
    """Whether something in a line is proven, so that the line is kept."""
    return any(_proven(item, part) for item, part in zip(prepared.items, read.parts, strict=True))


def _proven(item: preparing.Item, part: Event | UnreadableItem) -> bool:
    if not isinstance(item, ItemOutcome):
        return True
    if isinstance(part, UnreadableItem) or part.certificate is None:
        return False
    return item.step in GENUINE_STEPS or (item.step == 0 and item.code in _GENUINE)


def slim(prepared: Prepared) -> Prepared:
    """Without the certificates that were verified: they stand in the body, and cross to another process."""
    items = tuple(_slim(item) if isinstance(item, ProvenItem) else item for item in prepared.items)
    return replace(prepared, items=items)


def _slim(item: ProvenItem) -> ProvenItem:
    event, signed = item.event, item.event.certificate
    assert signed is not None
    bare = replace(signed, content=b"", signature="", chain=())
    return replace(item, proven=replace(item.proven, event=replace(event, certificate=bare, extra={})))


def _problems(line: int, prepared: Prepared) -> Iterator[Problem]:
    several = len(prepared.items) > 1
    for place, item in enumerate(prepared.items, 1):
        if isinstance(item, ItemOutcome) and item.code is not None:
            yield Problem(line, item.code, REJECTED, place if several else 0, item.pointer, item.step)


# What became of it


_SETTLED: Final = frozenset({ItemState.ACCEPTED, ItemState.DUPLICATE})
_STATES: Final[Mapping[ItemState, str]] = {
    ItemState.ACCEPTED: "taken",
    ItemState.RECORDED: "taken",
    ItemState.DUPLICATE: "unchanged",
    ItemState.IN_REVIEW: "review",
    ItemState.WAITING: "waiting",
    ItemState.REFUSED: "refused",
}


def counted(before: Counts, readied: Sequence[Readied], outcomes: Mapping[int, DeliveryOutcome]) -> Counts:
    """The counts behind some more lines.

    Args:
        before: up to them.
        readied: the lines.
        outcomes: of those that were recorded, by line.
    """
    found = {name: getattr(before, name) for name in Counts.__dataclass_fields__}
    for one in readied:
        outcome = outcomes.get(one.line)
        if outcome is None:
            found[REJECTED] += len(one.problems)
            continue
        for item in outcome.items:
            # What was answered before is done; that it went to a reviewer then is still worth saying.
            known = outcome.replayed and _STATES[item.state] == "taken"
            found["unchanged" if known else _STATES[item.state]] += 1
    return Counts(**found)


def problems(readied: Sequence[Readied], outcomes: Mapping[int, DeliveryOutcome]) -> Iterator[Problem]:
    """What the side file says of some lines, in their order; arguments as for ``counted``."""
    for one in readied:
        yield from one.problems
        outcome = outcomes.get(one.line)
        if outcome is None:
            continue
        several = len(outcome.items) > 1
        for place, item in enumerate(outcome.items, 1):
            if item.state not in _SETTLED and item.code is not None:
                where = place if several else 0
                yield Problem(one.line, item.code, item.state.value, where, item.pointer, item.step)
