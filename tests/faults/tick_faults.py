"""Faults of what a line delivers: late, out of order, twice, wrong."""

from __future__ import annotations

from tests.faults.fault import Act, Expected, Fault
from tests.faults.rig import Rig
from tests.faults.style import Style


def distorting(style: Style) -> Act:
    """The active line delivers in this style."""

    async def act(rig: Rig) -> None:
        rig.front("primary").distort(style)

    return act


honest = distorting(Style())

FAULTS = (
    Fault(
        name="slow line",
        what="Every tick of the active line comes 300 ms late.",
        inject=distorting(Style(delay_ms=300)),
        heal=honest,
        dwell_s=1.0,
        short="sim",
        short_back=True,
        expected=Expected(why="The other line is first from then on; the late ticks are copies."),
    ),
    Fault(
        name="reordered line",
        what="Neighbouring ticks of each contract change places on the active line.",
        inject=distorting(Style(reorder=True)),
        heal=honest,
        dwell_s=1.0,
        short_back=True,
        expected=Expected(
            lost=10,
            why="Nothing older goes out after something newer; the other line brings what was overtaken. On a machine "
            "that is busy for some milliseconds the other line may be later than that, and then the tick is too old.",
        ),
    ),
    Fault(
        name="duplicated line",
        what="The active line delivers every tick twice.",
        inject=distorting(Style(duplicate=True)),
        heal=honest,
        dwell_s=1.0,
        short="sim",
        short_back=True,
        expected=Expected(why="The second one is found at the line's own cursor and drops as a repeat."),
    ),
    Fault(
        name="lying line",
        what="The active line delivers, in turn, prices beyond the daily limits and volumes that go back.",
        inject=distorting(Style(lie=True)),
        heal=honest,
        notice=("event:line_suspect *:primary",),
        dwell_s=1.0,
        expected=Expected(
            notice_ms=3_000,
            lost=20,
            foreign=20,
            why="Five facts that an honest line cannot produce make it a suspect, and nothing of it goes out any more. "
            "What it said before may have been first: that few wrong ticks are out, and the true ones of the same "
            "key are not.",
        ),
    ),
)
