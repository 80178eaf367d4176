"""T-5, log files, escalation, systemd, places, the actions' kinds."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from datetime import datetime
from pathlib import Path

import pytest

from gateway.calendar import Calendar, load_calendar
from gateway.model import SHANGHAI
from gateway.settings import BusSettings, Settings
from gateway.testing.clock import ManualClock
from runbook.actions import restart, start, stop
from runbook.model import Window
from runbook.runner import collect_kinds
from runbook.runner.masking import Masker
from runbook.supervisor.children import Command, Spawner, SpawnError
from runbook.supervisor.launch import Launch
from runbook.supervisor.logfiles import SupervisorLog
from runbook.supervisor.place import Place
from runbook.supervisor.programs import GatewayProgram, NatsProgram
from runbook.supervisor.reaping import Reaper
from runbook.supervisor.systemd import Notifier
from runbook.supervisor.t5 import T5Book, T5MissedError, checkpoint_of
from runbook.supervisor.timers import Timers


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return load_calendar()


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=SHANGHAI)  # type: ignore[arg-type]  # a tuple of numbers is not typed by its length


@pytest.mark.parametrize(
    ("window", "moment", "due"),
    [
        ("day", at(2026, 11, 20, 8, 30), at(2026, 11, 20, 8, 55)),
        ("day", at(2026, 11, 20, 14, 0), at(2026, 11, 20, 8, 55)),
        ("day", at(2026, 11, 20, 16, 0), None),
        ("day", at(2026, 11, 21, 8, 30), None),
        ("night", at(2026, 11, 20, 20, 50), at(2026, 11, 20, 20, 55)),
        ("night", at(2026, 11, 21, 1, 0), at(2026, 11, 20, 20, 55)),
        ("night", at(2026, 11, 21, 2, 31), None),
        ("night", at(2026, 9, 30, 20, 50), None),
    ],
)
def test_the_checkpoint_is_five_minutes_before_the_first_product_opens(
    calendar: Calendar, window: Window, moment: datetime, due: datetime | None
) -> None:
    found = checkpoint_of(calendar, window, moment, 300)
    assert (found.due if found else None) == due


def test_being_ready_at_t5_sharp_is_in_time_and_a_second_later_is_not(calendar: Calendar, tmp_path: Path) -> None:
    book = T5Book(tmp_path / "t5.json")
    found = checkpoint_of(calendar, "day", at(2026, 11, 20, 8, 0), 300)
    assert found is not None
    with pytest.raises(T5MissedError, match="0 min 1 s after 08:55:00"):
        book.judge(found, at(2026, 11, 20, 8, 55, 1))
    assert "before T-5" in book.judge(found, at(2026, 11, 20, 8, 55, 0))
    assert "was passed at 08:55:00" in book.judge(found, at(2026, 11, 20, 10, 0))


def test_a_broken_t5_file_counts_as_none(calendar: Calendar, tmp_path: Path) -> None:
    (tmp_path / "t5.json").write_text("{")
    found = checkpoint_of(calendar, "day", at(2026, 11, 20, 8, 0), 300)
    assert found is not None
    with pytest.raises(T5MissedError):
        T5Book(tmp_path / "t5.json").judge(found, at(2026, 11, 20, 9, 0))


async def test_the_log_masks_secrets_and_followers_get_what_comes(tmp_path: Path) -> None:
    log = SupervisorLog(tmp_path / "s.log", ManualClock(), Masker(["hunter2secret"]), lambda: {"session": "day"})
    log.write("before", "x")
    lines = log.watch()
    waiting = asyncio.ensure_future(anext(lines))
    await asyncio.sleep(0)
    log.write("login", "password hunter2secret", {"token": "abc", "at": "hunter2secret"}, "error")
    line = await waiting
    await lines.aclose()  # type: ignore[attr-defined]  # watch() is a generator
    log.close()
    written = json.loads((tmp_path / "s.log").read_text().splitlines()[1])
    assert written == line
    assert written == {
        "at": "2023-11-15T06:13:20.000+08:00", "level": "error", "event": "login", "text": "password ***",
        "fields": {"token": "***", "at": "***"}, "session": "day",
    }  # fmt: skip


def test_systemd_is_told_on_its_socket_and_nobody_when_there_is_none(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0feedgate-test-{os.getpid()}")
        listener.settimeout(60)
        notifier = Notifier({"NOTIFY_SOCKET": f"@feedgate-test-{os.getpid()}", "WATCHDOG_USEC": "60000000"})
        notifier.say("READY=1", "STATUS=up")
        assert listener.recv(100) == b"READY=1\nSTATUS=up"
        assert notifier.watchdog_s == 30
    notifier.say("READY=1")
    Notifier({}).say("READY=1")


async def test_a_socket_works_below_a_path_that_is_too_long_for_the_kernel(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    place = Place(deep)
    with place.listen() as listener:
        server = await asyncio.start_unix_server(lambda _, writer: writer.close(), sock=listener)
        with place.address() as address:
            reader, writer = await asyncio.open_unix_connection(address)
        assert await reader.read() == b""
        writer.close()
        server.close()
        await server.wait_closed()


def test_ended_processes_of_nobody_are_collected_at_the_second_look() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    reaper = Reaper(enabled=True)
    reaper.look()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    reaper.look()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    reaper.look()


async def test_the_end_of_a_process_is_noticed_while_a_grandchild_holds_its_output(tmp_path: Path) -> None:
    spawn = Spawner(tmp_path, Masker(["hunter2secret"]))
    script = "sleep 600 & echo $!; echo hunter2secret; exit 3"
    child = await spawn(Command(argv=["/bin/sh", "-c", script], env={}, log="x.log"))
    assert await asyncio.wait_for(child.wait(), 30) == 3
    grandchild, said = child.last_words().splitlines()
    os.kill(int(grandchild), 9)
    assert said == "***"
    spawn.close()
    assert "hunter2" not in (tmp_path / "x.log").read_text()


async def test_a_program_that_does_not_exist_ends_with_its_words(tmp_path: Path) -> None:
    spawn = Spawner(tmp_path, Masker())
    child = await spawn(Command(argv=["/no/such/program"], env={}, log="x.log"))
    assert await asyncio.wait_for(child.wait(), 30) == 1
    assert "No such file" in child.last_words()
    spawn.close()


def test_secrets_and_systemds_variables_are_not_handed_to_children(tmp_path: Path) -> None:
    clock = ManualClock()
    timers = Timers(clock, clock.sleep)
    program = GatewayProgram(
        lambda: None,  # type: ignore[arg-type, return-value]  # never called here
        timers,
        config=Path("/etc/feed.toml"),
        env_files=[Path("/etc/.env")],
        environment={"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "1", "CTP_PRIMARY_PASSWORD": "hunter2secret"},
        ready_s=1,
    )
    program.nats_url = "nats://127.0.0.1:4222"
    command = program.command()
    assert command.env == {"CTP_PRIMARY_PASSWORD": "hunter2secret", "NATS_URL": "nats://127.0.0.1:4222"}
    assert "hunter2secret" not in repr(command)
    assert list(command.argv[3:]) == [
        "--log-level", "INFO", "run", "--no-view", "--log-format", "json", "--config=/etc/feed.toml",
        "--env-file=/etc/.env",
    ]  # fmt: skip
    nats = NatsProgram(BusSettings(), tmp_path / "nats", timers, binary=None, ready_s=1)
    port = [nats.command().argv, nats.command().argv]
    assert port[0] == port[1]
    assert nats.command().env == {}


def test_the_actions_are_three_exclusive_ones_that_change_something() -> None:
    kinds = collect_kinds(builtin=[start, stop, restart])
    assert not kinds.findings
    assert sorted(kinds.by_name) == ["restart", "start", "stop"]
    assert all(kind.changes and kind.exclusive for kind in kinds.by_name.values())
    given = collect_kinds(builtin=[start.StartActions(Launch(config=Path("x.toml"))), stop, restart])
    assert sorted(given.by_name) == ["restart", "start", "stop"]


def test_a_launch_names_files_by_their_whole_path() -> None:
    words = Launch(config=Path("a.toml"), env_files=(Path("b"),)).arguments(Path("s"), Path("l"))
    assert all(Path(word.partition("=")[2]).is_absolute() for word in words)
    assert Settings().profile == "dev"
    assert SpawnError.exit_code == 11
