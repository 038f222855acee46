"""Every error this project raises on purpose, in one tree.

::

    VerifierError
    ├── RequestRejected        the request breaks a limit or a form; nothing of it is kept
    ├── SignatureRejected      not authentic; one generic answer for every cause
    ├── AdapterError           authentic, but not readable by this profile; kept in quarantine
    ├── CertificateRejected    the certificate fails a numbered step; the item is kept with its reason
    ├── IdentityRejected       an identifier or a name breaks its written rule
    ├── AccessDenied           the caller may not do this, or the thing does not exist for them
    ├── Conflict               something else already stands under this name
    ├── LedgerRefused          the ledger would fork, shrink or skip
    ├── ConfigurationError     a file, key or parameter of ours is missing or wrong
    └── Unavailable            try again later; nothing was done, or with OUTCOME_UNKNOWN nobody knows

Every error carries a ``Code``: a stable string that appears in answers, logs and documentation, and
never changes its meaning. ``CATALOGUE`` says, for every code, who must mend what, in Chinese and English.
HTTP status codes are no concern of this module (see ``verifier.web.errors``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar


class Party(StrEnum):
    """Who must mend what went wrong."""

    PLATFORM = "platform"
    ENTERPRISE = "enterprise"
    CLIENT = "client"
    BUREAU = "bureau"
    OPERATOR = "operator"
    REVIEWER = "reviewer"


class Code(StrEnum):
    """Stable reason codes; the catalogue below explains each."""

    # requests
    REQUEST_TOO_LARGE = "request_too_large"
    REQUEST_TIMEOUT = "request_timeout"
    HEADERS_INVALID = "headers_invalid"
    CONTENT_TYPE_UNSUPPORTED = "content_type_unsupported"
    CONTENT_ENCODING_UNSUPPORTED = "content_encoding_unsupported"
    JSON_INVALID = "json_invalid"
    SCHEMA_INVALID = "schema_invalid"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CURSOR_AHEAD = "cursor_ahead"
    NOT_FOUND = "not_found"
    # authenticity
    SIGNATURE_REJECTED = "signature_rejected"
    # deliveries and items
    DELIVERY_CONFLICT = "delivery_conflict"
    DELIVERY_UNREADABLE = "delivery_unreadable"
    FIELD_MISSING = "field_missing"
    FIELD_INVALID = "field_invalid"
    XML_REFUSED = "xml_refused"
    CHARSET_REFUSED = "charset_refused"
    PRIVATE_USE_CHARACTER = "private_use_character"
    TOO_COMPLEX = "too_complex"
    DOCUMENT_MISSING = "document_missing"
    EVENT_UNKNOWN = "event_unknown"
    COMPLETION_CONFLICT = "completion_conflict"
    # certificates
    CERTIFICATE_MALFORMED = "certificate_malformed"
    CERTIFICATE_HEADER_REFUSED = "certificate_header_refused"
    DOCUMENT_ALTERED = "document_altered"
    ISSUER_UNKNOWN = "issuer_unknown"
    ISSUER_NOT_ALLOWED = "issuer_not_allowed"
    KEY_UNKNOWN = "key_unknown"
    CERTIFICATE_CHAIN_REFUSED = "certificate_chain_refused"
    REVOCATION_UNKNOWN = "revocation_unknown"
    KEY_NOT_VALID_AT_ISSUE = "key_not_valid_at_issue"
    KEY_COMPROMISED = "key_compromised"
    ALGORITHM_REFUSED = "algorithm_refused"
    CERTIFICATE_SIGNATURE_INVALID = "certificate_signature_invalid"
    CERTIFICATE_CLAIMS_INVALID = "certificate_claims_invalid"
    CERTIFICATE_MISMATCH = "certificate_mismatch"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    # identity
    IDENTIFIER_INVALID = "identifier_invalid"
    IDENTITY_WEAK = "identity_weak"
    NAME_INVALID = "name_invalid"
    USCC_INVALID = "uscc_invalid"
    # access
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a reason code, not a secret
    CLIENT_ASSERTION_REFUSED = "client_assertion_refused"
    SCOPE_INSUFFICIENT = "scope_insufficient"
    QUOTA_EXCEEDED = "quota_exceeded"
    # rosters
    ROSTER_ROW_INVALID = "roster_row_invalid"
    ROSTER_UNREADABLE = "roster_unreadable"
    OFFICE_UNKNOWN = "office_unknown"
    # records and claims
    ALREADY_CLAIMED = "already_claimed"
    RECORD_NOT_CURRENT = "record_not_current"
    CLAIM_STATE_REFUSED = "claim_state_refused"
    REVIEW_STATE_REFUSED = "review_state_refused"
    MONTH_NOT_HELD = "month_not_held"
    MONTH_CLAIMED = "month_claimed"
    CLAIM_DIFFERS = "claim_differs"
    PAYEE_NOT_CONFIGURED = "payee_not_configured"
    PAYEE_REFUSED = "payee_refused"
    MONTH_FROZEN = "month_frozen"
    SIGNED_FILE_REFUSED = "signed_file_refused"
    STATE_REFUSED = "state_refused"
    # what is kept
    LEARNER_ERASED = "learner_erased"
    DUTY_TO_KEEP = "duty_to_keep"
    KEEP_TERM_NOT_CONFIGURED = "keep_term_not_configured"
    BODY_NOT_KEPT = "body_not_kept"
    COPY_REFUSED = "copy_refused"
    # files that are taken in
    IMPORT_REFUSED = "import_refused"
    IMPORT_FILE_UNREADABLE = "import_file_unreadable"
    IMPORT_FILE_CHANGED = "import_file_changed"
    IMPORT_LINE_TRUNCATED = "import_line_truncated"
    # ledger
    LEDGER_HEAD_MOVED = "ledger_head_moved"
    LEDGER_FORK_REFUSED = "ledger_fork_refused"
    RECORD_INVALID = "record_invalid"
    KIND_UNKNOWN = "kind_unknown"
    # configuration
    CONFIGURATION_INVALID = "configuration_invalid"
    KEY_REFUSED = "key_refused"
    POLICY_INVALID = "policy_invalid"
    STORE_LOCKED = "store_locked"
    # availability
    OVERLOADED = "overloaded"
    STORE_UNAVAILABLE = "store_unavailable"
    OUTCOME_UNKNOWN = "outcome_unknown"
    PLATFORM_UNAVAILABLE = "platform_unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Who must mend what, for one code.

    Attributes:
        party: who has to act.
        zh: what to do, in Chinese, for the people who use the service.
        en: the same in English.
    """

    party: Party
    zh: str
    en: str


