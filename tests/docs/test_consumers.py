"""The consumers in examples/ read one stream alike, by the rules of docs/subjects.md."""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import FeedSettings, Gateway, Settings
from gateway.codec import CODECS, encode_market
from gateway.settings import MetricsSettings
from gateway.subjects import tick_subject
from gateway.testing.nats import NatsServer
from tests.docs.documents import ROOT, blocks
from tests.integration.served import served
from tests.needing import program, without
from tests.unit.control.market import Market, tick_of

EXAMPLES = ROOT / "examples"
RB, SPREAD, MA = "SHFE.rb2510", "DCE.SP a2105&a2109", "CZCE.MA601"
QUIET = "SHFE.ag2512"
DEADLINE_S = 30
PYTHON = [sys.executable, "-W", "error", str(EXAMPLES / "consumer.py")]


@pytest.fixture(scope="session")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The consumer in C, built as its first lines say, and with every warning an error."""
    gcc = program("gcc")
    header = subprocess.run(
        [gcc, "-fsyntax-only", "-x", "c", "-include", "nats/nats.h", "/dev/null"], check=False, capture_output=True
    )
    if header.returncode:
        without("the NATS library for C is not installed: apt-get install libnats-dev")
    built = tmp_path_factory.mktemp("consumer") / "consumer"
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wshadow"]
    subprocess.run([gcc, "-O1", *warnings, "-o", built, EXAMPLES / "consumer.c", "-lnats"], check=True)
    return [str(built)]


@pytest.fixture
async def server() -> AsyncIterator[NatsServer]:
    async with NatsServer() as server:
        yield server


class Consumer:
    """A running consumer: what it has printed so far, line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self.process = process
        self._news = asyncio.Event()
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.out)),
            asyncio.create_task(self._read(process.stderr, self.err)),
        ]

    async def _read(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        async for line in stream:
            lines.append(line.decode().rstrip("\n"))
            self._news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                assert self.process.returncode is None, self.err
                self._news.clear()
                await self._news.wait()

    def ticks(self) -> list[tuple[int, int, str]]:
        """Epoch, seq and name of what was taken."""
        rows = [line.split(" ") for line in self.out]
        return [(int(row[0]), int(row[1]), " ".join(row[2:-7])) for row in rows]

    async def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*self._readers)
            assert await self.process.wait() == 0, self.err


