"""The demonstration's acts of the platforms that have one completion each, in their own conventions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from verifier.app import now
from verifier.cli.scenario import WORKERS
from verifier.cli.scenario_stage import Stage, until
from verifier.cli.simulator import Course
from verifier.cli.simulator_documents import MohrssTraining
from verifier.cli.simulator_parameters import EmploymentTraining
from verifier.cli.simulator_personnel import NationalPersonnel
from verifier.cli.simulator_statements import SkillMaster
from verifier.model.time import BEIJING


def course(number: str, who: str, completed: datetime, **changes: Any) -> Course:
    """A course that a worker completed, its certificate issued an hour later."""
    members = {"issued_at": completed + timedelta(hours=1), **changes}
    return Course(number, WORKERS[who].person, completed, **members)


def beijing(month: int, day: int, hour: int = 10, minute: int = 0, *, year: int = 2021) -> datetime:
    """A moment on Beijing's clock."""
    return datetime(year, month, day, hour, minute, tzinfo=BEIJING)


async def genuine_jc(stage: Stage) -> str:
    """就业创业和职业培训在线: a form of sorted parameters under SM2, the certificate too."""
    sender = EmploymentTraining(stage.sandbox)
    message = sender.completed(course("JC-0001", "he", beijing(6, 3)))
    answer = await stage.post(sender.delivery(message, "jc-1", now()))
    return f"{answer}；{await stage.outcome('he')}"


async def genuine_npt(stage: Stage) -> str:
    """中国国家人事人才培训网: XML in GB 18030 under an XML signature, the certificate a detached CMS."""
    sender = NationalPersonnel(stage.sandbox)
    item = sender.completed(course("NPT-0001", "qian", beijing(4, 8)), "1")
    answer = await stage.post(sender.delivery([item], "npt-1", now()))
    return f"{answer}；{await stage.outcome('qian')}"


async def genuine_skm(stage: Stage) -> str:
    """技能大师在线培训: a signed statement behind an access token."""
    sender = SkillMaster(stage.sandbox)
    statement = sender.completed(course("SKM-0001", "meryem", beijing(5, 12)), str(uuid4()))
    answer = await stage.post(sender.delivery(statement, await stage.token("platform-skm")))
    return f"{answer}；{await stage.outcome('meryem')}"


async def file_later(stage: Stage) -> str:
    """人力资源社会保障部培训网: the completion names a signed PDF, which comes only afterwards."""
    sender = MohrssTraining(stage.sandbox)
    done = course("MPX-0001", "guzel", beijing(9, 6))
    certificate = sender.certificate(done)
    named = {"graduationList": [sender.completed(done, "1", certificate)]}
    first = await stage.post(sender.delivery(named, "mpx-1", now()))
    second = await stage.post(
        sender.delivery({"fileList": [sender.uploaded(done, certificate)]}, "mpx-2", now())
    )

    def granted(said: str) -> bool:
        return said.startswith("准予")

    said: str = await until(lambda: stage.outcome("guzel"), granted)
    return f"{first} → {second}；{said}"


PLATFORM_ACTS: Final[tuple[Callable[[Stage], Awaitable[str]], ...]] = (
    genuine_jc,
    genuine_npt,
    genuine_skm,
    file_later,
)
