"""Coverage by product: the same contracts as the feed's counts, grouped."""

from __future__ import annotations

from collections.abc import Hashable
from types import SimpleNamespace

from gateway.flow.carried import Feed
from gateway.flow.coverage import FixedRules, count_coverage
from gateway.flow.phases import AlwaysOpen
from gateway.model import Instrument, LineId
from gateway.testing.clock import ManualClock

NOW = 1_756_431_010_000_000_000


def feed_of(names: str, carried: str) -> Feed:
    feed = Feed("ctp", AlwaysOpen(), ManualClock(wall_ns=NOW))
    kin: Hashable = "all"
    feed.carried[LineId("ctp", "primary")] = dict.fromkeys(map(Instrument.parse, carried.split()))
    for name in names.split():
        feed.add(Instrument.parse(name), kin)
    return feed


def test_each_product_has_its_own_counts_and_they_add_up_to_the_feeds() -> None:
    feed = feed_of(
        "SHFE.rb2601 SHFE.rb2605 SHFE.rb2610 CZCE.MA601 DCE.m2601-C-3000", "SHFE.rb2601 SHFE.rb2605 CZCE.MA601"
    )
    streams = {
        "SHFE.rb2601": SimpleNamespace(seq=1, recv_ns=NOW - 1),
        "SHFE.rb2605": SimpleNamespace(seq=1, recv_ns=NOW - 100_000_000_000),
    }
    found = count_coverage(feed, "day", FixedRules(), lambda one: streams.get(str(one)), NOW)
    rows = {(one.exchange, one.product): one for one in found.products}
    assert list(rows) == [("CZCE", "MA"), ("DCE", "m"), ("SHFE", "rb")]
    rb = rows["SHFE", "rb"]
    assert (rb.wanted, rb.ticking, rb.quiet, rb.stalled, rb.missing) == (3, 1, 0, 1, 1)
    assert (rows["CZCE", "MA"].quiet, rows["DCE", "m"].missing) == (1, 1)
    assert sum(one.wanted for one in found.products) == found.wanted
    assert sum(one.missing for one in found.products) == len(found.missing)
    assert sum(one.ticking for one in found.products) == found.ticking
