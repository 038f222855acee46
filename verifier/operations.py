"""What an operator of the bureau does: admit enterprises, register systems, answer reviews, look things up.

Each operation is a function from named text parameters to a JSON-ready answer, so that the command line and
the local admin socket of a running service share them. Everything that changes something is a fact with its
source, or a new version of a row; nothing is edited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar

from verifier import arguments, explaining, learner, reviewing, subject
from verifier.asked import Parameters
from verifier.asked import malformed as _malformed
from verifier.asked import source as _source
from verifier.asked import text as _text
from verifier.errors import AccessDenied, Code, Conflict
from verifier.identity import uscc
from verifier.model.access import Client, ClientState, Role
from verifier.model.ledger import KINDS
from verifier.model.person import ClaimedKind
from verifier.model.time import beijing_date, iso
from verifier.ports import Clock, NewId, RandomBytes
from verifier.ports.acting import ActingTransaction, Review
from verifier.ports.operating import OperatingTransaction
from verifier.ports.reading import Reading
from verifier.ports.subject import SubjectTransaction
from verifier.reviewing import Closing
from verifier.signatures import client_secret, keys, strict_json

T = TypeVar("T")
_JWK_BYTES: Final = 8192
DECIDED_BY: Final = frozenset({"policy", "register"})
"""Kinds of source forms by which decisions are taken; another one's adoption changes none."""
_SECRETS: Final = 2
"""As many secrets a client has while one replaces the other."""


class OperatingUnits(Reading, Protocol):
    """Runs an operator's transactions, and reads."""

    async def operating(self, work: Callable[[OperatingTransaction], T]) -> T:
        """Run one writing transaction."""
        ...

    async def showing(self, work: Callable[[SubjectTransaction], T]) -> T:
        """Run one transaction that shows a person their own data."""
        ...

    async def acting(self, work: Callable[[ActingTransaction], T]) -> T:
        """Run one writing transaction of an act about a person."""
        ...

    async def open_reviews(self) -> Sequence[dict[str, Any]]:
        """Questions that no reviewer has answered."""
        ...


