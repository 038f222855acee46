"""The answer: ``{"c": 0, "msg": "成功", "ctt": [...]}``, where ``c`` is a number and errors come in HTTP 200.

Some gateways take any other status for an outage and send the same again for ever. So whatever became of an
authentic batch, which is kept, is answered in HTTP 200; a request of which nothing was kept has the usual
status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from verifier.errors import CATALOGUE, Code
from verifier.model import envelope
from verifier.model.delivery import Acknowledgment, DeliveryOutcome, ItemOutcome

NUMBERS: Final[Mapping[Code, int]] = {
    # requests
    Code.REQUEST_TOO_LARGE: 101,
    Code.REQUEST_TIMEOUT: 102,
    Code.HEADERS_INVALID: 103,
    Code.CONTENT_TYPE_UNSUPPORTED: 104,
    Code.CONTENT_ENCODING_UNSUPPORTED: 105,
    Code.JSON_INVALID: 106,
    Code.SCHEMA_INVALID: 107,
    Code.METHOD_NOT_ALLOWED: 108,
    Code.NOT_FOUND: 109,
    # authenticity
    Code.SIGNATURE_REJECTED: 201,
    # deliveries and items
    Code.DELIVERY_CONFLICT: 301,
    Code.DELIVERY_UNREADABLE: 302,
    Code.FIELD_MISSING: 303,
    Code.FIELD_INVALID: 304,
    Code.XML_REFUSED: 305,
    Code.CHARSET_REFUSED: 306,
    Code.PRIVATE_USE_CHARACTER: 307,
    Code.TOO_COMPLEX: 308,
    Code.DOCUMENT_MISSING: 309,
    Code.EVENT_UNKNOWN: 310,
    Code.COMPLETION_CONFLICT: 311,
    Code.LEARNER_ERASED: 312,
    Code.BODY_NOT_KEPT: 313,
    # certificates
    Code.CERTIFICATE_MALFORMED: 401,
    Code.CERTIFICATE_HEADER_REFUSED: 402,
    Code.DOCUMENT_ALTERED: 403,
    Code.ISSUER_UNKNOWN: 404,
    Code.ISSUER_NOT_ALLOWED: 405,
    Code.KEY_UNKNOWN: 406,
    Code.CERTIFICATE_CHAIN_REFUSED: 407,
    Code.REVOCATION_UNKNOWN: 408,
    Code.KEY_NOT_VALID_AT_ISSUE: 409,
    Code.KEY_COMPROMISED: 410,
    Code.ALGORITHM_REFUSED: 411,
    Code.CERTIFICATE_SIGNATURE_INVALID: 412,
    Code.CERTIFICATE_CLAIMS_INVALID: 413,
    Code.CERTIFICATE_MISMATCH: 414,
    Code.CERTIFICATE_NOT_YET_VALID: 415,
    # identity
    Code.IDENTIFIER_INVALID: 501,
    Code.IDENTITY_WEAK: 504,
    Code.NAME_INVALID: 502,
    Code.USCC_INVALID: 503,
    # access
    Code.TOKEN_REFUSED: 601,
    Code.CLIENT_ASSERTION_REFUSED: 602,
    Code.SCOPE_INSUFFICIENT: 603,
    Code.QUOTA_EXCEEDED: 604,
    # rosters
    Code.ROSTER_ROW_INVALID: 701,
    Code.ROSTER_UNREADABLE: 702,
    Code.OFFICE_UNKNOWN: 703,
    # records and claims
    Code.ALREADY_CLAIMED: 801,
    Code.RECORD_NOT_CURRENT: 802,
    Code.CLAIM_STATE_REFUSED: 803,
    Code.REVIEW_STATE_REFUSED: 804,
    Code.MONTH_NOT_HELD: 805,
    Code.MONTH_CLAIMED: 806,
    Code.STATE_REFUSED: 807,
    Code.CLAIM_DIFFERS: 808,
    Code.MONTH_FROZEN: 809,
    Code.PAYEE_NOT_CONFIGURED: 810,
    Code.PAYEE_REFUSED: 811,
    Code.SIGNED_FILE_REFUSED: 812,
    Code.DUTY_TO_KEEP: 813,
    Code.KEEP_TERM_NOT_CONFIGURED: 814,
    # ledger
    Code.LEDGER_HEAD_MOVED: 901,
    Code.LEDGER_FORK_REFUSED: 902,
    Code.RECORD_INVALID: 903,
    Code.CURSOR_AHEAD: 904,
    Code.KIND_UNKNOWN: 905,
    Code.COPY_REFUSED: 906,
    Code.IMPORT_REFUSED: 907,
    Code.IMPORT_FILE_UNREADABLE: 908,
    Code.IMPORT_FILE_CHANGED: 909,
    Code.IMPORT_LINE_TRUNCATED: 910,
    # configuration
    Code.CONFIGURATION_INVALID: 1001,
    Code.KEY_REFUSED: 1002,
    Code.POLICY_INVALID: 1003,
    Code.STORE_LOCKED: 1004,
    # availability
    Code.OVERLOADED: 1101,
    Code.STORE_UNAVAILABLE: 1102,
    Code.PLATFORM_UNAVAILABLE: 1103,
    Code.INTERNAL: 1104,
    Code.OUTCOME_UNKNOWN: 1105,
}
"""``c`` by reason. A number never changes its meaning; a new reason takes one that was never used."""


def acknowledgment(outcome: DeliveryOutcome) -> Acknowledgment:
    """The answer to a batch; to its repetition the same."""
    _, code = envelope.result(outcome, single=False)
    return _answer(200, code, [_item(item) for item in outcome.items])


def refusal(code: Code) -> Acknowledgment:
    """The answer to a request of which nothing was kept."""
    return _answer(envelope.status(code), code, [])


def _answer(status: int, code: Code | None, content: Sequence[Mapping[str, Any]]) -> Acknowledgment:
    text = json.dumps({**_said(code), "ctt": content}, ensure_ascii=False, separators=(",", ":"))
    return Acknowledgment(status, envelope.CONTENT_TYPE, text.encode("utf-8"))


def _said(code: Code | None) -> Mapping[str, Any]:
    if code is None:
        return {"c": 0, "msg": envelope.SUCCESS}
    return {"c": NUMBERS[code], "msg": CATALOGUE[code].zh}


def _item(outcome: ItemOutcome) -> Mapping[str, Any]:
    code = outcome.code
    return {
        "itemId": outcome.item,
        "state": outcome.state.value,
        **_said(code),
        "party": CATALOGUE[code].party.value if code else "",
        "pointer": outcome.pointer,
        "step": outcome.step,
    }
