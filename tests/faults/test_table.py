"""The table must not be able to say "as expected" about what is not."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gateway.flow.gaps import Gap, Seen
from gateway.sources.sim_options import SimOptions
from tests.faults.__main__ import DOCUMENT, arguments, sources_of
from tests.faults.ability import IN_FLIGHT_NS, Ability
from tests.faults.catalogue import faults
from tests.faults.course import covers, measure, overtaken
from tests.faults.fault import Expected, Fault
from tests.faults.market import Key, Made, tally
from tests.faults.rig import Rig
from tests.faults.sim_rig import OPTIONS, SimMarket, SimSource
from tests.faults.style import Distortion, Style
from tests.faults.table import BEGIN, END, Row, judge, only_late, write_document, write_json
from tests.faults.witness import Word, matches

GOOD: dict[str, Any] = {
    "lost": 0, "duplicated": 0, "notice_ms": 10.0, "recover_ms": 10.0, "gap_recorded": "no", "missed": 0,
    "told": 0, "foreign": 0, "made": 100, "switch_ms": 100.0, "takeover_ms": 110.0,
}  # fmt: skip


def judged(expected: Expected, *, timed: bool = True, **changed: Any) -> Row:
    row = Row(fault="x", source="sim", **(GOOD | changed))
    judge(row, expected, timed=timed)
    return row


HOT = Expected(notice_ms=100, recover_ms=100, switch_ms=5000, why="")


def test_a_row_with_every_figure_in_its_bounds_is_as_expected() -> None:
    assert judged(HOT).ok


@pytest.mark.parametrize(
    "wrong",
    [
        {"lost": 1}, {"duplicated": 1}, {"foreign": 1}, {"missed": 1},
        {"notice_ms": 101.0}, {"recover_ms": 101.0}, {"made": 0}, {"takeover_ms": 400.0}, {"takeover_ms": 6000.0},
        {"switch_ms": 5001.0}, {"gap_recorded": "yes"}, {"gap_recorded": "wrong"}, {"switch_error": "no login"},
    ],
)  # fmt: skip
def test_a_row_with_one_figure_out_of_bounds_is_not(wrong: dict[str, Any]) -> None:
    row = judged(HOT, **wrong)
    assert not row.ok
    assert row.why


@pytest.mark.parametrize(
    "name", ["lost", "duplicated", "notice_ms", "recover_ms", "gap_recorded", "made", "switch_ms", "takeover_ms"]
)
def test_what_could_not_be_measured_is_never_as_expected(name: str) -> None:
    assert not judged(HOT, **{name: None}).ok


@pytest.mark.parametrize("late", ["notice_ms", "recover_ms", "switch_ms", "takeover_ms"])
def test_without_bounds_of_time_it_must_have_happened_however_late(late: str) -> None:
    assert judged(HOT, timed=False, **{late: 60_000.0}).ok
    assert not judged(HOT, timed=False, **{late: None}).ok
    assert not judged(HOT, timed=False, lost=1).ok
    assert only_late(judged(HOT, **{late: 60_000.0}), HOT)
    assert not only_late(judged(HOT, **{late: 60_000.0}, lost=1), HOT)
    assert not only_late(judged(HOT, **{late: None}), HOT)


STEP = 25_000_000


@pytest.mark.parametrize(
    ("lag", "after", "count"), [(60, "sim:primary", 1), (60, "sim:backup", 0), (5, "sim:primary", 0)]
)
def test_a_tick_was_overtaken_if_its_line_lagged_and_the_next_one_came_by_the_other(
    lag: int, after: str, count: int
) -> None:
    made = [Made("SHFE.rb2701", number * STEP) for number in range(3)]
    keys: list[Key] = [("SHFE.rb2701", number) for number in range(3)]
    born = dict(zip(keys, made, strict=True)).get
    arrivals = [(made[0].at_ns + lag * 1_000_000, "sim:backup", keys[0]), (made[2].at_ns + 1, after, keys[2])]
    assert overtaken({keys[1]: made[1]}, arrivals, born) == count
    assert overtaken({}, arrivals, born) == 0


def test_where_loss_may_be_told_a_loss_that_was_not_told_is_red() -> None:
    expected = Expected(told=True, notice_ms=100, why="")
    assert judged(expected, lost=5, told=5).ok
    assert not judged(expected, lost=6, told=5).ok


def test_a_missing_gap_is_red_where_one_is_expected() -> None:
    expected = Expected(gap=True, notice_ms=100, why="")
    assert judged(expected, gap_recorded="yes").ok
    assert not judged(expected, gap_recorded="no").ok
    assert not judged(expected, gap_recorded="wrong").ok


def test_a_tick_that_nobody_got_is_lost_or_missed_and_a_strange_one_is_foreign() -> None:
    made: dict[Key, Made] = {"a": Made("SHFE.rb", 1), "b": Made("SHFE.rb", 2), "c": Made("SHFE.rb", 3)}
    consumer: Any = SimpleNamespace(seen={"a": 0, "z": 0}, doubled={"a": 2})
    result = tally(made, consumer, lambda moment: moment == 2, made.__contains__)
    assert (set(result.lost), set(result.missed), result.duplicated, result.foreign) == ({"b"}, {"c"}, 2, 1)


def test_a_line_is_able_between_its_session_and_its_fault_and_a_tick_in_flight_dies_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1_000_000_000]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    ability = Ability()
    ability.session(stands=True, fresh=True)
    now[0] = 9_000_000_000
    ability.impair(until_session=True)
    ability.session(stands=True)  # the old session still looks good to the front
    assert not ability.able
    now[0] = 12_000_000_000
    ability.session(stands=True, fresh=True)
    answers = {moment: ability.could_deliver(moment) for moment in (0, 10**9, 9 * 10**9 - 1, 10 * 10**9, 13 * 10**9)}
    assert list(answers.values()) == [False, True, False, False, True]
    assert ability.could_deliver(9 * 10**9 - IN_FLIGHT_NS - 1)


def test_a_gap_covers_what_lies_between_its_ticks_and_no_more() -> None:
    second = 1_000_000_000
    gap = Gap(
        id="1-1", feed="sim", instrument="SHFE.rb", trading_day=20251121, session="day", outage_ns=10 * second,
        start_ns=10 * second, end_ns=12 * second,
        before=Seen(9 * second, 20251121, 5), after=Seen(13 * second, 20251121, 9),
    )  # fmt: skip
    assert [covers(gap, moment * second) for moment in (8, 9, 11, 13, 14)] == [False, True, True, True, False]


def test_the_known_market_is_the_one_of_the_sim_source() -> None:
    market = SimMarket()
    begin = time.time_ns()
    made = market.made(begin, begin + 1_000_000_000)
    assert len(made) == SimOptions.read(OPTIONS).rate
    assert {one.instrument for one in made.values()} == set(market.contracts)
    assert all(market.born(key) == one for key, one in list(made.items())[:50])
    wrong = list(next(iter(made)))  # type: ignore[call-overload]  # keys are tuples
    wrong[3] = 1.0
    assert market.born(tuple(wrong)) is None


def test_a_line_can_be_made_to_double_swap_and_silence_its_ticks() -> None:
    out: list[int] = []
    stage: Distortion[int] = Distortion(lambda _code, tick: out.append(tick), lambda _s, call: call(), lambda t, _n: -t)
    for style, expected in (
        (Style(), [1, 2]), (Style(duplicate=True), [1, 1, 2, 2]), (Style(reorder=True), [2, 1]), (Style(mute=True), []),
        (Style(lie=True), [-1, -2]), (Style(delay_ms=5), [1, 2]),
    ):  # fmt: skip
        out.clear()
        stage.set(style)
        stage.take("rb", 1)
        stage.take("rb", 2)
        assert out == expected


def test_words_are_found_by_kind_line_and_text() -> None:
    word = Word(0, "state:lost", "ctp:primary", "hung: nothing heard")
    assert matches(word, ["state:lost"])
    assert matches(word, ["state:* *:primary hung*"])
    assert not matches(word, ["state:lost *:backup", "state:refused", "state:lost * storm*"])
    assert matches(Word(0, "log:gateway.flow", "", "the clock was set by"), ["log:* - *clock was set*"])


async def test_a_fault_that_raises_is_a_red_row_and_not_the_end_of_the_table() -> None:
    async def fails(_rig: Rig) -> None:
        raise RuntimeError("cannot be injected here")

    fault = Fault(name="x", what="", inject=fails, expected=Expected(why=""))
    row = await measure(fault, SimSource, short=True)
    assert not row.ok
    assert "cannot be injected here" in row.why[0]


async def test_a_row_is_measured_again_only_when_the_machine_stood_still(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.faults import course

    async def red(fault: Fault, source: Any, *, short: bool) -> Row:
        time.sleep(pause)  # noqa: ASYNC251 - the loop is what stands still
        return Row(fault=fault.name, source=source.name)

    monkeypatch.setattr(course, "_measure", red)
    fault = Fault(name="x", what="", inject=lambda _rig: asyncio.sleep(0), expected=Expected(why=""))
    left_out = 0
    source: Any = SimpleNamespace(name="sim", left_out=lambda: left_out)
    pause = 0.0
    assert (await measure(fault, lambda: source, short=True)).attempts == 1
    pause = 0.6  # a blocked loop is no excuse
    assert (await measure(fault, lambda: source, short=True)).attempts == 1
    pause, left_out = 0.0, 5
    row = await measure(fault, lambda: source, short=True)
    assert (row.attempts, row.ok) == (3, False)


async def test_a_loss_that_the_gateway_does_not_own_up_to_is_a_red_row(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_rig: Rig) -> None:
        await asyncio.sleep(0)

    from gateway.flow.publisher import Publisher

    publish, calls = Publisher.publish, 0

    def lossy(publisher: Publisher, *batch: Any) -> None:
        nonlocal calls
        calls += 1
        if calls % 100:
            publish(publisher, *batch)

    monkeypatch.setattr(Publisher, "publish", lossy)
    row = await measure(Fault(name="x", what="", inject=nothing, expected=Expected(why="")), SimSource, short=True)
    assert not row.ok
    assert (row.lost or 0) > 0


def test_faults_have_unique_names_and_a_row_for_each_source_that_they_name() -> None:
    names = [fault.name for fault in faults(short=False)]
    assert len(set(names)) == len(names)
    for fault in faults(short=True):
        assert sources_of(fault, only=None, short=True) == (fault.short,)
        assert fault.short in fault.sources


def test_a_part_of_the_table_is_not_written_into_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--write-docs", "--short"])
    assert "whole table" in capsys.readouterr().err


def test_the_table_replaces_what_is_between_the_markers_and_the_json_has_every_field(tmp_path: Path) -> None:
    document = tmp_path / "faults.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    rows = [judged(HOT), judged(HOT, lost=3)]
    write_document(rows, document)
    text = document.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("| x | sim |") == 2
    document.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="needs the lines"):
        write_document(rows, document)
    write_json(rows, tmp_path / "out" / "faults.json")
    found = msgspec.json.decode((tmp_path / "out" / "faults.json").read_bytes())
    wanted = {"fault", "source", "lost", "duplicated", "notice_ms", "recover_ms", "gap_recorded", "expected", "ok"}
    assert [wanted <= set(row) for row in found] == [True, True]
    assert [row["ok"] for row in found] == [True, False]


def test_the_document_explains_every_fault_of_the_table() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [fault.name for fault in faults(short=False) if f"**{fault.name}**" not in text] == []