@dataclass(frozen=True, slots=True)
class SourceForm:
    """A policy, a register, profiles of declared platforms or the offices as their files say it.

    Attributes:
        kind: ``policy``, ``register``, ``profile`` or ``offices``.
        digest: hex, as decisions pin it.
        content: everything needed to read it again.
        said: what its ledger entry says besides.
    """

    kind: str
    digest: str
    content: str = field(repr=False)
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations over one store; ``further`` are those of others, by name."""

    units: OperatingUnits
    clock: Clock
    new_id: NewId
    randbytes: RandomBytes
    further: Mapping[str, Callable[[Parameters], Awaitable[dict[str, Any]]]] = field(default_factory=dict)

    def table(self) -> Mapping[str, Callable[[Parameters], Awaitable[dict[str, Any]]]]:
        """Every operation by its name on the command line."""
        return {
            "clients add": self.add_client,
            "clients revoke": self.revoke_client,
            "clients rotate-secret": self.rotate_secret,
            "clients drop-secret": self.drop_secret,
            "review list": self.reviews,
            "review close": self.close_review,
            "review show": self.show_review,
            "explain": self.explain,
            "learner show": self.show_learner,
            **self.further,
        }

    async def run(self, name: str, parameters: Parameters) -> dict[str, Any]:
        """Run one operation by name.

        Raises:
            AccessDenied: there is no such operation.
            RequestRejected: a parameter is missing or malformed.
        """
        operation = self.table().get(name)
        if operation is None:
            raise AccessDenied(Code.NOT_FOUND, "no such operation")
        return await operation(parameters)

    async def add_client(self, parameters: Parameters) -> dict[str, Any]:
        """Register a system: ``client``, ``role``; ``enterprises``, ``offices`` or ``platform``; ``jwk``.

        ``kinds`` narrows which ledger entries a subsidy system or an auditor sees.

        In place of ``jwk`` a platform may have a ``secret``, which is made here and shown this once.
        """
        key, answer = self._key(parameters)
        wanted = Client(
            client_id=_text(parameters, "client"),
            version=1,
            role=_role(_text(parameters, "role")),
            state=ClientState.ACTIVE,
            enterprises=frozenset(uscc(code) for code in _listed(parameters, "enterprises")),
            offices=frozenset(_listed(parameters, "offices")),
            platform=parameters.get("platform", ""),
            kinds=frozenset(_listed(parameters, "kinds")),
            **key,
        )
        _check_scope(wanted)
        before = await self.units.client(wanted.client_id)
        if before is not None:
            raise Conflict(Code.SCHEMA_INVALID, "a client of this name exists", pointer="client")
        at = self.clock()
        await self.units.operating(lambda tx: tx.put_client(wanted, at))
        return {"client": wanted.client_id, "role": wanted.role.value, **answer}

    def _key(self, parameters: Parameters) -> tuple[dict[str, Any], dict[str, str]]:
        """What a client proves itself with, as members of ``Client``, and what is answered about it."""
        if parameters.get("secret"):
            if parameters.get("jwk"):
                raise _malformed("secret")
            secret, stored = client_secret.new(self.randbytes)
            return {"jwk": {}, "secrets": (stored,)}, {"client_secret": secret}
        jwk = strict_json.loads(_text(parameters, "jwk").encode(), max_bytes=_JWK_BYTES)
        if not isinstance(jwk, dict):
            raise _malformed("jwk")
        thumbprint = keys.thumbprint(keys.public_jwk(keys.load_public_jwk(jwk)))
        return {"jwk": jwk}, {"key_thumbprint": thumbprint}

    async def revoke_client(self, parameters: Parameters) -> dict[str, Any]:
        """Revoke a system's access: ``client``. Its tokens are refused within seconds."""
        before = await self._client(parameters)
        await self._change(before, state=ClientState.REVOKED)
        return {"client": before.client_id, "state": ClientState.REVOKED.value}

    async def rotate_secret(self, parameters: Parameters) -> dict[str, Any]:
        """Make a ``client``'s new secret, shown this once; the old one holds until it is dropped."""
        before = await self._client(parameters)
        if not 0 < len(before.secrets) < _SECRETS:
            detail = "this client has no secret, or two already: drop the old one first"
            raise Conflict(Code.SCHEMA_INVALID, detail, pointer="client")
        secret, stored = client_secret.new(self.randbytes)
        await self._change(before, secrets=(stored, *before.secrets))
        return {"client": before.client_id, "client_secret": secret, "secrets": _SECRETS}

    async def drop_secret(self, parameters: Parameters) -> dict[str, Any]:
        """End the older of a ``client``'s two secrets, and every token it was given until now."""
        before = await self._client(parameters)
        if len(before.secrets) < _SECRETS:
            detail = "this client has no older secret: rotate first, or revoke the client"
            raise Conflict(Code.SCHEMA_INVALID, detail, pointer="client")
        await self._change(before, secrets=before.secrets[:1])
        return {"client": before.client_id, "secrets": 1}

    async def _client(self, parameters: Parameters) -> Client:
        found = await self.units.client(_text(parameters, "client"))
        if found is None:
            raise AccessDenied(Code.NOT_FOUND, "no such client", pointer="client")
        return found

    async def _change(self, before: Client, **members: Any) -> None:
        """Append the next version of a client: of two changes at once one finds its version taken."""
        after, at = replace(before, version=before.version + 1, **members), self.clock()
        await self.units.operating(lambda tx: tx.put_client(after, at))

    async def adopt(self, sources: Sequence[SourceForm], taken_up: Callable[[], None] | None = None) -> bool:
        """Adopt source forms as they stand: a row, a ledger entry, and everybody judged again.

        Args:
            sources: as they were read.
            taken_up: called within the transaction, perhaps more than once, when everything is written; None
                where nobody decides yet.

        Returns:
            Whether anything was new.
        """
        at = self.clock()

        def work(tx: OperatingTransaction) -> bool:
            adopted = [
                source.kind
                for source in sources
                if tx.adopt(source.kind, source.digest, source.content, source.said, at)
            ]
            if DECIDED_BY.intersection(adopted):
                total = tx.people()
                # While others write there may be somebody of whom this transaction cannot know yet.
                if total or taken_up is not None:
                    tx.add_sweep("adoption", total, at)
            if taken_up is not None:
                taken_up()
            return bool(adopted)

        return await self.units.operating(work)

    async def reviews(self, _: Parameters) -> dict[str, Any]:
        """Questions that wait for a reviewer, oldest first."""
        found = await self.units.open_reviews()
        return {"reviews": [{**review, "opened_at": iso(review["opened_at"])} for review in found]}

    async def close_review(self, parameters: Parameters) -> dict[str, Any]:
        """Answer a question: ``review``, ``outcome``, ``reason``.

        Which outcomes answer a question of which kind, is in ``verifier.reviewing``.
        """
        review_id = _text(parameters, "review")
        kind = await self._open_kind(review_id)
        # Some kinds are answered at a desk of their own.
        if desk := self.further.get(f"review close {kind}"):
            return await desk(parameters)
        outcome, reason = _text(parameters, "outcome"), _text(parameters, "reason")
        source, at = _source(parameters), self.clock()

        def closing(asked: Review) -> Closing:
            return Closing(asked, outcome, reason, source, at, self.new_id)

        return await self.units.acting(lambda tx: reviewing.close(tx, review_id, closing))

    async def show_review(self, parameters: Parameters) -> dict[str, Any]:
        """What a question is about: ``review``; the showing is logged for everybody it shows."""
        review_id, at = _text(parameters, "review"), self.clock()
        if desk := self.further.get(f"review show {await self._open_kind(review_id)}"):
            return await desk(parameters)
        clerk = arguments.clerk(parameters)
        return await self.units.acting(lambda tx: reviewing.show(tx, review_id, clerk=clerk, at=at))

    async def _open_kind(self, review_id: str) -> str:
        """The kind of an open question.

        Raises:
            Conflict: REVIEW_STATE_REFUSED, there is no such open one.
        """
        for review in await self.units.open_reviews():
            if review["review_id"] == review_id:
                return str(review["kind"])
        raise Conflict(Code.REVIEW_STATE_REFUSED, "no such open review", pointer="review")

    async def explain(self, parameters: Parameters) -> dict[str, Any]:
        """A decision's trace, clause by clause: ``id`` of the decision or of its record."""
        found = await self.units.explain(_text(parameters, "id"))
        if found is None:
            raise AccessDenied(Code.NOT_FOUND, "no such decision or record", pointer="id")
        return explaining.members(found)

    async def show_learner(self, parameters: Parameters) -> dict[str, Any]:
        """Everything held on one person: ``id_number``, ``purpose``; the clerk has seen the id card.

        ``id-kind`` says what card it is, a resident's where it is missing; a passport has an ``id-country``.
        """
        number, purpose = _text(parameters, "id_number"), _text(parameters, "purpose")
        at, clerk = self.clock(), _source(parameters).reference
        kind = parameters.get("id-kind", "") or ClaimedKind.RESIDENT_ID.value
        who = learner.strong(kind, number, parameters.get("id-country", ""), beijing_date(at))
        return await self.units.showing(
            lambda tx: subject.show(tx, who, clerk=f"clerk:{clerk}", purpose=purpose[:64], at=at)
        )


def _listed(parameters: Parameters, name: str) -> list[str]:
    return [part.strip() for part in parameters.get(name, "").split(",") if part.strip()]


def _role(word: str) -> Role:
    try:
        return Role(word)
    except ValueError:
        raise _malformed("role") from None


def _check_scope(client: Client) -> None:
    """Each role needs its own scope and takes no other: a client never gets more than its role can use."""
    given = {
        Role.ENTERPRISE: bool(client.enterprises),
        Role.SUBSIDY: bool(client.offices),
        Role.PLATFORM: bool(client.platform),
    }
    for role, present in given.items():
        if present != (client.role is role):
            raise _malformed({"enterprise": "enterprises", "subsidy": "offices"}.get(role, role.value))
    if client.secrets and client.role is not Role.PLATFORM:
        raise _malformed("secret")
    if client.kinds and (client.role not in {Role.SUBSIDY, Role.AUDITOR} or not client.kinds <= KINDS):
        raise _malformed("kinds")
