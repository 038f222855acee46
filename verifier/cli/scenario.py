"""What the demonstration sends and what must come of it: data only.

``ROWS`` is the one table of expectations; ``scenario_acts.ACTS`` has one act for each row, which says what
really came of it. People, enterprises and their codes are made up, and cannot be anybody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from verifier.cli.simulator import Person, enterprise_code, person

OFFICE: Final = "652301"
"""The acceptance office in the demonstration: 昌吉市's division."""


@dataclass(frozen=True, slots=True)
class Enterprise:
    """An enterprise that takes part; its client id is its key in ``ENTERPRISES``."""

    name: str
    uscc: str


ENTERPRISES: Final[Mapping[str, Enterprise]] = MappingProxyType(
    {
        "enterprise-a": Enterprise("昌吉沙箱纺织有限公司", enterprise_code(1)),
        "enterprise-b": Enterprise("准东沙箱煤电有限公司", enterprise_code(2)),
    }
)
DISPATCHER: Final = Enterprise("沙箱人力资源服务有限公司", enterprise_code(3))


@dataclass(frozen=True, slots=True)
class Worker:
    """Somebody in the demonstration.

    Attributes:
        person: as certificates name them.
        employers: whose rosters list them from the start.
        category: as the roster says.
        listed_as: the roster's name, where it is not the certificate's.
    """

    person: Person = field(repr=False)
    employers: tuple[str, ...] = ()
    category: str = "留岗"
    listed_as: str = ""

    @property
    def roster_name(self) -> str:
        """The name on the roster."""
        return self.listed_as or self.person.name


_A: Final = ("enterprise-a",)

WORKERS: Final[Mapping[str, Worker]] = MappingProxyType(
    {
        "zhang": Worker(person(1, "张建国", born="19820314"), _A),
        "ayigul": Worker(person(2, "阿依古丽·买买提", born="19900721"), _A, "就地过年"),
        "li": Worker(person(3, "李红霞", born="19881105"), _A, "调休不歇班"),
        "wang": Worker(person(4, "王秀兰", born="19790223"), _A),
        "liu": Worker(person(5, "刘洋", born="19950817"), _A),
        "gulnaz": Worker(person(6, "古丽娜孜·沙肯", born="19930410"), _A, "在企休假"),
        "yerjan": Worker(person(7, "叶尔江·努尔兰", born="19970602")),
        "nurali": Worker(person(8, "努尔艾力·吐尔逊江", born="19860919"), _A, "就地过年"),
        "rayhangul": Worker(person(9, "热依汗古丽·阿卜杜热合曼", born="19911230"), _A, "调休不歇班"),
        "zhao": Worker(person(10, "赵国强", born="19840508"), _A),
        "ma": Worker(person(11, "马晓梅", born="19920116"), _A, "留岗", "马小梅"),
        "khayrat": Worker(person(12, "哈依拉提·别克", born="19890327"), ("enterprise-a", "enterprise-b")),
        "chen": Worker(person(13, "陈志远", born="19940911"), _A, "劳务派遣"),
        "abdulla": Worker(
            person(14, "阿卜杜拉\u2022吾守尔", born="19870705"), _A, "就地过年", "阿卜杜拉\u00b7吾守尔"
        ),
        "sun": Worker(person(15, "孙丽", born="19961024"), _A),
        "he": Worker(person(18, "何晓军", born="19890902"), _A),
        "guzel": Worker(person(19, "古再丽·艾尼", born="19960318"), _A, "在企休假"),
        "qian": Worker(person(16, "钱伟", born="19850611"), _A),
        "meryem": Worker(person(17, "买尔燕·阿不都", born="19931107"), _A, "就地过年"),
    }
)
STRANGERS: Final = (person(901, "周明"), person(902, "迪丽努尔·艾山"), person(903, "巴合提·朱马什"))
"""People nobody ever heard of."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that arrives.

    Attributes:
        key: names its act.
        arrived: what arrives, for a reader.
        expected: what must come of it: what the act has to answer, to the letter.
    """

    key: str
    arrived: str
    expected: str


