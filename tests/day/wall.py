"""The wall clock of a day in fast time: every process that shares it sees it jump; all other clocks go on as usual.

A small library (``wall.c``), preloaded, adds an offset from a mapped file to the machine's wall clock, so processes
that run see the clock move at once, as on a machine whose clock is set or that was suspended. File times stay those of
the machine, because Python compares them with those in its compiled modules; :meth:`Wall.date_files` puts them right.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from bisect import bisect_right
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from gateway.model import SHANGHAI

_NS: Final = 1_000_000_000
_SOURCE: Final = Path(__file__).with_name("wall.c")


def build(directory: Path) -> Path:
    """The library; skips, or fails where all tools are required, without a compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "g++"))), None)
    if compiler is None:
        reason = "there is no C compiler; apt-get install gcc"
        if os.environ.get("FEEDGATE_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
    made = directory / "libwall.so"
    words = [compiler, "-x", "c", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(made), str(_SOURCE)]
    done = subprocess.run([*words, "-ldl", "-pthread"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


class Wall:
    """Goes on at the usual speed from ``begins``, and jumps forward when it is told to."""

    def __init__(self, directory: Path, begins: datetime) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._library = build(directory)
        self._file = directory / "clock"
        self._jumps: list[tuple[int, int]] = []
        self._dated: dict[Path, int] = {}
        self.begins = begins
        self._set(begins)

    @property
    def environment(self) -> dict[str, str]:
        """For the processes that share this clock."""
        return {"LD_PRELOAD": str(self._library), "DAY_CLOCK_FILE": str(self._file)}

    def ns(self) -> int:
        """Unix nanoseconds."""
        return self.then(time.time_ns())

    def then(self, real_ns: int) -> int:
        """What this clock showed at a moment of the machine's."""
        place = bisect_right(self._jumps, real_ns, key=lambda jump: jump[0]) - 1
        return real_ns + self._jumps[max(place, 0)][1]

    def now(self) -> datetime:
        """In Shanghai."""
        return datetime.fromtimestamp(self.ns() / _NS, SHANGHAI)

    def real(self, day_ns: int) -> int:
        """The last moment of the machine at which this clock showed no more than that; what is jumped over was not."""
        ends = [real for real, _ in self._jumps[1:]]
        for place in reversed(range(len(self._jumps))):
            real, offset = self._jumps[place]
            if real + offset <= day_ns:
                return min(day_ns - offset, ends[place] - 1) if place < len(ends) else day_ns - offset
        return self._jumps[0][0]

    def at(self, text: str) -> datetime:
        """``20:45`` is in the evening that the day began in; ``08:30`` on the day after."""
        hour, minute = map(int, text.split(":"))
        moment = self.begins.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return moment if moment >= self.begins else moment + timedelta(days=1)

    def jump(self, to: datetime) -> None:
        """Forward; a moment that has passed is left alone."""
        if to > self.now():
            self._set(to)

    def _set(self, to: datetime) -> None:
        real = time.time_ns()
        offset = round(to.timestamp() * _NS) - real
        # in place, because it is mapped
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", offset))
        self._jumps.append((real, offset))

    def date_files(self, directory: Path) -> None:
        """Give each file the time of this clock at which it was last written."""
        for path in directory.rglob("*"):
            if path.is_symlink() or not path.is_file():
                continue
            real = path.stat().st_mtime_ns
            place = bisect_right(self._jumps, real, key=lambda jump: jump[0]) - 1
            if self._dated.get(path) != real and place >= 0:
                self._dated[path] = dated = real + self._jumps[place][1]
                os.utime(path, ns=(dated, dated))
