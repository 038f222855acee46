"""Rosters of a service as a whole: workbooks are read apart, offices adopted, alarms written."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.functional.process import running, settings
from tests.functional.test_listing import ENTERPRISE
from tests.functional.test_workbooks import bomb
from tests.functional.world import FACTORY, Installation
from tests.unit.test_roster import number
from tests.unit.test_roster_table import filled
from tests.unit.test_roster_table import row as cells
from verifier import roster_template
from verifier.cli import main
from verifier.errors import Code, RequestRejected
from verifier.web.enterprises import XLSX


@pytest.mark.usefixtures("sqlite")
async def test_a_bomb_costs_its_sender_an_error_and_the_service_goes_on(
    tmp_path: Path, installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = replace(settings(tmp_path, installation), status_people_per_day=1)
    caplog.set_level(logging.INFO, "verifier.web.audit")
    async with running(chosen) as (service, _):
        desk = service.services.enterprises

        async def upload(raw: bytes) -> bool:
            answer = await desk.upload_roster(ENTERPRISE, FACTORY, raw, XLSX, partial=False)
            return bool(answer["taken"])

        with pytest.raises(RequestRejected) as refused:
            await upload(bomb())
        assert refused.value.code is Code.REQUEST_TOO_LARGE
        assert await asyncio.gather(*(upload(filled(cells(证件号码=number(n)))) for n in (1, 2))) == [
            True,
            True,
        ]
        listed = await service.operations.run("enterprises offices", {})
        assert listed["adopted"] is True
        people = json.dumps({"people": [{"id_number": number(n)} for n in (1, 2)]}).encode()
        with pytest.raises(RequestRejected) as refused:
            await desk.status(ENTERPRISE, FACTORY, people)
        assert refused.value.code is Code.QUOTA_EXCEEDED
    [line] = [json.loads(record.getMessage()) for record in caplog.records if "alarm" in record.getMessage()]
    assert line == {"event": "alarm", "code": "status_quota", "enterprise": FACTORY, "client": "acme"}
    with closing(sqlite3.connect(tmp_path / "verifier.db")) as database:
        kinds = database.execute("select kind from adoptions order by kind").fetchall()
    assert ("offices",) in kinds


def test_the_template_is_written_to_a_file_or_it_is_said_that_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "模板.xlsx"
    assert main(["enterprises", "template", "--out", str(out)]) == 0
    assert out.read_bytes() == roster_template.workbook()
    assert main(["enterprises", "template", "--out", str(tmp_path)]) == 2
    assert "configuration_invalid [out]" in capsys.readouterr().err