ROWS: tuple[Row, ...] = (
    Row("genuine-cvt", "张建国：中国职业培训在线推送结业", "200 accepted；准予 2021-03"),
    Row("genuine-xzy", "阿依古丽·买买提：新职业学习平台推送结业", "200 accepted；准予 2021-03"),
    Row("genuine-jc", "何晓军：就业创业和职业培训在线推送表单、SM2", "200 SUCCESS；准予 2021-06"),
    Row("genuine-npt", "钱伟：中国国家人事人才培训网推送 XML、CMS", "200 accepted；准予 2021-04"),
    Row("genuine-skm", "买尔燕·阿不都：技能大师在线培训推送 xAPI 签名语句", "200；准予 2021-05"),
    Row(
        "file-later",
        "古再丽·艾尼：人力资源社会保障部培训网先推结业、后传签名 PDF",
        "200 waiting → 200 accepted；准予 2021-09",
    ),
    Row("redelivered", "张建国：平台重发同一投递", "200 accepted；答复逐字相同，仍为1条记录"),
    Row("id-reused", "同一投递编号，换了内容（刘洋）", "409 delivery_conflict；无决定，原记录不变"),
    Row("tampered", "李红霞：证书签发后被改动", "422 certificate_signature_invalid 第7步；已留存，无决定"),
    Row(
        "retired-key", "王秀兰：证书用已停用的旧密钥签发", "422 key_not_valid_at_issue 第9步；已留存，无决定"
    ),
    Row("forged", "刘洋：冒充平台的请求，传输签名不符", "401 signature_rejected；未留存，无决定"),
    Row(
        "both-platforms",
        "古丽娜孜·沙肯：两个平台先后各推一门结业",
        "200 accepted，200 accepted；准予 2021-04；granted_here、month_taken；共1条记录",
    ),
    Row(
        "roster-later",
        "叶尔江·努尔兰：先有结业，后有花名册",
        "200 accepted；待定：缺覆盖结业日期的花名册 → 准予 2021-06",
    ),
    Row(
        "after-period",
        "努尔艾力·吐尔逊江：北京时间2022-01-01 00:00结业",
        "200 accepted；不予：within-period",
    ),
    Row(
        "last-minute",
        "热依汗古丽·阿卜杜热合曼：北京时间2021-12-31 23:59结业",
        "200 accepted；准予 2021-12",
    ),
    Row(
        "revoked",
        "赵国强：准予之后，平台撤销证书",
        "200 accepted；准予 2021-05 → 200 accepted；已撤销，原记录状态 invalid",
    ),
    Row(
        "corrected",
        "马晓梅：与花名册（马小梅）不同名，后更正重推",
        "200 accepted；待定：缺姓名复核结论 → 200 accepted；准予 2021-04",
    ),
    Row(
        "two-rosters",
        "哈依拉提·别克：两家企业的花名册都有",
        "200 accepted；待定：缺申领企业的确定；复核事项 employer_choice×1",
    ),
    Row(
        "dispatched",
        "陈志远：劳务派遣，企业后声明扩大范围",
        "200 accepted；待定：缺扩大范围的声明 → 准予 2021-07，记录载明派遣单位",
    ),
    Row(
        "still-pending",
        "哈依拉提·别克：企业甲声明后，全员重判",
        "待定：缺申领企业的确定；复核事项 employer_choice×1",
    ),
    Row(
        "other-dot",
        "阿卜杜拉•吾守尔：间隔号为U+2022，花名册为U+00B7",
        "200 accepted；准予 2021-05",
    ),
    Row(
        "status-own",
        "企业甲查询本单位两人（努尔艾力、孙丽）",
        "200 refused（within-period）；not_received（platform 补正）",
    ),
    Row(
        "status-other",
        "企业乙查询企业甲的三人，再查询三个不存在的人",
        "200 not_listed×3；两次答复完全相同",
    ),
    Row("claimed-twice", "张建国的一个月：两个补贴系统先后申领", "200 claimed；409 already_claimed"),
    Row(
        "row-altered",
        "数据库副本：一行用SQL改成“准予”",
        "副本：record_disagrees、row_altered、slot_without_grant；原库：0处不一致",
    ),
)
