"""The two sides of the service, put together from one ground: who hears, and who works in the background.

In embedded mode one process has both; otherwise each is in processes of its own (``verifier.many``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from verifier import evaluator, objecting, parts
from verifier.counter import Counter
from verifier.ground import Ground
from verifier.issuer import BATCH, Issuer, IssuerKeys
from verifier.key_rotation import SigningDesk
from verifier.operations import Operations
from verifier.parts import WebKeys, new_id, now
from verifier.published import Published
from verifier.receiving import Receiving, Threads
from verifier.rereading import Rereading
from verifier.sources import read_register
from verifier.watch import FailureWriter
from verifier.web.metrics import Metrics
from verifier.web.services import Services
from verifier.web.waiting import Growth


def hearing(base: Ground, keys: WebKeys, published: Published, growth: Growth, metrics: Metrics) -> Services:
    """The web's side: it is handed ports, and no key of the issuer."""
    settings, store, rulebooks, stack = base.settings, base.store, base.rulebooks, base.stack
    threads, group = Threads(), parts.group_commit(store, rulebooks)
    stack.callback(threads.close)
    receiving = Receiving(store.documents, group.submit, rulebooks, base.digest, now, base.apart, threads)
    read, said = parts.workbooks(stack), register(base)
    services = replace(
        parts.services(settings, store, receiving, base.by_slug, published, read, said, keys),
        growth=growth,
        metrics=metrics,
        try_out=parts.trying_out(settings, rulebooks, base.files.declared, base.digest, threads, stack),
    )
    writer = FailureWriter(store, services.failures, now)
    base.crew.add("failures", writer.step)
    stack.push_async_callback(writer.finish)
    stack.push_async_callback(group.drain)
    return services


def register(base: Ground) -> objecting.Register:
    """Where objections are taken in and answered."""
    days = base.settings.objection_answer_days
    return objecting.Register(base.store, base.rulebooks, now, new_id, os.urandom, days)


@dataclass(frozen=True, slots=True)
class Working:
    """The background's side: what issues, and what an operator may do."""

    issuer: Issuer
    operations: Operations


def working(
    base: Ground,
    keys: IssuerKeys,
    published: Published,
    metrics: Metrics,
    heard: Callable[[Callable[[], Coroutine[Any, Any, int]]], Callable[[], Coroutine[Any, Any, int]]],
) -> Working:
    """The background's side: it alone has the issuer's keys.

    Args:
        base: of the process.
        keys: which only the issuer holds.
        published: public keys as they are given out.
        metrics: of the process.
        heard: makes those who wait for the ledger hear of a step of the issuer.

    Raises:
        ConfigurationError: a key or file is missing or wrong.
    """
    settings, store, rulebooks, crew = base.settings, base.store, base.rulebooks, base.crew
    issuer = parts.issuing(settings, store, keys)
    by_slug = base.by_slug
    rereading = Rereading(store, lambda: by_slug, rulebooks, base.digest, now, new_id, base.apart)
    evaluating = partial(evaluator.step, store, rulebooks, clock=now, new_id=new_id)
    crew.add("evaluator", evaluating, full=evaluator.SLICE)
    crew.add("issuer", heard(issuer.step), full=BATCH)
    crew.add("rereader", rereading.step)
    parts.watch(crew, store, rulebooks, metrics, settings)
    read, table = partial(asyncio.to_thread, read_register, settings), base.files.offices
    adapters, said = base.files.adapters, register(base)
    counter = Counter(store, adapters, rulebooks, table, rereading, read, now, new_id, os.urandom, said)
    further = (SigningDesk(settings.secrets_dir, issuer, published), *parts.keeping(crew, store, settings))
    return Working(issuer, counter.operations(*further))
