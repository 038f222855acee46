"""The platforms, each in one file. ``ADAPTERS`` is the only list of them: everything else is derived."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from adapters.china_vocational_training import ChinaVocationalTraining
from adapters.employment_training import EmploymentTraining
from adapters.mohrss_training import MohrssTraining
from adapters.national_personnel import NationalPersonnel
from adapters.new_occupation import NewOccupation
from adapters.skill_master import SkillMaster
from verifier.ports import Adapter

ADAPTERS: Final[tuple[Adapter, ...]] = (
    ChinaVocationalTraining(),
    NewOccupation(),
    EmploymentTraining(),
    NationalPersonnel(),
    MohrssTraining(),
    SkillMaster(),
)


def named(adapters: Iterable[Adapter]) -> Mapping[str, Adapter]:
    """Adapters by their slugs."""
    return {adapter.slug: adapter for adapter in adapters}
