"""The openssl program as a foreign implementation of SM2: keys and signatures, both ways.

It is another path through OpenSSL than ours: its own key files, and the id given by ``distid``.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from verifier.errors import SignatureRejected
from verifier.signatures import asymmetric, keys, sm2
from verifier.signatures.jws import Algorithm
from verifier.signatures.sm2 import DEFAULT_ID, Sm2PrivateKey, Sm2PublicKey

pytestmark = pytest.mark.needs_system("openssl")

IDS = [DEFAULT_ID, b"", b"ALICE123@YAHOO.COM", "昌吉州".encode()]
DATA = ['{"姓名":"张三"}'.encode(), b"", bytes(range(256)) * 64]


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, timeout=60, check=False)


def distid(distinguishing_id: bytes) -> str:
    return f"distid:{distinguishing_id.decode()}"


@pytest.fixture
def private_file(tmp_path: Path) -> Path:
    path = tmp_path / "private.pem"
    assert openssl("genpkey", "-algorithm", "SM2", "-out", path).returncode == 0
    return path


@pytest.fixture
def public_pem(private_file: Path) -> bytes:
    return openssl("pkey", "-in", private_file, "-pubout").stdout


@pytest.mark.parametrize("data", DATA, ids=["text", "empty", "long"])
@pytest.mark.parametrize("distinguishing_id", IDS, ids=["usual", "empty", "ascii", "utf-8"])
def test_what_openssl_signs_we_verify_with_that_id_only(
    tmp_path: Path, private_file: Path, public_pem: bytes, distinguishing_id: bytes, data: bytes
) -> None:
    (tmp_path / "data").write_bytes(data)
    signed = openssl(
        *("pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-inkey", private_file),
        *("-in", tmp_path / "data", "-pkeyopt", distid(distinguishing_id)),
    )
    assert signed.returncode == 0, signed.stderr
    for one in IDS:
        key = keys.load_public_pem(public_pem, Algorithm.SM2, "k1", sm2_id=one)
        if one == distinguishing_id:
            asymmetric.verify(key, data, signed.stdout)
            with pytest.raises(SignatureRejected):
                asymmetric.verify(key, data + b"\x00", signed.stdout)
        else:
            with pytest.raises(SignatureRejected):
                asymmetric.verify(key, data, signed.stdout)


@pytest.mark.parametrize("distinguishing_id", IDS, ids=["usual", "empty", "ascii", "utf-8"])
def test_what_we_sign_openssl_verifies(tmp_path: Path, distinguishing_id: bytes) -> None:
    private = Sm2PrivateKey.generate(distinguishing_id)
    (tmp_path / "private.pem").write_bytes(private.pem())
    (tmp_path / "data").write_bytes(DATA[0])
    (tmp_path / "signature").write_bytes(private.sign(DATA[0]))

    def verified(one: bytes) -> bool:
        answer = openssl(
            *("pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-inkey", tmp_path / "private.pem"),
            *("-in", tmp_path / "data", "-sigfile", tmp_path / "signature", "-pkeyopt", distid(one)),
        )
        return answer.returncode == 0

    assert [one for one in IDS if verified(one)] == [distinguishing_id]


def test_both_read_each_others_key_files(tmp_path: Path, private_file: Path, public_pem: bytes) -> None:
    ours = Sm2PrivateKey.from_pem(private_file.read_bytes())
    assert keys.load_public_pem(public_pem, Algorithm.SM2, "k1").public == ours.public_key
    assert ours.pem() == private_file.read_bytes()
    (tmp_path / "public.der").write_bytes(ours.public_key.spki())
    read = openssl("pkey", "-pubin", "-inform", "DER", "-in", tmp_path / "public.der", "-pubout")
    assert read.stdout == public_pem == ours.public_key.pem()


def test_openssl_too_verifies_the_example_of_the_standard(tmp_path: Path) -> None:
    example = Sm2PublicKey(sm2._EXAMPLE_POINT)
    (tmp_path / "public.der").write_bytes(example.spki())
    (tmp_path / "data").write_bytes(sm2._EXAMPLE_MESSAGE)
    (tmp_path / "signature").write_bytes(sm2._EXAMPLE_SIGNATURE)
    answer = openssl(
        *("pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-pubin", "-keyform", "DER"),
        *("-inkey", tmp_path / "public.der", "-in", tmp_path / "data"),
        *("-sigfile", tmp_path / "signature", "-pkeyopt", distid(DEFAULT_ID)),
    )
    assert answer.returncode == 0, answer.stderr
