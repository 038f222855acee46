"""Whose data a delivery's raw body holds, so that an erasure and an export find it again. Pure.

Every certificate names its holder, whatever became of it: a repetition, an older one and one that a reviewer
is asked about too. A revocation by number is about the holder of that number. Of an item that was refused,
or that could not be read, nobody knows whom it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifier.completions import Reference
from verifier.model.person import Identifier, LearnerId
from verifier.ports.intake import Mention
from verifier.preparing import Prepared, ProvenItem, RevokedItem


def mentions(
    group: Sequence[Prepared],
    learners: Mapping[Identifier, LearnerId],
    holders: Mapping[Reference, LearnerId],
) -> list[Mention]:
    """Whom the deliveries of a transaction mention.

    Args:
        group: the deliveries.
        learners: by identifier, for the certificates that were taken in.
        holders: by number, as it stood when the transaction began.
    """
    found: dict[Mention, None] = {}
    for prepared in group:
        delivery_id = prepared.claim.authenticated.delivery_id
        for item in prepared.items:
            if isinstance(item, ProvenItem):
                number = item.proven.reference
                named = item.event.certificate
                document = named.document if named is not None else ""
                # Of a closed number the holder has no identifier any more.
                people = {learners.get(item.identifier), holders.get(number)}
            elif isinstance(item, RevokedItem):
                document, people = "", {holders.get(item.reference)}
            else:
                continue
            for who in sorted(one for one in people if one is not None):
                found[Mention(prepared.platform, delivery_id, who, document)] = None
    return list(found)
