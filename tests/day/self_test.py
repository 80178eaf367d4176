"""``run_drill_tests.sh`` beside the day, on a desk of its own and on a clock that does not jump within its drills."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Final, Self

from tests.day.desk import TIMEOUT_S, Desk
from tests.day.records import value
from tests.day.site import BEGINS, Site
from tests.day.wall import Wall

WORDS: Final = ("run_drill_tests.sh", "--profile", "test")


class SelfTest:
    """Runs from the beginning of the ``with`` block on."""

    line = " ".join(WORDS)

    def __init__(self, site: Site) -> None:
        place = site.root / "lab"
        self._desk = Desk(
            place, Wall(place, BEGINS), variables={}, environment={"PUSHGATEWAY_URL": site.pushgateway.url}
        )
        self._url = site.pushgateway.url
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = self._desk.start(*WORDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
            self._process.communicate(timeout=TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def judge(self) -> str:
        """Waits for its end."""
        assert self._process is not None
        out, _ = self._process.communicate(timeout=TIMEOUT_S)
        assert self._process.returncode == 0, out
        assert "5 of 5 self-test drills ended as they had to" in out, out
        records = [(row["action"], row["event"], row["exit_code"]) for row in self._desk.audit()]
        assert records == [("drill", "start", None), ("drill", "stop", 0)], records
        assert value(self._url, "md_runbook_exit_code", command="drill", window="none", profile="test") == 0
        return "a sound drill passes, four broken ones fail (on a desk of its own)"
