"""Its application: ``create(url, keys)`` for uvicorn.

POST /webhooks   one completion each, by Standard Webhooks
POST /rosters    an enterprise's people; without authentication, for what is measured is the other one
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from standardwebhooks import Webhook, WebhookVerificationError

from benchmarks.usual import checks
from benchmarks.usual.checks import Claims, Keys, Message, Refused, Row
from benchmarks.usual.models import Base, Completion, Decision, Delivery, Employment, Learner, Month


def engine_of(url: str) -> AsyncEngine:
    """The engine, with commits that survive a power failure on both databases."""
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_size=10, max_overflow=10)
    # Writers take turns anyway; with more connections they would sleep until SQLite lets them try again.
    engine = create_async_engine(url, pool_size=1, max_overflow=0, connect_args={"timeout": 30})

    @event.listens_for(engine.sync_engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")

    return engine


def create(url: str, keys: Keys) -> FastAPI:
    """The application over a database."""
    engine = engine_of(url)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    webhook = Webhook(keys.webhook_secret)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/webhooks")
    async def receive(request: Request, webhook_id: Annotated[str, Header()]) -> JSONResponse:
        body = await request.body()
        try:
            webhook.verify(body, dict(request.headers))
        except WebhookVerificationError:
            raise HTTPException(401) from None
        try:
            async with sessions() as session:
                known = await session.get(Delivery, webhook_id)
                if known is not None:
                    return _again(known, body)
                answer = await _take(session, keys, webhook_id, body)
                await session.commit()
        except IntegrityError:
            # Somebody else was first with this delivery, person or month: the sender tries again.
            raise HTTPException(503) from None
        return JSONResponse(answer)

    @app.post("/rosters")
    async def list_people(rows: list[Row]) -> JSONResponse:
        async with sessions() as session:
            for row in rows:
                learner = await _learner(session, keys, row.id_number)
                session.add(
                    Employment(
                        learner_id=learner.id,
                        uscc=row.uscc,
                        start=row.start,
                        end=None,
                        category=row.category,
                    )
                )
            await session.commit()
        return JSONResponse({"rows": len(rows)})

    return app


def _again(known: Delivery, body: bytes) -> JSONResponse:
    if not hmac.compare_digest(known.body_digest, checks.digest(body)):
        raise HTTPException(409)
    return JSONResponse({"state": known.answer})


async def _take(session: AsyncSession, keys: Keys, webhook_id: str, body: bytes) -> dict[str, str]:
    now = datetime.now(UTC)
    delivery = Delivery(
        webhook_id=webhook_id,
        received_at=now.replace(tzinfo=None),
        body_digest=checks.digest(body),
        sealed_body=keys.seal(body, b"body"),
        answer="recorded",
    )
    session.add(delivery)
    try:
        message = Message.model_validate_json(body)
        claims = checks.certificate(message.data.certificate, keys)
    except (ValidationError, Refused) as error:
        delivery.answer = str(error)[:100] if isinstance(error, Refused) else "malformed"
        return {"state": delivery.answer}
    learner = await _learner(session, keys, claims.id_number)
    known = await session.get(Completion, claims.certificate_number)
    if known is not None:
        delivery.answer = "unchanged" if known.learner_id == learner.id else "conflict"
        return {"state": delivery.answer}
    session.add(
        Completion(
            number=claims.certificate_number,
            learner_id=learner.id,
            webhook_id=webhook_id,
            sealed_name=keys.seal(claims.holder_name.encode(), b"name"),
            course=claims.course_title,
            completed_at=claims.completed_at.astimezone(UTC).replace(tzinfo=None),
            issued_at=claims.issued_at.astimezone(UTC).replace(tzinfo=None),
        )
    )
    await _decide(session, keys, learner, claims, now)
    return {"state": "recorded"}


async def _learner(session: AsyncSession, keys: Keys, id_number: str) -> Learner:
    index = keys.index_of(id_number)
    # Two webhooks about the same person take turns.
    found = (
        await session.execute(select(Learner).where(Learner.id_index == index).with_for_update())
    ).scalar_one_or_none()
    if found is None:
        found = Learner(id_index=index, sealed_id_number=keys.seal(id_number.encode(), b"id"))
        session.add(found)
        await session.flush()
    return found


async def _decide(session: AsyncSession, keys: Keys, learner: Learner, claims: Claims, now: datetime) -> None:
    day = checks.beijing(claims.completed_at)
    rows = (
        (
            await session.execute(
                select(Employment).where(Employment.learner_id == learner.id, Employment.start <= day)
            )
        )
        .scalars()
        .all()
    )
    employers = sorted({row.uscc for row in rows if row.end is None or row.end >= day})
    month = await session.get(Month, learner.id)
    state, clauses = checks.reasons(day, employers, taken=month is not None)
    decision = Decision(
        learner_id=learner.id,
        state=state,
        reasons=checks.dumps(clauses),
        record=checks.record(keys, state, clauses, day, now),
        decided_at=now.replace(tzinfo=None),
    )
    session.add(decision)
    await session.flush()
    if state == "granted":
        session.add(Month(learner_id=learner.id, decision_id=decision.id, uscc=employers[0]))
