"""``verify_consumer_metrics``: whether few enough messages wait for every consumer."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.clock import Clock
from runbook.drill.backlog import BacklogSource, UnmeasuredError

log = logging.getLogger(__name__)

MARKER: Final = "verify_consumer_metrics"
_AGAIN_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Of one look, or of the last of several."""

    ok: bool
    measured: bool
    """False: there is no figure, and ``text`` says why. It is never ok then."""
    text: str
    figures: dict[str, Any] = field(default_factory=dict)


async def verify_consumer_metrics(
    source: BacklogSource,
    *,
    feed: str,
    accounts: tuple[str, ...],
    threshold: int,
    clock: Clock,
    since_ns: int,
    patience_s: float,
    cut_off_before: int | None = None,
) -> Verdict:
    """``consumer_backlog_messages{feed,account}`` at or below the threshold within ``patience_s``.

    It looks until a look passes or the time is over: a burst may be behind for a moment, a consumer that does not read
    stays behind. One that the server has cut off since ``cut_off_before`` fails it at once: its backlog is gone with
    its connection. Raises nothing but a cancellation.
    """
    ends = clock.monotonic() + patience_s
    highest: int | None = None
    while True:
        try:
            found = await source.measure(feed, accounts, since_ns)
        except UnmeasuredError as error:
            verdict = Verdict(ok=False, measured=False, text=f"the consumers' backlog could not be measured: {error}")
            final = False
        else:
            highest = max(highest or 0, found.messages)
            cut = 0 if cut_off_before is None or found.cut_off is None else found.cut_off - cut_off_before
            ok = found.messages <= threshold and cut <= 0
            worst = max(found.consumers, key=lambda one: one.messages)
            text = f"at most {found.messages} messages wait for a consumer (limit {threshold}; {found.source})"
            if cut > 0:
                text = f"NATS has cut off {cut} consumers that did not read; look why they are slow"
            elif not ok:
                text = (
                    f"up to {found.messages} messages wait for {worst.consumer}, more than {threshold}; "
                    "look why it does not read"
                )
            figures = found.as_json() | {
                "threshold": threshold,
                "highest": highest,
                "cut_off_during_drill": max(cut, 0),
            }
            verdict, final = Verdict(ok=ok, measured=True, text=text, figures=figures), cut > 0
        if verdict.ok or final or clock.monotonic() >= ends:
            break
        await asyncio.sleep(_AGAIN_S)
    log.log(
        logging.INFO if verdict.ok else logging.ERROR,
        "%s feed=%s account=%s ok=%s %s",
        *(MARKER, feed, accounts[0], str(verdict.ok).lower(), verdict.text),
    )
    return verdict
