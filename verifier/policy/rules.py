"""The clauses of 一（三）, one function each, in the order a reader asks them.

A released revision is never edited, not even its wording: decisions pin it. A change is a new function with
the next revision, and a policy file that names it. Reasons are Chinese sentences without personal data and
without the names or codes of other enterprises. What rests on no text says 本项目理解 in its citation.
"""

from __future__ import annotations

from typing import Final

from verifier.errors import Party
from verifier.identity import compare_names
from verifier.model.certificate import DocumentKind
from verifier.model.decision import Met, NotMet, Outcome, Unknown
from verifier.model.facts import WIDENED, Category, Wish
from verifier.model.person import NameRelation
from verifier.model.time import beijing_date, covers
from verifier.policy.clauses import REGISTERED, ClauseFacts, clause
from verifier.policy.parameters import Parameters, StaffScope, WindowBasis

CLAUSES: Final = REGISTERED

_NOTICE: Final = "新人社函〔2021〕17号（转发文件引为21号）"


@clause(
    "course-proof",
    revision=1,
    title="取得相应课程培训合格证明",
    citation=f"{_NOTICE}一（三）：对参加线上培训并取得相应课程培训合格证明的",
    reads=("completion",),
)
def course_proof(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """A completion is a fact only with a verified certificate, so what is left to ask is revocation.

    The issuer's words are not repeated: they are free text, and may name a person.
    """
    if facts.revoked:
        return NotMet("该课程合格证明已被签发方撤销；撤销原因见签发方的撤销通知。")
    return Met(f"该课程合格证明已通过核验且未被撤销，结业日期为{facts.day}（北京时间）。")


@clause(
    "course-proof",
    revision=2,
    title="取得相应课程培训合格证明",
    citation=(
        f"{_NOTICE}一（三）：对参加线上培训并取得相应课程培训合格证明的；"
        "签名密钥失密后首次收到的不予认可为本项目理解"
    ),
    reads=("completion",),
)
def course_proof_by_a_sound_key(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """What the issuer's own key no longer vouches for proves nothing, also where it was accepted before.

    The date in a certificate does not help: whoever stole the key writes any date.
    """
    if facts.revoked:
        return NotMet("该课程合格证明已被签发方撤销；撤销原因见签发方的撤销通知。")
    if facts.doubtful:
        return NotMet(
            "该课程合格证明的签名密钥已报失密，且本证明系失密之后首次收到，不予认可；"
            "请签发方以新密钥重新签发后再行推送。"
        )
    return Met(f"该课程合格证明已通过核验且未被撤销，结业日期为{facts.day}（北京时间）。")


@clause(
    "proof-kind",
    revision=1,
    title="证明种类为课程培训合格证明",
    citation=f"{_NOTICE}一（三）用“课程培训合格证明”，一（一）用“职业技能等级证书”；两者有别由用语得出",
    reads=("completion",),
)
def proof_kind(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """A skill-level certificate is refused by name: people present it by mistake."""
    if facts.completion.document is DocumentKind.COURSE_PROOF:
        return Met("提交的是课程培训合格证明。")
    if facts.completion.document is DocumentKind.SKILL_LEVEL:
        return NotMet(
            "提交的是职业技能等级证书，不是课程培训合格证明；该证书适用同一通知一（一），不适用本项。"
        )
    return NotMet("提交的证书不是课程培训合格证明。")


@clause(
    "platform-recognised",
    revision=1,
    title="培训平台在结业之日获认可",
    citation=f"本项目理解：{_NOTICE}二（四）列举并鼓励的线上培训平台；一（三）未提平台",
    reads=("completion",),
)
def platform_recognised(facts: ClauseFacts, parameters: Parameters) -> Outcome:
    """The list of platforms changes (动态调整), so recognition has dates."""
    if not parameters.recognised_platforms_only:
        return Met("政策参数未限定培训平台。")
    if not facts.recognised:
        return Unknown("该平台未列入认可名册，是否认可尚未确定。", "recognition", Party.BUREAU)
    if any(covers(known.start, known.end, facts.day) for known in facts.recognised):
        return Met(f"该平台在结业日期（{facts.day}）获认可。")
    return NotMet(f"该平台在结业日期（{facts.day}）不在认可期内。")


@clause(
    "within-period",
    revision=1,
    title="在政策执行期内",
    citation=f"{_NOTICE}一（三）：该政策执行至2021年12月；起始日、以何日期为准、止于31日为本项目理解",
    reads=("completion",),
)
def within_period(facts: ClauseFacts, parameters: Parameters) -> Outcome:
    """Both ends belong to the period; days are Beijing's."""
    by_issue = parameters.window_basis is WindowBasis.ISSUE
    day = beijing_date(facts.completion.issued_at) if by_issue else facts.day
    called = "发证日期" if by_issue else "结业日期"
    period = f"{parameters.window.first}至{parameters.window.last}"
    if covers(parameters.window.first, parameters.window.last, day):
        return Met(f"{called}（{day}，北京时间）在执行期（{period}，含首尾两日）内。")
    return NotMet(f"{called}（{day}，北京时间）不在执行期（{period}，含首尾两日）内。")


@clause(
    "employed-by-claimant",
    revision=1,
    title="结业之日为申领企业职工",
    citation=f"{_NOTICE}一（三）：本企业；以结业日期为准为本项目理解",
    reads=("completion", "employment", "covering", "admissions", "choice"),
)
def employed_by_claimant(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """Several employers are a person's decision to tell apart; a live grant stays while they look.

    A reviewer's choice of an enterprise whose roster no longer covers the day does not fall back to one that
    the reviewer passed over: it is asked again.
    """
    row = facts.employment
    if row is None:
        return Unknown(f"没有企业花名册覆盖结业日期（{facts.day}）。", "roster", Party.ENTERPRISE)
    employers = {other.uscc for other in facts.covering}
    if facts.choice is not None and facts.choice.uscc in employers:
        if facts.choice.uscc != row.uscc:
            return NotMet("经复核，该结业记录由另一企业申领。")
    elif facts.choice is not None:
        return Unknown(
            "复核所定企业的花名册已不覆盖结业日期，须重新确定申领企业。", "employer_choice", Party.REVIEWER
        )
    elif len(employers) > 1 and not facts.is_holder:
        return Unknown(
            f"多家企业的花名册均覆盖结业日期（{facts.day}），须确定申领企业。",
            "employer_choice",
            Party.REVIEWER,
        )
    if not any(covers(admitted.start, admitted.end, facts.day) for admitted in facts.admissions):
        return Unknown(f"该企业在结业日期（{facts.day}）尚未经主管部门准入。", "admission", Party.BUREAU)
    return Met(f"该企业花名册覆盖结业日期（{facts.day}），且企业当日已准入。")


@clause(
    "same-person",
    revision=1,
    title="证明与花名册为同一人",
    citation="本项目理解：通知未规定；证件号码相同而姓名无关联的，由人工复核",
    reads=("completion", "employment", "name_decision"),
)
def same_person(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """The id number is the same already; spelling variants hold nothing up."""
    if facts.employment is None:
        return Unknown("待花名册。", "roster", Party.ENTERPRISE)
    relation = compare_names(facts.completion.holder, facts.employment.name)
    if relation is not NameRelation.DIFFERENT:
        return Met("证件号码相同，姓名一致或属同一姓名的不同写法。")
    if facts.name_decision is None:
        return Unknown(
            "证件号码相同，但证明与花名册上的姓名不同，须人工复核。", "name_review", Party.REVIEWER
        )
    if facts.name_decision.same_person:
        return Met("姓名写法不同，经复核确认为同一人。")
    return NotMet("经复核，证明与花名册所载不是同一人。")


@clause(
    "category-in-scope",
    revision=1,
    title="属于政策所列人员",
    citation=(
        f"{_NOTICE}一（三）：重点面向调休不歇班、留岗、就地过年、在企休假职工；企业可根据实际需要将范围扩大至"
        "本企业全体技术工人（含劳务派遣人员和在技能岗位工作未取得技能等级证书职工）；以“重点面向”为限为本项目理解"
    ),
    reads=("completion", "employment", "scopes"),
)
def category_in_scope(  # noqa: PLR0911 - one return for each answer, in the order of the text
    facts: ClauseFacts, parameters: Parameters
) -> Outcome:
    """Four groups count at once; the widened ones only where their enterprise declared the widening."""
    row = facts.employment
    if row is None:
        return Unknown("待花名册。", "roster", Party.ENTERPRISE)
    if parameters.staff_scope is StaffScope.ALL_STAFF:
        return Met("政策参数未限定人员类别。")
    if row.category is None:
        return Unknown("花名册未填写人员类别。", "category", Party.ENTERPRISE)
    if row.category not in WIDENED:
        return Met(f"人员类别为{row.category}。")
    if not any(covers(scope.start, scope.end, facts.day) for scope in facts.scopes):
        return Unknown(
            f"人员类别为{row.category}，须由企业声明已将范围扩大至全体技术工人（覆盖{facts.day}）。",
            "scope_declaration",
            Party.ENTERPRISE,
        )
    if row.category is Category.DISPATCHED and row.dispatched_by is None:
        return Unknown("人员类别为劳务派遣，但未填写派遣单位。", "dispatching_company", Party.ENTERPRISE)
    return Met(f"人员类别为{row.category}，企业已声明扩大范围。")


@clause(
    "one-month",
    revision=1,
    title="一个月的补贴资格只占用一次",
    citation=f"{_NOTICE}一（三）：给予1个月的“以工代训”职业培训补贴；每人一次为本项目理解",
    reads=("completion", "employment"),
)
def one_month(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """The holder is never named; a free month and one's own read alike, so a grant's text does not change.

    That it is once per person (``once_per``) stands in the slot's key and needs no question here.
    """
    if facts.holding is None or facts.is_holder:
        return Met("该人员的1个月补贴资格未被其他结业记录占用。")
    if facts.holding.blocked:
        return Unknown(
            "原资格已撤销，但该月补贴已申领或支付，尚未退回或释放。", "month_returned", Party.CLIENT
        )
    return NotMet("该人员的1个月补贴资格已由另一结业记录占用。")


@clause(
    "person-identified",
    revision=1,
    title="学员身份以证件号码确定",
    citation="本项目理解：通知未规定；手机号、平台账号、姓名加出生日期等不能确定为何人，须人工复核",
    reads=("completion",),
)
def person_identified(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """Whatever is weaker than an identifier never finds anybody by itself."""
    if facts.identified:
        return Met("学员身份以证件号码或经人工复核确定。")
    return Unknown(
        "该证明未载证件号码，尚未确定为何人；请平台补充证件号码后重新推送，或待人工复核。",
        "identity",
        Party.REVIEWER,
    )


@clause(
    "employed-by-claimant",
    revision=2,
    title="结业之日为申领企业职工",
    citation=f"{_NOTICE}一（三）：本企业；以结业日期为准、本人否认列名的先行复核为本项目理解",
    reads=("completion", "employment", "covering", "admissions", "choice", "contest"),
)
def employed_by_claimant_uncontested(facts: ClauseFacts, parameters: Parameters) -> Outcome:
    """As revision 1; besides, a listing that its worker contests waits for a reviewer.

    A month that money was asked for or paid on is not taken back before the reviewer has answered.
    """
    if facts.contest is not None and not facts.is_paid_for:
        return Unknown("本人否认由该企业用工，须人工复核。", "listing_review", Party.REVIEWER)
    return employed_by_claimant(facts, parameters)


@clause(
    "same-person",
    revision=2,
    title="证明与花名册为同一人",
    citation=(
        "本项目理解：通知未规定；证件号码相同而姓名无关联的，由人工复核；同一证件号码下姓名各不相干、超过参数所定数目的，"
        "该号码不再足以确定为何人"
    ),
    reads=("completion", "employment", "name_decision"),
    needs=("names_per_number",),
)
def same_person_by_a_number_of_their_own(facts: ClauseFacts, parameters: Parameters) -> Outcome:
    """As revision 1; besides, a number under which many people are named identifies none of them."""
    if facts.unrelated_names <= parameters.names_per_number or facts.employment is None:
        return same_person(facts, parameters)
    if facts.name_decision is None:
        return Unknown(
            "同一证件号码下出现多个互不相干的姓名，该号码不足以确定为何人，须人工复核。",
            "shared_number",
            Party.REVIEWER,
        )
    if facts.name_decision.same_person:
        return Met("同一证件号码下出现多个姓名，经复核确认证明与花名册为同一人。")
    return NotMet("经复核，证明与花名册所载不是同一人。")


@clause(
    "not-released",
    revision=1,
    title="未放弃该结业记录的补贴资格",
    citation="本项目理解：通知未规定；企业可放弃，主管部门可应本人要求释放",
    reads=("completion", "release"),
)
def not_released(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """What was given up under one employer still counts under another."""
    if facts.release is None:
        return Met("该结业记录未被放弃。")
    if facts.release.wish is Wish.EMPLOYER:
        return NotMet("该企业已放弃以该结业记录申领。")
    return NotMet("应本人要求，该结业记录不再由该企业申领。")


@clause(
    "not-suspended",
    revision=1,
    title="未被暂缓",
    citation="本项目理解：通知未规定；复核人员可说明理由暂缓，期满自动恢复",
    reads=("completion", "employment", "hold"),
)
def not_suspended(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """Only a person suspends, for a time; what money was asked for or paid on is not taken back by it."""
    if facts.hold is None or facts.is_paid_for:
        return Met("未被暂缓。")
    return Unknown(f"复核人员已暂缓至{beijing_date(facts.hold.until)}（北京时间）。", "hold", Party.REVIEWER)


@clause(
    "one-month",
    revision=2,
    title="一个月的补贴资格只占用一次",
    citation=f"{_NOTICE}一（三）：给予1个月的“以工代训”职业培训补贴；每人一次、本人有异议的先行复核为本项目理解",
    reads=("completion", "employment", "dispute"),
)
def one_month_undisputed(facts: ClauseFacts, parameters: Parameters) -> Outcome:
    """As revision 1, with two additions.

    A grant that fell after money was asked for or paid on it, and that is entitled again before the money
    came back, takes up its own month again: nothing is owed twice. And where the worker disputes that the
    month was theirs to be taken, nobody is told no before the objection is answered.
    """
    if facts.was_holder:
        return Met("该人员的1个月补贴资格未被其他结业记录占用。")
    answer = one_month(facts, parameters)
    if isinstance(answer, NotMet) and facts.dispute is not None:
        return Unknown("本人对该月资格已被占用有异议，须先行答复。", "month_dispute", Party.REVIEWER)
    return answer
