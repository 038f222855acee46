from __future__ import annotations

import json
from pathlib import Path

import pytest

from verifier.cli import main
from verifier.errors import Code, ConfigurationError
from verifier.signatures import sm2


@pytest.fixture(autouse=True)
def _anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA_DIR", "SECRETS_DIR"):
        monkeypatch.setenv(f"VERIFIER_{name}", str(tmp_path))


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    return main(["doctor", *arguments]), capsys.readouterr().out


def test_the_doctor_tries_sm2_on_the_example_of_the_standard(capsys: pytest.CaptureFixture[str]) -> None:
    _, out = doctor(capsys)
    [line] = [line for line in out.splitlines() if line.startswith("sm2: ")]
    assert line.startswith("sm2: 可用")
    assert "GB/T 32918.5" in line
    assert json.loads(doctor(capsys, "--json")[1])["sm2"] == line.removeprefix("sm2: ")


def test_the_doctor_says_what_is_wrong_with_sm2_and_is_not_content(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise ConfigurationError(Code.CONFIGURATION_INVALID, "no such libcrypto is installed")

    monkeypatch.setattr(sm2, "self_test", fails)
    status, out = doctor(capsys)
    assert status == 1
    assert (
        "sm2: configuration_invalid: 本机 libcrypto 不可用于国密 SM2 · no such libcrypto is installed" in out
    )
