"""From answers to facts: rows, what is not ready and why, and the one sentence that says how things are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from gateway.control.events import Switch
from gateway.control.figures import Figures, LineFigures
from gateway.control.messages.reports import ProductCoverage
from gateway.flow.gapjson import iso
from gateway.model import LineId, LineState, LineStatus
from gateway.terminal.top.cards import COVERAGE_READY, cards_of, covered, ratio_verdict, trading
from gateway.terminal.top.facts import STALE_S, CoverageRow, Facts, LineRow, Part, State, SwitchRow, Verdict
from gateway.terminal.top.look import PARTS, Look
from gateway.terminal.top.words import count, percent, plain, span

_MS: Final = 1_000_000
_ON_THE_WAY: Final = (LineState.CONNECTING, LineState.CONNECTED)

Value = TypeVar("Value")


def facts_of(look: Look) -> Facts:
    """Everything that is shown, as of this look."""
    status = look.status
    not_ready = tuple(_unready(look))
    troubles = tuple(_troubles(look))
    verdict, says = next(_said(look, not_ready, troubles))
    warned = bool(troubles) or verdict in ("warning", "critical")
    state: State = "not_ready" if not_ready else "warnings" if warned else "ready"
    shares, over_s = _first_shares(look)
    told = {line.line: line for line in look.figures.lines} if look.figures else {}
    products = tuple(_products(look))
    return _plain(
        Facts(
            at=iso(look.at_ns),
            at_ns=look.at_ns,
            gateway=look.name,
            version=status.version if status else None,
            started=iso(status.epoch * _MS) if status else None,
            sessions={feed.feed: feed.session for feed in status.feeds} if status else {},
            state=state,
            verdict=verdict,
            says=says,
            not_ready=not_ready,
            warnings=troubles,
            cards=cards_of(look),
            lines=tuple(
                _line(line, told.get(line.line), shares.get(line.line)) for line in (status.lines if status else ())
            ),
            exchanges=tuple(_exchanges(products)),
            products=products,
            switches=tuple(_switch(one) for one in look.switches),
            parts=tuple(_part(look, name) for name in PARTS),
            rates=look.rates,
            first_share_over_s=over_s,
        )
    )


# -- how things are ------------------------------------------------------------------------------------


def _unready(look: Look) -> Iterator[str]:
    """Why consumers may not get what they are to get; nothing: they do."""
    status, age = look.status, look.age_s("status")
    if status is None or age is None or age > STALE_S:
        if not (look.problems or look.had_at_ns):
            yield f"gateway {look.name!r} is asked; no answer yet"
            return
        since = f" for {span(age)}" if age is not None else ""
        yield f"gateway {look.name!r} does not answer{since}: {_why(look)}"
        return
    if not status.lines:
        yield "the gateway has no line; configure a feed (docs/settings.md)"
    for feed in dict.fromkeys(LineId.parse(line.line).feed for line in status.lines):
        own = [line for line in status.lines if LineId.parse(line.line).feed == feed]
        if not any(line.state.is_up for line in own):
            lines = ", ".join(f"{line.line} is {_state(line.state)}{_because(line)}" for line in own)
            yield f"feed {feed}: no line is up: {lines}"
    for part in look.coverage:
        if part.ratio is not None and part.ratio < COVERAGE_READY:
            yield (
                f"feed {part.feed}: {part.missing_count:,} of {part.wanted:,} wanted contracts are on no line, "
                f"coverage {percent(part.ratio)} is below {percent(COVERAGE_READY)}"
            )
    if "coverage" not in look.had_at_ns:
        yield f"coverage is not known: {look.problems.get('coverage', 'it was not asked yet')}"


def _why(look: Look) -> str:
    """With the fix."""
    if "gateway" in look.problems:
        return look.problems["gateway"]  # the bus says what to do
    why = look.problems.get("status", "no reason known")
    return f"{why} Start it (gateway run), or say with --name and --url which one is meant"


def _troubles(look: Look) -> Iterator[str]:
    """What somebody should look at: the gateway's own warnings, and answers that are missing or old."""
    if look.status is None:
        return  # nothing came, which is one trouble and not five
    yield from look.status.warnings
    for part in PARTS:
        age = look.age_s(part)
        if age is None or age > STALE_S:
            old = "never came" if age is None else f"is {span(age)} old"
            why = look.problems.get(part) or look.problems.get("gateway", "")
            yield f"the answer for {part} {old}" + (f": {why}" if why else "")


def _said(look: Look, not_ready: tuple[str, ...], troubles: tuple[str, ...]) -> Iterator[tuple[Verdict, str]]:
    """Worst first; the last one is always there."""
    status, open_market = look.status, trading(look)
    silent = status is None or (look.age_s("status") or 0) > STALE_S
    if not_ready:
        yield "critical" if open_market or silent else "warning", _more(not_ready)
    lines = status.lines if status else []
    still_open = status.ledger.open_gaps if status else 0
    if still_open:
        yield "critical", f"{count(still_open, 'contract')} in session without a line: a gap is open"
    missing = sum(feed.missing_count for feed in look.coverage)
    if missing:
        yield "warning", f"{count(missing, 'wanted contract')} on no line"
    down = [f"{line.line} is {_state(line.state)}{_because(line)}" for line in lines if _is_missed(line)]
    if down:
        yield "warning", "Line " + "; ".join(down)
    if troubles:
        yield "warning", _more(troubles)
    up = count(sum(line.state.is_up for line in lines), "line")
    ended = look.gaps.totals.gaps if look.gaps is not None else 0
    gaps = f"{count(ended, 'gap')} today, all ended" if ended else "no gap today"
    if not open_market:
        yield "neutral", f"Market closed, {up} up, nothing wrong"
    yield "good", f"{up} up, coverage {percent(covered(look))}, {gaps}"


