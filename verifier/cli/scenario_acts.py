"""One act for each row of the demonstration: it sends, looks, and says in words what really came of it.

An act knows nothing of what is expected; it answers in the same few words whatever the service does.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from verifier import offline
from verifier.app import now
from verifier.cli.checking import findings_of
from verifier.cli.scenario import DISPATCHER, ENTERPRISES, STRANGERS, WORKERS
from verifier.cli.scenario_platforms import PLATFORM_ACTS, beijing, course
from verifier.cli.scenario_proof import altered_copy
from verifier.cli.scenario_stage import SUBSIDY, Answer, Stage, until
from verifier.cli.simulator import Course, Delivery, Person
from verifier.model.decision import State
from verifier.signatures import base64url

Act = Callable[[Stage], Awaitable[str]]


def from_cvt(stage: Stage, delivery_id: str, done: Course, *, certificate: str | None = None) -> Delivery:
    """中国职业培训在线's delivery of a completion."""
    return stage.cvt.delivery(stage.cvt.completed(done, certificate=certificate), delivery_id, now())


def from_xzy(stage: Stage, delivery_id: str, done: Course, *, event: str = "FINISH") -> Delivery:
    """新职业学习平台's delivery of one completion."""
    return stage.xzy.delivery([stage.xzy.completed(done, "1", event=event)], delivery_id, now())


async def _kept(stage: Stage, delivery_id: str) -> str:
    """Whether the platform finds its delivery among those that need attention, with the reason."""
    listed = await stage.call("platform-cvt", "GET", f"/v1/platforms/{stage.cvt.slug}/deliveries")
    found = [one for one in listed.json["deliveries"] if one["delivery_id"] == delivery_id]
    return "已留存" if found and found[0]["items"][0]["code"] else "未留存"


# --- what platforms send


async def genuine_cvt(stage: Stage) -> str:
    """A genuine completion of the one platform."""
    delivery = from_cvt(stage, "cvt-1", course("CVT-0001", "zhang", beijing(3, 5)))
    answer = await stage.post(delivery)
    stage.first = (delivery, answer)
    return f"{answer}；{await stage.outcome('zhang')}"


async def genuine_xzy(stage: Stage) -> str:
    """A genuine completion of the other, which sends batches."""
    answer = await stage.post(from_xzy(stage, "xzy-1", course("XZY-0001", "ayigul", beijing(3, 18))))
    return f"{answer}；{await stage.outcome('ayigul')}"


async def redelivered(stage: Stage) -> str:
    """The first delivery again, its body signed anew, as the convention asks for every attempt."""
    assert stage.first is not None
    delivery, first = stage.first
    again = await stage.post(stage.cvt.delivery(json.loads(delivery.body), "cvt-1", now()))
    await stage.outcome("zhang")
    same = "答复逐字相同" if first == again else "答复不同"
    return f"{again}；{same}，仍为{len(stage.records_of(WORKERS['zhang'].person))}条记录"


async def id_reused(stage: Stage) -> str:
    """Other content, correctly signed, under a delivery id that was used."""
    before = stage.records_of(WORKERS["zhang"].person)
    done = course("CVT-0002", "liu", beijing(3, 6))
    answer = await stage.post(stage.cvt.delivery(stage.cvt.completed(done), "cvt-1", now()))
    outcome = await stage.outcome("liu")
    unchanged = before == stage.records_of(WORKERS["zhang"].person)
    return f"{answer}；{outcome}，原记录{'不变' if unchanged else '已变'}"


async def tampered(stage: Stage) -> str:
    """Somebody else's certificate with another name and number written into it."""
    genuine = stage.cvt.certificate(course("CVT-0003", "zhang", beijing(3, 8)))
    head, payload, signature = genuine.split(".")
    zhang, li = WORKERS["zhang"].person, WORKERS["li"].person
    changed = base64url.decode(payload)
    for old, new in ((zhang.name, li.name), (zhang.id_number, li.id_number)):
        changed = changed.replace(old.encode(), new.encode())
    forged = f"{head}.{base64url.encode(changed)}.{signature}"
    done = course("CVT-0003", "li", beijing(3, 8))
    answer = await stage.post(from_cvt(stage, "cvt-2", done, certificate=forged))
    return f"{answer}；{await _kept(stage, 'cvt-2')}，{await stage.outcome('li')}"


async def retired_key(stage: Stage) -> str:
    """A certificate of 2021 under a key that the register knows until the end of 2020."""
    done = course("CVT-0004", "wang", beijing(3, 10))
    certificate = stage.cvt.certificate(done, kid="cvt-2019")
    answer = await stage.post(from_cvt(stage, "cvt-3", done, certificate=certificate))
    return f"{answer}；{await _kept(stage, 'cvt-3')}，{await stage.outcome('wang')}"


