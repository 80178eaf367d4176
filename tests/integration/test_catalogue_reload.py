"""The list of contracts taken anew by a running gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import Client, FeedSettings, Gateway, Settings
from gateway.errors import CatalogueError, ControlError
from gateway.hookspecs import CatalogueKind, hookimpl
from gateway.model import Account, Contract, Instrument
from gateway.settings import AccountSettings, BusSettings, CatalogueSettings, MetricsSettings
from gateway.sources.sim_options import SimOptions
from tests.integration.test_oversight import until

CONTRACTS = 40
NAMES = [str(one.instrument) for one in SimOptions(contracts=CONTRACTS, quiet=0.0).market().contracts]
FIRST, LATER, OTHERS = NAMES[:8], NAMES[8:10], NAMES[10:]
PAST, FUTURE = 20200101, 20991231


class Counter:
    """A catalogue whose list a test decides."""

    def __init__(self, *names: str) -> None:
        self.listed = dict.fromkeys(names, FUTURE)
        self.error: Exception | None = None
        self.asked = 0
        self.accounts: list[Account] = []
        self.hold: asyncio.Event | None = None

    @hookimpl
    def gateway_catalogues(self) -> Sequence[CatalogueKind]:
        return [CatalogueKind(name="counter", build=self._build)]

    def _build(self, account: Account | None, _options: Any) -> Counter:
        assert account is not None
        self.accounts.append(account)
        return self

    async def contracts(self) -> Sequence[Contract]:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        return [Contract(instrument=Instrument.parse(name), expire_date=day) for name, day in self.listed.items()]


@asynccontextmanager
async def running(counter: Counter, **feed: Any) -> AsyncIterator[tuple[Gateway, Client]]:
    one = FeedSettings(
        kind="sim",
        accounts={"primary": AccountSettings(), "backup": AccountSettings()},
        options={"contracts": CONTRACTS, "rate": 500, "quiet": 0.0},
        catalogue=CatalogueSettings(kind="counter"),
        **feed,
    )
    settings = Settings(feeds={"sim": one}, bus=BusSettings(kind="memory"), metrics=MetricsSettings(enabled=False))
    async with Gateway(settings, plugins=[counter]) as gateway, Client(gateway.bus) as client:
        await confirmed(gateway, len([name for name in counter.listed if name in NAMES]))
        yield gateway, client


async def confirmed(gateway: Gateway, count: int) -> None:
    await until(lambda: all(line.confirmed == line.wanted == count for line in gateway.lines()))


async def wanted(client: Client) -> set[str]:
    return {row.instrument for row in (await client.subscriptions(line="sim:primary")).subscriptions}


async def test_a_new_contract_that_is_wanted_is_subscribed_on_every_line_and_ticks() -> None:
    counter = Counter(*FIRST)
    async with running(counter, exclude=[LATER[1]]) as (gateway, client):
        counter.listed |= dict.fromkeys(LATER, FUTURE)
        (row,) = await client.reload_catalogue("before the market", operator="schedule")
        assert (row.ok, row.total, row.added, row.subscribed, row.added_names) == (True, 10, 2, 1, LATER)
        await confirmed(gateway, 9)
        async with asyncio.timeout(60):
            async for tick in gateway.ticks(LATER[0]):
                assert str(tick.instrument) == LATER[0]
                break
        assert {str(one.instrument) for one in gateway.contracts()} == {*FIRST, *LATER}


async def test_a_refresh_is_a_warning_only_when_contracts_are_gone_before_their_last_day(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "gateway.control.reloading")
    counter = Counter(*FIRST)
    async with running(counter) as (_, client):
        await client.reload_catalogue("before the market", operator="schedule")
        del counter.listed[FIRST[0]]
        await client.reload_catalogue("before the market", operator="schedule")
    said = [one.levelname for one in caplog.records if "taken anew" in one.getMessage()]
    assert said == ["INFO", "WARNING"]


async def test_an_expired_contract_is_unsubscribed_whether_or_not_it_is_still_listed() -> None:
    counter = Counter(*FIRST)
    counter.listed[FIRST[0]] = PAST
    async with running(counter) as (gateway, client):
        del counter.listed[FIRST[0]]
        counter.listed[FIRST[1]] = PAST
        (row,) = await client.reload_catalogue("before the market")
        assert (row.expired, row.unsubscribed, row.removed, row.total) == (2, 2, 0, 6)
        await confirmed(gateway, 6)
        assert await wanted(client) == set(FIRST[2:])
        assert all(one.missing == () for one in gateway.coverage())


async def test_a_contract_that_is_gone_too_early_stays_as_it_was_and_is_named() -> None:
    counter = Counter(*FIRST)
    async with running(counter) as (_gateway, client):
        del counter.listed[FIRST[0]]
        (row,) = await client.reload_catalogue("before the market")
        assert (row.ok, row.removed_names, row.unsubscribed, row.total) == (True, [FIRST[0]], 0, 8)
        assert await wanted(client) == set(FIRST)
        assert FIRST[0] in {str(one.instrument) for one in await client.contracts()}


@pytest.mark.parametrize(
    ("listed", "error", "why"),
    [
        (NAMES[:3], None, "it lists 3 contracts where the list before has 8"),
        ([], None, "it lists no contract"),
        (OTHERS[:9], CatalogueError("the counter is closed"), "the counter is closed"),
        (OTHERS[:9], ZeroDivisionError("planted"), r"the catalogue broke \(ZeroDivisionError\)"),
        (["XXXX.a1", "XXXX.a2", "XXXX.a3", "XXXX.a4"], None, "matches none of 4 contracts"),
    ],
)
async def test_a_list_that_cannot_be_believed_changes_nothing(
    listed: list[str], error: Exception | None, why: str
) -> None:
    counter = Counter(*FIRST)
    async with running(counter, instruments=["SHFE.*", "DCE.*", "CZCE.*", "GFEX.*", "INE.*", "CFFEX.*"]) as (_, client):
        before = await wanted(client)
        counter.listed, counter.error = dict.fromkeys(listed, FUTURE), error
        (row,) = await client.reload_catalogue("before the market")
        assert (row.ok, row.total, row.subscribed, row.unsubscribed) == (False, 8, 0, 0)
        assert re.search(why, row.error), row.error
        assert await wanted(client) == before
        assert len(await client.contracts()) == 8


async def test_a_smaller_list_is_taken_when_that_is_asked_for() -> None:
    counter = Counter(*FIRST)
    async with running(counter) as (_gateway, client):
        counter.listed = dict.fromkeys(FIRST[:3], FUTURE)
        (row,) = await client.reload_catalogue("half of them moved", accept_smaller=True)
        assert (row.ok, row.removed) == (True, 5)
        assert await wanted(client) == set(FIRST)


async def test_what_somebody_unsubscribed_by_hand_does_not_come_back() -> None:
    counter = Counter(*FIRST)
    async with running(counter) as (gateway, client):
        await client.unsubscribe(FIRST[0])
        await client.reload_catalogue("before the market")
        await confirmed(gateway, 7)
        assert FIRST[0] not in await wanted(client)


async def test_a_second_reload_meanwhile_is_refused_and_the_first_one_goes_on() -> None:
    counter = Counter(*FIRST)
    async with running(counter) as (_gateway, client):
        counter.hold = asyncio.Event()
        first = asyncio.create_task(client.reload_catalogue("before the market"))
        await until(lambda: counter.asked == 2)
        with pytest.raises(ControlError, match="is being read; try again"):
            await client.reload_catalogue("me too")
        counter.hold.set()
        assert (await first)[0].ok


async def test_a_reload_needs_a_reason_and_a_feed_that_is_there() -> None:
    counter = Counter(*FIRST)
    async with running(counter) as (_gateway, client):
        with pytest.raises(ControlError, match="reason is blank"):
            await client.reload_catalogue(" ")
        with pytest.raises(ControlError, match="no feed 'ctp' here; the feeds are: sim"):
            await client.reload_catalogue("x", feed="ctp")
        assert counter.asked == 1


async def test_after_a_rotation_of_the_first_line_its_new_login_asks_for_the_list(tmp_path: Path) -> None:
    path = tmp_path / "secrets.toml"
    path.touch(0o600)
    path.write_text('new = "new-pass-22"\n')
    counter = Counter(*FIRST)
    async with running(counter) as (_gateway, client):
        for line in ("sim:backup", "sim:primary"):
            await client.rotate(line, {"password": f"secret:file:{path}#new"}, "quarterly")
        await client.reload_catalogue("before the market")
    assert [account.name for account in counter.accounts] == ["primary", "primary"]
    assert counter.accounts[-1].secrets["password"] == "new-pass-22"
