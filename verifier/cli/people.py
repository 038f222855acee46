"""Operations about people as the command line offers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from verifier.cli.declaring import Operation, Parameter

GROUPS: Final[Mapping[str, str]] = {
    "completion": "结业记录 · completions",
    "objection": "更正、异议、申诉 · corrections, objections, appeals",
}

_APPLY: Final = Parameter("apply", "执行；不给则只试算 · do it; otherwise a dry run", flag=True)
_REASON: Final = Parameter("reason", "理由（加密保存）· reason, kept sealed")
_EVIDENCE: Final = Parameter("evidence", "所看材料（加密保存）· what was looked at, kept sealed")
_ID_NUMBER: Final = Parameter("id_number", "", stdin=True)
_ID_KIND: Final = (
    Parameter("id-kind", "证件种类，不给为居民身份证 · kind of the id; else a resident id", required=False),
    Parameter("id-country", "护照签发国，三位字母 · a passport's issuing state", required=False),
)
_PURPOSE: Final = Parameter("purpose", "用途，并表明已核验身份证 · purpose; states that the id card was seen")
_WITHDRAW: Final = Parameter("withdraw", "撤回 · take it back", flag=True)
_ENTITLEMENT: Final = Parameter(
    "entitlement",
    "哪一项补贴，采用多项政策时才需要 · which, where several policies are adopted",
    required=False,
)
_USCC: Final = Parameter("uscc", "统一社会信用代码 · unified social credit code", positional=True)
_LEARNER: Final = Parameter("learner", "学员编号，见 learner find · learner id", positional=True)
_PAIR: Final = (
    Parameter("first", "学员编号 · learner id", positional=True),
    Parameter("second", "学员编号 · learner id", positional=True),
    _REASON,
    _EVIDENCE,
)
_CERTIFICATE: Final = (
    Parameter("issuer", "签发者编号 · issuer id", positional=True),
    Parameter("number", "证书编号 · certificate number", positional=True),
    Parameter("scope", "编号范围，编号在几个范围内都有时才需要 · number scope, if several", required=False),
)
_NUMBER: Final = Parameter("number", "编号 · number", positional=True)

OPERATIONS: Final[Mapping[str, Operation]] = {
    "review show": Operation(
        "某件复核所涉的姓名、单位与日期，记入访问日志 · what a question is about; logged",
        (Parameter("review", "复核编号 · review id", positional=True),),
    ),
    "learner find": Operation(
        "按证件号码查学员编号，号码从标准输入读取 · a learner's id; id number from stdin",
        (_ID_NUMBER, *_ID_KIND, _PURPOSE),
    ),
    "learner merge": Operation(
        "认定两个学员为同一人 · two learners are one person",
        (
            *_PAIR,
            Parameter("despite", "曾认定不是同一人，仍合并 · although they were told apart", flag=True),
            _APPLY,
        ),
    ),
    "learner part": Operation(
        "撤销合并，并认定不是同一人 · undo a merge; they are not one person", (*_PAIR, _APPLY)
    ),
    "learner apart": Operation("认定两个学员不是同一人 · two learners are not one person", _PAIR),
    "learner correct-id": Operation(
        "证书所载证件号码有误：标准输入第一行为所载号码，第二行为本人号码 · "
        "a certificate bears a wrong id number: from stdin the one it bears, then the holder's",
        (
            *_CERTIFICATE,
            _ID_NUMBER,
            *_ID_KIND,
            Parameter("holder", "", stdin=True),
            Parameter("holder-kind", "本人证件种类 · kind of the holder's id", required=False),
            Parameter(
                "holder-country", "本人护照签发国 · the holder's passport's issuing state", required=False
            ),
            _REASON,
            _APPLY,
        ),
    ),
    "learner contest": Operation(
        "本人否认由某企业用工，号码从标准输入读取 · a worker contests a listing; id number from stdin",
        (_USCC, _ID_NUMBER, *_ID_KIND, _REASON, _PURPOSE, _WITHDRAW, _APPLY),
    ),
    "learner release": Operation(
        "应本人要求释放某企业占用的月份，号码从标准输入读取 · "
        "take a month from an enterprise at the worker's wish; id number from stdin",
        (_USCC, _ID_NUMBER, *_ID_KIND, _REASON, _PURPOSE, _ENTITLEMENT, _WITHDRAW, _APPLY),
    ),
    "learner hold": Operation(
        "暂缓一名学员的决定，到期自动恢复 · suspend a learner's decisions until a day",
        (_LEARNER, Parameter("until", "到该日零时（北京时间）· until this day begins"), _REASON, _APPLY),
    ),
    "learner unhold": Operation("解除暂缓 · end every hold of a learner", (_LEARNER, _REASON, _APPLY)),
    "completion revoke": Operation(
        "登记签发方书面告知的撤销，对该编号终局 · record a revocation that the issuer gave in writing; final",
        (*_CERTIFICATE, _REASON, _APPLY),
    ),
    "objection open": Operation(
        "代本人提出；标准输入首行为证件号码，其余为陈述 · for a worker; stdin: id number, then the text",
        (
            Parameter("kind", "correction 更正 | objection 异议 | appeal 申诉"),
            Parameter("topic", "month | decision | listing | identity | data"),
            Parameter("about", "所涉决定、记录、事实或前一编号 · id of what it is about", required=False),
            _ID_NUMBER,
            *_ID_KIND,
            Parameter("text", "", stdin=True, rest=True),
            _PURPOSE,
        ),
    ),
    "objection list": Operation(
        "列出更正、异议、申诉 · list them",
        (Parameter("state", "open | upheld | rejected | withdrawn | overdue", required=False),),
    ),
    "objection show": Operation("查看一件，记入访问日志 · show one; logged", (_NUMBER,)),
    "objection answer": Operation(
        "答复，签名并入账本 · answer one; signed and entered in the ledger",
        (_NUMBER, Parameter("outcome", "upheld | rejected"), Parameter("text", "答复内容 · the answer")),
    ),
    "objection withdraw": Operation("本人撤回 · whoever raised it takes it back", (_NUMBER,)),
}
