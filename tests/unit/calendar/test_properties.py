from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.calendar import Calendar, Phase, PhaseMachine, WindowKind
from gateway.calendar.days import as_number, weekdays
from gateway.calendar.hours import PHASE_OF
from gateway.calendar.products import PRODUCTS
from gateway.model import SHANGHAI

FIRST, LAST = date(2017, 1, 4), date(2026, 12, 30)
shared = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

products = st.sampled_from(sorted(PRODUCTS))
days = st.dates(FIRST, LAST)
moments = st.datetimes(
    datetime(2017, 1, 4), datetime(2026, 12, 30, 12), timezones=st.just(SHANGHAI)  # noqa: DTZ001 - hypothesis adds it
)  # fmt: skip
edges = st.builds(
    lambda day, minute, micro: (
        datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(minutes=minute, microseconds=micro)
    ),
    st.dates(FIRST, date(2026, 12, 29)),
    st.sampled_from(
        [0, 60, 150, 535, 540, 555, 565, 570, 615, 630, 690, 780, 810, 897, 900, 915, 1080, 1255, 1260, 1380]
    ),
    st.sampled_from([-1, 0, 1]),
)
any_moment = moments | edges


@shared
@given(products, any_moment)
def test_every_moment_has_exactly_one_phase(calendar: Calendar, product: str, moment: datetime) -> None:
    around = {calendar.trading_day_of(moment + timedelta(days=number)) for number in (-4, 0)}
    windows = [
        window
        for day in around
        for session in calendar.sessions(product, max(day, 20170103))
        for window in session.windows
        if window.opens <= moment < window.closes
    ]
    assert len(windows) <= 1
    expected = PHASE_OF[windows[0].kind] if windows else Phase.CLOSED
    assert calendar.phase(product, moment) is expected


@shared
@given(products, days)
def test_sessions_do_not_overlap_and_their_windows_leave_no_hole(calendar: Calendar, product: str, day: date) -> None:
    before = calendar.previous_trading_day(day) if day > date(2017, 1, 5) else day
    sessions = [*(calendar.sessions(product, before) if before < day else ()), *calendar.sessions(product, day)]
    for earlier, later in pairwise(sessions):
        assert earlier.closes < later.begins
    for session in sessions:
        assert session.begins < session.closes
        assert session.ready_by <= session.begins
        assert session.windows[-1].closes == session.closes
        for window, following in pairwise(session.windows):
            assert window.opens < window.closes == following.opens
        assert all(calendar.trading_day_of(window.opens) == session.trading_day for window in session.windows)


@shared
@given(any_moment, any_moment)
def test_the_trading_day_never_goes_back(calendar: Calendar, one: datetime, other: datetime) -> None:
    earlier, later = sorted((one, other))
    assert calendar.trading_day_of(earlier) <= calendar.trading_day_of(later)
    assert calendar.is_trading_day(calendar.trading_day_of(one))


@shared
@given(products, days)
def test_the_eve_of_a_holiday_has_no_night(calendar: Calendar, product: str, day: date) -> None:
    if not calendar.is_trading_day(day):
        return
    following = calendar.next_trading_day(day)
    if weekdays(day + timedelta(days=1), following - timedelta(days=1)):
        assert not calendar.has_night(day)
        assert [session.kind for session in calendar.sessions(product, following)] == ["day"]


@shared
@given(products, any_moment)
def test_the_next_change_is_a_change_and_nothing_changes_before_it(
    calendar: Calendar, product: str, moment: datetime
) -> None:
    change = calendar.next_change(product, moment)
    assert change.at > moment
    assert calendar.phase(product, change.at) is change.phase
    was = calendar.phase(product, moment)
    assert was is not change.phase
    assert calendar.phase(product, change.at - timedelta(microseconds=1)) is was


@shared
@given(products, any_moment)
def test_a_moment_inside_a_trading_window_is_attributed_to_it(
    calendar: Calendar, product: str, moment: datetime
) -> None:
    phase, window = calendar.phase(product, moment), calendar.window_of(product, moment)
    if phase in (Phase.OPEN, Phase.AUCTION):
        assert window is not None
        assert window.opens <= moment < window.closes
        assert window.phase is phase
    elif window is not None:
        assert window.kind is not WindowKind.BREAK
        assert timedelta() <= moment - window.closes < timedelta(seconds=1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(products, min_size=1, max_size=6, unique=True),
    moments,
    st.lists(st.integers(-600, 3000), min_size=1, max_size=25),
)
def test_the_machine_always_stands_where_the_calendar_says(
    calendar: Calendar, chosen: list[str], start: datetime, steps: list[int]
) -> None:
    machine, stands = PhaseMachine(calendar, chosen), dict.fromkeys(chosen)
    moment = min(start, datetime(2026, 11, 1, tzinfo=SHANGHAI))
    for step in steps:
        moment = max(moment + timedelta(minutes=step), datetime(2017, 1, 4, tzinfo=SHANGHAI))
        for event in machine.advance(moment):
            assert event.at <= moment
            assert event.was is not event.now
            for product in event.products:
                assert stands[product] is event.was
                stands[product] = event.now
        assert stands == {product: calendar.phase(product, moment) for product in chosen}
        assert machine.due is not None
        assert machine.due > moment


def test_sessions_carry_the_day_they_were_asked_for(calendar: Calendar) -> None:
    day = date(2026, 11, 20)
    assert {session.trading_day for code in PRODUCTS for session in calendar.sessions(code, day)} == {as_number(day)}
