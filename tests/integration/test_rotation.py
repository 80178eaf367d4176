"""New credentials for the lines of a running gateway, one after the other, without a lost tick."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway import Client, FeedSettings, Gateway, LineState, Settings
from gateway.errors import ControlError
from gateway.hookspecs import FeedKind, hookimpl
from gateway.model import Account, LineId, Tick
from gateway.ports import TickSink
from gateway.settings import AccountSettings, BusSettings, FailoverSettings, LedgerSettings, MetricsSettings
from gateway.sources import sim
from tests.integration.test_oversight import streaming, until

OLD, NEW, WRONG = "old-pass-11", "new-pass-22", "wrong-pass-33"


class Counter:
    """What the counter accepts, by account; and which passwords it was shown."""

    def __init__(self) -> None:
        self.accepts = {"primary": {OLD, NEW}, "backup": {OLD, NEW}}
        self.shown: list[tuple[str, str]] = []

    @hookimpl
    def gateway_feeds(self) -> Sequence[FeedKind]:
        kind = FeedKind(name="guarded", factory=self.build, options=sim.OPTIONS, needs_account=False, sessions="always")
        return [kind]

    def build(self, account: Account, line: LineId, options: Mapping[str, Any]) -> Any:
        source = sim.build_source(account, line, options)
        start = source.start

        async def checked(sink: TickSink) -> None:
            password = account.secrets["password"]
            self.shown.append((account.name, password))
            if password in self.accepts[account.name]:
                await start(sink)
            else:
                sink.state(LineState.REFUSED, "CTP:不合法的登录")

        source.start = checked
        return source


def settings(router: str = "all_hot") -> Settings:
    account = AccountSettings(password=OLD)
    feed = FeedSettings(
        kind="guarded",
        catalogue={"kind": "sim", "options": {"contracts": 40, "rate": 80}},
        router=router,
        accounts={"primary": account, "backup": account},
        # two snapshots a second of each contract, as CTP has them: a line that comes back ahead of one that lags by
        # more than that pause costs a snapshot, and at a higher rate a busy machine gets there
        options={"contracts": 40, "rate": 80},
    )
    return Settings(
        feeds={"f": feed},
        bus=BusSettings(kind="memory"),
        metrics=MetricsSettings(enabled=False),
        ledger=LedgerSettings(path=None),
        failover=FailoverSettings(cooldown_s=0.1, up_s=3),
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.toml"
    path.touch(0o600)
    path.write_text(f'new = "{NEW}"\nwrong = "{WRONG}"\n')
    return path


def steps(ticks: Sequence[Tick]) -> set[int]:
    """The times between two ticks of a contract; the market's steps are even, so a lost tick is another number."""
    by_code: dict[str, list[int]] = {}
    for tick in ticks:
        if tick.exchange == "CZCE":  # its times are whole seconds
            continue
        by_code.setdefault(tick.code, []).append(tick.exchange_ns)
    return {after - before for times in by_code.values() for before, after in itertools.pairwise(times)}


async def test_backup_then_primary_take_new_passwords_without_a_lost_tick(store: Path) -> None:
    counter, ticks = Counter(), []
    async with Gateway(settings(), plugins=[counter]) as gw, Client(gw.bus) as client:
        await streaming(gw, "f:primary", "f:backup")

        async def collect() -> None:
            async for tick in gw.ticks():
                ticks.append(tick)  # noqa: PERF401 - looked at while it grows

        collecting = asyncio.create_task(collect())
        await until(lambda: len(ticks) > 100)
        for line in ("f:backup", "f:primary"):
            done = await client.rotate(line, {"password": f"secret:file:{store}#new"}, "quarterly", operator="li")
            assert (done.ok, done.verified, done.error) == (True, True, "")
            assert done.confirmed == done.wanted > 0
            await streaming(gw, line)
        seen = len(ticks)
        await until(lambda: len(ticks) > seen + 200)
        collecting.cancel()
        assert counter.shown[2:] == [("backup", NEW), ("primary", NEW)]
        assert len(steps(ticks)) == 1
        assert [line.restarts for line in gw.lines()] == [0, 0]


async def test_refused_credentials_are_undone_in_the_vendors_words(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counter = Counter()
    async with Gateway(settings(), plugins=[counter]) as gw, Client(gw.bus) as client:
        await streaming(gw, "f:primary", "f:backup")
        done = await client.rotate("f:backup", {"password": f"secret:file:{store}#wrong"}, "a slip")
        assert (done.ok, done.error, done.back) == (False, "CTP:不合法的登录", True)
        await streaming(gw, "f:primary", "f:backup")
        assert counter.shown[2:] == [("backup", WRONG), ("backup", OLD)]
    assert WRONG not in caplog.text


async def test_a_line_that_nobody_stands_in_for_is_not_touched(store: Path) -> None:
    counter = Counter()
    async with Gateway(settings("primary_backup_cold"), plugins=[counter]) as gw, Client(gw.bus) as client:
        await streaming(gw, "f:primary")
        with pytest.raises(ControlError, match="fail over first"):
            await client.rotate("f:primary", {"password": f"secret:file:{store}#new"}, "quarterly")
        parked = await client.rotate("f:backup", {"password": f"secret:file:{store}#new"}, "quarterly")
        assert (parked.ok, parked.verified) == (True, False)
        assert counter.shown == [("primary", OLD)]
        assert (await client.failover("verify")).ok
        assert counter.shown[-1] == ("backup", NEW)
        assert (await client.rotate("f:primary", {"password": f"secret:file:{store}#new"}, "quarterly")).ok
        assert (await client.failback("verified")).ok
        assert counter.shown[-1] == ("primary", NEW)


@pytest.mark.parametrize(
    ("references", "words"),
    [
        ({"password": NEW}, "is no reference"),
        ({}, "other names than auth_code, password, or none"),
        ({"user_id": "secret:file:/x#y"}, "other names than auth_code, password"),
        ({"password": "secret:file:/no/such#y"}, "No such file"),
        ({"password": "secret:nowhere:/x#y"}, "nowhere"),
    ],
)
async def test_what_cannot_be_looked_up_touches_nothing_and_repeats_no_secret(
    references: dict[str, str], words: str
) -> None:
    counter = Counter()
    async with Gateway(settings(), plugins=[counter]) as gw, Client(gw.bus) as client:
        await streaming(gw, "f:primary", "f:backup")
        with pytest.raises(ControlError, match=words) as caught:
            await client.rotate("f:backup", references, "quarterly")
        assert NEW not in str(caught.value)
        assert len(counter.shown) == 2


async def test_a_line_process_has_no_secret_in_its_environment_or_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CTP_PRIMARY_PASSWORD", "VAULT_TOKEN", "VAULT_SECRET_ID", "OPS_API_TOKENS", "NATS_PASSWORD"):
        monkeypatch.setenv(name, "planted-3b7e")
    feed = FeedSettings(kind="sim", host="child", options={"contracts": 40, "rate": 80})
    one = settings().model_copy(update={"feeds": {"f": feed}})
    async with Gateway(one) as gw:
        await streaming(gw, "f:primary")
        place = Path(f"/proc/{gw.line_pid('f:primary')}")
        seen = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
        assert b"PATH=" in seen
        assert b"planted-3b7e" not in seen
