"""The command ``gateway`` as people run it: a process, its output, its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway import FeedSettings, Gateway, Settings
from gateway.settings import MetricsSettings
from tests.native.conftest import require
from tests.native.tts_front import TtsFront

FREE = {"FEEDGATE_METRICS__PORT": "0"}


async def start(*args: str, env: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *args,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **FREE, **(env or {})},
    )  # fmt: skip


async def finish(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def gateway(*args: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    return await finish(await start(*args, env=env))


async def test_the_demo_ends_by_itself_with_a_summary_whose_books_balance() -> None:
    code, out, _ = await gateway("--log-level", "WARNING", "demo", "--seconds", "5", "--json", "--rate", "1000")
    assert code == 0
    (line,) = out.splitlines()
    summary = json.loads(line)
    assert set(summary) == {
        "in", "out", "dropped", "lost", "missing", "doubled", "rate", "p50_ms", "p99_ms", "switches", "lines",
    }  # fmt: skip
    assert summary["in"] == summary["out"] + sum(sum(reasons.values()) for reasons in summary["dropped"].values())
    assert summary["out"] > 0
    assert (summary["lost"], summary["missing"], summary["doubled"]) == (0, 0, 0)
    assert summary["switches"] == []
    assert [line["role"] for line in summary["lines"]] == ["active", "hot"]


async def test_the_demo_kills_a_line_and_the_market_comes_out_whole_and_once() -> None:
    # Two snapshots a second of each contract, as CTP has them. Without a reorder window a line that comes back ahead of
    # a lagging one costs a snapshot when the lag is longer than that pause; at a higher rate a busy machine gets there.
    args = ("demo", "--seconds", "12", "--kill", "4", "--json", "--rate", "500")
    code, out, err = await gateway(*args)
    assert code == 0, out + err
    summary = json.loads(out)
    assert (summary["lost"], summary["missing"], summary["doubled"]) == (0, 0, 0)
    (switch,) = summary["switches"]
    assert (switch["from"], switch["to"], switch["trigger"]) == ("sim:primary", "sim:backup", "line_lost")
    assert (switch["ok"], switch["error"]) == (True, "")
    assert switch["latency_ms"] >= 0
    killed, other = summary["lines"]
    assert (killed["restarts"], other["restarts"]) == (1, 0)
    assert (killed["role"], other["role"]) == ("hot", "active")
    assert min(killed["published"], other["published"]) > 0
    assert summary["in"] == summary["out"] + sum(sum(reasons.values()) for reasons in summary["dropped"].values())


async def test_as_fast_as_possible_there_is_no_grid_to_judge_the_market_by() -> None:
    code, out, err = await gateway("demo", "--seconds", "3", "--json", "--rate", "0", "--contracts", "5")
    assert code == 0, out + err
    summary = json.loads(out)
    assert (summary["missing"], summary["doubled"]) == (None, None)
    assert summary["out"] > 0


async def test_ctrl_c_ends_the_demo_with_the_summary_in_words() -> None:
    process = await start("demo", "--kill", "0")
    assert process.stdout is not None
    seen = b""
    while b"gateway tail" not in seen:
        seen += await asyncio.wait_for(process.stdout.read(200), 30)
    process.send_signal(signal.SIGINT)
    code, out, err = await finish(process)
    assert code == 0, err
    assert "(balanced)" in out
    assert "missing 0, doubled 0" in out
    assert "SIGKILL" not in out
    assert "Traceback" not in err


async def test_plugins_are_listed_with_their_versions() -> None:
    code, out, _ = await gateway("plugins", "--json")
    assert code == 0
    records = {record["name"]: record for record in json.loads(out)}
    assert records["sim"]["status"] == "loaded"
    assert "feed sim" in records["sim"]["provides"]


async def test_tail_shows_ticks_of_a_running_gateway() -> None:
    feed = FeedSettings(kind="sim", options={"contracts": 20, "rate": 500})
    async with Gateway(Settings(feeds={"sim": feed}, metrics=MetricsSettings(enabled=False))) as gw:
        assert gw.url is not None
        code, out, err = await gateway("tail", "SHFE.*", "--url", gw.url, "--json", "--count", "20")
    assert code == 0, err
    ticks = [json.loads(line) for line in out.splitlines()]
    assert len(ticks) == 20
    assert {tick["exchange"] for tick in ticks} == {"SHFE"}


async def test_ctrl_c_ends_tail_without_a_word() -> None:
    feed = FeedSettings(kind="sim", options={"contracts": 20, "rate": 500})
    async with Gateway(Settings(feeds={"sim": feed}, metrics=MetricsSettings(enabled=False))) as gw:
        assert gw.url is not None
        process = await start("tail", "*", "--url", gw.url)
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 30)
        process.send_signal(signal.SIGINT)
        code, _, err = await finish(process)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("args", "env", "code", "words"),
    [
        (("run",), {}, 11, "no feed is configured"),
        (("run", "--env-file", "/does/not/exist"), {}, 11, "/does/not/exist"),
        (("run",), {"CTP_PRIMARY_USER_ID": "1"}, 11, "CTP_PRIMARY_PASSWORD"),
        (("run",), {"CTP_PRIMARY_PASWORD": "hush-hush"}, 11, "CTP_PRIMARY_PASSWORD"),
        (("run",), {"FEEDGATE_METRICS__PORT": "many"}, 11, "FEEDGATE_METRICS__PORT"),
        (("demo", "--replay", "/no/such/file.csv"), {}, 11, "/no/such/file.csv"),
        (("tail", "SHFE.*", "--url", "nats://127.0.0.1:{free}"), {}, 12, "127.0.0.1:{free}"),
        (("tail", "rb2510"), {}, 64, "SHFE.rb"),
        (("fly",), {}, 64, "fly"),
        (("demo", "--rate", "quick"), {}, 64, "--rate"),
    ],
)
async def test_wrong_input_ends_with_its_code_and_the_fix_and_no_traceback(
    args: tuple[str, ...], env: dict[str, str], code: int, words: str
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        free = str(closed.getsockname()[1])
        got, out, err = await gateway(*(arg.format(free=free) for arg in args), env=env)
    assert got == code, err
    assert words.format(free=free) in err
    assert "Traceback" not in err
    assert "hush-hush" not in out + err


@pytest.mark.native
async def test_run_serves_real_accounts_from_an_env_file_until_sigterm(tmp_path: Path) -> None:
    require("openctp_tts")
    async with TtsFront() as front:
        env_file = tmp_path / ".env.live"
        env_file.write_text(
            f"CTP_PRIMARY_BROKER_ID=9999\nCTP_PRIMARY_USER_ID=160219\nCTP_PRIMARY_PASSWORD=hush-hush\n"
            f"CTP_PRIMARY_MD_ADDRESS={front.address}\n"
        )
        env_file.chmod(0o600)
        config = tmp_path / "gateway.toml"
        config.write_text(
            '[feeds.ctp]\nsessions = "always"\ninstruments = ["SHFE.rb2601"]\n'
            '[feeds.ctp.options]\nnative_module = "openctp_tts"\n'
        )
        process = await start("run", "--env-file", str(env_file), "--config", str(config), "--json")
        await front.until(lambda: front.subscribed == ["rb2601"])
        for volume in range(1, 101):
            front.send_depth("rb2601", volume=volume)
        await front.drain()
        assert process.stderr is not None
        log = b""
        while b"streaming" not in log:
            log += await asyncio.wait_for(process.stderr.readline(), 30)
        process.send_signal(signal.SIGTERM)
        code, out, err = await finish(process)
    assert code == 0, err
    summary = json.loads(out)
    assert summary["in"] == 100
    # nobody of ours was watching
    assert [summary[key] for key in ("lost", "missing", "doubled", "switches")] == [None] * 4
    assert summary["in"] == summary["out"] + sum(sum(reasons.values()) for reasons in summary["dropped"].values())
    assert b"hush-hush" not in log + out.encode() + err.encode()


async def test_as_json_stdout_has_records_alone_and_the_file_has_the_same(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        '[bus]\nkind = "memory"\n[feeds.sim]\nhost = "child"\ninstruments = ["*"]\nsessions = "always"\n'
        "[feeds.sim.accounts.primary]\n[feeds.sim.options]\ncontracts = 5\nrate = 50\n"
    )
    file = tmp_path / "logs" / "gateway.log"
    process = await start("run", "--config", str(config), "--log-format", "json", "--log-file", str(file))
    assert process.stdout is not None
    lines = []
    while not lines or not lines[-1]["text"].endswith(": streaming "):
        lines.append(json.loads(await asyncio.wait_for(process.stdout.readline(), 30)))
    process.send_signal(signal.SIGTERM)
    code, out, err = await finish(process)
    lines += [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert all(line["at"].endswith("+08:00") and line["gateway"] == "feedgate" for line in lines)
    assert any(line["text"].startswith("Feedgate: bus in memory") for line in lines)
    assert "(balanced)" in lines[-1]["text"]
    assert [json.loads(line) for line in file.read_text().splitlines()] == lines
