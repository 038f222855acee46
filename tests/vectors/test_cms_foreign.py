"""Chains, revocation lists and CMS signatures made by the openssl command, judged here, and the reverse.

Its ``cms`` command signs by RSA and EC keys only; for SM2 it makes certificates, lists and bare signatures.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import certificates as made
from tests import cms_messages
from tests.certificates import Issued, Kind
from verifier.errors import SignatureRejected
from verifier.signatures import asymmetric, cms, x509, x509_form
from verifier.signatures.crl import Crl, Revocation
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.steps import Step
from verifier.signatures.x509 import Anchor, Leaf

pytestmark = pytest.mark.needs_system("openssl")

CONFIGURATION = """
[req]
distinguished_name = dn
[dn]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:false
keyUsage = critical, digitalSignature, nonRepudiation
extendedKeyUsage = emailProtection
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
crlDistributionPoints = URI:http://crl.example/x.crl
[ca]
default_ca = default
[default]
database = {authority}.index
crlnumber = {authority}.number
default_crl_days = 30
default_md = {digest}
crl_extensions = crl
[crl]
authorityKeyIdentifier = keyid
"""
SM2_ID = "distid:1234567812345678"
NEW_KEY: Mapping[Kind, Sequence[str]] = {
    Kind.RSA: ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    Kind.P256: ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    Kind.SM2: ["genpkey", "-algorithm", "SM2"],
}
CONTENT = "结业证书\r\n999901\n".encode()


@dataclass(frozen=True)
class Directory:
    """An authority's files, named root, authority and leaf."""

    path: Path
    kind: Kind

    def run(self, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(["openssl", *arguments], cwd=self.path, check=False, capture_output=True)
        assert not check or done.returncode == 0, done.stderr
        return done.returncode

    @property
    def digest(self) -> str:
        return "-sm3" if self.kind is Kind.SM2 else "-sha256"

    def identified(self, *options: str) -> list[str]:
        return [word for option in options for word in (option, SM2_ID)] if self.kind is Kind.SM2 else []

    def make(self) -> None:
        self.write("openssl.cnf", CONFIGURATION.encode())
        for name in ("root", "authority", "leaf"):
            self.run(*NEW_KEY[self.kind], "-out", f"{name}.key")
        common = ["-config", "openssl.cnf", self.digest, "-utf8"]
        own = self.identified("-sigopt")
        subject = ["-key", "root.key", "-subj", "/C=CN/O=根证书机构", "-out", "root.pem", "-days", "3650"]
        self.run("req", "-new", "-x509", *common, "-extensions", "authority", *subject, *own)
        for name, issuer in (("authority", "root"), ("leaf", "authority")):
            subject = ["-key", f"{name}.key", "-subj", f"/C=CN/O=培训平台/CN={name}", "-out", f"{name}.csr"]
            self.run("req", "-new", *common, *subject, *own)
            signer = ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial", "-days", "365"]
            extensions = ["-extfile", "openssl.cnf", "-extensions", name]
            files = ["-in", f"{name}.csr", "-out", f"{name}.pem"]
            both = self.identified("-sigopt", "-vfyopt")
            self.run("x509", "-req", self.digest, *files, *signer, *extensions, *both)
        for name in ("root", "authority"):
            self.write(f"{name}.cnf", CONFIGURATION.format(authority=name, digest=self.digest[1:]).encode())
            self.write(f"{name}.index", b"")
            self.write(f"{name}.number", b"01\n")

    def revoke(self, name: str, issuer: str, reason: str) -> None:
        self.run("ca", *self.signing(issuer), "-revoke", f"{name}.pem", "-crl_reason", reason)

    def crl(self, issuer: str) -> bytes:
        arguments = ["-md", self.digest[1:], *self.identified("-sigopt"), "-out", f"{issuer}.crl"]
        self.run("ca", *self.signing(issuer), "-gencrl", *arguments)
        return Crl.load(self.read(f"{issuer}.crl")).der

    def signing(self, issuer: str) -> list[str]:
        return ["-config", f"{issuer}.cnf", "-cert", f"{issuer}.pem", "-keyfile", f"{issuer}.key"]

    def write(self, name: str, data: bytes) -> None:
        (self.path / name).write_bytes(data)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def der(self, name: str) -> bytes:
        return Anchor.load(self.read(f"{name}.pem")).der if name != "leaf" else self._leaf()

    def _leaf(self) -> bytes:
        self.run("x509", "-in", "leaf.pem", "-outform", "DER", "-out", "leaf.der")
        return self.read("leaf.der")

    def build(self, crls: Sequence[bytes] | None = None) -> Leaf:
        now = datetime.now(UTC)
        chain = [self.der("leaf"), self.der("authority")]
        return x509.build(chain, [Anchor(self.der("root"))], at=now, crls=crls, seen_at=now)

    def key(self, algorithm: Algorithm) -> VerificationKey:
        return VerificationKey("leaf", algorithm, self.build().public)

    def cms(self, *arguments: str) -> bytes:
        """A message by the leaf over ``CONTENT``, with the whole chain enclosed."""
        self.write("content", CONTENT)
        self.write("chain.pem", self.read("root.pem") + self.read("authority.pem"))
        signer = ["-signer", "leaf.pem", "-inkey", "leaf.key", "-certfile", "chain.pem"]
        files = ["-in", "content", "-outform", "DER", "-out", "message.der"]
        self.run("cms", "-sign", "-binary", *files, *signer, *arguments)
        return self.read("message.der")


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Kind, Directory]:
    found = {kind: Directory(tmp_path_factory.mktemp("authority"), kind) for kind in NEW_KEY}
    for directory in found.values():
        directory.make()
    return found


