"""The platforms, each in one file. ``ADAPTERS`` is the only list of them: everything else is derived."""

from __future__ import annotations

from typing import Final

from adapters.china_vocational_training import ChinaVocationalTraining
from adapters.new_occupation import NewOccupation
from verifier.ports import Adapter

ADAPTERS: Final[tuple[Adapter, ...]] = (ChinaVocationalTraining(), NewOccupation())
