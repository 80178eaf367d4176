from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.bus.memory import MemoryBus
from gateway.codec import CODECS
from gateway.control import ENDPOINTS, LastReply, Subscription, SubscriptionState
from gateway.control.service import ControlService
from gateway.errors import ControlError, LineError
from gateway.model import Instrument
from gateway.subjects import control_subject
from tests.unit.control.market import Market, json_of


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.start()
    yield bus
    await bus.aclose()


@pytest.fixture
def market(bus: MemoryBus) -> Market:
    return Market(bus)


@pytest.fixture
async def service(bus: MemoryBus, market: Market) -> ControlService:
    service = ControlService(bus, market, "feedgate", figures=market.figures, page_bytes=2_000)
    await service.start()
    return service


async def ask(bus: MemoryBus, endpoint: str, request: object = None) -> bytes:
    payload = b"" if request is None else msgspec.json.encode(request)
    return await bus.request(control_subject(endpoint), payload)


def test_every_endpoint_of_the_vocabulary_is_served(bus, market) -> None:
    assert set(ControlService(bus, market, "gw2", figures=market.figures).endpoints()) == {
        f"md.ctl.gw2.{name}" for name in ENDPOINTS
    }


@pytest.mark.parametrize("codec", ["msgpack", "json"])
async def test_last_embeds_the_published_bytes_of_what_matches(bus, market, service, codec) -> None:
    market.codec = codec
    market.publish("SHFE.rb2510", "SHFE.rb2510", "SHFE.ag2512", "DCE.m2601")
    data = await ask(bus, "last", {"patterns": ["SHFE.rb*", "DCE.*"]})
    decode = msgspec.json.decode if codec == "json" else msgspec.msgpack.decode
    reply = decode(data, type=LastReply)
    ticks = [CODECS[codec].decode(bytes(raw)) for raw in reply.ticks]
    assert [(str(tick.instrument), tick.seq) for tick in ticks] == [("SHFE.rb2510", 2), ("DCE.m2601", 1)]
    assert (reply.codec, reply.epoch, reply.cursor) == (codec, 1, None)


async def test_last_comes_in_pages_below_the_size_that_together_hold_each_instrument_once(bus, market, service) -> None:
    names = [f"SHFE.rb{number}" for number in range(100)]
    market.publish(*names)
    found, cursor, pages = [], 0, 0
    while cursor is not None:
        data = await ask(bus, "last", {"cursor": cursor})
        assert len(data) < 2_200
        reply = msgspec.msgpack.decode(data, type=LastReply)
        found += [str(CODECS["msgpack"].decode(bytes(raw)).instrument) for raw in reply.ticks]
        cursor, pages = reply.cursor, pages + 1
    assert found == names
    assert pages > 5


async def test_a_full_size_page_fits_a_nats_message(bus, market) -> None:
    await ControlService(bus, market, "big", figures=market.figures).start()
    market.publish(*(f"SHFE.rb{number}" for number in range(5_000)))
    data = await bus.request(control_subject("last", "big"), b"")
    assert 400_000 < len(data) < 512 * 1024


async def test_a_limit_cuts_a_page_and_a_single_oversized_row_still_goes(bus, market) -> None:
    await ControlService(bus, market, "tiny", figures=market.figures, page_bytes=1).start()
    market.publish("SHFE.rb1", "SHFE.rb2")
    reply = msgspec.msgpack.decode(await bus.request("md.ctl.tiny.last", b'{"limit": 5}'), type=LastReply)
    assert (len(reply.ticks), reply.cursor) == (1, 1)


async def test_contracts_are_listed_by_pattern_and_paged(bus, market, service) -> None:
    market.list_contracts(*(f"SHFE.rb{number}" for number in range(30)), "DCE.m2601")
    reply = json_of(await ask(bus, "contracts", {"patterns": ["DCE.*"]}))
    assert [row["instrument"] for row in reply["contracts"]] == [{"exchange": "DCE", "code": "m2601"}]
    assert reply["cursor"] is None
    first = json_of(await ask(bus, "contracts", {"patterns": ["SHFE.*"], "limit": 4}))
    second = json_of(await ask(bus, "contracts", {"patterns": ["SHFE.*"], "limit": 2, "cursor": first["cursor"]}))
    codes = [row["instrument"]["code"] for row in (*first["contracts"], *second["contracts"])]
    assert codes == ["rb0", "rb1", "rb2", "rb3", "rb4", "rb5"]


