"""The actions through the runner, as operators have them done, each in the audit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.client import Client
from gateway.clock import SystemClock
from gateway.errors import BusError
from gateway.settings import Settings
from runbook.actions import alert_smoke, archive, incident, log_scan, notify, retention, rollback
from runbook.audit import AuditIndex, open_audit, verify
from runbook.maintenance.snapshots import remember
from runbook.model import ActionRequest, Role, Trigger
from runbook.runner import ActionRunner, Run, collect_kinds
from runbook.settings import RunbookSettings

BUILTIN = [alert_smoke, archive, incident, log_scan, notify, retention, rollback]
NAMES = {"alert-smoke", "archive", "incident", "log-scan", "notify", "retention", "rollback"}


@asynccontextmanager
async def nobody() -> AsyncIterator[Client]:
    raise BusError("nobody")
    yield


class Site:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = RunbookSettings.model_validate(
            {
                "log_dir": root / "logs" / "runbooks",
                "soak_dir": root / "logs" / "soak",
                "archive_dir": root / "logs" / "archive",
                "incident_dir": root / "logs" / "incidents",
                "state_dir": root / "state",
                "notify": {"urls": ["nonsense://pl4nted-address"]},
                "vault": {"runtime_file": root / ".env.runtime"},
            }
        )
        self.kinds = collect_kinds(None, BUILTIN)
        audit = open_audit(self.settings.audit_directory, SystemClock(), log_dir=self.settings.log_dir)
        self.runner = ActionRunner(
            self.kinds,
            audit,
            settings=Settings.model_validate({"metrics": {"enabled": False}}),
            runbook=self.settings,
            connect=nobody,
            session=lambda _: "day",
        )

    async def run(self, action: str, **parameters: object) -> Run:
        request = ActionRequest(
            action=action, operator="li", trigger=Trigger.CLI, profile="live", reason="test", parameters=parameters
        )
        return await self.runner.run(request, role=Role.ADMIN)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    yield site
    await site.runner.aclose()


def test_every_action_is_offered_under_the_operators_name(site: Site) -> None:
    assert set(site.kinds.by_name) == NAMES
    assert not site.kinds.findings


async def test_a_day_of_looking_after_files(site: Site) -> None:
    env = site.root / ".env.live"
    env.write_text("ACTIVE_FEED=primary\n")
    remember(site.settings.state_dir, SystemClock(), [env])
    env.write_text("ACTIVE_FEED=backup\n")
    expected = {
        "rollback": 0,
        "notify": 2,
        "alert-smoke": 2,
        "log-scan": 0,
        "incident": 1,
        "archive": 0,
        "retention": 0,
    }
    found = {action: await site.run(action) for action in expected}
    assert {action: run.exit_code for action, run in found.items()} == expected, found
    assert env.read_text() == "ACTIVE_FEED=primary\n"
    assert len(list((site.root / "logs" / "archive").iterdir())) == 1
    assert len(list((site.root / "logs" / "incidents").iterdir())) == 1
    index = AuditIndex(site.settings.audit_directory)
    stops = [entry.record.action for entry in index.entries() if entry.record.event == "stop"]
    assert sorted(stops) == sorted(expected)
    assert verify(site.settings.audit_directory).exit_code == 0
    written = [path.read_bytes() for path in site.root.rglob("*") if path.is_file()]
    assert not [data for data in written if b"pl4nted" in data]


async def test_wrong_parameters_are_refused_before_anything_is_done(site: Site) -> None:
    for action, parameters in (
        ("notify", {"code": 300}),
        ("alert-smoke", {"wait_seconds": -1}),
        ("log-scan", {"date": "soon"}),
        ("retention", {"audit_days": 10}),
        ("incident", {"minutes": 0}),
        ("archive", {"where": "/"}),
    ):
        run = await site.run(action, **parameters)
        assert (run.exit_code, run.refused) == (64, True), action
