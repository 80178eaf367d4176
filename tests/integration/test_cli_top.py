"""``gateway top`` as people run it: a process beside a real gateway on a real nats-server."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gateway import AccountSettings, FeedSettings, Gateway, Settings
from gateway.client import connect
from gateway.flow.coverage import Coverage
from gateway.model import Instrument
from gateway.settings import LedgerSettings, MetricsSettings
from gateway.testing.nats import NatsServer
from tests.unit.control.market import Market

WITHOUT_TEXTUAL = (
    "import sys; sys.modules['textual'] = None; import gateway.__main__ as m; sys.exit(m.main(sys.argv[1:]))"
)


async def top(*args: str, start: tuple[str, ...] = ("-m", "gateway"), **options) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *start, "top", *args,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, **options,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def gw(tmp_path: Path) -> AsyncIterator[Gateway]:
    accounts = {"primary": AccountSettings(), "backup": AccountSettings()}
    feed = FeedSettings(kind="sim", options={"contracts": 20, "rate": 500}, accounts=accounts)
    settings = Settings(
        feeds={"sim": feed},
        metrics=MetricsSettings(enabled=False),
        ledger=LedgerSettings(path=tmp_path / "gaps.db"),
    )
    async with Gateway(settings) as gw:
        assert gw.url is not None
        async with connect(gw.url) as client:
            await until_calm(client)
        yield gw


async def until_calm(client) -> None:
    """Everything carried, and nothing to warn of."""
    async with asyncio.timeout(60):
        while True:
            status, coverage = await client.status(), await client.coverage()
            lines = (await client.figures()).lines
            calm = not status.warnings and all(one.ratio == 1 for one in coverage)
            if calm and len(lines) == 2 and all(one.state.is_up and one.first for one in lines):
                return
            await asyncio.sleep(0.05)


async def test_once_prints_plain_text_and_its_exit_code_says_ready(gw: Gateway) -> None:
    code, out, err = await top(
        "--once", "--url", gw.url, env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    )
    assert (code, err) == (0, ""), out
    assert "READY: 2 lines up, coverage 100 %" in out
    for words in ("sim:primary", "sim:backup", "✓ streaming", "20/20", "SHFE"):
        assert words in out
    assert all(line.isprintable() for line in out.splitlines())


async def test_warnings_are_exit_code_1_and_too_little_coverage_is_2(server: NatsServer, market: Market) -> None:
    market.warned.append("line sim:backup is lost")
    code, out, err = await top("--json", "--url", server.url)
    assert (code, err) == (1, "")
    found = json.loads(out)
    assert (found["state"], found["warnings"]) == ("warnings", ["line sim:backup is lost"])
    missing = (Instrument.parse("SHFE.rb2601"),)
    market.covered.append(
        Coverage(feed="sim", session="day", at_ns=1, wanted=100, confirmed=99, ticking=99, quiet=(), stalled=(),
                 missing=missing, unexpected=())
    )  # fmt: skip
    code, _, err = await top("--json", "--url", server.url)
    assert code == 2
    assert "1 of 100 wanted contracts are on no line" in err


async def test_an_export_has_what_is_printed_and_is_not_readable_by_others(gw: Gateway, tmp_path: Path) -> None:
    text, values = tmp_path / "top.txt", tmp_path / "top.json"
    code, out, err = await top("--once", "--export", str(text), "--url", gw.url)
    assert code == 0
    assert text.read_text() == out
    assert str(text) in err
    code, out, _ = await top("--export", str(values), "--url", gw.url)
    assert (code, out) == (0, "")
    found = json.loads(values.read_text())
    assert {line["line"] for line in found["lines"]} == {"sim:primary", "sim:backup"}
    assert [path.stat().st_mode & 0o777 for path in (text, values)] == [0o600, 0o600]
    text.write_text("somebody's notes")
    code, _, err = await top("--export", str(text), "--url", gw.url)
    assert (code, text.read_text()) == (64, "somebody's notes")
    assert "name another file" in err


async def test_without_a_gateway_it_is_2_with_the_fix_and_the_file_says_it_too(
    server: NatsServer, tmp_path: Path
) -> None:
    code, out, err = await top("--once", "--export", str(tmp_path / "x.json"), "--url", server.url, "--name", "absent")
    assert code == 2
    assert "gateway 'absent' does not answer" in err
    assert "--name" in err
    assert "NOT READY" in out
    assert json.loads((tmp_path / "x.json").read_text())["state"] == "not_ready"


async def test_without_nats_it_is_2_with_the_address_and_without_its_password() -> None:
    code, out, err = await top("--once", "--url", "nats://me:hush-hush@127.0.0.1:1")
    assert code == 2
    assert "127.0.0.1:1" in err
    assert "start it" in err
    assert "hush-hush" not in out + err
    assert "Traceback" not in err


async def test_snapshots_need_no_textual_and_the_view_says_how_to_install_it(gw: Gateway) -> None:
    start = ("-c", WITHOUT_TEXTUAL)
    code, out, _ = await top("--once", "--url", gw.url, start=start)
    assert (code, "READY" in out) == (0, True)
    screen, terminal = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *start,
            "top",
            "--url",
            gw.url,
            stdin=terminal,
            stdout=terminal,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        os.close(screen)
        os.close(terminal)
    assert process.returncode == 11
    assert b"pip install 'feedgate[top]'" in err
    assert b"Traceback" not in err


@pytest.mark.parametrize("end", ["q", "ctrl-c", "sigterm"])
async def test_the_view_runs_on_a_terminal_shows_the_gateway_and_ends_in_good_order(gw: Gateway, end: str) -> None:
    screen, terminal = pty.openpty()
    seen = bytearray()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with suppress(OSError):
            seen.extend(os.read(screen, 65536))

    loop.add_reader(screen, read)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "top", "--url", gw.url,
        stdin=terminal, stdout=terminal, stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
    )  # fmt: skip
    try:
        await until(lambda: b"sim:backup" in seen)
        if end == "sigterm":
            process.send_signal(signal.SIGTERM)
        else:
            os.write(screen, b"q" if end == "q" else b"\x03")
        code = await asyncio.wait_for(process.wait(), 60)
        await until(lambda: b"\x1b[?1049l" in seen)  # the terminal is as it was
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(screen)
        os.close(screen)
        os.close(terminal)
    assert code == 0
    assert b"Traceback" not in seen


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.02)
