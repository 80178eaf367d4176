from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator

import pytest

from gateway.bus.memory import MemoryBus
from gateway.client import Client
from gateway.control.service import ControlService
from gateway.terminal.tail import PatternError, show, tail, tick_line
from tests.unit.control.market import Market, tick_of


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Paper(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.flushed = asyncio.Event()

    def flush(self) -> None:
        self.flushed.set()


class BrokenPipe(io.StringIO):
    def flush(self) -> None:
        raise BrokenPipeError


class FixedClock:
    def wall_ns(self) -> int:
        return 1_760_000_000_001_500_003

    def monotonic(self) -> float:
        return 100.0


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    bus = MemoryBus()
    await bus.start()
    async with Client(bus) as client:
        yield client
    await bus.aclose()


@pytest.fixture
async def market(client) -> Market:
    market = Market(client._bus)
    await ControlService(client._bus, market, "feedgate", figures=market.figures).start()
    return market


async def shown(client, *patterns, out=None, err=None, count=None, plain=False, as_json=False):
    out, err = out or io.StringIO(), err or io.StringIO()
    code = await show(client, patterns, plain=plain, count=count, as_json=as_json, out=out, err=err, clock=FixedClock())
    return code, out.getvalue(), err.getvalue()


async def test_lines_show_shanghai_time_prices_seq_and_latency(client, market) -> None:
    market.publish("SHFE.rb2510", "SHFE.rb2510", "DCE.m2601")
    code, out, _ = await shown(client, "SHFE.*", count=1)
    assert code == 0
    assert out.split() == [
        "16:53:20.500", "SHFE.rb2510", "3500", "7", "3499/3501", "sim:primary", "2", "1.5", "ms"
    ]  # fmt: skip


async def test_count_is_exact_even_inside_a_page(client, market) -> None:
    market.publish(*(f"SHFE.rb{number}" for number in range(50)))
    _, out, _ = await shown(client, "*", count=7)
    assert len(out.splitlines()) == 7


async def test_json_lines_are_objects_with_the_fields_of_a_tick(client, market) -> None:
    market.publish("SHFE.rb2510", last=None)
    _, out, _ = await shown(client, "*", count=1, as_json=True)
    row = json.loads(out)
    assert (row["instrument"], row["seq"], row["last"], row["bid_prices"]) == ("SHFE.rb2510", 1, None, [3499.0])
    assert row["latency_ms"] == pytest.approx(1.5, abs=0.01)


async def test_losses_go_to_stderr(client, market) -> None:
    market.publish("SHFE.rb2510")
    out, err = Paper(), io.StringIO()
    showing = asyncio.create_task(shown(client, "*", count=2, out=out, err=err))
    await out.flushed.wait()
    market.skip("SHFE.rb2510", 4)
    market.publish("SHFE.rb2510")
    await showing
    assert err.getvalue() == "lost 4 of SHFE.rb2510: seq 2 to 5\n"
    assert "lost" not in out.getvalue()


async def test_a_terminal_gets_a_table_with_the_latest_tick_of_each_contract(client, market) -> None:
    market.publish("SHFE.rb2510", "DCE.m2601", "DCE.m2601")
    _, out, _ = await shown(client, "*", count=2, out=Screen())
    assert "latency" in out
    assert "DCE.m2601" in out
    assert "2 ticks · 0 lost" in out


async def test_plain_is_lines_on_a_terminal_too(client, market) -> None:
    market.publish("SHFE.rb2510")
    _, out, _ = await shown(client, "*", count=1, out=Screen(), plain=True)
    assert out.startswith("16:53:20.500 SHFE.rb2510")


async def test_a_reader_that_goes_away_ends_it_cleanly(client, market) -> None:
    market.publish("SHFE.rb2510")
    code, _, _ = await shown(client, "*", out=BrokenPipe())
    assert code == 0


async def test_cancelling_closes_the_stream(client, market) -> None:
    market.publish("SHFE.rb2510")
    out = Paper()
    showing = asyncio.create_task(shown(client, "*", out=out))
    await out.flushed.wait()
    showing.cancel()
    await asyncio.wait([showing])
    assert showing.cancelled()
    assert not client._bus._mailboxes


def test_old_ticks_show_an_age_instead_of_milliseconds() -> None:
    tick = tick_of("SHFE.rb2510")
    for seconds, age in ((59, "59 s"), (600, "10 min"), (7_200, "2 h"), (200_000, "2 d")):
        assert tick_line(tick, tick.recv_ns + seconds * 10**9).endswith(f" {age}")


def test_missing_values_are_dashes() -> None:
    assert " - " in tick_line(tick_of("SHFE.rb2510", last=None), 0)


async def test_a_bad_pattern_is_a_usage_error_before_anything_connects() -> None:
    out = io.StringIO()
    with pytest.raises(PatternError, match=r"'rb2510' is not an instrument pattern; write EXCHANGE\.CODE") as caught:
        await tail("nats://127.0.0.1:1", ["rb2510"], plain=True, count=1, as_json=False, out=out, err=out)
    assert caught.value.exit_code == 64