@pytest.fixture(params=NEW_KEY)
def directory(request: pytest.FixtureRequest, directories: Mapping[Kind, Directory]) -> Directory:
    return directories[request.param]


def test_chains_and_lists_are_read(directory: Directory) -> None:
    stands = [directory.crl("root"), directory.crl("authority")]
    leaf = directory.build(stands)
    assert leaf.subject == "CN=leaf,O=培训平台,C=CN"
    assert leaf.revoked is None
    assert leaf.anchor.subject == "O=根证书机构,C=CN"
    directory.revoke("leaf", "authority", "superseded")
    revoked = directory.build([stands[0], directory.crl("authority")]).revoked
    assert revoked is not None
    assert not revoked.compromised
    directory.revoke("authority", "root", "CACompromise")
    worst = directory.build([directory.crl("root"), directory.crl("authority")]).revoked
    assert worst == Revocation(revoked.since, compromised=True)


@pytest.mark.parametrize("directory", [Kind.SM2], indirect=True)
def test_another_distinguishing_id_is_another_signature(directory: Directory) -> None:
    now = datetime.now(UTC)
    with pytest.raises(SignatureRejected) as caught:
        x509.build(
            [directory.der("leaf"), directory.der("authority")],
            [Anchor(directory.der("root"), b"")],
            at=now,
            crls=None,
            seen_at=now,
        )
    assert caught.value.step == Step.CHAIN


WAYS: Mapping[str, Sequence[str]] = {
    "signed attributes": [],
    "none": ["-noattr"],
    "key identifier": ["-keyid"],
    "content enclosed": ["-nodetach"],
    "signing certificate named": ["-cades"],
    "PSS": ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:32"],
}


SIGNED_SO = [
    (kind, way) for kind in (Kind.RSA, Kind.P256) for way in WAYS if kind is Kind.RSA or way != "PSS"
]


@pytest.mark.parametrize(("directory", "way"), SIGNED_SO, indirect=["directory"])
def test_messages_are_verified(directory: Directory, way: str) -> None:
    unverified = cms.open_detached(directory.cms("-md", "sha256", *WAYS[way]))
    expected = Algorithm.ES256 if directory.kind is Kind.P256 else Algorithm.RS256
    assert unverified.algorithm is (Algorithm.PS256 if way == "PSS" else expected)
    assert unverified.chain == tuple(map(directory.der, ("leaf", "authority", "root")))
    assert (unverified.signing_time is None) == (way == "none")
    key = directory.key(unverified.algorithm)
    cms.verify(unverified, CONTENT, key)
    with pytest.raises(SignatureRejected):
        cms.verify(unverified, CONTENT + b" ", key)


REFUSED: Mapping[str, tuple[Sequence[str], Step]] = {
    "BER": (["-stream"], Step.MALFORMED),
    "no certificates": (["-nocerts"], Step.MALFORMED),
    "SHA-1": (["-md", "sha1"], Step.ALGORITHM),
    "SHA-512": (["-md", "sha512"], Step.ALGORITHM),
}


