"""What is held on a person, and for how long, as the command line offers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from verifier.cli import identifying
from verifier.cli.declaring import Operation, Parameter

PURPOSE: Final = Parameter("purpose", "用途，并表明已核验身份证 · purpose; states that the id card was seen")
_APPLY: Final = Parameter("apply", "执行；不给则只试算 · do it; otherwise a dry run", flag=True)

OPERATIONS: Final[Mapping[str, Operation]] = {
    "learner erase": Operation(
        "销毁一人的密钥与识别信息，仅在没有保存义务时；号码从标准输入读取 · "
        "erase a person where no duty to keep remains; id number from stdin",
        (
            Parameter("id_number", "", stdin=True),
            *identifying.DOCUMENT,
            PURPOSE,
            Parameter("reason", "理由（加密保存）· reason, kept sealed"),
            _APPLY,
        ),
    ),
    "deliveries retention": Operation(
        "到期原文的清空情况；不给 --apply 只统计 · raw bodies whose time is over; a count without --apply",
        (_APPLY,),
    ),
}
