"""The clauses of 一（一）, 一（二）, and those that any of the notice's subsidies may have; as in ``rules``.

Where a released function of ``rules`` answers the same question for another text, it is registered here under
an id and a citation of its own: a released revision is never edited, so that nothing can change under it.
"""

from __future__ import annotations

from verifier.errors import Party
from verifier.model.certificate import DocumentKind
from verifier.model.decision import Met, NotMet, Outcome, Unknown
from verifier.model.facts import WIDENED
from verifier.policy.clauses import ClauseFacts, clause
from verifier.policy.parameters import Parameters
from verifier.policy.rules import (
    CLAUSES,
    course_proof_by_a_sound_key,
    employed_by_claimant_uncontested,
    within_period,
)

__all__ = ["CLAUSES"]

_NOTICE = "新人社函〔2021〕17号（转发文件引为21号）"


@clause(
    "skill-certificate",
    revision=1,
    title="取得职业技能等级证书等相关证书",
    citation=(
        f"{_NOTICE}一（一）：对培训合格、取得职业技能等级证书等相关证书的；"
        "何为“相关证书”未列明、签名密钥失密后首次收到的不予认可为本项目理解"
    ),
    reads=("completion",),
)
def skill_certificate(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """The text ends in 等: whether another document counts is for the bureau to say."""
    if facts.revoked:
        return NotMet("该证书已被签发方撤销；撤销原因见签发方的撤销通知。")
    if facts.doubtful:
        return NotMet(
            "该证书的签名密钥已报失密，且本证书系失密之后首次收到，不予认可；"
            "请签发方以新密钥重新签发后再行推送。"
        )
    if facts.completion.document is DocumentKind.SKILL_LEVEL:
        return Met("职业技能等级证书已通过核验且未被撤销。")
    if facts.completion.document is DocumentKind.COURSE_PROOF:
        return NotMet("提交的是课程培训合格证明，不是职业技能等级证书；该证明不适用本项。")
    return Unknown(
        "提交的不是职业技能等级证书，是否属于通知所称“相关证书”尚未确定。",
        "related_certificate",
        Party.BUREAU,
    )


@clause(
    "skill-level",
    revision=1,
    title="证书载明技能等级",
    citation=f"{_NOTICE}一（一）：初级工、中级工、高级工、技师、高级技师分别按照不高于……的标准",
    reads=("completion",),
)
def skill_level(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """The subsidy goes by level, and the level must come from the certificate."""
    if facts.completion.level is None:
        return Unknown("证书未载明可识别的技能等级。", "skill_level", Party.PLATFORM)
    return Met(f"证书载明的技能等级为{facts.completion.level}。")


clause(
    "training-passed",
    revision=1,
    title="培训合格",
    citation=(
        f"{_NOTICE}一（二）：对于培训合格的；以经核验的合格证明为据、签名密钥失密后首次收到的不予认可为本项目理解"
    ),
    reads=("completion",),
)(course_proof_by_a_sound_key)


@clause(
    "comprehensive-course",
    revision=1,
    title="属于综合性培训",
    citation=(
        f"{_NOTICE}一（二）：通用职业素质、岗位练兵、技能竞赛、工匠精神、法律道德、质量意识、安全生产、"
        "消防环保和健康卫生等综合性培训；何种课程属之未列明，以参数所列课程为准为本项目理解"
    ),
    reads=("completion",),
    may=("comprehensive_courses",),
)
def comprehensive_course(facts: ClauseFacts, parameters: Parameters) -> Outcome:
    """A title does not tell; as long as nobody listed the courses, nobody is refused for theirs."""
    courses = parameters.comprehensive_courses
    if courses is None:
        return Unknown("哪些课程属于综合性培训尚未由主管部门确定。", "comprehensive_courses", Party.BUREAU)
    if f"{facts.completion.platform}/{facts.completion.course_code}" in courses.codes:
        return Met("该课程列入综合性培训课程。")
    return NotMet("该课程未列入综合性培训课程。")


clause(
    "within-campaign",
    revision=1,
    title="在专项工作期内",
    citation=(
        f"{_NOTICE}首段：在2021年2月1日至3月31日开展专项工作；"
        "一（一）、一（二）未另定期限，以专项工作期为限、以何日期为准为本项目理解"
    ),
    reads=("completion",),
    needs=("window", "window_basis"),
)(within_period)

clause(
    "on-roster",
    revision=1,
    title="结业之日为申领企业职工",
    citation=(
        f"{_NOTICE}一：鼓励各类企业对……职工提供培训服务；"
        "以企业花名册和结业日期为准、本人否认列名的先行复核为本项目理解"
    ),
    reads=("completion", "employment", "covering", "admissions", "choice", "contest"),
)(employed_by_claimant_uncontested)


@clause(
    "category-named",
    revision=1,
    title="属于本项所列职工",
    citation=(
        f"{_NOTICE}一（一）：对调休不歇班、留岗职工；一（二）：对就地过年、在企休假职工；"
        "以花名册所填类别为准为本项目理解"
    ),
    reads=("completion", "employment"),
    needs=("categories",),
)
def category_named(facts: ClauseFacts, parameters: Parameters) -> Outcome:
    """What kind of worker somebody is does not say whether they stayed, so the widened groups are asked."""
    row, named = facts.employment, parameters.categories.named
    if row is None:
        return Unknown("待花名册。", "roster", Party.ENTERPRISE)
    if row.category is None:
        return Unknown("花名册未填写人员类别。", "category", Party.ENTERPRISE)
    if row.category in named:
        return Met(f"人员类别为{row.category}。")
    wanted = "、".join(named)
    if row.category in WIDENED:
        return Unknown(
            f"花名册所填类别为{row.category}，未说明是否属于{wanted}职工。", "category", Party.ENTERPRISE
        )
    return NotMet(f"花名册所填类别为{row.category}，本项面向{wanted}职工；填写有误的，由企业更正花名册。")


@clause(
    "one-grant",
    revision=1,
    title="同一补贴资格只占用一次",
    citation="本项目理解：通知未规定次数；同一项补贴每人一次，不分等级、平台和企业，本人有异议的先行复核",
    reads=("completion", "employment", "dispute"),
)
def one_grant(facts: ClauseFacts, _parameters: Parameters) -> Outcome:
    """As ``one-month``: that it is once per person (``once_per``) stands in the slot's key."""
    if facts.holding is None or facts.was_holder:
        return Met("该人员的本项补贴资格未被其他结业记录占用。")
    if facts.holding.blocked:
        return Unknown(
            "原资格已撤销，但该项补贴已申领或支付，尚未退回或释放。", "month_returned", Party.CLIENT
        )
    if facts.dispute is not None:
        return Unknown("本人对资格已被占用有异议，须先行答复。", "month_dispute", Party.REVIEWER)
    return NotMet("该人员的本项补贴资格已由另一结业记录占用。")


@clause(
    "no-exclusion",
    revision=1,
    title="与其他补贴不互斥",
    citation=(
        "本项目理解：通知未规定一（一）、一（二）、一（三）互斥，默认不作限制；"
        "由参数开启互斥的，先准予者保留，其释放后重新判断"
    ),
    reads=("completion", "employment"),
    needs=("excluded_by",),
)
def no_exclusion(facts: ClauseFacts, parameters: Parameters) -> Outcome:
    """Which of two was granted first is which was committed first; whoever holds a grant keeps it.

    The holder and whom nothing excludes read alike, so that a grant's text does not change.
    """
    excluded = parameters.excluded_by.entitlements
    if not excluded:
        return Met("政策参数未设补贴之间的互斥。")
    if facts.is_holder or facts.others.isdisjoint(excluded):
        return Met("本项补贴资格不受与其他补贴互斥的限制。")
    return NotMet("该人员已先占用与本项互斥的另一项补贴资格；该项释放后重新判断。")