class VerifierError(Exception):
    """Root of the tree.

    Args:
        code: the stable reason.
        detail: a fixed English sentence for logs and developers. It never contains what the caller sent:
            inputs hold identity numbers.
        pointer: where in the input, as a JSON pointer, a header name or a column; never a value.
    """

    default: ClassVar[Code] = Code.INTERNAL

    def __init__(self, code: Code | None = None, detail: str = "", *, pointer: str = "") -> None:
        self.code = code if code is not None else self.default
        self.detail = detail
        self.pointer = pointer
        super().__init__(f"{self.code}: {detail}" + (f" ({pointer})" if pointer else ""))


class RequestRejected(VerifierError):
    """The request breaks a limit or a form before anything in it is believed."""

    default = Code.HEADERS_INVALID


class SignatureRejected(VerifierError):
    """Not authentic.

    Args:
        step: which check failed, for the platform's own failure list; never sent in the answer.
    """

    default = Code.SIGNATURE_REJECTED

    def __init__(self, step: str) -> None:
        self.step = step
        super().__init__(Code.SIGNATURE_REJECTED, step)


class AdapterError(VerifierError):
    """Authentic, but not readable by the platform's profile. The delivery is kept in quarantine."""

    default = Code.DELIVERY_UNREADABLE


class CertificateRejected(VerifierError):
    """A certificate failed one of the numbered steps of ``verifier.certificates``.

    Args:
        code: the stable reason.
        step: number of the step in the list of ``verifier.certificates``.
        detail: fixed sentence.
    """

    default = Code.CERTIFICATE_MALFORMED

    def __init__(self, code: Code, step: int, detail: str = "") -> None:
        self.step = step
        super().__init__(code, detail)


