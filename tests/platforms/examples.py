"""The example profiles of ``adapters/profiles``, as the service would load them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from adapters import ADAPTERS
from adapters.declared import DeclaredPlatform, load

PROFILES: Final = Path(__file__).parents[2] / "adapters" / "profiles"
BUILT_IN: Final = frozenset(adapter.slug for adapter in ADAPTERS)
EXAMPLES: Final[tuple[DeclaredPlatform, ...]] = tuple(
    load(path.read_bytes(), taken=BUILT_IN) for path in sorted(PROFILES.glob("*.toml"))
)