async def forged(stage: Stage) -> str:
    """A request whose body is not what was signed."""
    genuine = from_cvt(stage, "cvt-4", course("CVT-0005", "liu", beijing(3, 12)))
    answer = await stage.post(replace(genuine, body=genuine.body + b"\n"))
    listed = await stage.call("platform-cvt", "GET", f"/v1/platforms/{stage.cvt.slug}/deliveries?state=all")
    kept = any(one["delivery_id"] == "cvt-4" for one in listed.json["deliveries"])
    return f"{answer}；{'已留存' if kept else '未留存'}，{await stage.outcome('liu')}"


async def both_platforms(stage: Stage) -> str:
    """One learner completes a course on each platform."""
    first = await stage.post(from_cvt(stage, "cvt-5", course("CVT-0006", "gulnaz", beijing(4, 2))))
    second = await stage.post(from_xzy(stage, "xzy-2", course("XZY-0002", "gulnaz", beijing(4, 20))))
    outcome = await stage.outcome("gulnaz")
    person = WORKERS["gulnaz"].person
    told = (await _status(stage, "enterprise-a", [person])).json["people"][0]
    states = "、".join(one["state"] for one in told["completions"])
    return f"{first}，{second}；{outcome}；{states}；共{len(stage.records_of(person))}条记录"


async def roster_later(stage: Stage) -> str:
    """A learner whom no roster lists, until one does; nobody sends the completion again."""
    answer = await stage.post(from_xzy(stage, "xzy-3", course("XZY-0003", "yerjan", beijing(6, 11))))
    before = await stage.outcome("yerjan")
    await upload(stage, "enterprise-a", [roster_row("yerjan")])
    await _decided(stage, "yerjan")
    return f"{answer}；{before} → {await stage.outcome('yerjan')}"


async def after_period(stage: Stage) -> str:
    """The first moment after the period, by Beijing's clock."""
    done = course("CVT-0007", "nurali", beijing(1, 1, 0, 0, year=2022))
    answer = await stage.post(from_cvt(stage, "cvt-6", done))
    return f"{answer}；{await stage.outcome('nurali')}"


async def last_minute(stage: Stage) -> str:
    """The last minute of the period."""
    done = course("CVT-0008", "rayhangul", beijing(12, 31, 23, 59))
    answer = await stage.post(from_cvt(stage, "cvt-7", done))
    return f"{answer}；{await stage.outcome('rayhangul')}"


async def revoked(stage: Stage) -> str:
    """A certificate is taken back after the grant; the old record's status tells."""
    first = await stage.post(from_cvt(stage, "cvt-8", course("CVT-0009", "zhao", beijing(5, 9))))
    before = await stage.outcome("zhao")
    message = stage.cvt.revoked("CVT-0009", "考试成绩作废", now())
    second = await stage.post(stage.cvt.delivery(message, "cvt-9", now()))
    after = await stage.outcome("zhao")
    old = stage.records_of(WORKERS["zhao"].person)[0]
    token = await stage.status_token(old)
    checked = offline.check(old.sd_jwt, await stage.published(), status_token=token, now=now())
    return f"{first}；{before} → {second}；{after}，原记录状态 {checked.status}"


async def corrected(stage: Stage) -> str:
    """A name unlike the roster's waits for a reviewer; pushed again with the right one, it counts."""
    worker = WORKERS["ma"]
    done = course("XZY-0004", "ma", beijing(4, 25))
    first = await stage.post(from_xzy(stage, "xzy-4", done))
    before = await stage.outcome("ma")
    mended = Person(worker.person.id_number, worker.roster_name)
    again = replace(done, learner=mended, revision=2, issued_at=done.issued_at + timedelta(days=2))
    second = await stage.post(from_xzy(stage, "xzy-5", again, event="AMEND"))
    return f"{first}；{before} → {second}；{await stage.outcome('ma')}"


async def two_rosters(stage: Stage) -> str:
    """Two enterprises list the learner on the day: a person has to say whose the month is."""
    answer = await stage.post(from_cvt(stage, "cvt-10", course("CVT-0010", "khayrat", beijing(5, 21))))
    return f"{answer}；{await still_pending(stage)}"


async def dispatched(stage: Stage) -> str:
    """A dispatched worker counts for the enterprise where they work, once it widened the scope."""
    answer = await stage.post(from_cvt(stage, "cvt-11", course("CVT-0011", "chen", beijing(7, 7))))
    before = await stage.outcome("chen")
    address = f"/v1/enterprises/{ENTERPRISES['enterprise-a'].uscc}/scope-declarations"
    await stage.call("enterprise-a", "POST", address, json={"from": "2021-02-01"})
    await _decided(stage, "chen")
    after = await stage.outcome("chen")
    named = {one.claims.get("dispatched_by") for one in stage.records_of(WORKERS["chen"].person)}
    dispatcher = "记录载明派遣单位" if DISPATCHER.uscc in named else "记录未载明派遣单位"
    return f"{answer}；{before} → {after}，{dispatcher}"


