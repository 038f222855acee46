"""What an operator does, by name: through a running service's admin socket, or on the database itself."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from verifier.app import compose
from verifier.cli import identifying
from verifier.cli.declaring import Operation, Parameter
from verifier.cli.own_data import OPERATIONS as OWN_DATA
from verifier.cli.people import GROUPS as ABOUT_PEOPLE
from verifier.cli.people import OPERATIONS as PEOPLE
from verifier.errors import Code, ConfigurationError, VerifierError
from verifier.settings import Settings

GROUPS: Final[Mapping[str, str]] = {
    "enterprises": "企业准入 · enterprises",
    "claims": "申领与记账 · claims and account months",
    "standards": "补贴标准与领取单位 · amounts, and who is paid",
    "clients": "接入系统 · systems that call",
    "platforms": "平台 · platforms",
    "deliveries": "投递 · deliveries",
    "review": "人工复核 · questions for a person",
    "signals": "疑点 · signals for reviewers",
    "learner": "学员本人 · a learner",
    **ABOUT_PEOPLE,
}
OPERATIONS: Final[Mapping[str, Operation]] = {
    "enterprises admit": Operation(
        "准入企业；起始日相同的再次准入即为变更或终止 · admit an enterprise; same --from again: change, end",
        (
            Parameter("uscc", "统一社会信用代码 · unified social credit code", positional=True),
            Parameter("name", "单位名称 · registered name"),
            Parameter("office", "受理机构代码 · acceptance office's code"),
            Parameter("from", "起始日 · first day, YYYY-MM-DD"),
            Parameter("to", "截止日 · last day, YYYY-MM-DD", required=False),
            Parameter("apply", "会改变决定时也执行 · do it also where it changes decisions", flag=True),
        ),
    ),
    "enterprises offices": Operation("列出受理机构 · acceptance offices that an admission may name"),
    "enterprises roster": Operation(
        "某时刻所知的花名册 · a roster as it was known at a moment",
        (
            Parameter("uscc", "统一社会信用代码 · unified social credit code", positional=True),
            Parameter("known-at", "时刻，RFC 3339；不给为现在 · as known at this time", required=False),
            Parameter("purpose", "用途，记入每个人的访问日志 · purpose, logged for everyone shown"),
        ),
    ),
    "claims freeze": Operation(
        "冻结某机构某记账月份，不可撤销；默认只列出 · freeze an account month for good; else only try",
        (
            Parameter("month", "记账月份 · account month, YYYY-MM"),
            Parameter("office", "受理机构代码 · acceptance office's code"),
            Parameter(
                "entitlement", "只冻结此补贴资格；不给为全部 · only this one; all without", required=False
            ),
            Parameter("apply", "冻结 · do it", flag=True),
        ),
    ),
    "claims totals": Operation(
        "某月对账合计及其摘要 · totals of a month, with their digest",
        (
            Parameter("month", "月份 · month, YYYY-MM"),
            Parameter("office", "受理机构代码 · acceptance office's code"),
            Parameter(
                "by", "subsidy（补贴月份，缺省）| account（记账月份）· which month is meant", required=False
            ),
            Parameter("entitlement", "只计此补贴资格 · only this one", required=False),
        ),
    ),
    "standards show": Operation("已采纳的补贴标准与领取单位 · the amounts and payees that were adopted"),
    "standards adopt": Operation(
        "采纳补贴标准表；已有申领不变 · adopt a table of standards; no claim that stands is changed",
        (
            Parameter("file", "标准表，TOML · the table", positional=True, file=True),
            Parameter("apply", "采纳；否则只检查 · do it; else only check it", flag=True),
        ),
    ),
    "clients add": Operation(
        "登记一个接入系统 · register a system",
        (
            Parameter("client", "客户端名 · client id", positional=True),
            Parameter("role", "platform | enterprise | subsidy | auditor"),
            Parameter("jwk", "公钥 JWK 文件 · file with its public key as a JWK", required=False, file=True),
            Parameter(
                "secret",
                "不用公钥而生成密钥串，仅限平台，只显示一次 · a platform's, in place of a key; shown once",
                flag=True,
            ),
            Parameter("enterprises", "企业代码，逗号分隔 · for an enterprise", required=False),
            Parameter("offices", "受理机构代码，逗号分隔 · for a subsidy system", required=False),
            Parameter("platform", "平台 · for a platform: its slug", required=False),
            Parameter("kinds", "只看这些种类的条目，逗号分隔 · only entries of these kinds", required=False),
        ),
    ),
    "clients revoke": Operation(
        "停用一个接入系统 · revoke a system's access",
        (Parameter("client", "客户端名 · client id", positional=True),),
    ),
    "clients rotate-secret": Operation(
        "生成新密钥串，旧的仍有效 · make a new secret, shown once; the old one holds until dropped",
        (Parameter("client", "客户端名 · client id", positional=True),),
    ),
    "clients drop-secret": Operation(
        "停用旧密钥串 · end the older of two secrets",
        (Parameter("client", "客户端名 · client id", positional=True),),
    ),
    "platforms list": Operation(
        "列出各平台的到达、静默与缺号 · what came of each platform, and what did not"
    ),
    "deliveries list": Operation(
        "列出平台待处理的投递及原因 · a platform's deliveries that need attention, with reasons",
        (Parameter("platform", "平台标识 · platform's slug", positional=True),),
    ),
    "deliveries read-again": Operation(
        "问题排除后重读已保留的投递，默认只试读 · read kept deliveries again; a dry run without --apply",
        (
            Parameter("platform", "平台标识 · platform's slug", positional=True),
            Parameter("delivery", "只读这一件 · only this one", required=False),
            Parameter("apply", "写入结果 · write what comes of it", flag=True),
        ),
    ),
    "review list": Operation("列出待复核事项 · list open questions"),
    "review close": Operation(
        "办结一件复核 · answer a question",
        (
            Parameter("review", "复核编号 · review id", positional=True),
            Parameter(
                "outcome",
                "企业代码 | same | different | upheld | rejected | keep | 学员编号 | none",
                required=False,
            ),
            Parameter("reason", "理由 · reason"),
            *identifying.CLOSING,
        ),
    ),
    "signals list": Operation(
        "列出未办结的疑点，不含姓名 · list open signals, without names",
        (
            Parameter("kind", "只列这一种 · only this kind", required=False),
            Parameter("uscc", "只列涉及该单位的 · only those about this enterprise", required=False),
            Parameter("all", "连同已办结的 · the closed ones too", flag=True),
        ),
    ),
    "signals show": Operation(
        "出示一条疑点及所涉事实，含姓名，记入访问日志 · a signal with its facts and names; logged",
        (Parameter("id", "疑点编号 · signal id", positional=True),),
    ),
    "signals close": Operation(
        "办结一条疑点，不影响任何决定 · close a signal; no decision changes",
        (
            Parameter("id", "疑点编号 · signal id", positional=True),
            Parameter("outcome", "noted（已知悉）| followed（已跟进）"),
            Parameter("reason", "理由 · reason"),
        ),
    ),
    "learner show": Operation(
        "出示本人全部信息，证件号码从标准输入读取 · all held on one person; id number from stdin",
        (
            Parameter("id_number", "", stdin=True),
            *identifying.DOCUMENT,
            Parameter("purpose", "用途，并表明已核验身份证 · purpose; states that the id card was seen"),
        ),
    ),
    "explain": Operation(
        "逐条说明一项决定 · explain a decision clause by clause",
        (Parameter("id", "决定或记录编号 · id of the decision or of its record", positional=True),),
    ),
    **identifying.OPERATIONS,
    **PEOPLE,
    **OWN_DATA,
}


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run the operation that was asked for, and print its answer."""
    name: str = arguments.operation
    parameters = {"operator": getpass.getuser()}
    for parameter in OPERATIONS[name].parameters:
        value = parameter.given(arguments, sys.stdin)
        if value is not None:
            parameters[parameter.name] = _text(parameter, value)
    status, answer = await ask(settings, name, parameters)
    tell(status, answer, as_json=arguments.json)
    return status


