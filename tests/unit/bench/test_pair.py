import threading

import msgspec
import pytest

from bench.arbitrate import BLOCK, measure, order_of, ticks_of
from bench.cases import plan
from bench.checking import PairCheck
from bench.control import FIRST_NS, PHASE, RUN, SETTLED_NS, STOP, WARM, Control
from bench.harness import audit, record_of
from bench.load import Load
from bench.pipeline import is_settled
from bench.simulated import Feeder
from bench.tally import Outcome, Tally
from gateway.flow.balance import Balance

SECOND = 1_000_000_000
LOAD = Load(control="", instruments=3, warm=2, total=4, lines=2)


@pytest.fixture
def path(tmp_path):
    Control.create(tmp_path / "control").close()
    return str(tmp_path / "control")


def published(count, *, line="ctp:primary", epoch=7):
    return [
        msgspec.structs.replace(tick, epoch=epoch, seq=tick.volume, line=line)
        for tick in ticks_of(0, count, LOAD.instruments)
    ]


def checked(*chunks):
    check = PairCheck(LOAD)
    for chunk in chunks:
        check.ticks(chunk)
    check.close()
    return check


# -- the consumer's check --------------------------------------------------------------------------------------


def test_ticks_of_both_lines_with_the_feeders_content_and_numbers_are_right():
    check = checked(published(6)[:2], published(6)[2:3], published(6, line="ctp:backup")[3:])
    assert check.wrong == 0
    assert check.by_line == {"ctp:primary": 3, "ctp:backup": 3}


@pytest.mark.parametrize("change", [{"seq": 3}, {"epoch": 8}, {"last": 1.0}, {"line": "ctp:other"}])
def test_a_tick_with_another_number_content_or_line_is_wrong(change):
    ticks = published(6)
    ticks[3] = msgspec.structs.replace(ticks[3], **change)
    check = checked(ticks)
    assert check.wrong == 1
    assert check.first_wrong


def test_ticks_of_one_instrument_in_another_order_are_wrong():
    ticks = published(6)
    ticks[0], ticks[3] = ticks[3], ticks[0]
    assert checked(ticks).wrong == 2


def test_a_snapshot_that_is_published_twice_is_wrong_though_its_numbers_rise():
    ticks = published(6)
    again = [msgspec.structs.replace(ticks[3], seq=3)]
    assert checked(ticks, again).wrong == 1


def test_what_the_client_dropped_silently_counts_as_wrong():
    check = PairCheck(LOAD)
    check.stream_said(lost=0, repeats=2, stale=0)
    assert (check.wrong, check.first_wrong) == (2, "the stream counted 2 repeats")


# -- the gateway's books ---------------------------------------------------------------------------------------


def audited(**books):
    record = record_of(
        plan("hot_pair")[0],
        LOAD,
        Outcome(received=6, lost=0, duplicates=0, rate=1.0, p50_ms=0.0, p99_ms=0.0, p999_ms=0.0, max_ms=0.0),
    )
    audit(record, Balance(**books), LOAD)
    return record


def test_books_balance_when_every_tick_came_twice_and_one_copy_dropped():
    record = audited(received=12, published=6, dropped={"arbitrate": {"copy": 4, "late": 2}})
    assert (record.wrong, record.findings) == (0, [])
    assert record.books == {"in": 12, "out": 6, "arbitrate.copy": 4, "arbitrate.late": 2}


@pytest.mark.parametrize(
    ("books", "finding"),
    [
        ({"received": 11, "published": 6, "dropped": {"arbitrate": {"copy": 5}}}, "11 records came in and not 12"),
        ({"received": 12, "published": 5, "dropped": {"arbitrate": {"copy": 7}}}, "5 ticks went out and not 6"),
        (
            {"received": 12, "published": 6, "dropped": {"arbitrate": {"copy": 5}, "ship": {"queue_full": 1}}},
            "5 copies dropped and not 6",
        ),
        (
            {"received": 12, "published": 6, "dropped": {"arbitrate": {"copy": 6, "stale": 1}}},
            "1 ticks dropped otherwise and not 0",
        ),
        (
            {"received": 12, "published": 6, "dropped": {"arbitrate": {"copy": 5}}},
            "1 ticks are unaccounted for and not 0",
        ),
    ],
)
def test_books_that_do_not_balance_are_told_in_words(books, finding):
    record = audited(**books)
    assert finding in record.findings
    assert record.wrong > 0


def test_a_pair_is_settled_when_both_lines_are_in_and_the_copies_are_out():
    dropped = {"arbitrate": {"copy": 6}}
    assert is_settled(Balance(received=12, published=0, dropped=dropped), LOAD)
    assert not is_settled(Balance(received=12, published=6, dropped={"arbitrate": {"copy": 5}}), LOAD)
    assert not is_settled(Balance(received=11, published=6, dropped=dropped), LOAD)


def test_the_rate_of_a_pair_runs_until_the_last_copy_is_dropped(path):
    control = Control(path)
    control.words[FIRST_NS] = 8 * SECOND
    control.words[SETTLED_NS] = 12 * SECOND
    tally = Tally(control, lambda: 10 * SECOND, warm=1)
    for number in range(1, 6):
        tally.tick("fb00000", number, 9.0, 0.0)
    assert tally.outcome(5).rate == 1.0
    control.close()


# -- two feeders -----------------------------------------------------------------------------------------------


class Heard:
    """The SPI of one line: what a tick carries, and a word when all came."""

    def __init__(self, count):
        self.rows = []
        self.all = threading.Event()
        self._count = count

    def OnRtnDepthMarketData(self, field):  # noqa: N802 - the vendor's name
        struct = field.struct
        self.rows.append((field.InstrumentID, struct.Volume, struct.Turnover, struct.PreOpenInterest, struct.LastPrice))
        if len(self.rows) == self._count:
            self.all.set()


@pytest.mark.parametrize("rate", [0, 5_000])
def test_both_feeders_of_a_pair_offer_the_same_ticks_with_the_same_intended_times(path, rate):
    control = Control(path)
    load = Load(control=path, source="sim", instruments=3, warm=6, total=60, rate=rate, window=100, lines=2)
    heard = [Heard(load.goal), Heard(load.goal)]
    feeders = [Feeder(spi, msgspec.structs.replace(load, place=place)) for place, spi in enumerate(heard)]
    try:
        control.words[PHASE] = WARM
        control.words[PHASE] = RUN
        assert all(spi.all.wait(60) for spi in heard)
    finally:
        control.words[PHASE] = STOP
        for feeder in feeders:
            feeder.stop()
        control.close()
    assert heard[0].rows == heard[1].rows
    assert len({row[2:4] for row in heard[0].rows[load.warm :]}) == load.total


# -- arbitration alone -----------------------------------------------------------------------------------------


def test_both_lines_lead_in_turn_and_every_batch_comes_once():
    order = list(order_of(100))
    assert (order.count(0), order.count(1)) == (100, 100)
    ahead = [order[: at + 1].count(0) - order[: at + 1].count(1) for at in range(len(order))]
    assert min(ahead) < 0 < max(ahead)


def test_arbitration_alone_publishes_each_tick_once_and_says_what_a_tick_costs():
    outcome = measure(Load(control="", instruments=100, warm=2 * BLOCK, total=70 * BLOCK, lines=2))
    assert (outcome.received, outcome.lost, outcome.duplicates, outcome.wrong) == (72 * BLOCK, 0, 0, 0)
    assert outcome.cpu_us["core"] > 0