def _more(texts: tuple[str, ...]) -> str:
    first = texts[0][:1].upper() + texts[0][1:]
    return first + (f" (and {len(texts) - 1} more)" if len(texts) > 1 else "")


def _is_missed(line: LineStatus) -> bool:
    return not line.state.is_up and line.role != "cold"


def _because(line: LineStatus) -> str:
    return f" ({line.reason})" if line.reason else ""


def _state(state: LineState) -> str:
    return state.value.replace("_", " ")


def _part(look: Look, name: str) -> Part:
    age = look.age_s(name)
    return Part(name=name, age_s=age, stale=age is None or age > STALE_S, problem=look.problems.get(name, ""))


# -- rows ----------------------------------------------------------------------------------------------


def _line(line: LineStatus, figures: LineFigures | None, first_share: float | None) -> LineRow:
    if line.state.is_up:
        bad = figures is not None and (figures.silent or figures.suspect)
        verdict: Verdict = "critical" if bad else "good"
    elif line.role == "cold" or line.state in (LineState.IDLE, LineState.STOPPED):
        verdict = "neutral"
    else:
        verdict = "warning" if line.state in _ON_THE_WAY else "critical"
    return LineRow(
        line=line.line,
        account=line.account,
        role=line.role,
        state=_state(line.state),
        reason=line.reason,
        verdict=verdict,
        since=iso(line.since_ns) if line.since_ns else None,
        since_ns=line.since_ns or None,
        rate=figures.rate if figures else None,
        carried=line.confirmed,
        wanted=line.wanted,
        first_share=first_share,
        dropped=figures.dropped if figures else None,
        disconnects=figures.disconnects if figures else None,
        restarts=line.restarts,
        silent=figures.silent if figures else False,
        suspect=figures.suspect if figures else False,
    )


def _first_shares(look: Look) -> tuple[dict[str, float], float | None]:
    """Line → the share of its feed's ticks that it brought first, and of how many seconds (None: since the start)."""
    now, before = look.figures, look.before
    if now is None:
        return {}, None
    if before is None or before.at_ns >= now.at_ns:
        return _shares(now, {line.line: line.first for line in now.lines}), None
    earlier = {line.line: line.first for line in before.lines}
    gained = {line.line: line.first - earlier.get(line.line, 0) for line in now.lines}
    return _shares(now, gained), round((now.at_ns - before.at_ns) / 1e9, 1)


def _shares(figures: Figures, first: Mapping[str, int]) -> dict[str, float]:
    feeds: Counter[str] = Counter()
    for line in figures.lines:
        feeds[line.feed] += first[line.line]
    return {line.line: first[line.line] / feeds[line.feed] for line in figures.lines if feeds[line.feed] > 0}


def _products(look: Look) -> Iterator[CoverageRow]:
    for feed in look.coverage:
        for one in sorted(feed.products, key=lambda one: (one.exchange, one.product)):
            if one.wanted:
                yield _covered(feed.feed, one)


def _covered(feed: str, one: ProductCoverage) -> CoverageRow:
    ratio = (one.wanted - one.missing) / one.wanted
    return CoverageRow(
        feed=feed,
        exchange=one.exchange,
        product=one.product,
        wanted=one.wanted,
        carried=one.wanted - one.missing,
        ticking=one.ticking,
        quiet=one.quiet,
        stalled=one.stalled,
        missing=one.missing,
        ratio=ratio,
        verdict=_row_verdict(ratio, one.stalled),
    )


def _exchanges(products: tuple[CoverageRow, ...]) -> Iterator[CoverageRow]:
    numbers = ("wanted", "carried", "ticking", "quiet", "stalled", "missing")
    for feed, exchange in dict.fromkeys((row.feed, row.exchange) for row in products):
        own = [row for row in products if (row.feed, row.exchange) == (feed, exchange)]
        sums = {name: sum(getattr(row, name) for row in own) for name in numbers}
        ratio = sums["carried"] / sums["wanted"]
        verdict = _row_verdict(ratio, sums["stalled"])
        yield CoverageRow(feed=feed, exchange=exchange, product="", ratio=ratio, verdict=verdict, **sums)


def _row_verdict(ratio: float, stalled: int) -> Verdict:
    return "warning" if ratio >= 1 and stalled else ratio_verdict(ratio)


def _switch(switch: Switch) -> SwitchRow:
    return SwitchRow(
        at=iso(switch.finished_ns),
        at_ns=switch.finished_ns,
        feed=switch.feed,
        kind=switch.kind,
        source=switch.source,
        target=switch.target,
        trigger=switch.trigger,
        reason=switch.reason,
        ok=switch.ok,
        error=switch.error,
        latency_ms=switch.latency_ms,
    )


def _plain(value: Value) -> Value:
    """The same with every string in it made :func:`plain`."""
    return _walked(value)  # type: ignore[no-any-return]  # the same type as it got


def _walked(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, tuple):
        return tuple(_walked(one) for one in value)
    if isinstance(value, Mapping):
        return {_walked(key): _walked(one) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _walked(getattr(value, one.name)) for one in fields(value)})
    return value
