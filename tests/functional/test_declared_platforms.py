"""Platforms that are declared: tried on a sample, taken up by the service, written into the ledger.

The guide's example is run as it stands there, and its tables are compared with the loader's schema.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.declared.schema import SECTIONS, Key
from tests.functional.process import environment, eventually, running
from tests.functional.world import Installation
from tests.platforms import profiles
from tests.platforms.examples import PROFILES
from tests.platforms.senders import CERTIFICATE_KEY, KID, SENDERS, compact_jws
from verifier import app
from verifier.app import Service
from verifier.cli import main, samples, trying
from verifier.cli import trying_print as words
from verifier.errors import Code, ConfigurationError
from verifier.settings import from_environment
from verifier.store.access import Access

GUIDE: Final = (Path(__file__).parents[2] / "docs" / "guides" / "declared-platforms.md").read_text("utf-8")
SAMPLE: Final = "delivery.http"


def block(marker: str) -> str:
    """What stands in the guide behind a marker."""
    [found] = re.findall(
        rf"^<!-- {re.escape(marker)} -->\n```[a-z]*\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE
    )
    return str(found)


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The guide's files in a directory, which is the current one."""
    for name in re.findall(r"^<!-- file: (\S+) -->$", GUIDE, re.MULTILINE):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(block(f"file: {name}"), encoding="utf-8")
        path.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


Said = tuple[int, str, str]


