"""The view, driven by keys as a person does, at the size of a small terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from textual.app import App

from gateway.terminal.top.app import HelpScreen, TopApp
from gateway.terminal.top.look import Look
from gateway.terminal.top.telling import facts_of
from gateway.terminal.top.text import snapshot
from tests.unit.control.market import switch_of
from tests.unit.terminal.top.looks import coverage_of, look_of, status_of

SMALL = (80, 24)


def shown(app: App[None]) -> str:
    """What is on the screen, as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def until(true: Callable[[], bool], pilot) -> None:
    async with asyncio.timeout(30):
        while not true():
            await pilot.pause(0.02)


async def test_at_80_by_24_the_sentence_cards_lines_and_coverage_are_on_the_screen() -> None:
    app = TopApp(look_of)
    async with app.run_test(size=SMALL) as pilot:
        await until(lambda: "ctp:primary" in shown(app) and "q quit" in shown(app), pilot)
        screen = shown(app)
    for words in (
        "Feedgate top · feedgate 0.1.0",
        "✓ READY: 2 lines up, coverage 100 %, no gap today",
        *(
            "Coverage ✓ good",
            "Throughput ✓ good",
            "Latency p99 ✓ good",
            "Last failover ○ none yet",
            "Gaps today ✓ good",
        ),
        "Held for the bus ✓",
        *("ctp:primary", "16***9", "✓ streaming", "400/400", "75 %", "Coverage by exchange", "SHFE", "✓ 100 %"),
        *("q quit", "p products", "e export", "? help"),
    ):
        assert words in screen, words
    assert all(len(line) <= 80 for line in screen.splitlines())
    assert len(screen.splitlines()) == 24


async def test_a_new_look_is_shown_within_a_second_or_so_and_a_stale_one_says_so() -> None:
    looks = [look_of()]
    app = TopApp(lambda: looks[-1])
    async with app.run_test(size=SMALL) as pilot:
        await until(lambda: "READY: 2 lines up" in shown(app), pilot)
        looks.append(look_of(ages={"figures": 33.0}, status=status_of(warnings=["look at ctp:backup"])))
        await until(lambda: "Look at ctp:backup" in shown(app), pilot)
        assert "Throughput ? stale" in shown(app)
        assert "33 s old" in shown(app)


async def test_p_changes_between_exchanges_and_products_and_q_quits() -> None:
    app = TopApp(look_of)
    async with app.run_test(size=(100, 40)) as pilot:
        await until(lambda: "Coverage by exchange" in shown(app), pilot)
        assert "product" not in shown(app).replace("p products", "")
        await pilot.press("p")
        await until(lambda: "Coverage by product" in shown(app), pilot)
        assert "rb" in shown(app)
        assert "Coverage by exchange" not in shown(app)
        await pilot.press("p")
        await until(lambda: "Coverage by exchange" in shown(app), pilot)
        await pilot.press("q")
        await until(lambda: not app.is_running, pilot)
    assert app.return_code == 0


async def test_the_help_opens_and_closes_and_the_view_goes_on_below_it() -> None:
    app = TopApp(look_of)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("question_mark")
        await until(lambda: isinstance(app.screen, HelpScreen), pilot)
        await until(lambda: "q  quit" in shown(app), pilot)
        assert "stale: older than 10 s" in shown(app)
        app.show()
        await pilot.press("q")
        await until(lambda: not isinstance(app.screen, HelpScreen), pilot)
        assert app.is_running


async def test_e_writes_the_snapshot_and_says_where(tmp_path: Path) -> None:
    look = look_of(rates=(1.0, 2.0, 3.0))
    app = TopApp(lambda: look, directory=tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("e")
        await until(lambda: "written to" in " ".join(note.message for note in app._notifications), pilot)
    (path,) = tmp_path.iterdir()
    assert path.name == "gateway-top_20251009_165320.txt"
    assert path.read_text() == snapshot(facts_of(look))
    assert path.stat().st_mode & 0o777 == 0o600


async def test_an_export_that_fails_is_told_and_the_view_goes_on(tmp_path: Path) -> None:
    app = TopApp(look_of, directory=tmp_path / "none")
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("e")
        await until(lambda: any("cannot be written" in note.message for note in app._notifications), pilot)
        assert app.is_running


async def test_words_of_vendors_are_no_markup_and_a_long_page_scrolls() -> None:
    def look() -> Look:
        switches = tuple(switch_of("ctp", -second, reason="[red]why[/nothing]") for second in range(20))
        return look_of(switches=switches, coverage=(coverage_of(stalled=1),))

    app = TopApp(look)
    async with app.run_test(size=SMALL) as pilot:
        await until(lambda: "Coverage by exchange" in shown(app), pilot)
        await pilot.press("end")
        await until(lambda: "[red]why[/nothing]" in shown(app), pilot)