class IdentityRejected(VerifierError):
    """An identifier, organisation code or name breaks its written rule (``verifier.identity``)."""

    default = Code.IDENTIFIER_INVALID


class AccessDenied(VerifierError):
    """The caller may not do this, or the thing does not exist as far as they may know."""

    default = Code.NOT_FOUND


class Conflict(VerifierError):
    """Something different already stands under the same name.

    Args:
        recorded: what stands, where it belongs to the caller; it is answered, and written nowhere else.
    """

    default = Code.DELIVERY_CONFLICT

    def __init__(
        self,
        code: Code | None = None,
        detail: str = "",
        *,
        pointer: str = "",
        recorded: Mapping[str, Any] | None = None,
    ) -> None:
        self.recorded = recorded
        super().__init__(code, detail, pointer=pointer)


class LedgerRefused(VerifierError):
    """The step would fork, shrink or skip the ledger, or a signed thing does not check out."""

    default = Code.LEDGER_FORK_REFUSED


class ConfigurationError(VerifierError):
    """One of our own files, keys or parameters is missing or wrong: the service fails closed."""

    default = Code.CONFIGURATION_INVALID


class Unavailable(VerifierError):
    """Nothing was done, or with OUTCOME_UNKNOWN nobody knows; the same request may be sent again later."""

    default = Code.OVERLOADED


def _said(party: Party, zh: str, en: str) -> Explanation:
    return Explanation(party, zh, en)


_P, _E, _C, _B, _O, _R = (
    Party.PLATFORM, Party.ENTERPRISE, Party.CLIENT, Party.BUREAU, Party.OPERATOR, Party.REVIEWER,
)  # fmt: skip

