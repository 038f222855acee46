"""``policy`` and ``due`` on the command line, and what counts when a file and the adopted one differ."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.functional.process import running, settings
from tests.functional.test_adoption import compromise, source_files
from tests.functional.test_cli_keys import Office, office, past
from tests.functional.world import Installation
from verifier.cli import operating
from verifier.errors import Code, ConfigurationError
from verifier.keyring.editing import Source
from verifier.policy import load
from verifier.settings import Settings, packaged_policy

__all__ = ["office", "past"]

MAIN = Settings().policy.read_text(encoding="utf-8")
PIN = load(MAIN.encode()).pin


def revised(revision: int, last: str = "2021-12-31") -> str:
    """The policy that comes with the service under another revision, and perhaps another last day."""
    text = re.sub(r"^revision = \d+$", f"revision = {revision}", MAIN, flags=re.MULTILINE)
    return text.replace("last = 2021-12-31", f"last = {last}")


def file(directory: Path, text: str, name: str = "policy.toml") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


# --- listing


def test_what_is_adopted_is_listed_with_its_digest_and_since_when(office: Office) -> None:
    found = office.console.json("policy", "list")
    [policy] = found["policies"]
    assert (policy["policy"], policy["entitlement"], policy["state"]) == (
        PIN,
        "online-training-month",
        "adopted",
    )
    assert policy["digest"] == policy["file"] == load(MAIN.encode()).digest
    assert policy["since"] == "2021-07-01T04:00:00Z"
    assert (found["due"], found["oldest"], found["later"], found["sweeps"]) == (0, None, 0, [])
    status, out, err = office.console.run("policy", "list")
    assert (status, err) == (0, "")
    assert policy["digest"] in out
    assert "the file differs" not in out


def test_what_is_switched_on_and_never_adopted_is_listed_too(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFIER_POLICIES", " skill-upgrade ,")
    found = office.console.json("policy", "list")["policies"]
    assert [(one["policy"], one["state"], one["since"]) for one in found] == [
        (PIN, "adopted", "2021-07-01T04:00:00Z"),
        ("skill-upgrade@1", "not adopted yet", None),
    ]


def test_what_the_settings_no_longer_name_is_off_and_a_file_that_differs_is_said_to(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFIER_POLICIES", "skill-upgrade")
    assert office.console.json("policy", "adopt", "skill-upgrade", "--apply")["adopted"] is True
    monkeypatch.setenv("VERIFIER_POLICIES", "")
    monkeypatch.setenv("VERIFIER_POLICY", str(file(tmp_path, revised(9))))
    found = office.console.json("policy", "list")["policies"]
    assert [(one["policy"], one["state"]) for one in found] == [(PIN, "adopted"), ("skill-upgrade@1", "off")]
    assert "the file differs" in office.console.run("policy", "list")[1]


def test_how_far_an_adoption_has_come_is_told(office: Office, tmp_path: Path) -> None:
    assert office.console.json("policy", "adopt", file(tmp_path, revised(9)), "--apply")["adopted"] is True
    found = office.console.json("due")
    [sweep] = found["sweeps"]
    assert (sweep["cause"], sweep["done"], sweep["total"]) == ("adoption", 0, 2)
    status, out, _ = office.console.run("due")
    assert status == 0
    assert "0/2" in out


# --- comparing


def test_two_files_are_compared_by_clause_parameter_and_reference(office: Office, tmp_path: Path) -> None:
    text = revised(9, "2021-06-30").replace('  { id = "proof-kind", revision = 1 },\n', "")
    status, out, err = office.console.run("policy", "diff", "online-training-month", file(tmp_path, text))
    assert (status, err) == (1, "")
    status, told, _ = office.console.run(
        "policy", "diff", "online-training-month", tmp_path / "policy.toml", "--json"
    )
    found = {(one["what"], one["name"]): one for one in json.loads(told)["differences"]}
    assert found.keys() == {("policy", ""), ("clause", "proof-kind"), ("parameter", "window")}
    assert found["clause", "proof-kind"]["after"] is None
    assert found["clause", "proof-kind"]["before"]["revision"] == 1
    [window] = found["parameter", "window"]["after"]
    assert window["value"] == {"first": "2021-02-01", "last": "2021-06-30"}
    assert window["reading"] is True
    assert "一（三）" in window["reference"]
    assert "2021-06-30" in out


def test_what_differs_in_remarks_alone_is_no_difference(office: Office, tmp_path: Path) -> None:
    status, out, _ = office.console.run("policy", "diff", "adopted", file(tmp_path, "# 备注\n" + MAIN))
    assert status == 0
    assert "no difference" in out


def test_a_dry_run_lists_the_decisions_that_would_change_and_writes_nothing(
    office: Office, tmp_path: Path
) -> None:
    before = office.rows()
    path = file(tmp_path, revised(9, "2021-02-28"))
    status, out, _ = office.console.run("policy", "diff", "adopted", path, "--dry-run", "--json")
    assert status == 1
    found = json.loads(out)["dry_run"]
    assert (found["judged"], found["would_change"], found["anew"]) == (2, 2, 0)
    assert found["changes"] == {"granted -> refused": 2}
    assert {one["learner"] for one in found["decisions"]} == set(office.learners)
    assert all(one["decision"] for one in found["decisions"])
    status, out, _ = office.console.run("policy", "diff", "adopted", path, "--dry-run")
    assert "granted -> refused: 2" in out
    assert office.rows() == before


def test_a_decision_that_is_only_taken_anew_is_counted_apart(office: Office, tmp_path: Path) -> None:
    path = file(tmp_path, revised(9))
    status, out, _ = office.console.run("policy", "diff", "adopted", path, "--dry-run", "--json")
    found = json.loads(out)["dry_run"]
    assert (status, found["would_change"], found["anew"], found["decisions"]) == (1, 0, 2, [])
    assert "taken anew: 2" in office.console.run("policy", "adopt", path)[1]


def test_files_that_are_not_in_force_are_compared_by_what_each_would_say(
    office: Office, tmp_path: Path
) -> None:
    early, late = file(tmp_path, revised(8, "2021-02-28"), "a.toml"), file(tmp_path, revised(9), "b.toml")
    _, out, _ = office.console.run("policy", "diff", early, late, "--dry-run", "--json")
    assert json.loads(out)["dry_run"]["changes"] == {"refused -> granted": 2}
    _, out, _ = office.console.run("policy", "diff", late, early, "--dry-run", "--json")
    assert json.loads(out)["dry_run"]["changes"] == {"granted -> refused": 2}


def test_a_policy_under_which_nobody_was_decided_is_tried_on_everybody(
    office: Office, tmp_path: Path
) -> None:
    other = file(tmp_path, MAIN.replace('"online-training-month"', '"another-subsidy"'))
    _, out, _ = office.console.run("policy", "diff", other, other, "--dry-run", "--json")
    assert json.loads(out)["dry_run"]["changes"] == {}
    _, out, _ = office.console.run("policy", "diff", "skill-upgrade", "skill-upgrade", "--dry-run", "--json")
    assert json.loads(out)["dry_run"]["judged"] == 0


def test_what_cannot_be_compared_is_refused(office: Office, tmp_path: Path) -> None:
    run = office.console.refusal
    assert run("policy", "diff", "adopted", "adopted") == ("configuration_invalid", "A")
    assert run("policy", "diff", "skill-upgrade", "online-training-month") == (
        "configuration_invalid",
        "entitlement",
    )
    assert run("policy", "diff", "adopted", "no-such-policy") == ("configuration_invalid", "policies")
    assert run("policy", "diff", "adopted", "skill-upgrade") == ("configuration_invalid", "adopted")
    assert run("policy", "diff", "adopted", file(tmp_path, "policy = 1"))[0] == "policy_invalid"


def test_without_a_database_a_dry_run_tries_nobody(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFIER_DATA_DIR", str(tmp_path / "empty"))
    path = file(tmp_path, revised(9))
    status, out, _ = office.console.run(
        "policy", "diff", "online-training-month", path, "--dry-run", "--json"
    )
    assert (status, json.loads(out)["dry_run"]["judged"]) == (1, 0)


# --- adopting


def test_adopting_is_tried_out_first_and_done_with_apply(office: Office, tmp_path: Path) -> None:
    path, before = file(tmp_path, revised(9, "2021-02-28")), office.rows()
    found = office.console.json("policy", "adopt", path)
    assert (found["applied"], found["dry_run"]["would_change"]) == (False, 2)
    assert [one["what"] for one in found["differences"]] == ["policy", "parameter"]
    assert "--apply adopts it" in office.console.run("policy", "adopt", path)[1]
    assert office.rows() == before
    answer = office.console.json("policy", "adopt", path, "--apply")
    digest = load(path.read_bytes()).digest
    assert answer == {
        "policy": "online-training-month@9",
        "entitlement": "online-training-month",
        "digest": digest,
        "adopted": True,
        "before": load(MAIN.encode()).digest,
    }
    assert office.console.json("policy", "adopt", path, "--apply")["adopted"] is False
    [policy] = office.console.json("policy", "list")["policies"]
    assert policy["digest"] == digest


def test_other_content_needs_another_revision(office: Office, tmp_path: Path) -> None:
    path = file(tmp_path, MAIN.replace("last = 2021-12-31", "last = 2021-02-28"))
    for apply in ((), ("--apply",)):
        assert office.console.refusal("policy", "adopt", path, *apply) == ("policy_invalid", "revision")


def test_only_what_the_settings_switch_on_can_be_adopted(office: Office) -> None:
    for apply in ((), ("--apply",)):
        refused = office.console.refusal("policy", "adopt", "skill-upgrade", *apply)
        assert refused == ("configuration_invalid", "policies")


async def test_a_running_service_takes_a_policy_up_and_keeps_it_when_it_starts_again_with_the_older_file(
    installation: Installation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings(tmp_path, installation)
    text = revised(9, "2021-06-30")
    digest = load(text.encode()).digest
    async with running(chosen) as (service, _):
        status, answer = await operating.ask(chosen, "policy adopt", {"content": text, "digest": digest})
        assert (status, answer["adopted"], answer["before"]) == (0, True, load(MAIN.encode()).digest)
        assert service.rules.policy.digest == digest
    caplog.set_level(logging.WARNING, "verifier.app")
    async with running(chosen) as (service, _):
        # The file that comes with the service still lies where it lay.
        assert service.rules.policy.digest == digest
        adopted = await service.store.previewing(lambda tx: tx.adoptions("policy"))
        assert [one.digest for one in adopted] == [load(MAIN.encode()).digest, digest]
    assert "what was adopted counts" in caplog.text


async def test_a_further_policy_is_adopted_at_the_start_once_it_is_switched_on(
    installation: Installation, tmp_path: Path
) -> None:
    chosen = settings(tmp_path, installation)
    async with running(chosen) as (service, _):
        assert [policy.policy_id for policy in service.rules.policies] == ["online-training-month"]
    both = replace(chosen, policies=f"skill-upgrade, {packaged_policy('comprehensive-training')}")
    async with running(both) as (service, _):
        assert [policy.policy_id for policy in service.rules.policies] == [
            "online-training-month",
            "skill-upgrade",
            "comprehensive-training",
        ]
        adopted = await service.store.previewing(lambda tx: tx.adoptions("policy"))
        assert len(adopted) == 3
    with pytest.raises(ConfigurationError) as refused:
        async with running(replace(chosen, policies="online-training-month")):
            pass
    assert (refused.value.code, refused.value.pointer) == (Code.POLICY_INVALID, "entitlement")


@pytest.mark.untraced
async def test_a_register_that_was_changed_counts_only_once_it_is_adopted_also_at_the_next_start(
    installation: Installation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "register"
    (directory / "issuers").mkdir(parents=True)
    for name, content in source_files(installation).items():
        (directory / name).write_bytes(content)
    chosen = replace(settings(tmp_path, installation), register=directory / "trust.toml")
    async with running(chosen) as (service, _):
        before = service.rules.register
    source = Source((directory / "trust.toml").read_bytes())
    compromise(source)
    (directory / "trust.toml").write_bytes(source.written())
    async with running(chosen) as (service, _):
        assert service.rules.register == before
        assert "register" in caplog.text
        digest = load_digest(chosen)
        await service.operations.run("register adopt", {"digest": digest})
        assert service.rules.register.digest == digest
    async with running(chosen) as (service, _):
        assert service.rules.register.digest == digest


def load_digest(chosen: Settings) -> str:
    from verifier.sources import read_register

    return read_register(chosen)[0].digest


# --- doctor


def said(office: Office) -> tuple[int, dict[str, Any]]:
    status, out, _ = office.console.run("doctor", "--json")
    return status, json.loads(out)


def test_the_doctor_says_which_file_does_not_count(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not [name for name in said(office)[1] if name.startswith("policy online")]
    monkeypatch.setenv("VERIFIER_POLICY", str(file(tmp_path, revised(9))))
    status, found = said(office)
    assert "2021-07-01" in found["policy online-training-month"]
    assert status == said(office)[0]


def test_the_doctor_says_when_what_was_adopted_cannot_be_read(office: Office) -> None:
    (office.directory / "secrets" / "cvt-hmac").unlink(missing_ok=True)
    for path in (office.directory / "secrets").iterdir():
        if "cvt" in path.name:
            path.unlink()
    status, found = said(office)
    assert status == 1
    assert "adopted" in found


def test_a_register_that_cannot_stand_any_more_is_mended_by_adopting_another(
    office: Office, tmp_path: Path
) -> None:
    text = office.register.read_text(encoding="utf-8")
    [name, *_] = re.findall(r'secret = "([^"]+)"', text)
    office.register.write_text(text.replace(f'"{name}"', f'"{name}-2"'), encoding="utf-8")
    secrets = office.directory / "secrets"
    (secrets / name).rename(secrets / f"{name}-2")
    refused = office.console.refusal("policy", "adopt", file(tmp_path, revised(9)), "--apply")
    assert refused[0] in {"configuration_invalid", "key_refused"}
    assert office.console.json("register", "adopt", "--apply")["adopted"] is True
    assert office.console.json("policy", "adopt", tmp_path / "policy.toml", "--apply")["adopted"] is True
