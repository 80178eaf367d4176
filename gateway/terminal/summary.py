"""The balance at the end of ``gateway run`` and ``gateway demo``, in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.model import LineStatus
from gateway.terminal.event_log import SwitchRow, short_ms

Drops = Mapping[str, Mapping[str, int]]
"""Stop → reason → ticks: ``{"arbitrate": {"copy": 120}}``."""


class DemoSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a demo; as JSON it has exactly these keys (``ticks_in`` is written ``in``)."""

    ticks_in: int = msgspec.field(name="in")
    out: int
    dropped: dict[str, dict[str, int]]
    lost: int | None
    """Ticks that were published and did not reach the consumer; None when none was watching."""
    missing: int | None
    """Snapshots of the market that the consumer never got, wherever they were lost; None: the market cannot tell."""
    doubled: int | None
    """Snapshots of the market that the consumer got again; None as in ``missing``."""
    rate: float
    """Ticks a second, from first to last."""
    p50_ms: float | None
    p99_ms: float | None
    switches: list[SwitchRow] | None
    """Failovers and failbacks, oldest first; None when no consumer was watching."""
    lines: list[LineStatus]

    @property
    def balanced(self) -> bool:
        """Whether every tick that came in went out or was dropped for a counted reason."""
        return self.ticks_in == self.out + total(self.dropped)

    @property
    def whole(self) -> bool:
        """Whether the books balance, and nothing of the market is known to be missing or doubled."""
        return self.balanced and not self.missing and not self.doubled


def total(dropped: Drops) -> int:
    """All drops of all stops."""
    return sum(sum(reasons.values()) for reasons in dropped.values())


def summary_text(summary: DemoSummary) -> str:
    """The balance in a few lines of plain text."""
    dropped = total(summary.dropped)
    sign, verdict = ("=", "balanced") if summary.balanced else ("≠", "NOT BALANCED")
    text = [
        f"in {summary.ticks_in:,} {sign} out {summary.out:,} + dropped {dropped:,}   ({verdict})",
        "no consumer of ours was watching"
        if summary.lost is None
        else f"lost on the way to the consumer: {summary.lost:,}",
        *(
            [f"of the market at the consumer: missing {summary.missing:,}, doubled {summary.doubled:,}"]
            if summary.missing is not None and summary.doubled is not None
            else []
        ),
        f"rate {summary.rate:,.0f} ticks/s   latency p50 {ms(summary.p50_ms)}, p99 {ms(summary.p99_ms)}",
    ]
    text += [_switch(switch) for switch in summary.switches or ()]
    text += [
        f"dropped at {stop}: {reason} {number:,}"
        for stop, reasons in summary.dropped.items()
        for reason, number in reasons.items()
        if number
    ]
    text += [
        f"line {line.line} ({line.role}): {line.state.value}, {line.ticks:,} ticks, "
        f"first with {line.published:,}, {line.restarts} restarts"
        for line in summary.lines
    ]
    return "\n".join(text)


def summary_json(summary: DemoSummary) -> str:
    """The summary as one JSON line without its line end."""
    return msgspec.json.encode(summary).decode()


def ms(value: float | None) -> str:
    """``0.71 ms``; ``-`` for None."""
    return "-" if value is None else f"{value:.2f} ms"


def count(value: int | None) -> str:
    """``1,234``; ``-`` for None."""
    return "-" if value is None else f"{value:,}"


def _switch(switch: SwitchRow) -> str:
    text = f"switch {switch.source or 'no line'} → {switch.target or 'no line'} ({switch.trigger})"
    if not switch.ok:
        return f"{text} FAILED: {switch.error}"
    return f"{text}: {'no tick to measure with' if switch.latency_ms is None else short_ms(switch.latency_ms)}"
