"""The written policy: cited clauses (``rules``), dated values with their references (``parameters/*.toml``).

``load`` reads a parameter file into a ``Policy``; ``verifier.eligibility`` applies it to a case. A clause
answers Met, NotMet or Unknown; a released revision of a clause is never edited, a new one is added.
"""

from verifier.policy.clauses import PROOFS, Clause, ClauseFacts
from verifier.policy.loader import Policy, entitlement_of, load, pin_of, says_amount_is_open
from verifier.policy.parameters import Parameters
from verifier.policy.rules_further import CLAUSES

__all__ = [
    "CLAUSES",
    "PROOFS",
    "Clause",
    "ClauseFacts",
    "Parameters",
    "Policy",
    "entitlement_of",
    "load",
    "pin_of",
    "says_amount_is_open",
]