def tell(status: int, answer: Mapping[str, Any], *, as_json: bool) -> None:
    """Print an operation's answer."""
    if as_json:
        print(json.dumps(answer, ensure_ascii=False), file=sys.stderr if status else sys.stdout)
    else:
        _show(answer, failed=bool(status))


def _text(parameter: Parameter, value: str) -> str:
    if not parameter.file:
        return value
    try:
        return Path(value).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the file cannot be read", pointer=parameter.name
        ) from None


async def ask(settings: Settings, name: str, parameters: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """Run an operation, through a running service or on the database itself; its status and its answer."""
    try:
        return await ask_service(settings, name, parameters)
    except aiohttp.ClientConnectionError:
        pass  # no service runs: the database is ours
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    service = compose(settings)
    try:
        await service.prepare()
        try:
            await service.stand()
        except ConfigurationError:
            # What was adopted may be the very thing that another register is to mend.
            if name != "register adopt":
                raise
        return 0, await service.operations.run(name, parameters)
    finally:
        await service.close()


async def ask_service(
    settings: Settings, name: str, parameters: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    """Run an operation through a running service; its status and its answer.

    Raises:
        aiohttp.ClientConnectionError: none runs.
        VerifierError: INTERNAL, the service failed.
    """
    connector = aiohttp.UnixConnector(str(settings.admin_socket))
    call = {"operation": name, "parameters": dict(parameters)}
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://admin/", json=call) as response,
    ):
        try:
            answer: dict[str, Any] = await response.json(content_type=None)
        except ValueError:
            raise VerifierError(Code.INTERNAL, "the service failed; its log says more") from None
        return (0 if response.ok else 2), answer


def _show(answer: Mapping[str, Any], *, failed: bool) -> None:
    out = sys.stderr if failed else sys.stdout
    for key, value in answer.items():
        if isinstance(value, list):
            print(f"{key}:", file=out)
            for item in value:
                print(f"  {item if isinstance(item, str) else _line(item)}", file=out)
        else:
            print(f"{key}: {_line(value) if isinstance(value, dict) else value}", file=out)


def _line(item: Any) -> str:
    return json.dumps(item, ensure_ascii=False)