CATALOGUE: dict[Code, Explanation] = {
    Code.REQUEST_TOO_LARGE: _said(_C, "请求超过大小上限，请分批发送。", "The request is over the size limit: send it in parts."),
    Code.REQUEST_TIMEOUT: _said(_C, "请求发送过慢，请重新发送。", "The request arrived too slowly: send it again."),
    Code.HEADERS_INVALID: _said(_C, "请求头缺失、重复或格式错误，请按接口文档更正。", "A header is missing, doubled or malformed: correct it as documented."),
    Code.CONTENT_TYPE_UNSUPPORTED: _said(_C, "不支持的 Content-Type，请使用接口文档规定的类型。", "Unsupported Content-Type: use the documented one."),
    Code.CONTENT_ENCODING_UNSUPPORTED: _said(_C, "不接受压缩的请求体，请去掉 Content-Encoding。", "Compressed bodies are not accepted: remove Content-Encoding."),
    Code.JSON_INVALID: _said(_C, "请求体不是规范的 JSON（重复键、非 UTF-8、嵌套过深等），请更正后重发。", "The body is not strict JSON (duplicate keys, not UTF-8, too deep, ...): correct it."),
    Code.SCHEMA_INVALID: _said(_C, "字段缺失、多余或类型不符，请按接口文档更正。", "A field is missing, unknown or of the wrong type: correct it as documented."),
    Code.METHOD_NOT_ALLOWED: _said(_C, "该地址不支持此请求方法。", "This address does not take that method."),
    Code.CURSOR_AHEAD: _said(_C, "游标超出账本末尾：它属于另一个账本，或服务恢复了旧备份。不要重置游标，请暂停付款，保留手中的检查点，并请运营方核对账本。", "The cursor lies beyond the ledger's end: it belongs to another ledger, or the service was restored from an old backup. Do not reset it: stop paying, keep your checkpoint, and have the operator compare the ledger with it."),
    Code.NOT_FOUND: _said(_C, "不存在，或不在您的权限范围内。", "It does not exist, or not for you."),
    Code.SIGNATURE_REJECTED: _said(_P, "签名验证未通过，请核对密钥、时间戳与签名原文。", "The signature was not accepted: check key, timestamp and what is signed."),
    Code.DELIVERY_CONFLICT: _said(_P, "同一投递编号对应了不同内容，请为新内容使用新的编号。", "The same delivery id came with other content: use a new id for new content."),
    Code.DELIVERY_UNREADABLE: _said(_P, "报文真实但无法解析，已保留原文，请核对报文格式。", "The message is authentic but cannot be read; it is kept. Check its format."),
    Code.FIELD_MISSING: _said(_P, "缺少必填字段，请补全后重新推送。", "A required field is missing: complete it and push again."),
    Code.FIELD_INVALID: _said(_P, "字段内容不符合规定，请更正后重新推送。", "A field breaks its rule: correct it and push again."),
    Code.XML_REFUSED: _said(_P, "XML 不合要求（含 DTD、实体、处理指令，或过深、过大、不规范），已保留原文，请更正后重发。", "The XML is refused (a DTD, entities, processing instructions, too deep or large, or not well-formed); it is kept. Correct it and send again."),
    Code.CHARSET_REFUSED: _said(_P, "报文字符集与声明不符，或含该字符集不允许的字节，请核对编码。", "The message is not in the declared charset: check its encoding."),
    Code.PRIVATE_USE_CHARACTER: _said(_P, "含自定义区（PUA）字符，无法确认是哪个字；请改用 GB 18030-2022 / Unicode 的正式编码后重发。", "It holds private-use characters, which stand for no certain character: use the standard code points."),
    Code.TOO_COMPLEX: _said(_P, "文件过大或过于复杂，在限定的时间和内存内无法读取，请精简后重发。", "The document cannot be read within the limits of time and memory: simplify it."),
    Code.DOCUMENT_MISSING: _said(_P, "所引文件尚未收到；收到后自动处理，无需重发本条。", "The file that it names has not come yet; it is read by itself once the file comes."),
    Code.EVENT_UNKNOWN: _said(_O, "事件类型未登记，已保留，待运营方确认。", "The event type is not known; it is kept for the operator."),
    Code.COMPLETION_CONFLICT: _said(_P, "同一证书编号对应了不同内容且未声明更正，已转人工复核。", "The same certificate number came with other content and no correction was declared; it went to review."),
    Code.CERTIFICATE_MALFORMED: _said(_P, "证书格式错误，请按规范重新签发。", "The certificate is malformed: issue it again as specified."),
    Code.CERTIFICATE_HEADER_REFUSED: _said(_P, "证书头含有不允许的参数（如 jwk、jku、x5u、crit）。", "The certificate's header holds a parameter that is not allowed (such as jwk, jku, x5u, crit)."),
    Code.DOCUMENT_ALTERED: _said(_P, "文件在签名之后被改动，或签名未覆盖整个文件，请重新签发。", "The document was changed after signing, or the signature does not cover all of it: issue it again."),
    Code.ISSUER_UNKNOWN: _said(_B, "证书签发者未登记，请主管部门确认是否登记。", "The certificate's issuer is not registered: the bureau decides whether it should be."),
    Code.ISSUER_NOT_ALLOWED: _said(_P, "该平台无权转交此签发者的证书。", "This platform may not speak for that issuer."),
    Code.KEY_UNKNOWN: _said(_P, "证书所用密钥未登记，请先登记公钥。", "The certificate's key is not registered: enrol the public key first."),
    Code.CERTIFICATE_CHAIN_REFUSED: _said(_P, "证书链不能在签发时通向已登记的信任锚，请核对签名证书与中间证书。", "The certificate chain does not lead to a registered anchor at the time of issue: check signer and intermediate certificates."),
    Code.REVOCATION_UNKNOWN: _said(_O, "没有当前有效的吊销列表，无法确认签名证书是否被吊销，请更新信任名册中的吊销列表。", "No current revocation list says whether the signer's certificate stands: renew the lists in the trust register."),
    Code.KEY_NOT_VALID_AT_ISSUE: _said(_P, "签发时该密钥不在有效期内，请用有效密钥重新签发。", "The key was not valid when the certificate was issued: sign again with a valid key."),
    Code.KEY_COMPROMISED: _said(_P, "该密钥已报失密，失密后首次收到的证书一律不予认可，请用新密钥重新签发。", "The key is reported compromised and this certificate was first received afterwards: sign again with a new key."),
    Code.ALGORITHM_REFUSED: _said(_P, "签名算法与登记不符。", "The signature algorithm is not the registered one."),
    Code.CERTIFICATE_SIGNATURE_INVALID: _said(_P, "证书签名不正确，内容可能被改动，请核实后重新签发。", "The certificate's signature is wrong; its content may have been altered: check and issue again."),
    Code.CERTIFICATE_CLAIMS_INVALID: _said(_P, "证书内容缺项或类型不符，请按规范重新签发。", "The certificate's claims are incomplete or of the wrong type: issue it again as specified."),
    Code.CERTIFICATE_MISMATCH: _said(_P, "报文与证书内容不一致，以证书为准，请更正报文。", "The message and the certificate differ; the certificate counts: correct the message."),
    Code.CERTIFICATE_NOT_YET_VALID: _said(_P, "证书签发时间或结业时间晚于当前时间，请核对时钟。", "The certificate's issue or completion time lies in the future: check the clock."),
    Code.IDENTIFIER_INVALID: _said(_P, "证件号码不符合规则（长度、字符或校验码），请更正后重新提交。", "The id number breaks its rule (length, characters or check digit): correct it and send it again."),
    Code.IDENTITY_WEAK: _said(_P, "证书没有证件号码（只有手机号、平台账号、出生日期等），不能确定为何人，已转人工复核；请补充证件号码后重新推送，或等待复核。", "The certificate has no id number (only a phone, an account, a birth date or the like), so it names nobody for certain and went to review: add the id number and push again, or wait."),
    Code.NAME_INVALID: _said(_P, "姓名为空、过长或含有不允许的字符，请更正后重新推送。", "The name is empty, too long or holds characters that are not allowed: correct it and push again."),
    Code.USCC_INVALID: _said(_E, "统一社会信用代码不符合规则，请更正。", "The unified social credit code breaks its rule: correct it."),
    Code.TOKEN_REFUSED: _said(_C, "访问令牌无效或已过期，请重新获取。", "The access token is not valid or has expired: get a new one."),
    Code.CLIENT_ASSERTION_REFUSED: _said(_C, "客户端身份验证未通过，请核对断言的密钥、受众、有效期和 jti，或客户端密钥串。", "The client was not authenticated: check the assertion's key, audience, lifetime and jti, or the client secret."),
    Code.SCOPE_INSUFFICIENT: _said(_C, "该客户端没有此项权限。", "This client's role does not include that call."),
    Code.QUOTA_EXCEEDED: _said(_C, "超过调用额度，请稍后再试。", "Over the quota: try again later."),
    Code.ROSTER_ROW_INVALID: _said(_E, "花名册中有不符合规则的行，请按提示更正后重新上传。", "A row of the roster breaks a rule: correct it as shown and upload again."),
    Code.ROSTER_UNREADABLE: _said(_E, "花名册文件在限定的时间和内存内无法读取，请用模板重新填写后另存，或改传 CSV。", "The roster file cannot be read within the limits of time and memory: write it anew in the template, or send CSV."),
    Code.OFFICE_UNKNOWN: _said(_B, "受理机构代码不在准入起始日有效的受理机构表中，请核对代码。", "The acceptance office's code is not in the table of offices on the admission's first day: check the code."),
    Code.ALREADY_CLAIMED: _said(_C, "该月补贴资格已被其他申领占用，不得重复支付。", "This month is already claimed for another payment: do not pay it again."),
    Code.RECORD_NOT_CURRENT: _said(_C, "该记录不是最新有效记录，请拉取最新记录。", "This is not the latest valid record: pull the latest one."),
    Code.CLAIM_STATE_REFUSED: _said(_C, "当前状态不允许此操作。", "The claim's state does not allow this step."),
    Code.REVIEW_STATE_REFUSED: _said(_R, "该复核事项不存在、已办结或不适用此结论。", "The review does not exist, is closed, or does not take that outcome."),
    Code.MONTH_NOT_HELD: _said(_E, "该企业没有占用此人的补贴月份，没有可以放弃的资格。", "This enterprise does not hold the person's month: there is nothing to give up."),
    Code.MONTH_CLAIMED: _said(_C, "该月补贴已申领或已支付，须先由补贴系统放弃申领或登记退回。", "The month is claimed or paid: the subsidy system must release the claim or record the return first."),
    Code.CLAIM_DIFFERS: _said(_C, "同一支付编号已登记了不同内容，以已登记的为准（见 recorded）。", "Something else is recorded under this payment reference, and that counts (see `recorded`)."),
    Code.PAYEE_NOT_CONFIGURED: _said(_B, "此人为劳务派遣，领取补贴的是用工单位还是派遣单位尚未配置：请主管部门在补贴标准表中配置 payee，或在申领中写明 payee。", "The worker is dispatched and it is not configured whether the employer or the dispatcher is paid: the bureau configures `payee` in the standards, or the claim says it."),
    Code.PAYEE_REFUSED: _said(_C, "申领写明的领取单位与应领取的单位不符：未经派遣的只能是用工单位，派遣的以补贴标准表为准。", "The claim names another payee than the one who is to be paid: the employer where nobody dispatched, else whom the standards name."),
    Code.MONTH_FROZEN: _said(_C, "该记账月份已冻结，不再接受申领；请以 settled_in 写明下一未冻结月份（见 recorded.open）后再申领。", "The account month is frozen and takes no more claims: say `settled_in` with the next open month (see `recorded.open`)."),
    Code.SIGNED_FILE_REFUSED: _said(_C, "签名文件未通过核验：签名、类型、签发者、文件名或内容摘要不符，未作任何处理。", "The signed file does not check out (signature, type, issuer, name or digest of the content); nothing was done."),
    Code.STATE_REFUSED: _said(_C, "该事项的当前状态不允许此操作。", "Its present state does not allow this."),
    Code.LEARNER_ERASED: _said(_B, "此人的信息已依法删除，该内容仅予存档，不产生效果。", "What was held on this person was lawfully erased: this is kept and has no effect."),
    Code.DUTY_TO_KEEP: _said(_B, "仍有保存义务（存续的资格、申领或支付、未结事项），不得删除；请看试算列出的原因。", "A duty to keep remains (a live grant, a claim or payment, an open matter): see what the dry run lists."),
    Code.KEEP_TERM_NOT_CONFIGURED: _said(_O, "此人有申领或支付记录，而保存年限尚未配置；请由主管部门确定后设置 VERIFIER_ERASURE_KEEP_YEARS。", "Money was asked for or paid, and for how many years that is kept is not configured: have the bureau decide and set VERIFIER_ERASURE_KEEP_YEARS."),
    Code.BODY_NOT_KEPT: _said(_O, "该投递的原文已不再保留，无法重读；请平台重新推送。", "The delivery's raw body is no longer kept, so it cannot be read again: ask the platform to push it anew."),
    Code.COPY_REFUSED: _said(_O, "数据库搬迁被拒绝，请按提示处理；目标库未搬完之前不能使用。", "The move of the database is refused, see the reason; the target cannot be used before it is complete."),
    Code.IMPORT_REFUSED: _said(_O, "该平台不能以此种文件导入；可用的文件种类与列见该平台的文档。", "This platform's items cannot be imported from such a file: its page lists the kinds of file and the columns."),
    Code.IMPORT_FILE_UNREADABLE: _said(_O, "文件不存在、为空、不是普通文件或无权读写（含错误清单），未导入任何内容。", "The file is missing, empty, no regular file, or it (or its side file of errors) may not be read or written; nothing was imported."),
    Code.IMPORT_FILE_CHANGED: _said(_O, "文件在导入期间被改动；已导入的行仍然有效。请用不再变化的副本重新导入。", "The file changed while it was imported; the lines that were taken in stand. Import a copy that nobody writes to."),
    Code.IMPORT_LINE_TRUNCATED: _said(_O, "文件在此行中间结束，可能未传完；请核对后重新传送并导入。", "The file ends within this line and may be incomplete: transfer it again, then import it."),
    Code.LEDGER_HEAD_MOVED: _said(_O, "账本头已被其他签发进程推进，本次结果作废重做。", "Another issuer moved the ledger's head: this attempt is discarded and done again."),
    Code.LEDGER_FORK_REFUSED: _said(_O, "账本与库外保存的检查点不一致，拒绝继续签发，请先查明数据库是否被恢复或改动。", "The ledger does not agree with the checkpoint kept outside the database: find out whether it was restored or altered."),
    Code.RECORD_INVALID: _said(_O, "记录、证明或检查点未通过核验。", "The record, proof or checkpoint does not check out."),
    Code.KIND_UNKNOWN: _said(_C, "该文件不是本工具能核验的种类（记录、状态列表、结论、文件签名、证明、检查点、数据流转储、平台证书）。", "The file is of no kind that can be checked here (record, status list, outcome, signature of a file, proof, checkpoint, dump of the feed, platform certificate)."),
    Code.CONFIGURATION_INVALID: _said(_O, "配置文件或环境变量有误，请按提示更正。", "A configuration file or variable is wrong: correct it as shown."),
    Code.KEY_REFUSED: _said(_O, "密钥强度、格式或文件权限不符合要求。", "The key's strength, form or file mode is not acceptable."),
    Code.POLICY_INVALID: _said(_B, "政策参数文件有误，请按提示更正。", "The policy's parameter file is wrong: correct it as shown."),
    Code.STORE_LOCKED: _said(_O, "数据库正被另一进程使用；写操作请通过运行中的服务执行。", "Another process holds the database; writing commands go through the running service."),
    Code.OVERLOADED: _said(_O, "系统繁忙，未作任何处理，请稍后重试。", "Busy; nothing was done. Try again later."),
    Code.STORE_UNAVAILABLE: _said(_O, "数据库暂不可用，未作任何处理，请稍后重试。", "The database is not available; nothing was done. Try again later."),
    Code.OUTCOME_UNKNOWN: _said(_O, "数据库未能确认是否已可靠保存，请原样重发：已保存的按首次结果答复，不会重复生效。", "The database did not confirm that this is kept for good: send the same again. What was kept is answered as the first time and has no second effect."),
    Code.PLATFORM_UNAVAILABLE: _said(_P, "平台接口没有按约定应答，未作任何处理，请稍后重试或联系平台。", "The platform's interface did not answer as agreed; nothing was done. Try again later, or ask the platform."),
    Code.INTERNAL: _said(_O, "内部错误，已记录，请联系运营方并提供请求编号。", "An internal error was recorded: tell the operator the request id."),
}  # fmt: skip