@pytest.mark.parametrize("directory", [Kind.RSA, Kind.P256], indirect=True)
@pytest.mark.parametrize("way", REFUSED)
def test_messages_are_refused(directory: Directory, way: str) -> None:
    arguments, step = REFUSED[way]
    with pytest.raises(SignatureRejected) as caught:
        cms.open_detached(directory.cms(*arguments))
    assert caught.value.step == step


@pytest.mark.parametrize("directory", [Kind.SM2], indirect=True)
@pytest.mark.parametrize("attributes", ["signed attributes", "none"])
def test_sm2_signatures_of_gm_t_0010_are_verified(directory: Directory, attributes: str) -> None:
    """The message is put together here, the certificate and the signature are foreign."""
    certificate = x509_form.read(directory.der("leaf"))
    signer = Issued(certificate.der, made.key(Kind.SM2, "unused"), certificate.subject, certificate.serial)
    usual = cms_messages.usual_attributes(signer, CONTENT, cms_messages.GM_DATA)
    listed = usual if attributes == "signed attributes" else None
    directory.write("signed", CONTENT if listed is None else made.set_of(*listed))
    identified = directory.identified("-sigopt")
    directory.run("dgst", "-sm3", "-sign", "leaf.key", *identified, "-out", "signature", "signed")
    message = cms_messages.cms(
        signer,
        CONTENT,
        named=cms_messages.issuer_and_serial(signer, certificate.issuer),
        signature=directory.read("signature"),
        attributes=listed,
        gm=True,
    )
    cms.verify(cms.open_detached(message), CONTENT, directory.key(Algorithm.SM2))


@pytest.mark.parametrize("kind", [Kind.RSA, Kind.RSA_PSS, Kind.P256])
@pytest.mark.parametrize("attributes", ["signed attributes", "none"])
def test_the_command_agrees_on_messages_made_for_tests(tmp_path: Path, kind: Kind, attributes: str) -> None:
    """So that what the other tests hold for sound is sound, and what for altered is altered."""
    directory = Directory(tmp_path, kind)
    root = made.root()
    leaf = made.leaf(root, kind=kind)
    chosen: cms_messages.CmsOptions = {"attributes": None} if attributes == "none" else {}
    directory.write("root.pem", root.pem)
    directory.write("message.der", cms_messages.cms(leaf, CONTENT, issuer=root, **chosen))
    verify = ["cms", "-verify", "-binary", "-inform", "DER", "-in", "message.der", "-content", "content"]
    trust = ["-CAfile", "root.pem", "-purpose", "any", "-attime", str(int(made.ISSUED.timestamp()))]
    directory.write("content", CONTENT)
    assert directory.run(*verify, *trust, "-out", "out") == 0
    directory.write("content", CONTENT + b" ")
    assert directory.run(*verify, *trust, "-out", "out", check=False) != 0


def test_the_command_agrees_on_chains_and_lists_made_for_tests(tmp_path: Path) -> None:
    directory = Directory(tmp_path, Kind.P256)
    root = made.root()
    authority = made.intermediate(root)
    leaf, other = made.leaf(authority), made.leaf(authority, "别的平台")
    lists = [made.crl(root), made.crl(authority, [made.revoked(other, reason=1)])]
    directory.write("root.pem", root.pem + b"".join(made.pem(one, "X509 CRL") for one in lists))
    directory.write("authority.pem", authority.pem)
    moment = ["-attime", str(int(made.ISSUED.timestamp())), "-crl_check_all", "-x509_strict"]
    for certificate, accepted in ((leaf, True), (other, False)):
        directory.write("leaf.pem", certificate.pem)
        trust = ["-CAfile", "root.pem", "-untrusted", "authority.pem"]
        assert (directory.run("verify", *moment[:3], *trust, "leaf.pem", check=False) == 0) is accepted


@pytest.mark.parametrize("directory", [Kind.SM2], indirect=True)
def test_bare_sm2_signatures_of_the_command_are_verified(directory: Directory) -> None:
    directory.write("content", CONTENT)
    arguments = ["-sign", "leaf.key", *directory.identified("-sigopt"), "-out", "signature", "content"]
    directory.run("dgst", "-sm3", *arguments)
    asymmetric.verify(directory.key(Algorithm.SM2), CONTENT, directory.read("signature"))
