"""Step 4b: identity claims -> which learner. Pure.

By a strong identifier the answer is certain: the same identifier is the same learner, a new identifier is a
new one. A name never finds, merges or separates anybody; an unrelated name under a known identifier is a
question for a reviewer, which the policy's clause ``same-person`` asks. Anything weaker than a strong
identifier is refused here, by name, so that nobody is ever found by it silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from verifier import identity
from verifier.errors import Code, IdentityRejected
from verifier.model.person import ClaimedKind, Identifier, IdentityClaims, PersonName


@dataclass(frozen=True, slots=True)
class Identified:
    """Claims that passed the written rules: who it is by number, and under which name."""

    identifier: Identifier
    name: PersonName


def identify(claims: IdentityClaims, today: date) -> Identified:
    """Read identity claims by the rules of ``verifier.identity``.

    Args:
        claims: as a certificate or roster wrote them.
        today: the Beijing date; nobody is born later.

    Raises:
        IdentityRejected: the kind of identifier is not known, or a rule is broken.
    """
    if claims.id_kind != ClaimedKind.RESIDENT_ID:
        raise IdentityRejected(
            Code.IDENTIFIER_INVALID, "this kind of identifier is not taken", pointer="id_kind"
        )
    return Identified(identity.resident_id(claims.id_number, today=today), identity.person_name(claims.name))
