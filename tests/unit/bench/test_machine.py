import itertools
import os

import pytest

from bench.machine import Machine, Pauses, look, pauses


def clock_of(*steps_ns):
    return itertools.accumulate(itertools.chain(steps_ns, itertools.repeat(1_000))).__next__


def test_a_gap_between_two_looks_is_a_pause_and_a_short_one_is_the_look_itself():
    found = pauses(0.01, clock_of(0, 1_000, 400_000, 49_000, 1_100_000))
    assert found == Pauses(share=0.15, per_second=200.0, longest_ms=1.1)


def test_a_processor_that_never_stops_has_no_pauses():
    assert pauses(0.001, clock_of(0)) == Pauses(0.0, 0.0, 0.0)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux: elsewhere a process cannot say where it runs")
def test_the_machine_of_the_tests_is_looked_at_by_processes_of_their_own(tmp_path):
    found = look(tmp_path)
    assert found is not None
    assert 0 <= found.paused_share < 1
    assert (found.wake_us is None) == (len(os.sched_getaffinity(0)) == 1)
    assert found.wake_us is None or found.wake_us > 0


def test_the_machine_is_told_in_one_line():
    machine = Machine(wake_us=21.6, paused_share=0.0172, pauses_per_second=208.0, longest_pause_ms=4.18)
    assert str(machine) == (
        "a wake-up on the other processor takes 22 µs, a processor stands still 1.7% of the time"
        " (208 pauses a second, 4.2 ms the longest)"
    )
