"""``GET /api/metrics/timeseries``: what figures were, as far as this console has seen it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import QueryParameter
from msgspec import Meta

from runbook.model import Role
from runbook.web.api.times import NS, Moment, moment, parse_moment
from runbook.web.console import Console
from runbook.web.errors import ApiError, WrongField, documented

_SERIES: Final = 20
_MINUTE_S: Final = 60
_FINE_S: Final = 900
_POINTS: Final = 1_000
_REACH_S: Final = 12 * 3600
SERIES: Final = {
    "published_rate": "1/s",
    "received_rate": "1/s",
    "p50_ms": "ms",
    "p99_ms": "ms",
    "coverage_ratio": "ratio",
    "backlog": "messages",
    "held": "messages",
}
"""Series that there always are, with their units; each line has ``line.LINE.rate``, ``.first_share`` and ``.state``."""
_OF_LINES: Final = {"rate": "1/s", "first_share": "ratio", "state": "state"}


Point = tuple[
    Annotated[str, Meta(description="RFC 3339, +08:00: the end of the step")],
    Annotated[float, Meta(description="In the unit of the series")],
]


class StateBand(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """A line's state for a while."""

    state: Annotated[str, Meta(description="`idle connecting connected logged_in streaming refused lost stopped`")]
    since: Annotated[str, Meta(description="RFC 3339, +08:00")]
    until: Annotated[str, Meta(description="RFC 3339, +08:00; as it was seen last")]


class SeriesView(msgspec.Struct, frozen=True, kw_only=True):
    """One series. ``state`` has bands, everything else has points."""

    name: Annotated[str, Meta(description="As asked for")]
    unit: Annotated[str, Meta(description="`1/s`, `ms`, `ratio`, `messages` or `state`")]
    points: Annotated[list[Point], Meta(description="`[moment, value]`, oldest first; holes are left out")]
    bands: Annotated[list[StateBand], Meta(description="Oldest first")]


class Timeseries(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/metrics/timeseries``."""

    since: Moment
    until: Moment
    step: Annotated[int, Meta(description="Seconds between two points at least")]
    known: Annotated[list[str], Meta(description="Every series that can be asked for")]
    series: Annotated[list[SeriesView], Meta(description="In the order asked for")]


@get("/api/metrics/timeseries", opt={"role": Role.VIEWER}, tags=["metrics"], responses=documented())
async def get_timeseries(
    console: NamedDependency[Console],
    series: Annotated[
        list[str],
        QueryParameter(
            min_items=1,
            max_items=_SERIES,
            description="Names; may be given several times. `published_rate received_rate p50_ms p99_ms coverage_ratio "
            "backlog held`, and of each line `line.LINE.rate`, `line.LINE.first_share`, `line.LINE.state`",
            examples=[Example(summary="ticks a second", value=["published_rate"])],
        ),
    ],
    since: Annotated[
        str, QueryParameter(max_length=40, description="RFC 3339, +08:00; absent: 15 minutes ago; at most 12 hours")
    ] = "",
    step: Annotated[
        int | None,
        QueryParameter(ge=1, le=3600, description="Seconds; absent: 1 for the last 15 minutes, 60 for longer"),
    ] = None,
) -> Timeseries:
    """What figures were, as far as this console has seen it: each second for 15 minutes, each minute for 12 hours."""
    now_ns = console.runbook.clock.wall_ns()
    since_ns = parse_moment(since, "since") if since else now_ns - _FINE_S * NS
    since_ns = min(max(since_ns, now_ns - _REACH_S * NS), now_ns)
    reach_s = (now_ns - since_ns) / NS
    step_s = step or (1 if reach_s <= _FINE_S + 1 else _MINUTE_S)
    if reach_s > _FINE_S + 1:
        step_s = max(step_s, _MINUTE_S)  # finer ones are not kept for so long
    units = _units(console)
    unknown = [name for name in series if name not in units]
    if unknown:
        wrong = [WrongField(field="series", message="there is no such series", source="query")]
        raise ApiError(400, "unknown_series", f"there is no such series; there are: {', '.join(units)}", errors=wrong)
    return Timeseries(
        since=moment(since_ns) or "",
        until=moment(now_ns) or "",
        step=step_s,
        known=list(units),
        series=[_series(console, name, units[name], since_ns, step_s) for name in dict.fromkeys(series)],
    )


def _units(console: Console) -> dict[str, str]:
    seen = console.observatory.latest
    lines = [line.line for line in seen.status.lines] if seen.status else []
    lines += [line for line in console.observatory.history.lines if line not in lines]
    return SERIES | {f"line.{line}.{what}": unit for line in lines for what, unit in _OF_LINES.items()}


def _series(console: Console, name: str, unit: str, since_ns: int, step_s: int) -> SeriesView:
    history = console.observatory.history
    if unit == "state":
        line = name.removeprefix("line.").removesuffix(".state")
        bands = [
            StateBand(state=band.state, since=moment(max(band.from_ns, since_ns)) or "", until=moment(band.to_ns) or "")
            for band in history.bands(line, since_ns)[-_POINTS:]
        ]
        return SeriesView(name=name, unit=unit, points=[], bands=bands)
    points = history.series(name, since_ns, step_s)[-_POINTS:]
    return SeriesView(
        name=name,
        unit=unit,
        points=[(moment(point.at_ns) or "", point.value) for point in points],
        bands=[],
    )