async def still_pending(stage: Stage) -> str:
    """The same learner after everybody of the first enterprise was judged again, for its declaration."""
    outcome = await stage.outcome("khayrat")
    found = await stage.service.operations.run("review list", {})
    asked = sum(review["kind"] == "employer_choice" for review in found["reviews"])
    return f"{outcome}；复核事项 employer_choice×{asked}"


async def other_dot(stage: Stage) -> str:
    """The certificate separates the name by another dot than the roster."""
    answer = await stage.post(from_xzy(stage, "xzy-6", course("XZY-0005", "abdulla", beijing(5, 30))))
    return f"{answer}；{await stage.outcome('abdulla')}"


async def _decided(stage: Stage, who: str) -> None:
    """Wait until somebody who was pending is not any more."""
    await until(
        lambda: stage.decision(WORKERS[who].person),
        lambda found: found is not None and found.state is not State.PENDING,
    )


# --- what enterprises and subsidy systems do


def roster_row(who: str) -> dict[str, str]:
    """A worker as a roster lists them."""
    worker = WORKERS[who]
    row = {
        "id_number": worker.person.id_number,
        "name": worker.roster_name,
        "from": "2020-06-01",
        "category": worker.category,
    }
    if worker.category == "劳务派遣":
        row["dispatched_by"] = DISPATCHER.uscc
    return row


async def upload(stage: Stage, client: str, rows: list[dict[str, str]]) -> Answer:
    """Upload a roster as the enterprise."""
    return await stage.call(
        client, "PUT", f"/v1/enterprises/{ENTERPRISES[client].uscc}/roster", json={"rows": rows}
    )


async def _status(stage: Stage, client: str, people: list[Person]) -> Answer:
    asked = {"people": [{"id_number": one.id_number, "name": one.name} for one in people]}
    return await stage.call(client, "POST", f"/v1/enterprises/{ENTERPRISES[client].uscc}/status", json=asked)


async def status_own(stage: Stage) -> str:
    """An enterprise asks why somebody was refused, and why another has nothing."""
    answer = await _status(stage, "enterprise-a", [WORKERS["nurali"].person, WORKERS["sun"].person])
    refused, missing = answer.json["people"]
    reasons = [reason for one in refused["completions"] for reason in one["reasons"]]
    said = "、".join(reason["clause"] for reason in reasons if reason["answer"] == "not_met")
    party = "、".join(mend["party"] for mend in missing["mend"])
    return f"{answer.status} {refused['state']}（{said}）；{missing['state']}（{party} 补正）"


async def status_other(stage: Stage) -> str:
    """Another enterprise learns of these people what it learns of people nobody ever heard of."""
    theirs = [WORKERS[who].person for who in ("zhang", "nurali", "chen")]
    known = await _status(stage, "enterprise-b", theirs)
    unknown = await _status(stage, "enterprise-b", list(STRANGERS))
    one, other = ({**answer.json, "as_of": ""} for answer in (known, unknown))
    states = [person["state"] for person in one["people"]]
    said = "、".join(f"{state}×{states.count(state)}" for state in dict.fromkeys(states))
    return f"{known.status} {said}；两次答复{'完全相同' if one == other else '不同'}"


async def claimed_twice(stage: Stage) -> str:
    """Two subsidy systems of one office want the same month."""
    record = stage.records_of(WORKERS["zhang"].person)[-1]
    address = f"/v1/records/{record.claims['jti']}/claim"
    first = await stage.call(SUBSIDY, "POST", address, json={"payment_reference": "A-2021-0001"})
    second = await stage.call("subsidy-b", "POST", address, json={"payment_reference": "B-77"})
    return f"{first.status} {first.json.get('state') or first.json.get('code')}；{second}"


async def row_altered(stage: Stage) -> str:
    """A copy's row is changed behind the service's back: the check finds it, and nothing in the original."""
    await stage.settle()
    settings = stage.service.settings
    found = await findings_of(altered_copy(settings))
    said = "、".join(sorted({one.kind for one in found}))
    return f"副本：{said or '未发现'}；原库：{len(await findings_of(settings))}处不一致"


ACTS: Final[Mapping[str, Act]] = MappingProxyType(
    {
        act.__name__.replace("_", "-"): act
        for act in (
            genuine_cvt, genuine_xzy, *PLATFORM_ACTS, redelivered, id_reused, tampered, retired_key, forged,
            both_platforms, roster_later, after_period, last_minute, revoked, corrected, two_rosters,
            dispatched, still_pending, other_dot, status_own, status_other, claimed_twice, row_altered,
        )
    }
)  # fmt: skip
"""Every act by its row's key."""
