from __future__ import annotations

import ctypes

from gateway_ctp.layout import DEPTH
from gateway_ctp.parse import RECORD, Parser
from gateway_ctp.spi import make_spi

from plugins.ctp.tests.recording_sink import RecordingSink
from plugins.ctp.tests.records import TYPICAL, record
from plugins.ctp.tests.vendor_standin import MarketDataModule, depth_members


def typical_field(module: MarketDataModule):
    field = module.CThostFtdcDepthMarketDataField()
    for name, value in TYPICAL.items():
        setattr(field, name, value)
    return field


def test_both_views_of_the_struct_have_the_vendors_size():
    assert DEPTH.size == RECORD.size == 584


def test_the_known_struct_is_verified_and_copied():
    module = MarketDataModule()
    found = DEPTH.verify(module)
    assert found.exact
    assert DEPTH.reader(found)(typical_field(module)) == record()


def test_a_struct_with_moved_fields_is_noticed_and_read_by_attributes_to_the_same_record():
    module = MarketDataModule([("Extra", ctypes.c_double), *depth_members()])
    found = DEPTH.verify(module)
    assert not found.exact
    assert "TradingDay" in found.difference
    field = typical_field(module)
    assert DEPTH.copy(field) != record()
    assert DEPTH.reader(found)(field) == record()


def test_a_struct_that_lacks_a_field_is_noticed_and_the_rest_still_makes_a_tick():
    members = [member for member in depth_members() if member[0] != "AveragePrice"]
    module = MarketDataModule(members)
    found = DEPTH.verify(module)
    assert not found.exact
    field = module.CThostFtdcDepthMarketDataField()
    for name, value in TYPICAL.items():
        if name != "AveragePrice":
            setattr(field, name, value)
    (tick,) = Parser({"rb": "SHFE"}).parse([(0, DEPTH.from_attributes(field))], lambda word: None)
    assert (tick.last, tick.average) == (3123.0, None)


def test_a_struct_that_lacks_only_what_nobody_reads_is_still_read_as_it_lies():
    members = [member for member in depth_members() if not member[0].startswith("Banding")]
    assert DEPTH.verify(MarketDataModule([*members, ("Spare", ctypes.c_double * 2)])).exact


def test_the_callback_hands_over_a_copy_that_outlives_the_vendors_memory():
    for members in (None, [("Extra", ctypes.c_double), *depth_members()]):
        module, sink = MarketDataModule(members), RecordingSink()
        field = typical_field(module)
        make_spi(sink, module).OnRtnDepthMarketData(field)
        field.LastPrice = 1.0
        assert sink.events == [("raw", record())]


def test_a_callback_without_a_struct_is_a_counted_reject():
    for members in (None, [("Extra", ctypes.c_double), *depth_members()]):
        sink = RecordingSink()
        make_spi(sink, MarketDataModule(members)).OnRtnDepthMarketData(None)
        assert [kind for kind, _ in sink.events] in (["reject"], ["raw"])
