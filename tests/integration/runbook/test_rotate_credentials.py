"""``rotate-credentials`` with a real OpenBao and a running gateway: no tick lost, failures say who has what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import Client, Gateway, Settings
from gateway.clock import SystemClock
from gateway.errors import ControlError, SettingsError
from gateway.model import Tick
from runbook.actions import rotate_credentials as module
from runbook.actions.rotate_credentials import RotateParameters, rotate_credentials
from runbook.context import ActionContext
from runbook.model import ActionRequest, ActionResult, Trigger
from runbook.runner import collect_kinds
from runbook.secrets import VaultPlugin, origin_of, pull
from runbook.settings import RunbookSettings
from tests.integration.runbook.vault_server import Bao
from tests.integration.test_oversight import streaming, until
from tests.integration.test_rotation import NEW, OLD, WRONG, Counter, settings, steps

PRIMARY = "FEEDGATE_FEEDS__F__ACCOUNTS__PRIMARY__PASSWORD"
BACKUP = "FEEDGATE_FEEDS__F__ACCOUNTS__BACKUP__PASSWORD"
USER = "FEEDGATE_FEEDS__F__ACCOUNTS__BACKUP__USER_ID"
BEFORE = {PRIMARY: OLD, BACKUP: OLD}


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    with Bao(tmp_path_factory.mktemp("bao")) as bao:
        yield bao


class Desk:
    """Somebody who pulled the secrets before the start, and rotates now."""

    def __init__(self, bao: Bao, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bao, self.file = bao, root / ".env.runtime"
        self.path = f"live-{root.name}"
        vault = bao.settings(path=self.path, runtime_file=self.file)
        self.runbook = RunbookSettings(state_dir=root / "state", log_dir=root / "logs", vault=vault)
        self.settings = Settings()
        self.told: list[str] = []
        self.since = bao.put(self.path, **BEFORE)
        pull(vault, SystemClock())
        monkeypatch.delenv(PRIMARY, raising=False)
        self.gateway: Gateway | None = None

    async def write(self, **values: str) -> int:
        return await asyncio.to_thread(self.bao.put, self.path, **(BEFORE | values))

    @asynccontextmanager
    async def running(self, counter: Counter, router: str = "all_hot", **more: Any) -> AsyncIterator[Gateway]:
        self.settings = settings(router).model_copy(update={"plugins_blocked": ["vault_secrets"]} | more)
        store = VaultPlugin(self.runbook.vault, SystemClock())
        async with Gateway(self.settings, plugins=[counter, store]) as self.gateway:
            await streaming(self.gateway, "f:primary", *(() if router.endswith("cold") else ("f:backup",)))
            yield self.gateway

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        assert self.gateway is not None
        async with Client(self.gateway.bus) as client:
            yield client

    async def rotate(self, *, dry_run: bool = False, **parameters: Any) -> ActionResult:
        request = ActionRequest(
            action="rotate-credentials",
            operator="li",
            trigger=Trigger.CLI,
            reason="quarterly",
            profile="live",
            dry_run=dry_run,
        )
        context = ActionContext(
            run="r",
            request=request,
            settings=self.settings,
            runbook=self.runbook,
            clock=SystemClock(),
            log_dir=self.runbook.log_dir,
            connect=self.connect,
            tell=lambda _stage, text, _fields: self.told.append(text),
        )
        result = await rotate_credentials(context, RotateParameters(patience=5.0, **parameters))
        assert not any(secret in f"{result}{self.told}" for secret in (OLD, NEW, WRONG))
        return result

    def origin(self) -> int:
        found = origin_of(self.file)
        assert found is not None
        return found[1]


@pytest.fixture
def desk(bao: Bao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    tmp_path.chmod(0o700)
    return Desk(bao, tmp_path, monkeypatch)


def held(result: ActionResult) -> dict[str, tuple[str, bool]]:
    return {row["line"]: (row["holds"], row["verified"]) for row in result.details["lines"]}


async def test_both_accounts_take_new_passwords_while_ticks_flow_and_none_is_lost(desk: Desk) -> None:
    counter, ticks = Counter(), list[Tick]()
    async with desk.running(counter) as gateway:

        async def collect() -> None:
            async for tick in gateway.ticks():
                ticks.append(tick)

        collecting = asyncio.create_task(collect())
        await until(lambda: len(ticks) > 100)
        version = await desk.write(**{PRIMARY: NEW, BACKUP: NEW})
        result = await desk.rotate()
        seen = len(ticks)
        await until(lambda: len(ticks) > seen + 200)
        collecting.cancel()
        assert result.exit_code == 0, result.message
        assert counter.shown[2:] == [("backup", NEW), ("primary", NEW)]
        assert len(found := steps(ticks)) == 1, found
        assert [line.restarts for line in gateway.lines()] == [0, 0]
    assert held(result) == {"f:backup": ("new", True), "f:primary": ("new", True)}
    assert desk.origin() == version
    assert NEW in desk.file.read_text()
    assert (await again(desk)).message.endswith("nothing to do")


async def again(desk: Desk) -> ActionResult:
    async with desk.running(Counter()):
        return await desk.rotate()


async def test_a_password_refused_at_the_backup_leaves_the_primary_untouched(desk: Desk) -> None:
    counter = Counter()
    async with desk.running(counter) as gateway:
        await desk.write(**{PRIMARY: NEW, BACKUP: WRONG})
        result = await desk.rotate()
        assert result.exit_code == 2
        assert counter.shown[2:] == [("backup", WRONG), ("backup", OLD)]
        await streaming(gateway, "f:primary", "f:backup")
    assert "f:backup refused the new login: CTP:不合法的登录" in result.message
    assert "f:primary has the old login" in result.message
    assert held(result) == {"f:backup": ("old", True), "f:primary": ("old", True)}
    assert desk.origin() == desk.since


async def test_a_password_refused_at_the_primary_leaves_both_publishing_and_says_who_has_which(desk: Desk) -> None:
    async with desk.running(Counter()) as gateway:
        await desk.write(**{PRIMARY: WRONG, BACKUP: NEW})
        result = await desk.rotate()
        await streaming(gateway, "f:primary", "f:backup")
    assert result.exit_code == 2
    assert held(result) == {"f:backup": ("new", True), "f:primary": ("old", True)}
    assert "f:backup has the new login (version" in result.message
    assert desk.origin() == desk.since


async def test_a_parked_backup_proves_its_password_by_a_failover_and_the_primary_is_active_in_the_end(
    desk: Desk,
) -> None:
    counter = Counter()
    async with desk.running(counter, "primary_backup_cold") as gateway:
        await desk.write(**{PRIMARY: NEW, BACKUP: NEW})
        result = await desk.rotate()
        assert result.exit_code == 0, result.message
        assert counter.shown == [("primary", OLD), ("backup", NEW), ("primary", NEW)]
        assert [line.role for line in gateway.lines()] == ["active", "cold"]
        assert gateway.balance().published > 0
    assert held(result) == {"f:backup": ("new", True), "f:primary": ("new", True)}


async def test_a_parked_backup_whose_password_is_refused_takes_nothing_over(desk: Desk) -> None:
    async with desk.running(Counter(), "primary_backup_cold") as gateway:
        await desk.write(**{PRIMARY: NEW, BACKUP: WRONG})
        result = await desk.rotate()
        assert result.exit_code == 2
        await streaming(gateway, "f:primary")
        assert [line.role for line in gateway.lines()] == ["active", "cold"]
    assert "the failover to f:backup failed" in result.message
    assert held(result) == {"f:backup": ("new", False), "f:primary": ("old", True)}


async def test_only_the_active_lines_password_is_new_and_a_parked_backup_relieves_it(desk: Desk) -> None:
    counter = Counter()
    async with desk.running(counter, "primary_backup_cold") as gateway:
        await desk.write(**{PRIMARY: NEW})
        result = await desk.rotate()
        assert result.exit_code == 0, result.message
        assert counter.shown == [("primary", OLD), ("backup", OLD), ("primary", NEW)]
        assert [line.role for line in gateway.lines()] == ["active", "cold"]
    assert held(result) == {"f:backup": ("old", True), "f:primary": ("new", True)}


async def test_lines_that_share_the_contracts_are_left_alone(desk: Desk) -> None:
    counter = Counter()
    async with desk.running(counter, "shard"):
        await desk.write(**{PRIMARY: NEW, BACKUP: NEW})
        result = await desk.rotate()
    assert result.exit_code == 2
    assert "share the contracts" in result.message
    assert len(counter.shown) == 2


async def test_a_dry_run_names_the_order_and_touches_nothing(desk: Desk) -> None:
    counter = Counter()
    async with desk.running(counter):
        await desk.write(**{PRIMARY: NEW, BACKUP: NEW})
        result = await desk.rotate(dry_run=True)
    assert (result.exit_code, result.details["order"]) == (0, ["f:backup", "f:primary"])
    assert len(counter.shown) == 2
    assert desk.origin() == desk.since


async def test_a_new_user_id_needs_a_new_start_and_nothing_is_tried(desk: Desk) -> None:
    counter = Counter()
    async with desk.running(counter):
        await desk.write(**{BACKUP: NEW, USER: "160220"})
        with pytest.raises(SettingsError, match=r"USER_ID changed too.*runbook restart"):
            await desk.rotate()
    assert len(counter.shown) == 2


async def test_without_a_runtime_file_the_version_in_use_has_to_be_said(desk: Desk) -> None:
    desk.file.unlink()
    async with desk.running(Counter()):
        version = await desk.write(**{BACKUP: NEW})
        with pytest.raises(SettingsError, match="give --since VERSION"):
            await desk.rotate()
        result = await desk.rotate(since=desk.since)
    assert result.exit_code == 0, result.message
    assert desk.origin() == version  # the settings have the password itself, so the next start needs the file


async def test_a_variable_that_would_win_at_the_next_start_is_a_warning(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BACKUP, OLD)
    async with desk.running(Counter()):
        await desk.write(**{BACKUP: NEW})
        result = await desk.rotate()
    assert result.exit_code == 1
    assert f"{BACKUP} is set in the environment and would win" in result.message


async def test_a_runtime_file_that_cannot_be_written_in_the_end_is_11_and_every_line_has_the_new_login(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk.running(Counter()) as gateway:
        await desk.write(**{PRIMARY: NEW, BACKUP: NEW})
        real = module.FeedRotation.run

        async def run(self: Any) -> None:
            await real(self)
            desk.file.chmod(0o600)
            desk.file.unlink()
            desk.file.symlink_to("elsewhere")

        monkeypatch.setattr(module.FeedRotation, "run", run)
        result = await desk.rotate()
        await streaming(gateway, "f:primary", "f:backup")
    assert result.exit_code == 11
    assert "symbolic link" in result.message
    assert held(result) == {"f:backup": ("new", True), "f:primary": ("new", True)}


async def test_a_gateway_that_went_away_meanwhile_leaves_the_login_of_that_line_unknown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_args: Any, **_more: Any) -> None:
        raise ControlError("NATS was lost while it was asked", reply_code="disconnected")

    async with desk.running(Counter()):
        await desk.write(**{PRIMARY: NEW, BACKUP: NEW})
        monkeypatch.setattr(Client, "rotate", lost)
        result = await desk.rotate()
    assert result.exit_code == 12
    assert held(result) == {"f:backup": ("unknown", False), "f:primary": ("old", True)}


def test_the_action_is_found_and_changes_something_live() -> None:
    kind = collect_kinds(None, [module]).by_name["rotate-credentials"]
    assert (kind.changes, kind.exclusive) == (True, True)