async def test_contracts_of_one_feed_are_its_own_and_an_unknown_feed_is_an_error(bus, market, service) -> None:
    market.rows = {"ctp:primary": [], "sse:primary": []}
    market.list_contracts("SHFE.rb1", "SSE.1", "SSE.2")
    reply = json_of(await ask(bus, "contracts", {"feed": "sse"}))
    assert [row["instrument"]["code"] for row in reply["contracts"]] == ["1", "2"]
    assert len(json_of(await ask(bus, "contracts", {}))["contracts"]) == 3
    with pytest.raises(ControlError, match="no feed 'nothing' here; the feeds are: ctp, sse"):
        await ask(bus, "contracts", {"feed": "nothing"})


async def test_subscriptions_tell_state_and_reason_by_line(bus, market, service) -> None:
    market.rows = {
        "ctp:primary": [
            Subscription(line="ctp:primary", instrument="SHFE.rb2510", state=SubscriptionState.CONFIRMED),
            Subscription(line="ctp:primary", instrument="SHFE.xx", state=SubscriptionState.FAILED, reason="no such"),
        ],
        "ctp:backup": [Subscription(line="ctp:backup", instrument="SHFE.xx", state=SubscriptionState.PENDING)],
    }
    reply = json_of(await ask(bus, "subscriptions", {"states": ["failed", "pending"]}))
    assert reply["subscriptions"] == [
        {"line": "ctp:primary", "instrument": "SHFE.xx", "state": "failed", "reason": "no such"},
        {"line": "ctp:backup", "instrument": "SHFE.xx", "state": "pending", "reason": ""},
    ]
    assert reply["lines"][0] == {"line": "ctp:primary", "wanted": 2, "pending": 0, "confirmed": 1, "failed": 1}
    only = json_of(await ask(bus, "subscriptions", {"line": "ctp:backup"}))
    assert [row["line"] for row in only["subscriptions"]] == ["ctp:backup"]
    with pytest.raises(ControlError, match="no line 'ctp:third' here; the lines are: ctp:primary, ctp:backup"):
        await ask(bus, "subscriptions", {"line": "ctp:third"})


async def test_subscribe_takes_names_and_patterns_and_names_what_is_unknown(bus, market, service) -> None:
    market.list_contracts("SHFE.rb2510", "SHFE.rb2601", "DCE.m2601")
    wish = {"instruments": ["DCE.m2601", "DCE.m2602"], "patterns": ["SHFE.rb*", "CZCE.*"]}
    reply = json_of(await ask(bus, "subscribe", wish))
    assert reply == {
        "accepted": 3,
        "unknown": 2,
        "accepted_names": ["DCE.m2601", "SHFE.rb2510", "SHFE.rb2601"],
        "unknown_names": ["DCE.m2602", "CZCE.*"],
        "truncated": False,
    }
    assert market.asked == [("subscribe", ["DCE.m2601", "SHFE.rb2510", "SHFE.rb2601"])]


async def test_without_a_catalogue_exact_names_are_taken_as_they_are(bus, market, service) -> None:
    reply = json_of(await ask(bus, "subscribe", {"instruments": ["SHFE.rb2510"], "patterns": ["DCE.*"]}))
    assert (reply["accepted"], reply["unknown_names"]) == (1, ["DCE.*"])


async def test_thirty_thousand_subscriptions_are_answered_in_one_small_reply(bus, market, service) -> None:
    market.list_contracts(*(f"SHFE.option-number-{number}" for number in range(30_000)))
    data = await ask(bus, "subscribe", {"patterns": ["*"]})
    reply = json_of(data)
    assert len(data) < 512 * 1024
    assert (reply["accepted"], reply["truncated"]) == (30_000, True)
    assert len(market.asked[0][1]) == 30_000


