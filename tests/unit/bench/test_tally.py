from array import array

import pytest

from bench.control import CONSUMED, FIRST_NS, Control
from bench.tally import Tally, quantiles

SECOND = 1_000_000_000


@pytest.fixture
def control(tmp_path):
    block = Control.create(tmp_path / "control")
    yield block
    block.close()


def test_a_tick_that_never_comes_is_lost_even_at_the_end(control):
    tally = Tally(control, lambda: 10 * SECOND, warm=0)
    for number in (1, 2, 4):
        tally.tick("fb00000", number, 9.0, 0.0)
    assert tally.outcome(5).lost == 2


def test_each_instrument_is_counted_on_its_own(control):
    tally = Tally(control, lambda: 10 * SECOND, warm=0)
    for code in ("fb00000", "fb00001"):
        tally.tick(code, 1, 9.0, 0.0)
    outcome = tally.outcome(2)
    assert (outcome.lost, outcome.duplicates) == (0, 0)


def test_a_repeated_or_older_tick_is_a_duplicate_and_fills_no_hole(control):
    tally = Tally(control, lambda: 10 * SECOND, warm=0)
    for number in (1, 3, 3, 2):
        tally.tick("fb00000", number, 9.0, 0.0)
    outcome = tally.outcome(3)
    assert (outcome.received, outcome.lost, outcome.duplicates) == (2, 1, 2)


def test_latency_runs_from_the_intended_send_time_and_leaves_the_warm_up_out(control):
    tally = Tally(control, lambda: 10 * SECOND, warm=1)
    tally.tick("fb00000", 1, 1.0, 0.0)
    tally.tick("fb00000", 2, 9.0, 998_000_000.0)
    outcome = tally.outcome(2)
    assert outcome.p50_ms == outcome.p99_ms == outcome.max_ms == 2.0


def test_the_rate_runs_from_the_first_offered_to_the_last_decoded_tick(control):
    control.words[FIRST_NS] = 8 * SECOND
    tally = Tally(control, lambda: 10 * SECOND, warm=1)
    for number in range(1, 6):
        tally.tick("fb00000", number, 9.0, 0.0)
    assert tally.outcome(5).rate == 2.0
    assert control.words[CONSUMED] == 5


def test_quantiles_are_by_nearest_rank_and_zero_for_nothing():
    assert quantiles(array("q", range(1_000_000, 101_000_000, 1_000_000))) == {
        "p50_ms": 51.0,
        "p99_ms": 100.0,
        "p999_ms": 100.0,
    }
    assert quantiles(array("q")) == {"p50_ms": 0.0, "p99_ms": 0.0, "p999_ms": 0.0}
