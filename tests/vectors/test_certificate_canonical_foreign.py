"""Joined certificates signed by the openssl command under a chain that it made, judged here step by step."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from adapters.employment_training import CERTIFICATE_FIELDS
from tests.certificates import Kind
from tests.vectors.test_cms_foreign import Directory
from verifier.certificates import verify
from verifier.errors import CertificateRejected
from verifier.keyring import Issuer, IssuerAnchor, KeyState, Register
from verifier.model.certificate import CertificateKind, SignedCertificate
from verifier.model.delivery import PlatformSlug
from verifier.model.time import BEIJING
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm
from verifier.signatures.sm2 import DEFAULT_ID

pytestmark = pytest.mark.needs_system("openssl")

SLUG: Final = PlatformSlug("employment_training")
START: Final = datetime(2021, 1, 1, tzinfo=UTC)
IDS: Final = [DEFAULT_ID, b"", b"ALICE123@YAHOO.COM"]


def content(issued_at: datetime) -> bytes:
    moment = issued_at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
    return (
        f"cert_no=JC-1&cert_type=课程培训合格证明&course_code=K1&course_name=养老护理&finish_time={moment}"
        f"&id_no=999901199003070025&id_type=1&issue_time={moment}&issuer_id=jc&org_name=某机构&user_name=测试甲"
    ).encode()


class Authority:
    """A chain that the command made, and what the register says of it."""

    def __init__(self, path: Path) -> None:
        self.directory = Directory(path, Kind.SM2)
        self.directory.make()
        self.now = datetime.now(UTC)
        self.content = content(self.now)

    def register(self, sm2_id: bytes = DEFAULT_ID) -> Register:
        anchor = IssuerAnchor(
            "root",
            self.directory.der("root"),
            Algorithm.SM2,
            KeyState.ACTIVE,
            START,
            crls=(self.directory.crl("root"), self.directory.crl("authority")),
            sm2_id=sm2_id,
            encoding=SignatureEncoding.DER_HEX,
            leaf_subject="CN=leaf,O=培训平台,C=CN",
        )
        return Register("0" * 64, {}, {"jc": Issuer("jc", "all", frozenset({SLUG}), {}, (anchor,))})

    def sign(self, sm2_id: bytes = DEFAULT_ID) -> str:
        self.directory.write("content", self.content)
        self.directory.run(
            *("pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-inkey", "leaf.key", "-in", "content"),
            *("-pkeyopt", f"distid:{sm2_id.decode()}", "-out", "signature"),
        )
        return self.directory.read("signature").hex()

    def refused(self, signature: str, register: Register, signed: bytes | None = None) -> int:
        """The step at which it is refused; 0 if it is not."""
        chain = tuple(base64.b64encode(self.directory.der(one)).decode() for one in ("leaf", "authority"))
        certificate = SignedCertificate(
            CertificateKind.CANONICAL,
            self.content if signed is None else signed,
            CERTIFICATE_FIELDS,
            signature=signature,
            chain=chain,
        )
        # The lists are made after the certificate's moment, and so is its receipt.
        received = self.now + timedelta(minutes=1)
        try:
            verified = verify(certificate, platform=SLUG, register=register, first_received_at=received)
        except CertificateRejected as error:
            return error.step
        assert (verified.number, verified.algorithm) == ("JC-1", "SM3withSM2")
        return 0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("sm2_id", IDS, ids=["usual", "empty", "own"])
def test_what_the_command_signs_holds_under_the_registered_id_only(
    authority: Authority, sm2_id: bytes
) -> None:
    signature = authority.sign(sm2_id)
    assert {one: authority.refused(signature, authority.register(one)) for one in IDS} == {
        one: 0 if one == sm2_id else 7 for one in IDS
    }


def test_what_was_altered_after_the_command_signed_it_is_refused(authority: Authority) -> None:
    altered = authority.content.replace(b"JC-1", b"JC-2")
    assert authority.refused(authority.sign(), authority.register(), altered) == 7


def test_what_the_command_revoked_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    signature = authority.sign()
    assert authority.refused(signature, authority.register()) == 0
    authority.directory.revoke("leaf", "authority", "keyCompromise")
    assert authority.refused(signature, authority.register()) in {9, 10}
