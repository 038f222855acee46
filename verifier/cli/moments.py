"""Moments that somebody writes on the command line."""

from __future__ import annotations

from datetime import datetime

from verifier.errors import Code, ConfigurationError
from verifier.model.time import TimeFormat, parse_moment


def moment(text: str, name: str) -> datetime:
    """A moment with its offset, RFC 3339, as aware UTC.

    Args:
        text: as written.
        name: the option's name, for whoever has to mend it.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, it is none.
    """
    try:
        return parse_moment(text, TimeFormat.RFC3339)
    except ValueError:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "a time as 2021-06-01T12:00:00+08:00 is needed", pointer=name
        ) from None
