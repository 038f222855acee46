"""A platform that sends XML is read by the service's own process for it, to the same result as here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters import ADAPTERS
from tests import certificates
from tests.certificates import Kind
from tests.platforms import fixtures
from tests.platforms.sending_national_personnel import (
    NATIONAL_PERSONNEL,
    SLUG,
    issuing,
    key_id,
    private,
)
from verifier import preparing
from verifier.app import read_apart
from verifier.confined import Confined, Rules
from verifier.errors import SignatureRejected
from verifier.keyring import PUBLIC, SOURCE, Register, load_packed, pack
from verifier.model.delivery import Callback, PlatformSlug
from verifier.preparing import HERE, Prepared, ProvenItem

NOW: Final = datetime(2021, 6, 1, 4, tzinfo=UTC)
(ADAPTER,) = (adapter for adapter in ADAPTERS if adapter.slug == SLUG)
SENDER: Final = NATIONAL_PERSONNEL[1]
FIXTURE: Final = next(one for one in fixtures.load(SLUG) if one.name == "completed")
TOML: Final = f"""
[[platform]]
slug = "{SLUG}"
name = "中国国家人事人才培训网"
[[platform.recognised]]
from = 2021-01-01
reference = "测试"
[[platform.transport]]
key_id = "{key_id("ec", 0)}"
not_before = 2021-01-01T00:00:00+08:00
public_key = "transport.pem"
algorithm = "ES256"

[[issuer]]
id = "{FIXTURE.expected["items"][0]["certificate"]["issuer"]}"
number_scope = "all"
platforms = ["{SLUG}"]
[[issuer.anchor]]
id = "root-2021"
file = "root.pem"
algorithm = "SM3withSM2"
state = "active"
not_before = 2021-01-01T00:00:00+08:00
crls = ["root.crl", "authority.crl"]
"""


def packed() -> str:
    signing = issuing(Kind.SM2)
    transport = private("ec", 0).public_key()
    return pack(
        {
            SOURCE: TOML.encode(),
            PUBLIC + "transport.pem": transport.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            PUBLIC + "root.pem": certificates.pem(signing.root.der, "CERTIFICATE"),
            PUBLIC + "root.crl": certificates.crl(signing.root),
            PUBLIC + "authority.crl": certificates.crl(signing.authority),
        }
    )


@pytest.fixture(scope="module")
def register() -> Register:
    return load_packed(packed(), lambda _: b"")


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confined]:
    secrets: Path = tmp_path_factory.mktemp("secrets")
    reader = Confined(read_apart, lambda: Rules("1", ((), packed(), secrets)), workers=1)
    yield reader
    reader.close()


def digest(purpose: str, data: bytes) -> bytes:
    return purpose.encode() + data[:16]


def delivery() -> Callback:
    return SENDER.callback(FIXTURE.body(SENDER.profile), FIXTURE.delivery_id, NOW)


def test_it_is_read_to_the_same_result_as_here(apart: Confined, register: Register) -> None:
    request = delivery()
    found: list[Prepared] = []
    for reader in (HERE, apart):
        read = reader.open(ADAPTER, request, register, NOW)
        assert read == replace(reader.read(ADAPTER, read.authenticated), authenticated=read.authenticated)
        found.append(preparing.verify(read, register, digest, {}, reader))
    assert found[0] == found[1]
    assert any(isinstance(item, ProvenItem) for item in found[1].items)


def test_it_is_refused_as_here(apart: Confined, register: Register) -> None:
    altered = delivery()
    altered = replace(altered, body=altered.body.replace(b"<KEYID>npt", b"<KEYID>xpt"))
    steps = []
    for reader in (HERE, apart):
        with pytest.raises(SignatureRejected) as caught:
            reader.open(ADAPTER, altered, register, NOW)
        steps.append(caught.value.step)
    assert steps[0] == steps[1]


def test_the_platform_asks_for_it() -> None:
    assert ADAPTER.accepts.confined
    assert ADAPTER.slug == PlatformSlug(SLUG)
