"""Platforms that are brought in without code: a TOML profile each, with tables in place of a module.

An **assumed profile** says so (``profile = "assumed"``) until its platform has confirmed its real format. The
examples in ``adapters/profiles`` are no real platforms'. How to write one, key by key, is in
``docs/guides/declared-platforms.md``.

``schema`` has every key, ``document`` reads a file by it and says the line of faults, ``checks`` looks for
contradictions, ``loader`` makes an adapter of it. ``schemes`` proves deliveries, ``message`` reads them,
``answers`` answers them; ``platform`` puts the three together.
"""

from adapters.declared.loader import load, load_all
from adapters.declared.platform import DeclaredPlatform

__all__ = ["DeclaredPlatform", "load", "load_all"]