async def test_unsubscribe_knows_what_is_wanted_though_no_line_carries_it(bus, market, service) -> None:
    market.homeless = frozenset({Instrument("SHFE", "rb2512")})
    reply = json_of(await ask(bus, "unsubscribe", {"patterns": ["*"]}))
    assert reply["accepted_names"] == ["SHFE.rb2512"]
    assert market.asked == [("unsubscribe", ["SHFE.rb2512"])]


async def test_unsubscribe_knows_only_what_is_wanted(bus, market, service) -> None:
    market.list_contracts("SHFE.rb2510", "SHFE.rb2601")
    market.rows["sim:primary"] = [
        Subscription(line="sim:primary", instrument="SHFE.rb2510", state=SubscriptionState.CONFIRMED)
    ]
    reply = json_of(await ask(bus, "unsubscribe", {"patterns": ["SHFE.*"], "instruments": ["SHFE.rb2601"]}))
    assert (reply["accepted_names"], reply["unknown_names"]) == (["SHFE.rb2510"], ["SHFE.rb2601"])
    assert market.asked == [("unsubscribe", ["SHFE.rb2510"])]


async def test_status_says_who_answers_and_how_it_is(bus, market, service) -> None:
    reply = json_of(await ask(bus, "status"))
    assert (reply["name"], reply["version"], reply["epoch"], reply["codec"]) == ("feedgate", "0.1.0", 1, "msgpack")
    assert reply["counters"] == {"publisher.in": 10, "publisher.out": 9, "publisher.dropped.backlog": 1}
    assert reply["lines"][0]["state"] == "streaming"


@pytest.mark.parametrize(
    ("endpoint", "payload", "said"),
    [
        ("last", b'{"pattern": ["SHFE.*"]}', "unknown field `pattern`.*its fields are: patterns, cursor, limit"),
        ("last", b'{"patterns": "SHFE.*"}', "Expected `array`, got `str` - at `\\$.patterns`"),
        ("last", b'{"patterns": []}', "patterns is empty"),
        ("last", b'{"patterns": ["rb2510"]}', "'rb2510' is not an instrument pattern; write EXCHANGE.CODE"),
        ("last", b'{"cursor": -1}', "Expected `int` >= 0"),
        ("last", b'{"limit": 0}', "Expected `int` >= 1"),
        ("last", b"\xff\xfe", "bad request"),
        ("contracts", b"[]", "Expected `object`, got `array`"),
        ("subscriptions", b'{"states": ["lost"]}', "Invalid enum value 'lost'"),
        ("subscribe", b"{}", "nothing asked for"),
        ("subscribe", b'{"instruments": ["rb2510"]}', "'rb2510' is not EXCHANGE.CODE"),
        ("unsubscribe", b'{"patterns": ["x"]}', "'x' is not an instrument pattern"),
        ("status", b'{"verbose": true}', "unknown field `verbose`.*its fields are: none"),
    ],
)
async def test_a_malformed_request_is_refused_with_what_was_wrong(bus, service, endpoint, payload, said) -> None:
    with pytest.raises(ControlError, match=said) as caught:
        await bus.request(control_subject(endpoint), payload)
    assert caught.value.fields["reply_code"] == "control"
    assert service.refused == {endpoint: 1}


async def test_what_the_desk_refuses_reaches_the_asker_with_its_code(bus, market, service) -> None:
    market.raises = LineError("no line is up; wait for the login")
    with pytest.raises(ControlError, match="no line is up; wait for the login") as caught:
        await ask(bus, "subscribe", {"instruments": ["SHFE.rb2510"]})
    assert caught.value.fields["reply_code"] == "line"


async def test_a_failing_desk_is_an_error_reply_and_the_service_goes_on(bus, market, service, caplog) -> None:
    market.raises = ZeroDivisionError("secret detail")
    with caplog.at_level(logging.CRITICAL), pytest.raises(ControlError) as caught:
        await ask(bus, "subscribe", {"instruments": ["SHFE.rb2510"]})
    assert "secret detail" not in str(caught.value)
    market.raises = None
    assert json_of(await ask(bus, "subscribe", {"instruments": ["SHFE.rb2510"]}))["accepted"] == 1
    assert (service.answered["subscribe"], service.refused["subscribe"]) == (1, 1)
