"""What the consumer's process got, judged against what the exchange sent."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.day.desk import ROOT, Desk
from tests.day.exchange import Exchange

DEADLINE_S = 60.0


class Consumer:
    """``tests.day.consumer`` as a process on the day's clock."""

    def __init__(self, desk: Desk, url: str, directory: Path) -> None:
        self._file, self._said = directory / "ticks.txt", directory / "consumer.log"
        with self._said.open("wb") as out:
            words = [sys.executable, "-m", "tests.day.consumer", url, str(self._file)]
            self._process = subprocess.Popen(words, cwd=ROOT, env=desk.environment, stdout=out, stderr=out)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def lines(self, kind: str) -> list[list[str]]:
        """The words behind ``kind`` of each whole line."""
        text = self._file.read_text() if self._file.exists() else ""
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [line.split()[1:] for line in whole if line.split()[:1] == [kind]]

    @property
    def connected(self) -> bool:
        return bool(self.lines("connected"))

    def volume(self, contract: str) -> int:
        """The last one that came; 0: none."""
        return max((int(words[2]) for words in self.lines("tick") if words[4] == contract), default=0)

    def has_all(self, exchange: Exchange) -> bool:
        """Whether everything that was sent so far has come."""
        last: dict[str, int] = defaultdict(int)
        for words in self.lines("tick"):
            last[words[4]] = int(words[2])
        return all(last[name] >= volume for name, volume in dict(exchange.volumes).items())

    def lines_seen(self) -> set[str]:
        """Lines that ticks came from."""
        return {words[3] for words in self.lines("tick")}

    def end(self) -> None:
        """In order."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(DEADLINE_S) == 0, self._said.read_text()

    def judge(self, exchange: Exchange) -> str:
        """Every tick of every contract came once, in order, over one connection. Says how many."""
        assert self.lines("lost") == []
        assert self.lines("connections") == [["1"]]
        volumes: dict[str, list[int]] = defaultdict(list)
        seqs: dict[tuple[str, str], list[int]] = defaultdict(list)
        for epoch, seq, volume, _line, contract in self.lines("tick"):
            volumes[contract].append(int(volume))
            seqs[contract, epoch].append(int(seq))
        for contract, sent in exchange.volumes.items():
            assert volumes[contract] == list(range(1, sent + 1)), (contract, sent, _odd(volumes[contract]))
        for key, got in seqs.items():
            assert got == list(range(1, len(got) + 1)), (key, _odd(got))
        epochs = {epoch for _, epoch in seqs}
        assert len(epochs) == 2, epochs  # the gateway was restarted once
        ticks = sum(map(len, volumes.values()))
        return f"{ticks} ticks, none lost, none twice, `seq` without a hole in 2 epochs, 1 connection"


def _odd(numbers: list[int]) -> list[tuple[int, int]]:
    """Where a row of numbers does not go on by one."""
    pairs = list(pairwise(numbers))
    return [pair for pair in pairs if pair[1] != pair[0] + 1][:10] or [(len(numbers), len(numbers))]
