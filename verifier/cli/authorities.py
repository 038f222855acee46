"""Whom a command believes when it speaks to others over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

from verifier.errors import Code, ConfigurationError


def trusted_authorities(path: Path | None) -> ssl.SSLContext:
    """A context of TLS 1.2 or later.

    Args:
        path: PEM file of certificate authorities to believe in place of the system's.

    Raises:
        ConfigurationError: the file is not one of certificates.
    """
    try:
        context = ssl.create_default_context(cafile=path)
    except OSError:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "not a file of certificates in PEM", pointer="ca"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
