"""Every key of a profile: ``SECTIONS`` is the table, which the guide repeats and the loader reads by.

A section's ``selector`` is the key whose value says which further keys it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from adapters.declared import forms
from adapters.declared.answers import EnvelopeName
from adapters.declared.body import CHARSETS
from adapters.declared.canonical import Carried, Digits, ParameterAlgorithm, Part
from adapters.declared.certificates import ContentEncoding
from adapters.declared.forms import FLAG, MEMBER, PLACE, Form
from adapters.declared.message import ItemsForm, Scope
from verifier.model.certificate import CertificateKind, DocumentKind, SkillLevel
from verifier.model.delivery import EventKind
from verifier.model.person import ClaimedKind
from verifier.model.time import TimeFormat

_REQUIRED: Final = object()
HEADER: Final = forms.text(r"[a-z0-9][a-z0-9-]{0,63}", "小写请求头名 header name, lower case")
PARAMETER: Final = forms.text(r"[A-Za-z0-9_.\-]{1,64}", "参数名 parameter name")
PARAMETERS: Final = forms.several(PARAMETER, "参数名列表 list of parameter names")
TIME: Final = forms.choice(TimeFormat)
WINDOW: Final = forms.number(1, 86_400)
KINDS: Final = (EventKind.COMPLETED, EventKind.CORRECTED, EventKind.REVOKED)


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        default: what a profile without it says; ``required`` where it has to say something.
    """

    name: str
    form: Form
    default: Any = _REQUIRED

    @property
    def required(self) -> bool:
        """Whether it has to be there."""
        return self.default is _REQUIRED


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a profile.

    Attributes:
        keys: those that it always may have.
        selector: the one of them whose value chooses among ``variants``.
        variants: the further keys for each value; a value without an entry has none.
        words: for a table of the platform's own words: the form of each one's meaning.
        required: whether it has to be there.
    """

    keys: tuple[Key, ...] = ()
    selector: str = ""
    variants: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)
    words: Form | None = None
    required: bool = False


_TOLERANCE: Final = Key("tolerance_seconds", WINDOW, 300)

SCHEMES: Final[Mapping[str, tuple[Key, ...]]] = MappingProxyType(
    {
        "standard-webhooks": (
            Key("id_header", HEADER, "webhook-id"),
            Key("timestamp_header", HEADER, "webhook-timestamp"),
            Key("signature_header", HEADER, "webhook-signature"),
            _TOLERANCE,
        ),
        "gateway-hmac": (
            Key("key_header", HEADER, ""),
            Key("timestamp_header", HEADER),
            Key("timestamp_format", TIME),
            Key("nonce_header", HEADER, ""),
            Key("signature_header", HEADER),
            Key("signed", forms.several(forms.choice(Part), ", ".join(Part))),
            Key("separator", forms.text(r"[\n\x21-\x7e]{0,2}", "0 … 2 个字符 characters"), "\n"),
            Key("ends_with_separator", FLAG, default=False),
            Key("body_unsigned", FLAG, default=False),
            Key("signature_form", forms.choice(Digits)),
            _TOLERANCE,
        ),
        "sorted-parameters": (
            Key("parameters", forms.choice(Carried)),
            Key("algorithm", forms.choice(ParameterAlgorithm)),
            Key("required", PARAMETERS),
            Key("time_name", PARAMETER),
            Key("time_format", TIME),
            Key("signature_name", PARAMETER, "sign"),
            Key("excluded", PARAMETERS, ()),
            Key("drop_empty", FLAG, default=True),
            Key("percent_encoded", FLAG, default=False),
            Key(
                "suffix_name", forms.text(r"[A-Za-z0-9_.\-]{0,64}", "参数名或空 parameter name or empty"), ""
            ),
            Key("upper_hex", FLAG, default=True),
            Key("key_name", PARAMETER, ""),
            Key("payload", PARAMETER, ""),
            _TOLERANCE,
        ),
        "secret-in-body": (Key("secret", MEMBER),),
        "secret-in-header": (
            Key("header", HEADER),
            Key("prefix", forms.text(r"[\x21-\x7e]{0,15} ?", "≤ 16 字符 characters"), ""),
        ),
        "raw-rsa-query": (
            Key("timestamp_name", PARAMETER, "ts"),
            Key("signature_name", PARAMETER, "sign"),
            Key("key_name", PARAMETER, "user"),
            Key("other_names", PARAMETERS, ()),
            _TOLERANCE,
        ),
        "bearer": (),
        "jws-body": (
            Key("typ", forms.text(r"[\x21-\x7e]{1,64}", "文本 text"), "JWT"),
            Key("member", MEMBER, ""),
            Key("time", MEMBER),
            Key("time_format", TIME),
            _TOLERANCE,
        ),
    }
)

_SIGNED_BESIDE: Final = (
    Key("signature", PLACE),
    Key("signature_limit", forms.number(1, 65_536), 4096),
    Key("encoding", forms.choice(ContentEncoding), ContentEncoding.TEXT),
)

CERTIFICATES: Final[Mapping[str, tuple[Key, ...]]] = MappingProxyType(
    {
        CertificateKind.JWS: (),
        CertificateKind.JWS_X5C: (),
        CertificateKind.CANONICAL: (
            *_SIGNED_BESIDE,
            Key("chain", PLACE, None),
            Key("joined", FLAG, default=False),
            Key("other_names", PARAMETERS, ()),
        ),
        CertificateKind.CMS: _SIGNED_BESIDE,
        CertificateKind.OPEN_BADGE: (),
    }
)

SECTIONS: Final[Mapping[str, Section]] = MappingProxyType(
    {
        "": Section(
            (
                Key("slug", forms.text(r"[a-z][a-z0-9_]{2,62}", "a-z 0-9 _，3 … 63")),
                Key(
                    "name",
                    forms.text(r"(?=.*[\u4e00-\u9fff])[^\x00-\x1f\x7f-\x9f]{1,100}", "中文名 with Han"),
                ),
                Key("profile", forms.choice(("assumed", "confirmed"))),
                Key(
                    "content_types",
                    forms.several(
                        forms.text(r"[a-z]+/[a-z0-9.+-]+", ""), "媒体类型列表 list of media types", 4
                    ),
                    ("application/json",),
                ),
                Key("charset", forms.choice(CHARSETS), "utf-8"),
                Key("method", forms.choice(("POST", "PUT")), "POST"),
                Key("resource", forms.text(r"[a-z0-9][a-z0-9_-]{0,63}", "a-z 0-9 _ -"), ""),
                Key("body_bytes", forms.number(1_024, 4_194_304), 1_048_576),
            ),
            required=True,
        ),
        "authenticity": Section(
            (Key("scheme", forms.choice(SCHEMES)),), selector="scheme", variants=SCHEMES, required=True
        ),
        "delivery": Section(
            (Key("id", PLACE, None), Key("sequence", PLACE, None), Key("changing", PARAMETERS, ()))
        ),
        "items": Section(
            (
                Key("form", forms.choice(ItemsForm)),
                Key("id", PLACE, None),
                Key("numbers_as_text", FLAG, default=False),
            ),
            selector="form",
            variants={
                ItemsForm.SINGLE: (Key("at", MEMBER, ""),),
                ItemsForm.BATCH: (Key("at", MEMBER), Key("limit", forms.number(1, 1_000), 200)),
                ItemsForm.ROOTS: (Key("limit", forms.number(1, 1_000), 200),),
            },
            required=True,
        ),
        "items.roots": Section(words=forms.choice(KINDS)),
        "events": Section(
            (
                Key("word", PLACE, None),
                Key("always", forms.choice(KINDS), None),
                Key("scope", forms.choice(Scope), Scope.ITEM),
                Key("occurred_at", PLACE, None),
                Key("occurred_format", TIME, None),
                Key("reason", PLACE, None),
            )
        ),
        "events.words": Section(words=forms.choice(KINDS)),
        "stated": Section(
            (Key("number", PLACE, None), Key("holder_name", PLACE, None), Key("id_number", PLACE, None))
        ),
        "revoked": Section((Key("issuer", PLACE), Key("number", PLACE))),
        "certificate": Section(
            (
                Key("kind", forms.choice([CertificateKind(kind) for kind in CERTIFICATES])),
                Key("content", PLACE),
                Key("limit", forms.number(256, 262_144), 16_384),
            ),
            selector="kind",
            variants=CERTIFICATES,
        ),
        "certificate.fields": Section(
            (
                *(
                    Key(name, MEMBER)
                    for name in (
                        *("issuer", "number", "holder_name", "id_kind", "id_number", "course_code"),
                        *("course_title", "organisation", "completed_at", "issued_at"),
                    )
                ),
                Key("completed_format", TIME),
                Key("issued_format", TIME),
                Key("document", MEMBER, ""),
                Key("revision", MEMBER, ""),
                Key("level", MEMBER, ""),
                Key("started_at", MEMBER, ""),
                Key("started_format", TIME, None),
                Key("study_minutes", MEMBER, ""),
                Key("id_country", MEMBER, ""),
            )
        ),
        "certificate.documents": Section(words=forms.choice(DocumentKind)),
        "certificate.levels": Section(words=forms.choice(SkillLevel)),
        "certificate.id_kinds": Section(words=forms.choice(ClaimedKind)),
        "certificate.known": Section(words=PLACE),
        "answer": Section(
            (Key("envelope", forms.choice(EnvelopeName)),),
            selector="envelope",
            variants={
                EnvelopeName.PLAIN: (
                    Key("success", forms.text(r"[\x21-\x7e]{1,64}", "文本 text"), "SUCCESS"),
                )
            },
            required=True,
        ),
    }
)
"""By the table's path; a section within another may stand only where that one does."""
