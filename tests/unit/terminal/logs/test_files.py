"""Files that turn over by size and by day, also when several processes write and when the disk is full."""

from __future__ import annotations

import fcntl
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from gateway.terminal.logs.files import RotatingFile
from gateway.testing.clock import ManualClock

EVENING = 1_795_361_400_000_000_000
"""2026-11-22 23:30 in Shanghai."""


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))


def everything(path: Path) -> list[str]:
    """All lines, those of the oldest piece first."""
    pieces = [(piece, piece.name.split(".")[-2:]) for piece in path.parent.glob(f"{path.name}.*")]
    ordered = [piece for piece, (day, number) in sorted(pieces, key=lambda one: (one[1][0], int(one[1][1])))]
    return "".join(file.read_text() for file in (*ordered, path)).splitlines()


def test_a_file_turns_over_by_size_and_no_line_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "nats.log"
    file = RotatingFile(path, most_bytes=40, clock=ManualClock(EVENING))
    lines = [f"line number {number}" for number in range(25)]
    for line in lines:
        assert file.write(line)
    file.close()
    assert names(tmp_path) == ["nats.log", *sorted(f"nats.log.20261122.{number}" for number in range(1, 13))]
    assert everything(path) == lines


async def test_a_file_turns_over_with_the_day_in_shanghai(tmp_path: Path) -> None:
    clock = ManualClock(EVENING)
    path = tmp_path / "gateway.log"
    file = RotatingFile(path, least_bytes=10, clock=clock)
    file.write("in the evening")
    await clock.advance(1799)
    file.write("before midnight")
    await clock.advance(1)
    file.write("after midnight")
    file.close()
    assert names(tmp_path) == ["gateway.log", "gateway.log.20261122.1"]
    assert path.read_text() == "after midnight\n"
    again = RotatingFile(path, least_bytes=10, clock=clock)
    again.write("the same day")
    await clock.advance(86_400)
    again.write("the next one")
    again.close()
    assert (tmp_path / "gateway.log.20261123.1").read_text() == "after midnight\nthe same day\n"


async def test_a_small_file_goes_on_over_midnight(tmp_path: Path) -> None:
    clock = ManualClock(EVENING)
    file = RotatingFile(tmp_path / "runbook.log", clock=clock)
    file.write("one")
    await clock.advance(86_400)
    file.write("two")
    file.close()
    assert names(tmp_path) == ["runbook.log"]


async def test_old_pieces_go_by_age_and_by_size_and_other_files_stay(tmp_path: Path) -> None:
    clock = ManualClock(EVENING)
    for name in ("a.log.20261001.1", "a.log.20261001.2.gz", "a.log.20261101.1", "a.log.20261001", "b.log.20261001.1"):
        (tmp_path / name).write_text("x" * 100)
    file = RotatingFile(tmp_path / "a.log", most_bytes=20, days=30, clock=clock)
    file.write("the first line")
    file.write("the second line")
    file.close()
    left = ["a.log.20261001", "a.log.20261101.1", "a.log.20261122.1", "b.log.20261001.1"]
    assert names(tmp_path) == ["a.log", *left]
    small = RotatingFile(tmp_path / "a.log", most_bytes=20, most_in_all=110, clock=clock)
    small.write("the third line")
    small.close()
    left.remove("a.log.20261101.1")
    assert names(tmp_path) == sorted(["a.log", *left, "a.log.20261122.2"])


def test_two_writers_of_one_file_lose_and_tear_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runbook.log"
    writers = [RotatingFile(path, most_bytes=100, clock=ManualClock(EVENING)) for _ in range(2)]
    for number in range(40):
        for who, writer in enumerate(writers):
            assert writer.write(f"{who} says {number}")
    for writer in writers:
        writer.close()
    assert everything(path) == [f"{who} says {number}" for number in range(40) for who in range(2)]
    assert all(piece.stat().st_size <= 100 for piece in tmp_path.glob("runbook.log*"))


FOUR: Final = """
import os, sys, pathlib
from gateway.terminal.logs.files import RotatingFile
os.fork(), os.fork()  # four processes
file = RotatingFile(pathlib.Path(sys.argv[1]), most_bytes=2_000)
lost = 200 - sum(file.write(f"{os.getpid()} says {number} {'x' * 40}") for number in range(200))
while True:
    try:
        lost += os.wait()[1]
    except ChildProcessError:
        break
sys.exit(lost != 0)
"""


def test_four_processes_on_one_file_lose_and_tear_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runbook.log"
    subprocess.run([sys.executable, "-c", FOUR, str(path)], check=True)
    said: dict[str, list[int]] = {}
    for line in everything(path):
        who, _, number, filler = line.split()
        assert filler == "x" * 40
        said.setdefault(who, []).append(int(number))
    assert list(said.values()) == [list(range(200))] * 4


def test_a_turn_that_somebody_else_makes_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "runbook.log"
    file = RotatingFile(path, most_bytes=20, clock=ManualClock(EVENING))
    file.write("the first line")
    with (tmp_path / ".runbook.log.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert file.write("the second line")
        assert names(tmp_path) == ["runbook.log"]
    file.write("the third line")
    file.close()
    assert everything(path) == ["the first line", "the second line", "the third line"]


def test_a_file_that_was_taken_away_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "gateway.log"
    file = RotatingFile(path)
    file.write("one")
    path.rename(tmp_path / "taken")
    file.write("two")
    file.close()
    assert path.read_text() == "two\n"


def test_a_place_that_is_no_directory_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in the way").touch()
    file = RotatingFile(tmp_path / "in the way" / "nats.log")
    assert not file.write("one")
    assert not file.write("two")
    assert file.lost == 2


@contextmanager
def full_disk(most: int) -> Iterator[None]:
    """Files of this process cannot grow beyond so many bytes: the kernel writes what fits, then refuses."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system has no limit of file sizes")
def test_a_full_disk_tears_no_later_line_and_what_is_missing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "gateway.log"
    file = RotatingFile(path, missing=lambda text: f"MISSING {text}")
    file.write("before")
    with full_disk(12):
        assert not file.write("a line that fits in part")
        assert not file.write("another")
    assert file.write("after")
    assert file.write("and on")
    file.close()
    first, torn, after, told, last = path.read_text().splitlines()
    assert (first, torn, after, last) == ("before", "a lin", "after", "and on")
    assert told.startswith(f"MISSING 2 lines could not be written to {path}: ")
    assert file.lost == 2