@asynccontextmanager
async def consumer(*command: str) -> AsyncIterator[Consumer]:
    pipe = asyncio.subprocess.PIPE
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment)
    running = Consumer(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.gather(*running._readers)
        await process.wait()


def of_epoch(market: Market, epoch: int, name: str, seq: int) -> bytes:
    tick = tick_of(name, seq, epoch)
    origin = CODECS["msgpack"].origin(epoch, tick.line, tick.account)
    return origin.payload(seq, tick.recv_ns, encode_market(tick))


async def test_both_consumers_take_the_same_ticks_of_a_stream_with_holes_repeats_and_rubbish(server, in_c) -> None:
    many = [f"SHFE.option{number}" for number in range(5_000)]  # more than one page of last ticks
    async with (
        served(server.url, *many, RB, SPREAD) as market,
        consumer(*in_c, server.url) as one,
        consumer(*PYTHON, server.url) as other,
    ):
        for each in (one, other):
            await each.until(lambda each=each: len(each.out) == len(many) + 2)
        on_rb = tick_subject(tick_of(RB).instrument)
        market.publish(RB, MA)
        market.publish(SPREAD, last=None)
        market.send(on_rb, market._last[RB])  # again, as after a reconnect of the gateway
        market.skip(RB, 3)
        market.publish(RB)
        market.send(on_rb, b"\xc1 is no msgpack")
        market.send(on_rb, market._last[RB] + b"\x00")
        market.send(on_rb, market._last[MA])
        later = of_epoch(market, 1, RB, 7)
        assert later.startswith(b"\xdc\x00\x1d")
        market.send(on_rb, b"\xdc\x00\x1e" + later[3:] + b"\xa3new")  # a later version with one more field
        market.restart()
        market.publish(RB, RB)
        market.send(on_rb, of_epoch(market, 1, RB, 9))  # of the gateway that was replaced
        market.publish(MA)
        for each in (one, other):
            await each.until(lambda each=each: each.ticks()[-1] == (2, 1, MA))
            await each.end()
    assert one.ticks()[-9:] == [
        (1, 1, SPREAD),
        (1, 2, RB), (1, 1, MA), (1, 2, SPREAD), (1, 6, RB), (1, 7, RB),
        (2, 1, RB), (2, 2, RB), (2, 1, MA),
    ]  # fmt: skip
    assert one.out[-6] == f"1 2 {SPREAD} 20251009 1760000000500000000 - 7 3499 3501 sim:primary"
    assert one.err == [
        f"lost {RB}: 3 to 5",
        f"taken {len(many) + 10}, repeats 1, lost 3, stale 1, rejected 3, restarts 1, interruptions 0",
    ]
    assert (one.out, one.err) == (other.out, other.err)


async def test_both_consumers_tell_what_a_quiet_instrument_lost_while_the_server_was_away(server, in_c) -> None:
    async with served(server.url, QUIET, RB) as market:
        pattern = "SHFE.*"
        async with consumer(*in_c, server.url, pattern) as one, consumer(*PYTHON, server.url, pattern) as other:
            for each in (one, other):
                await each.until(lambda each=each: len(each.out) == 2)
            await server.kill()
            send, market.send = market.send, lambda _subject, _payload: None
            market.publish(QUIET, QUIET, QUIET)
            market.send = send
            await server.start()
            for each in (one, other):
                await each.until(lambda each=each: each.ticks()[-1] == (1, 4, QUIET))
            await market.bus.wait_connected()
            market.publish(RB, MA)
            for each in (one, other):
                await each.until(lambda each=each: each.ticks()[-1] == (1, 2, RB))
                await each.end()
    assert f"lost {QUIET}: 2 to 3" in one.err
    assert one.err[-1] == "taken 4, repeats 0, lost 2, stale 0, rejected 0, restarts 0, interruptions 1"
    assert one.out == other.out
    assert one.err[-1] == other.err[-1]


async def test_the_consumer_in_c_believes_an_earlier_epoch_only_after_a_run_of_two_seconds(server, in_c) -> None:
    async with served(server.url) as market:
        market.epoch = 5
        market.publish(RB, MA)
        async with consumer(*in_c, server.url) as reader:
            await reader.until(lambda: len(reader.out) == 2)
            market.restart()
            market.epoch = 4
            began = time.monotonic()
            async with asyncio.timeout(DEADLINE_S):
                while len(reader.out) == 2:
                    market.publish(RB)
                    await asyncio.sleep(0.1)
            took = time.monotonic() - began
            market.publish(MA)
            await reader.until(lambda: (4, 1, MA) in reader.ticks())  # for all instruments at once
            market.send(tick_subject(tick_of(RB).instrument), of_epoch(market, 5, RB, 2))
            market.publish(MA)
            await reader.until(lambda: (4, 2, MA) in reader.ticks())
            await reader.end()
    assert reader.ticks()[2][0] == 4
    assert took >= 2
    assert (5, 2, RB) not in reader.ticks()
    assert "restarts 1," in reader.err[-1]


async def test_what_the_consumer_in_c_reads_of_a_gateway_is_what_the_gateway_published(in_c) -> None:
    settings = Settings(
        feeds={"sim": FeedSettings(instruments=["SHFE.*", "DCE.*"])}, metrics=MetricsSettings(enabled=False)
    )
    published: dict[tuple[int, int, str], str] = {}
    line_of = runpy.run_path(str(EXAMPLES / "consumer.py"))["line_of"]
    async with Gateway(settings) as gateway, gateway.ticks() as stream:

        async def note() -> None:
            async for tick in stream:
                published[tick.epoch, tick.seq, str(tick.instrument)] = line_of(tick)

        noting = asyncio.create_task(note())
        async with consumer(*in_c, gateway.url, "SHFE.*") as reader:
            await reader.until(lambda: len(reader.out) >= 500)
            await reader.end()
        async with asyncio.timeout(DEADLINE_S):
            while reader.ticks()[-1] not in published:
                await asyncio.sleep(0.02)
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)
    taken = dict(zip(reader.ticks(), reader.out, strict=True))
    assert len(taken) == len(reader.out), "none twice"
    both = taken.keys() & published.keys()
    assert len(both) > 300, "the rest was there before"
    assert {key: taken[key] for key in both} == {key: published[key] for key in both}
    assert reader.err[-1].split(", ", 1)[1] == "repeats 0, lost 0, stale 0, rejected 0, restarts 0, interruptions 0"


async def test_the_short_consumer_of_the_page_prints_the_last_ticks(server, tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs" / "subjects.md", "python")
    path = tmp_path / "short.py"
    path.write_text(block.code.replace("nats://127.0.0.1:4222", server.url), encoding="utf-8")
    async with served(server.url, RB) as market, consumer(sys.executable, "-u", "-W", "error", str(path)) as short:
        await short.until(lambda: short.out)
        market.publish("DCE.m2601")
        await short.until(lambda: len(short.out) == 2)
    assert [line.split()[-4] for line in short.out] == [RB, "DCE.m2601"]


def test_the_commands_of_the_page_are_those_of_the_file() -> None:
    commands = "".join(block.code for block in blocks(ROOT / "docs" / "subjects.md", "sh") if "gcc" in block.code)
    head = (EXAMPLES / "consumer.c").read_text(encoding="utf-8").partition("*/")[0]
    for line in commands.splitlines():
        assert f" *   {line.replace('examples/', '')}\n" in head


@pytest.mark.parametrize("arguments", [(), ("nats://x", 'a"b'), ("nats://x", "*", "y", "z")], ids=len)
def test_wrong_arguments_are_refused_with_the_usage(in_c, arguments: tuple[str, ...]) -> None:
    done = subprocess.run([*in_c, *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")
    assert "URL [PATTERN [GATEWAY]]" in done.stderr


async def test_without_a_gateway_the_consumer_in_c_says_so_and_fails(server, in_c) -> None:
    async with consumer(*in_c, server.url, "*", "other") as reader:
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.process.wait() == 1
            await asyncio.gather(*reader._readers)
    assert "is a gateway named other running?" in reader.err[0]
