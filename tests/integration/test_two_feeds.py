"""CTP and SOPT in one gateway, set up as an operator does: two feeds, four lines, one stream, a drill on each.

The counters are the plugins' stand-ins; everything else is real: settings from an env file, a process a line, contract
lists over the trader front, a nats-server, the runbook's own command.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import Client, Gateway, LineState, Settings, connect, load_settings
from gateway.errors import SettingsError

ROOT = Path(__file__).parents[2]
LINES = ["ctp:backup", "ctp:primary", "sopt:backup", "sopt:primary"]
COMMON = """
FEEDGATE_METRICS__PORT=0
FEEDGATE_LEDGER__PATH={root}/gaps.sqlite
FEEDGATE_FEEDS__CTP__INSTRUMENTS=SHFE.*,CFFEX.*
FEEDGATE_FEEDS__SOPT__INSTRUMENTS=SSE.*,SZSE.*
RUNBOOK_STATE_DIR={root}/state
RUNBOOK_LOG_DIR={root}/logs
DRILL_EXPECT_ACCOUNT=primary
FEEDGATE_LINES__START_TIMEOUT_S=60
FEEDGATE_LINES__LOGIN_TIMEOUT_S=30
FEEDGATE_LINES__CONNECT_TIMEOUT_S=30
FEEDGATE_LINES__HUNG_AFTER_S=20
FEEDGATE_LINES__KILL_AFTER_S=40
FEEDGATE_WATCH__LINE_SILENT_S=30
MD_FAILOVER_THRESHOLD_SECONDS=60
"""
"""The long limits are for machines with other things to do: nothing here is about a line that hangs."""
OWN_PREFIXES = (
    "FEEDGATE_",
    "CTP_",
    "SOPT_",
    "NATS_",
    "DRILL_",
    "OPS_",
    "RUNBOOK_",
    "VAULT_",
    "ACTIVE_",
    "PUSHGATEWAY_",
)


def account(feed: str, name: str, user: str) -> str:
    prefix = f"{feed}_{name}".upper()
    return "".join(
        f"{prefix}_{field}={value}\n"
        for field, value in {
            "BROKER_ID": "9999", "USER_ID": user, "PASSWORD": "secret-word", "MD_ADDRESS": "tcp://standin:1",
            "TD_ADDRESS": "tcp://standin:2", "APP_ID": "client_1", "AUTH_CODE": "secret-code",
        }.items()
    )  # fmt: skip


def env_file(root: Path) -> Path:
    text = COMMON.format(root=root)
    for feed in ("ctp", "sopt"):
        text += f"FEEDGATE_FEEDS__{feed.upper()}__OPTIONS__NATIVE_MODULE=standin\n"
        text += f"FEEDGATE_FEEDS__{feed.upper()}__SESSIONS=always\n"
        text += account(feed, "primary", "160219") + account(feed, "backup", "160220")
    path = root / ".env.test"
    path.touch(0o600)
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def only_the_files_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(OWN_PREFIXES) and name != "FEEDGATE_REQUIRE_TOOLS":
            monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(None, [env_file(tmp_path)])


async def until(true: Callable[[], Any], limit_s: float = 30) -> None:
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.02)


def states(gw: Gateway) -> dict[str, LineState]:
    return {line.line: line.state for line in gw.lines()}


def active(gw: Gateway, feed: str) -> str:
    return next(line.line for line in gw.lines() if line.role == "active" and line.line.startswith(f"{feed}:"))


async def all_streaming(gw: Gateway) -> None:
    await until(lambda: set(states(gw).values()) == {LineState.STREAMING})
    await gw.settled()


async def feeds_seen(client: Client, wanted: set[str]) -> dict[str, set[str]]:
    """Exchanges by feed, as one consumer of one stream sees them."""
    seen: dict[str, set[str]] = {}
    async with asyncio.timeout(30), client.ticks("*", snapshot=False) as stream:
        async for tick in stream:
            seen.setdefault(tick.line.partition(":")[0], set()).add(tick.exchange)
            if wanted == {exchange for exchanges in seen.values() for exchange in exchanges}:
                break
    return seen


async def the_catalogues_are_their_own(client: Client) -> None:
    """CFFEX is in both: futures here, options there. The counter of the options tells reference prices."""
    futures = await client.contracts("CFFEX.*", feed="ctp")
    options = await client.contracts("CFFEX.*", feed="sopt")
    assert ({one.kind for one in futures}, {one.kind for one in options}) == ({"future"}, {"option"})
    assert len(await client.contracts("CFFEX.*")) == len(futures) + len(options)
    assert {one.reference_price for one in futures} == {None}
    async with asyncio.timeout(30):
        while not all(one.reference_price for one in await client.contracts("SSE.*", feed="sopt")):
            await asyncio.sleep(0.1)


async def run_drill(url: str, env: Path, feed: str) -> tuple[int, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "runbook", "drill", "--feed", feed, "--json", "--profile", "test", "--reason", "by feed",
        "--env-file", str(env), "--observe", "1", "--patience", "30",
        cwd=env.parent, env=os.environ | {"PYTHONPATH": str(ROOT), "NATS_URL": url, "DRILL_EXPECT_FEED": feed},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, json.loads(output)


async def test_two_feeds_of_two_plugins_share_one_gateway_and_neither_feels_what_happens_to_the_other(
    settings: Settings, tmp_path: Path
) -> None:
    assert sorted(settings.feeds) == ["ctp", "sopt"]
    async with Gateway(settings) as gw:
        await all_streaming(gw)
        assert sorted(states(gw)) == LINES
        assert gw.url is not None
        pids = {line: gw.line_pid(line) for line in LINES}
        assert len(set(pids.values()) - {None}) == 4
        async with connect(gw.url) as client:
            seen = await feeds_seen(client, {"SHFE", "CFFEX", "SSE", "SZSE"})
            assert seen == {"ctp": {"SHFE", "CFFEX"}, "sopt": {"SSE", "SZSE"}}
            await the_catalogues_are_their_own(client)
            before = (await client.gaps()).totals.gaps

            # a crash of one feed's active line moves that feed, and leaves the other's lines as they were
            assert (active(gw, "ctp"), active(gw, "sopt")) == ("ctp:primary", "sopt:primary")
            os.kill(pids["ctp:primary"] or 0, signal.SIGKILL)
            await until(lambda: active(gw, "ctp") == "ctp:backup" and states(gw)["ctp:primary"] is LineState.STREAMING)
            assert active(gw, "sopt") == "sopt:primary"
            assert (await gw.failover("sopt", "an order for the other feed")).ok
            assert active(gw, "ctp") == "ctp:backup"
            for feed in ("ctp", "sopt"):
                (switch,) = await client.switches(feed)
                assert (switch.ok, switch.target) == (True, f"{feed}:backup")
            restarts = {line.line: line.restarts for line in gw.lines()}
            assert restarts == {"ctp:primary": 1, "ctp:backup": 0, "sopt:primary": 0, "sopt:backup": 0}
            assert {line: gw.line_pid(line) for line in LINES if line != "ctp:primary"} == {
                line: pid for line, pid in pids.items() if line != "ctp:primary"
            }
            assert (await client.gaps()).totals.gaps == before
    assert gw.balance().in_flight == 0


async def test_the_runbooks_drill_runs_on_each_feed_and_touches_only_that_one(
    settings: Settings, tmp_path: Path
) -> None:
    env = tmp_path / ".env.test"
    async with Gateway(settings) as gw:
        await all_streaming(gw)
        assert gw.url is not None
        for feed, other in (("ctp", "sopt"), ("sopt", "ctp")):
            code, answer = await run_drill(gw.url, env, feed)
            assert code == 0, answer["result"]["message"]
            details = answer["result"]["details"]
            assert details["feed"] == feed
            assert active(gw, feed) == f"{feed}:primary"
            assert active(gw, other) == f"{other}:primary"
        assert {line.restarts for line in gw.lines()} == {0}


def test_a_half_filled_set_of_sopt_variables_is_an_error_that_names_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(account("sopt", "primary", "160219") + "SOPT_BACKUP_USER_ID=160220\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(None, [path])
    assert "SOPT_BACKUP_PASSWORD" in str(caught.value)
    assert "secret" not in str(caught.value)
