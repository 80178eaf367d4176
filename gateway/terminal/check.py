"""``gateway check PLUGIN``: every card that the plugin can be asked, without a test framework."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Final, TextIO

from rich.console import Console
from rich.text import Text

from gateway.loader.candidates import Candidate
from gateway.testing.plugin_check import Asked, check_plugin, find_plugins

_COLOURS: Final = {"pass": "green", "fail": "bold red", "n/a": "yellow"}


def show_check(name: str, *, as_json: bool, quiet: bool, out: TextIO) -> int:
    """Print the cards as they end, or all as one JSON object. Returns 0, or 1 when one failed.

    ``quiet``: the log is not shown, because the cards provoke its warnings. Raises UnknownPluginError.
    """
    found = find_plugins(name)
    console = Console(file=out, highlight=False, soft_wrap=True)
    reports = []
    failed = False
    with _hushed() if quiet else nullcontext():
        for candidate in found:
            if not as_json:
                console.print(_title(candidate))
            asked = check_plugin(candidate, told=_silent if as_json else _Teller(console).tell)
            failed |= any(one.outcome.result == "fail" for one in asked)
            reports.append(_report(candidate, asked))
            if not as_json:
                console.print(_summary(asked), "")
    if as_json:
        json.dump({"exit_code": int(failed), "plugins": reports}, out, indent=2, ensure_ascii=False)
        out.write("\n")
    return int(failed)


@contextmanager
def _hushed() -> Iterator[None]:
    """No handler of the program's log shows anything."""
    levels = [(handler, handler.level) for handler in logging.getLogger().handlers]
    for handler, _ in levels:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler, level in levels:
            handler.setLevel(level)


def _silent(_asked: Asked) -> None:
    pass


class _Teller:
    """Prints one card a line, under a heading for each thing that is asked about."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._about = ""

    def tell(self, asked: Asked) -> None:
        outcome = asked.outcome
        if asked.about != self._about:
            self._about = asked.about
            self._console.print(Text(f"{asked.about}", style="bold"))
        row = Text("  ")
        row.append(f"{outcome.result:5}", style=_COLOURS[outcome.result])
        row.append(f"{outcome.card.number:13} {outcome.card.title}")
        self._console.print(row)
        if outcome.result == "fail":
            self._console.print(Text(f"        {outcome.reason}", style="red"))
            self._console.print(Text(f"        fix: {outcome.card.fix}"))
        elif outcome.reason:
            self._console.print(Text(f"        not applicable: {outcome.reason}", style="dim"))


def _title(candidate: Candidate) -> Text:
    record = candidate.record
    where = f"{record.distribution} {record.version}, " if record.distribution else ""
    return Text(f"{record.name} ({where}{candidate.module})", style="bold underline")


def _summary(asked: Sequence[Asked]) -> Text:
    counts = Counter(one.outcome.result for one in asked)
    words = f"{counts['pass']} passed, {counts['fail']} failed, {counts['n/a']} not applicable"
    return Text(words, style="bold red" if counts["fail"] else "bold green")


def _report(candidate: Candidate, asked: Sequence[Asked]) -> dict[str, Any]:
    record = candidate.record
    return {
        "plugin": record.name,
        "version": record.version,
        "distribution": record.distribution,
        "module": candidate.module,
        "cards": [
            {
                "about": one.about,
                "number": one.outcome.card.number,
                "title": one.outcome.card.title,
                "result": one.outcome.result,
                "reason": one.outcome.reason,
                "fix": one.outcome.card.fix if one.outcome.result == "fail" else "",
            }
            for one in asked
        ],
    }
