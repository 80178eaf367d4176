"""For machines that watch: is the process alive, is the gateway ready, figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from msgspec import Meta

from gateway.model import LineId, LineState
from runbook.model import Role
from runbook.web.console import Console
from runbook.web.meters import Meters
from runbook.web.observed import STALE_S, Observed


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The console's process answers."""

    status: Annotated[str, Meta(description="Always `ok`: whoever gets an answer has a living process")] = "ok"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether consumers get what they are to get."""

    ready: Annotated[
        bool, Meta(description="Gateway reachable, a line of each feed up, coverage at its threshold or above")
    ]
    reasons: Annotated[list[str], Meta(description="Why it is not ready, in words; empty: it is")] = []


def unready(seen: Observed, threshold: float) -> Iterator[str]:
    """Why the gateway is not ready; nothing: it is. ``threshold``: least coverage, 0 to 1."""
    if seen.status is None or seen.is_stale(seen.status_at_ns):
        why = seen.problems[0] if seen.problems else f"its last answer is older than {STALE_S:g} s"
        yield f"the gateway does not answer: {why}"
        return
    feeds = [feed.feed for feed in seen.status.feeds]
    lines = {feed: [line for line in seen.status.lines if LineId.parse(line.line).feed == feed] for feed in feeds}
    if not any(lines.values()):
        yield "the gateway has no line; configure a feed"
    for feed, own in lines.items():
        if own and not any(line.state.is_up for line in own):
            yield f"feed {feed}: no line is up: " + ", ".join(f"{line.line} is {_state(line.state)}" for line in own)
    for part in seen.coverage:
        if part.ratio is not None and part.ratio < threshold:
            yield (
                f"feed {part.feed}: {part.missing_count} of {part.wanted} contracts are not subscribed, "
                f"coverage {part.ratio:.4f} is below {threshold:g}"
            )
    if not seen.coverage_at_ns:
        yield "coverage is not known yet"


def _state(state: LineState) -> str:
    return state.value.replace("_", " ")


@get("/healthz", opt={"public": True}, tags=["probes"], summary="Whether the console lives")
async def healthz() -> Health:
    """200 as long as the process answers; says nothing about the gateway."""
    return Health()


@get(
    "/readyz",
    opt={"public": True},
    tags=["probes"],
    summary="Whether the gateway is ready",
    description="200 when the gateway answers, a line of each feed is up and coverage reaches its threshold; else 503.",
)
async def readyz(console: NamedDependency[Console]) -> Response[Readiness]:
    """From what the console saw last, at most some seconds ago."""
    threshold = console.runbook.runbook.health.coverage_threshold
    reasons = list(unready(console.observatory.latest, threshold))
    return Response(Readiness(ready=not reasons, reasons=reasons), status_code=503 if reasons else 200)


@get(
    "/metrics",
    opt={"role": Role.VIEWER},
    tags=["probes"],
    summary="The console's own figures",
    media_type=MediaType.TEXT,
)
async def metrics(console: NamedDependency[Console], meters: NamedDependency[Meters]) -> Response[Any]:
    """Prometheus text format; the gateway's own metrics are at its own port."""
    meters.look(console.observatory.latest)
    return Response(meters.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


PROBES: Final = (healthz, readyz, metrics)
