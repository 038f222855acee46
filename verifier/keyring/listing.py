"""The register as people read it: every key and anchor with its state and fingerprints."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from verifier.keyring import fingerprints
from verifier.keyring.loader import TRANSPORT_ALGORITHMS
from verifier.keyring.register import Issuer, IssuerAnchor, IssuerKey, Platform, Register
from verifier.model.time import iso
from verifier.signatures import crl
from verifier.signatures.jws import VerificationKey
from verifier.signatures.transport import TransportKey


def listing(register: Register, now: datetime) -> dict[str, Any]:
    """Every key of a register, as JSON members.

    Args:
        register: as it was read.
        now: aware UTC, for what is accepted at the moment.
    """
    return {
        "register": register.digest,
        "platforms": [_platform(platform, now) for platform in register.platforms.values()],
        "issuers": [_issuer(issuer) for issuer in register.issuers.values()],
    }


def _platform(platform: Platform, now: datetime) -> dict[str, Any]:
    return {
        "platform": platform.slug,
        "name": platform.name,
        "silence_hours": platform.silence_hours,
        "transport": [transport_key(key, now) for key in platform.transport],
    }


def transport_key(key: TransportKey, now: datetime) -> dict[str, Any]:
    """A transport key. A secret has no fingerprint: whoever reads one could try guesses against it."""
    said = {
        "key": key.key_id,
        "kind": "secret" if key.public_key is None else key.algorithm,
        "state": _at(key.not_before, key.not_after, now),
        **_interval(key.not_before, key.not_after),
    }
    if key.legacy:
        said["legacy"] = key.legacy
    if key.public_key is not None:
        algorithm = TRANSPORT_ALGORITHMS[key.algorithm]
        said |= fingerprints.of_key(VerificationKey(key.key_id, algorithm, key.public_key))
    return said


def _issuer(issuer: Issuer) -> dict[str, Any]:
    return {
        "issuer": issuer.issuer_id,
        "number_scope": issuer.number_scope,
        "platforms": sorted(issuer.platforms),
        "keys": [issuer_key(key) for key in issuer.keys.values()],
        "anchors": [issuer_anchor(anchor) for anchor in issuer.anchors],
    }


def issuer_key(key: IssuerKey) -> dict[str, Any]:
    """A key of an issuer."""
    return {
        "key": key.key.kid,
        "kind": key.key.algorithm.value,
        **_life(key),
        **fingerprints.of_key(key.key),
    }


def issuer_anchor(anchor: IssuerAnchor) -> dict[str, Any]:
    """An anchor of an issuer; its revocation lists by the moment at which they are out of date."""
    lists = anchor.crls or ()
    updates = [crl.Crl(one).next_update for one in lists]
    return {
        "key": anchor.anchor_id,
        "kind": anchor.algorithm.value,
        "leaf_subject": anchor.leaf_subject,
        "revocation": "unpublished" if anchor.crls is None else [iso(one) if one else "" for one in updates],
        **_life(anchor),
        **fingerprints.of_certificate(anchor.certificate),
    }


def _life(signer: IssuerKey | IssuerAnchor) -> dict[str, str]:
    said = {"state": signer.state.value, **_interval(signer.not_before, signer.not_after)}
    if signer.compromised_since is not None:
        said["compromised_since"] = iso(signer.compromised_since)
    return said


def _interval(start: datetime, end: datetime | None) -> dict[str, str]:
    return {"not_before": iso(start), **({"not_after": iso(end)} if end else {})}


def _at(start: datetime, end: datetime | None, now: datetime) -> str:
    if now < start:
        return "future"
    return "ended" if end is not None and end <= now else "active"
