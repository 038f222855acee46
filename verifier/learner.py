"""Step 4b: identity claims -> which learner. Pure.

1. By a strong identifier the answer is certain: the same identifier is the same learner, a new identifier is
   a new one.
2. A name never finds, merges or separates anybody; an unrelated name under a known identifier is a question
   for a reviewer, which the policy's clause ``same-person`` asks.
3. Whatever is weaker than an identifier (a phone number, an account, a name with a birth date, a passport
   without its country) finds nobody. Its certificate counts for a *provisional learner*, who stands for
   nothing but that certificate, and whom only a reviewer merges with a person; the clause
   ``person-identified`` asks for it. What it says becomes a trait, by which people are proposed to the
   reviewer.
4. Anything else is refused, by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from verifier import identity, traits
from verifier.errors import Code, IdentityRejected
from verifier.model.person import (
    ClaimedKind,
    Identifier,
    IdentifierKind,
    IdentityClaims,
    PersonName,
    Trait,
)


@dataclass(frozen=True, slots=True)
class Identified:
    """Claims that passed the written rules: who it is by number, and under which name.

    Attributes:
        traits: what lets a reviewer be shown this person.
        weak: by what the claims name somebody, where that is weaker than an identifier; then the identifier
            is a provisional one.
    """

    identifier: Identifier
    name: PersonName
    traits: tuple[Trait, ...] = ()
    weak: str = ""


def identify(claims: IdentityClaims, today: date) -> Identified:
    """Read claims that must name somebody for certain, as a roster's do.

    Args:
        claims: as a certificate or roster wrote them.
        today: the Beijing date; nobody is born later.

    Raises:
        IdentityRejected: a rule is broken, or they are weaker than an identifier. The pointer is ``id_kind``
            or ``id_country`` where it is the kind's or the country's fault.
    """
    identifier, name = _identifier(claims, today), identity.person_name(claims.name)
    return Identified(identifier, name, traits.of_identified(identifier, name))


def holder(
    claims: IdentityClaims, certificate: tuple[str, str, str], platform: str, today: date
) -> Identified:
    """Read whom a certificate names, for certain or not.

    Args:
        claims: as the certificate wrote them.
        certificate: its issuer, number scope and number.
        platform: who passed it on.
        today: the Beijing date; nobody is born later.

    Raises:
        IdentityRejected: the kind of identifier is not known, or a rule is broken.
    """
    if not is_weak(claims):
        return identify(claims, today)
    name = identity.person_name(claims.name)
    key = identity.provisional(*certificate, claims.id_kind, claims.id_number, name.folded)
    found = traits.of_claims(claims, name, platform)
    return Identified(key, name, found, claims.id_kind)


def is_weak(claims: IdentityClaims) -> bool:
    """Whether claims are of a kind that names nobody for certain."""
    return claims.id_kind in traits.WEAK or (claims.id_kind == ClaimedKind.PASSPORT and not claims.country)


def strong(kind: str, number: str, country: str, today: date) -> Identifier:
    """An identifier that names somebody for certain; arguments and errors as for ``identify``."""
    return _identifier(IdentityClaims(kind, number, "", country), today)


def is_provisional(identifier: Identifier) -> bool:
    """Whether it stands for one certificate only, and for nobody who is known."""
    return identifier.kind is IdentifierKind.PROVISIONAL


def _identifier(claims: IdentityClaims, today: date) -> Identifier:
    match claims.id_kind:
        case ClaimedKind.RESIDENT_ID:
            return identity.resident_id(claims.id_number, today=today)
        case ClaimedKind.HMT_PERMIT:
            return identity.hmt_permit(claims.id_number, today=today)
        case ClaimedKind.FOREIGN_CARD:
            return identity.foreign_card(claims.id_number, today=today)
        case ClaimedKind.PASSPORT:
            return identity.passport(claims.id_number, claims.country)
        case _:
            raise IdentityRejected(
                Code.IDENTIFIER_INVALID, "this kind of identifier is not taken", pointer="id_kind"
            )