@pytest.fixture
def check(guide: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """``platforms check`` on the guide's files: exit status, what is printed, what is complained of."""
    profile = guide / "local_training.toml"

    def run(*arguments: str) -> Said:
        status = main(["platforms", "check", str(profile), "--sample", SAMPLE, *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


AT: Final = ("--at", "2021-04-21T08:31:00+08:00")
REGISTER: Final = ("--register", "trust.toml", "--secrets", "secrets")


def change(file: str, *changes: tuple[str, str]) -> None:
    path = Path(file)
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


# --- the guide ----------------------------------------------------------------------------------------------


def test_the_guide_s_example_prints_what_the_guide_says(
    guide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (guide / SAMPLE).is_file()
    [command] = block("command").splitlines()
    assert main(command.removeprefix("verifier ").split()) == 0
    assert capsys.readouterr().out == block("output")


def rows(label: str) -> list[tuple[str, str, str]]:
    [table] = re.findall(rf"^<!-- keys: {re.escape(label)} -->\n((?:\|.*\n)+)", GUIDE, re.MULTILINE)
    cells = [row.strip("|").split(" | ") for row in table.splitlines()[2:]]
    assert all(len(row) == 4 and row[3].strip() for row in cells)
    return [(row[0].strip(), row[1].strip(), row[2].strip()) for row in cells]


def documented(key: Key) -> tuple[str, str, str]:
    default = key.default
    if key.required:
        said = "必填 required"
    elif default in {None, ""} or default == ():
        said = "—"
    elif isinstance(default, bool):
        said = f"`{str(default).lower()}`"
    else:
        listed = default if isinstance(default, tuple) else (default,)
        said = " ".join("`{}`".format(str(one).replace("\n", "\\n")) for one in listed)
    return f"`{key.name}`", key.form.name, said


def test_the_guide_has_every_key_of_the_schema_and_no_other() -> None:
    wanted: dict[str, list[tuple[str, str, str]]] = {}
    for name, section in SECTIONS.items():
        label = name or "top"
        wanted[label] = [documented(key) for key in section.keys]
        if section.words:
            wanted[label].append(("*平台的词 the platform's word*", section.words.name, "—"))
        wanted |= {
            f"{label}/{variant}": [documented(key) for key in keys]
            for variant, keys in section.variants.items()
            if keys
        }
    labels = re.findall(r"^<!-- keys: (\S+) -->$", GUIDE, re.MULTILINE)
    assert sorted(labels) == sorted(wanted)
    assert {label: rows(label) for label in wanted} == wanted


# --- trying a sample ----------------------------------------------------------------------------------------


def test_without_a_register_nothing_is_proven_and_all_is_read(check: Callable[..., Said]) -> None:
    status, out, _ = check(*AT)
    assert status == 0
    assert "来源 · sender: 未核对 not checked\n" in out
    assert "结业 completed：可读，证书未核验 readable, certificate not verified" in out
    assert "撤销 revoked：可读，证书未核验" in out
    assert '"state":"accepted"' in out
    assert "没有被拒绝的内容" in out


def test_personal_values_are_covered_unless_they_are_asked_for(check: Callable[..., Said]) -> None:
    for shown, arguments in (
        (False, ()),
        (True, ("--show-personal",)),
        (True, ("--show-personal", "--json")),
    ):
        _, out, _ = check(*AT, *REGISTER, *arguments)
        assert ("测试·甲" in out) == shown
        assert ("999901199003070025" in out) == shown
        assert "R7x-kQ2v" not in out


def test_the_same_is_told_to_machines(check: Callable[..., Said]) -> None:
    status, out, _ = check(*AT, *REGISTER, "--json")
    said = json.loads(out)
    assert status == 0
    assert (said["platform"], said["authenticity"], said["key_id"]) == (
        "local_training",
        "holds",
        "local-2021-a",
    )
    assert (said["delivery_id"], said["sequence"], said["code"]) == ("20210421-001", 1, None)
    first, second = said["items"]
    assert (first["kind"], first["state"], first["kept"]) == ("completed", "accepted", ["/item/studyHours"])
    assert first["certificate"]["completed_at"] == "2021-04-20T12:15:00Z"
    assert first["stated"] == {"number": "BD2021000001", "holder_name": "测***"}
    assert (second["kind"], second["number"], second["certificate"]) == ("revoked", "BD2020000099", None)
    assert said["answer"]["status"] == 200


def test_an_unknown_secret_is_refused_with_the_step_that_the_platform_is_never_told(
    check: Callable[..., Said],
) -> None:
    change(SAMPLE, ("R7x-", "Q7x-"))
    status, out, _ = check(*AT, *REGISTER)
    assert status == 1
    assert "来源 · sender: 未通过 refused (signature)\n" in out
    assert "应答 · answer: HTTP 401" in out
    assert "Q7x-" not in out


def test_an_item_that_is_refused_says_where_and_why(check: Callable[..., Said]) -> None:
    change(
        SAMPLE, ('"certNo":"BD2020000099",', ""), ('"name":"测试·甲","certNo"', '"name":"测试·乙","certNo"')
    )
    status, out, _ = check(*AT, *REGISTER)
    assert status == 1
    assert "结业 completed：不予接受 refused\n    certificate_mismatch [message]: 报文与证书内容不一致" in out
    assert (
        "[2] r-2  无法读取 unreadable：不予接受 refused\n    field_missing [fields /cancelList/0/certNo]"
        in out
    )
    status, out, _ = check(*AT)
    assert status == 1
    assert "certificate_mismatch [message]" in out
    assert '"code":"certificate_mismatch"' in out


@pytest.mark.untraced
def test_an_unknown_event_is_said_to_be_kept_only(check: Callable[..., Said]) -> None:
    change(SAMPLE, ('"finishList"', '"startList"'), ('"cancelList"', '"stopList"'))
    for arguments in ((), REGISTER):
        status, out, _ = check(*AT, *arguments)
        assert status == 0
        assert "未登记的事件 unknown：仅存档 recorded\n    event_unknown" in out
        assert "/message/startList" in out


def test_a_delivery_that_cannot_be_read_says_so(check: Callable[..., Said]) -> None:
    change(SAMPLE, ('"batchSeq":"1"', '"batchSeq":"first"'))
    status, out, _ = check(*AT)
    assert (status, "\ndelivery_unreadable: " in out) == (1, True)
    assert "流水号" not in out


def test_a_request_that_is_refused_for_its_form_is_not_asked_who_sent_it(check: Callable[..., Said]) -> None:
    change(SAMPLE, ("application/json; charset=utf-8", "text/plain"))
    status, out, _ = check(*AT, *REGISTER)
    assert status == 1
    assert (
        "来源 · sender: 未核对 not checked (receive)\ncontent_type_unsupported [receive content-type]" in out
    )
    assert "HTTP 415" in out


def test_a_body_of_another_length_than_said_is_noted(check: Callable[..., Said]) -> None:
    length = len(Path(SAMPLE).read_bytes().partition(b"\n\n")[2])
    change(SAMPLE, ("Host: verifier.example", f"Content-Length: {length + 40}"))
    assert "Content-Length 不符" in check(*AT)[1]
    change(SAMPLE, (str(length + 40), str(length)))
    assert "Content-Length" not in check(*AT)[1]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("POST /v1", "post /v1", "sample:1"),
        ("/v1/callbacks/local_training HTTP", "/v1/callbacks/local HTTP", "sample:1"),
        ("/v1/callbacks/local_training HTTP", "/v1/callbacks/local_training2 HTTP", "sample:1"),
        ("Host: verifier.example", "Host", "sample:2"),
        ("Host: verifier.example", " folded: line", "sample:2"),
        ("\n\n{", "\n{", "sample:5"),
    ],
)
def test_a_sample_that_is_none_cannot_be_run(
    check: Callable[..., Said], old: str, new: str, complaint: str
) -> None:
    change(SAMPLE, (old, new))
    status, out, err = check(*AT)
    assert (status, out) == (2, "")
    assert f"[{complaint}]" in err


def test_line_ends_of_the_head_may_be_either_and_the_body_is_left_as_it_is() -> None:
    head = b"PUT /v1/callbacks/x?a=b%20c\nX-A:  b \r\nx-a:\n"
    for end in (b"\n", b"\r\n"):
        sample = samples.read(head + end + b"a\r\n\nb\n")
        assert (sample.method, sample.path, sample.query) == ("PUT", "/v1/callbacks/x", "a=b%20c")
        assert sample.headers == ((b"X-A", b"b"), (b"x-a", b""))
        assert sample.body == b"a\r\n\nb\n"
        assert not sample.length_differs
    with pytest.raises(ConfigurationError):
        samples.read(b"\n")


def test_what_is_wrong_with_a_profile_is_listed_with_its_lines(check: Callable[..., Said]) -> None:
    change(
        "local_training.toml",
        ('scheme = "secret-in-body"', 'scheme = "secret"'),
        ('form = "roots"', "form = 1"),
    )
    status, out, err = check()
    assert (status, out) == (2, "")
    assert "[authenticity.scheme]" in err
    assert "第 6 行 authenticity.scheme：" in err
    assert "第 15 行 items.form：" in err
    status, _, err = check("--json")
    assert (status, json.loads(err)["code"]) == (2, "configuration_invalid")


@pytest.mark.parametrize(
    "arguments", [("--at", "yesterday"), ("--register", "nowhere.toml"), ("--sample", "nowhere.http")]
)
def test_what_cannot_be_found_or_understood_cannot_be_run(
    check: Callable[..., Said], arguments: tuple[str, str]
) -> None:
    status, out, err = check(*arguments)
    assert (status, out) == (2, "")
    assert "configuration_invalid" in err


def test_without_a_time_the_sample_arrives_now(check: Callable[..., Said]) -> None:
    assert check(*REGISTER)[0] == 0


CLAIMS: Final[dict[str, Any]] = {
    "iss": "somebody",
    "no": "N-1",
    "name": "测试·甲",
    "kind": "1",
    "id": "999901199003070025",
    "code": "c",
    "title": "t",
    "org": "o",
    "done": "2021-04-20T20:15:00+08:00",
    "issued": "2021-04-21T08:30:00+08:00",
}
NOW: Final = datetime(2021, 6, 1, tzinfo=UTC)


def tried(changes: profiles.Changes, message: Any, path: str = "") -> trying.Tried:
    """A sample tried without a register."""
    address = path or f"/v1/callbacks/{profiles.SLUG}"
    head = f"POST {address} HTTP/1.1\nContent-Type: application/json\n\n"
    sample = samples.read(head.encode() + json.dumps(message, ensure_ascii=False).encode())
    return trying.attempt(profiles.declared(changes), sample, None, NOW)


def done(**claims: Any) -> dict[str, Any]:
    return {"type": "done", "token": compact_jws({**CLAIMS, **claims})}


def test_without_a_register_a_certificate_is_read_as_far_as_that_goes() -> None:
    for message, step, code in (
        (done(), "", None),
        (done(no=None), "claims", Code.CERTIFICATE_CLAIMS_INVALID),
        (done(done="yesterday"), "claims", Code.CERTIFICATE_CLAIMS_INVALID),
        (done(kind=7), "claims", Code.CERTIFICATE_CLAIMS_INVALID),
        (done(id="999901199003070026"), "identity", Code.IDENTIFIER_INVALID),
        (done(kind="军官证"), "identity", Code.IDENTIFIER_INVALID),
        ({"type": "done", "token": "a.b.c"}, "form", Code.CERTIFICATE_MALFORMED),
    ):
        found = tried({}, message)
        [item] = found.outcomes
        assert (item.failed_step, item.outcome.code, found.good) == (step, code, code is None)
        assert found.answer.status == (422 if code else 200)


def test_a_certificate_that_cannot_be_read_is_described_as_far_as_it_can() -> None:
    sample = samples.read(b"POST /v1/callbacks/x\n\n")
    for message in (done(kind=7, done="yesterday"), {"type": "done", "token": "a.b.c"}):
        report = words.describe(tried({}, message), sample, show_personal=False)
        text = "\n".join(words.lines(report))
        assert "测试" not in text
        assert "不予接受" in text
    told = words.describe(tried({}, done(name=None)), sample, show_personal=False)
    assert told["items"][0]["certificate"]["holder_name"] == "*"
    mapped: profiles.Changes = {
        "certificate.fields.document": "doc",
        "certificate.documents": {"proof": "课程培训合格证明"},
    }
    for said, kind in (("proof", "课程培训合格证明"), ("other", "其他"), (None, None), (5, 5)):
        told = words.describe(tried(mapped, done(doc=said)), sample, show_personal=False)
        assert told["items"][0]["certificate"]["document"] == kind


def test_a_certificate_that_names_nobody_for_certain_would_go_to_review() -> None:
    mapped: profiles.Changes = {
        "certificate.fields.id_country": "land",
        "certificate.fields.level": "level",
        "certificate.levels": {"3": "高级工"},
        "certificate.id_kinds": {"1": "resident_id", "2": "passport"},
    }
    sample = samples.read(b"POST /v1/callbacks/x\n\n")
    for country, state in (("KAZ", "accepted"), (None, "in_review")):
        found = tried(mapped, done(kind="2", id="N1234567", land=country))
        assert [item.outcome.state.value for item in found.outcomes] == [state]
        assert found.good
        text = "\n".join(words.lines(words.describe(found, sample, show_personal=False)))
        assert ("转人工复核" in text, "identity_weak" in text, "KAZ" in text) == (
            not country,
            not country,
            False,
        )


def test_the_level_of_a_certificate_is_shown_as_it_would_be_read() -> None:
    mapped: profiles.Changes = {
        "certificate.fields.level": "level",
        "certificate.levels": {"3": "高级工"},
    }
    sample = samples.read(b"POST /v1/callbacks/x\n\n")
    for said, level in (("3", "高级工"), (3, "高级工"), ("7", None), (None, None)):
        report = words.describe(tried(mapped, done(level=said)), sample, show_personal=False)
        assert report["items"][0]["certificate"]["level"] == level


def test_an_access_token_is_never_in_a_sample() -> None:
    bearer: profiles.Changes = {"authenticity": {"scheme": "bearer"}, "delivery.id": "id"}
    assert not tried(bearer, {"id": "d-1", **done()}).proven


def test_a_resource_of_the_address_is_part_of_it() -> None:
    changes: profiles.Changes = {"resource": "statements"}
    address = f"/v1/callbacks/{profiles.SLUG}"
    assert tried(changes, done(), f"{address}/statements").good
    assert tried(changes, done(), address).code is Code.METHOD_NOT_ALLOWED


# --- in the service -----------------------------------------------------------------------------------------

SLUG: Final = "moodle_style"
(SENDER,) = (sender for sender in SENDERS if sender.slug == SLUG)
ENTRY: Final = f"""
[[platform]]
slug = "{SLUG}"
name = "示例：Moodle 式学习平台"

[[platform.recognised]]
from = 2021-01-01
reference = "测试"

[[platform.transport]]
key_id = "moodle-0"
not_before = 2021-01-01T00:00:00+08:00
secret = "moodle"

[[issuer]]
id = "moodle-issuer"
number_scope = "moodle-issuer"
platforms = ["{SLUG}"]

[[issuer.key]]
kid = "{KID}"
algorithm = "EdDSA"
file = "moodle.pem"
state = "active"
not_before = 2021-01-01T00:00:00+08:00
"""


@pytest.fixture
def declaring(sqlite: str, tmp_path: Path, installation: Installation) -> dict[str, str]:
    """Variables of a service with a declared platform, in a directory with a database of this version."""
    variables = environment(tmp_path, installation)
    assert sqlite.endswith(str(tmp_path / "verifier.db"))
    source, secrets_dir = tmp_path / "keys", tmp_path / "secrets"
    shutil.copytree(installation.sandbox.register.parent, source)
    shutil.copytree(installation.secrets_dir, secrets_dir)
    with (source / "trust.toml").open("a", encoding="utf-8") as register:
        register.write(ENTRY)
    pem = CERTIFICATE_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (source / "issuers" / "moodle.pem").write_bytes(pem)
    secret = secrets_dir / "moodle"
    secret.write_bytes(SENDER.key(0).secret or b"")
    secret.chmod(0o600)
    shutil.copytree(PROFILES, tmp_path / "profiles")
    return {
        **variables,
        "VERIFIER_REGISTER": str(source / "trust.toml"),
        "VERIFIER_SECRETS_DIR": str(secrets_dir),
        "VERIFIER_PROFILES": str(tmp_path / "profiles"),
    }


def delivery(now: datetime) -> tuple[bytes, dict[str, str]]:
    issued = int(now.timestamp()) - 60
    claims = {
        "iss": "moodle-issuer",
        "code": "ML-1",
        "holder": {"name": "测试·甲", "idtype": "居民身份证", "idnumber": "999901199003070025"},
        "course": {"shortname": "C", "fullname": "课程"},
        "organisation": "示例培训机构",
        "timecompleted": issued - 3600,
        "timecreated": issued,
        "template": "课程培训合格证明",
    }
    statement = {
        "id": "s-1",
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
        "timestamp": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "result": {"certificate": compact_jws(claims)},
    }
    body = json.dumps({"batch": "b-1", "number": 1, "statements": [statement]}).encode()
    request = SENDER.callback(body, "", now)
    return body, dict(request.headers.pairs)


@pytest.mark.untraced
async def test_a_declared_platform_delivers_and_the_ledger_says_which_profile_was_in_force(
    declaring: dict[str, str], tmp_path: Path
) -> None:
    chosen = from_environment(declaring)
    body, headers = delivery(datetime.now(UTC) - timedelta(seconds=1))
    async with running(chosen) as (service, address), aiohttp.ClientSession() as session:
        url = f"{address}/v1/callbacks/{SLUG}"
        for _ in range(2):
            async with session.post(url, data=body, headers=headers) as answer:
                said = await answer.json()
                assert (answer.status, said["data"]["items"][0]["state"]) == (200, "accepted")
        async with session.post(url, data=body, headers={**headers, "authorization": "Basic x"}) as answer:
            assert answer.status == 401
        listed = await service.operations.run("platforms list", {})
        assert {platform["platform"] for platform in listed["platforms"]} > {SLUG, "learning_360_style"}
        [entry] = await adoptions(service, 1)
    profile = (tmp_path / "profiles" / f"{SLUG}.toml").read_bytes()
    assert entry["profiles"][SLUG] == hashlib.sha256(profile).hexdigest()
    # What stands adopted is not adopted again; what is taken away is a new adoption.
    async with running(chosen) as (service, _):
        assert await adoptions(service, 1) == [entry]
    (tmp_path / "profiles" / f"{SLUG}.toml").unlink()
    async with running(chosen) as (service, _):
        first, second = await adoptions(service, 2)
        assert first == entry
        assert set(second["profiles"]) == {"learning_360_style"}
        content = await service.store.read(Access, lambda tx: tx.adopted("profile", second["digest"]))
        assert set(json.loads(content or "")) == {"learning_360_style.toml"}


async def adoptions(service: Service, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        entries, _ = await service.store.feed(-1, 1000)
        bodies = [json.loads(entry.body) for entry in entries]
        found[:] = [body for body in bodies if body.get("adopts") == "profile"]
        return len(found) >= count

    with suppress(AssertionError):
        await eventually(there, "the adoption is in the ledger")
    return found


@pytest.mark.parametrize(
    ("name", "content", "pointer"),
    [
        ("new_occupation.toml", profiles.text({"slug": "new_occupation"}), "new_occupation.toml:slug"),
        ("another.toml", profiles.text({}), "another.toml:slug"),
        ("broken.toml", "slug = ", "broken.toml:/"),
    ],
)
def test_a_wrong_profile_keeps_the_service_from_starting(
    declaring: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str,
    pointer: str,
) -> None:
    for variable, value in declaring.items():
        monkeypatch.setenv(variable, value)
    (tmp_path / "profiles" / name).write_text(content, encoding="utf-8")
    assert main(["serve"]) == 2
    said = capsys.readouterr().err
    assert f"configuration_invalid [{pointer}]" in said
    assert "第 1 行" in said
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["profiles"].startswith(f"configuration_invalid [{pointer}]")


def test_a_directory_that_is_not_there_is_an_error_and_an_empty_one_is_not(
    declaring: dict[str, str], tmp_path: Path
) -> None:
    nowhere = from_environment({**declaring, "VERIFIER_PROFILES": str(tmp_path / "nowhere")})
    with pytest.raises(ConfigurationError) as caught:
        app.profiles(nowhere)
    assert caught.value.pointer == "profiles"
    (tmp_path / "empty").mkdir()
    empty = from_environment({**declaring, "VERIFIER_PROFILES": str(tmp_path / "empty")})
    declared, [form] = app.profiles(empty)
    assert (declared, form.kind, form.said) == ((), "profile", {"profiles": {}})
    without = {name: value for name, value in declaring.items() if name != "VERIFIER_PROFILES"}
    assert app.profiles(from_environment(without)) == ((), ())
