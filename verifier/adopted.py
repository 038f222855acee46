"""What is in force: the settings say which policies there are, the database says which version of each.

1. What was adopted counts. A file that differs from it changes nothing until it is adopted in its turn, also
   when the service starts: an older file that still lies there must not take the place of what was adopted
   while the service ran.
2. A file is adopted when the service starts only where nothing of its kind was adopted yet; of policies each
   entitlement counts for itself.
3. A policy that the settings no longer name is not in force, whatever was adopted: what it gave stays.
4. Under one policy and revision there is one content. Whoever changes a file gives it the next revision, or
   decisions that name the same revision would stand on different parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from verifier.errors import Code, ConfigurationError
from verifier.keyring import Register, load_packed
from verifier.model.decision import Entitlement
from verifier.operations import SourceForm
from verifier.pipeline import Rulebook
from verifier.policy import Policy, entitlement_of, load, pin_of
from verifier.ports.operating import Adoption

__all__ = [
    "Difference",
    "Standing",
    "beside",
    "entitlement_of",
    "newest_policy",
    "packed_register",
    "pin_of",
    "policy_form",
    "replaced",
    "require_own_revision",
    "standing",
    "stands_about",
    "switched_off",
]


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that is not what was adopted.

    Attributes:
        kind: ``policy``, ``register`` or ``standards``.
        what: the entitlement of a policy; empty for a register.
        adopted: digest of what counts.
        file: digest of the file.
        since: when what counts was adopted; aware UTC.
    """

    kind: str
    what: str
    adopted: str
    file: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force.

    Attributes:
        fresh: forms of which nothing was adopted yet.
        differences: files that say something else.
    """

    rulebook: Rulebook
    fresh: tuple[SourceForm, ...]
    differences: tuple[Difference, ...]


def policy_form(policy: Policy, content: str) -> SourceForm:
    """A policy as its file says it."""
    said = {"policy": policy.pin, "entitlement": policy.entitlement}
    return SourceForm("policy", policy.digest, content, said)


def newest_policy(adoptions: Sequence[Adoption], entitlement: Entitlement) -> Adoption | None:
    """The policy about an entitlement that was adopted last."""
    return next((one for one in reversed(adoptions) if entitlement_of(one.content) == entitlement), None)


def standing(
    files: Rulebook,
    forms: Sequence[SourceForm],
    policies: Sequence[Adoption],
    registers: Sequence[Adoption],
    secret: Callable[[str], bytes],
) -> Standing:
    """What is in force.

    Args:
        files: as the settings name them.
        forms: their source forms: of each policy in order, then of the register.
        policies: every policy that was ever adopted, oldest first.
        registers: every register.
        secret: reads a transport secret by its file name.

    Raises:
        ConfigurationError: what was adopted cannot be read by this version, or a secret is missing.
    """
    chosen, fresh, differences = list[Policy](), list[SourceForm](), list[Difference]()
    *policy_forms, register_form = forms
    for policy, form in zip(files.policies, policy_forms, strict=True):
        found = newest_policy(policies, policy.entitlement)
        chosen.append(policy if found is None else load(found.content.encode()))
        if found is None:
            fresh.append(form)
        elif found.digest != form.digest:
            differences.append(_difference(found, form, policy.entitlement))
    register = files.register
    if not registers:
        fresh.append(register_form)
    elif registers[-1].digest != register_form.digest:
        register = packed_register(registers[-1].content, secret)
        differences.append(_difference(registers[-1], register_form, ""))
    return Standing(Rulebook(tuple(chosen), register), tuple(fresh), tuple(differences))


def beside(found: Standing, form: SourceForm, adoptions: Sequence[Adoption]) -> Standing:
    """What is in force, with a source form of a further kind: the first one is fresh, another one differs."""
    if not adoptions:
        return replace(found, fresh=(*found.fresh, form))
    if adoptions[-1].digest == form.digest:
        return found
    return replace(found, differences=(*found.differences, _difference(adoptions[-1], form, "")))


def packed_register(content: str, secret: Callable[[str], bytes]) -> Register:
    """A register as it was adopted; errors as ``load_packed``."""
    return replace(load_packed(content, secret), packed=content)


def _difference(found: Adoption, form: SourceForm, what: str) -> Difference:
    return Difference(form.kind, what, found.digest, form.digest, found.adopted_at)


def require_own_revision(policy: Policy, adoptions: Sequence[Adoption]) -> None:
    """See that no other content was adopted under a policy's name and revision.

    Raises:
        ConfigurationError: POLICY_INVALID, there was: the file needs the next revision.
    """
    for one in adoptions:
        if one.digest != policy.digest and pin_of(one.content) == policy.pin:
            detail = "other content was adopted under this policy and revision: give it the next revision"
            raise ConfigurationError(Code.POLICY_INVALID, detail, pointer="revision")


def stands_about(rulebook: Rulebook, entitlement: Entitlement) -> Policy:
    """The policy in force about an entitlement.

    Raises:
        ConfigurationError: there is none: the settings do not name any policy about it.
    """
    found = next((one for one in rulebook.policies if one.entitlement == entitlement), None)
    if found is None:
        raise switched_off()
    return found


def switched_off() -> ConfigurationError:
    """The settings do not name any policy about an entitlement."""
    detail = "no policy about this entitlement is switched on: name it in VERIFIER_POLICIES first"
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="policies")


def replaced(rulebook: Rulebook, policy: Policy) -> Rulebook:
    """A rulebook with a policy in place of the one about the same entitlement."""
    return Rulebook(
        tuple(policy if one.entitlement == policy.entitlement else one for one in rulebook.policies),
        rulebook.register,
    )
