"""Plausibility signals: what a party in the middle can see, for a reviewer to look at. Pure.

1. A signal is told to people. No clause, decision, record or answer to an enterprise looks at one; only a
   reviewer's hold suspends anything.
2. Time is the certificates' own: completion, start, minutes of study. When something was delivered says
   nothing about a learner. A completion at the first moment of a Beijing day is one of a day alone, whose
   time is not known; no rule on times of day looks at it.
3. What is revoked, and a listing that its worker refuted, counts for nothing here.
4. One finding stands for all of its kind about a person (an enterprise, a day). It is told once, and again
   when the number of what it is about has doubled.
5. The order of facts never matters.

``person`` has the rules on one person, ``sketch`` says whom they cannot find, ``roster`` has those on an
enterprise, ``wording`` the words. Thresholds are dated, and taken for the day of completion
(``verifier.policy.thresholds``).
"""

from __future__ import annotations

from typing import Final

from verifier.signals.person import of_person
from verifier.signals.roster import Roster, of_roster
from verifier.signals.sketch import may_be_found
from verifier.signals.wording import TITLES, reason, told

__all__ = ["RULES", "TITLES", "Roster", "may_be_found", "of_person", "of_roster", "reason", "told"]

RULES: Final = "signals@1"
"""Version of the rules; every signal bears it."""
