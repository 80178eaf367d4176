"""Property and fuzz tests of the wire: codecs and the frames between a line and the core."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codec import (
    CODECS,
    Codec,
    decode_any,
    decode_any_batch,
    encode_market,
    encode_markets,
    split_markets,
)
from gateway.errors import WireError
from gateway.lines.frame import MESSAGE, PREFIX, TICKS, FrameSplitter, TickPacker, TickUnpacker, frame
from gateway.model import UNPUBLISHED, Instrument, Tick

EPOCH, LINE, ACCOUNT = 1_700_000_000, "ctp:primary", "16***9"
I64 = st.integers(-(1 << 63), (1 << 63) - 1)

prices = st.none() | st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=20)
ticks = st.builds(
    Tick,
    *(st.just(value) for value in UNPUBLISHED),
    words,
    words,
    trading_day=I64,
    exchange_ns=I64,
    volume=I64,
    **dict.fromkeys(
        (
            *("last", "turnover", "open_interest", "open", "high", "low", "close", "settlement", "average"),
            *("pre_settlement", "pre_close", "pre_open_interest", "upper_limit", "lower_limit"),
        ),
        prices,
    ),
    bid_prices=st.lists(prices, max_size=5).map(tuple),
    bid_volumes=st.lists(I64, max_size=5).map(tuple),
    ask_prices=st.lists(prices, max_size=5).map(tuple),
    ask_volumes=st.lists(I64, max_size=5).map(tuple),
)
seqs = st.integers(1, (1 << 32) - 1)
stamps = st.integers(0, (1 << 63) - 1)
codecs = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())


def one_tick() -> Tick:
    fields: dict[str, Any] = dict.fromkeys(Tick.__struct_fields__)
    fields |= dict(zip(Tick.__struct_fields__, UNPUBLISHED, strict=False))
    fields |= {"exchange": "SHFE", "code": "rb2510", "trading_day": 20250829, "exchange_ns": 1, "volume": 7}
    fields |= {"last": 3100.0, "bid_prices": (3099.0, None), "bid_volumes": (5, 0)}
    return Tick(**(fields | {"ask_prices": (), "ask_volumes": ()}))


def published(tick: Tick, seq: int, recv_ns: int) -> Tick:
    return msgspec.structs.replace(tick, epoch=EPOCH, seq=seq, recv_ns=recv_ns, line=LINE, account=ACCOUNT)


def payload(codec: Codec, tick: Tick, seq: int = 1, recv_ns: int = 2) -> bytes:
    return codec.origin(EPOCH, LINE, ACCOUNT).payload(seq, recv_ns, encode_market(tick))


@codecs
def test_any_tick_comes_back_with_the_gateways_provenance(codec: Codec) -> None:
    @given(ticks, seqs, stamps)
    def check(tick: Tick, seq: int, recv_ns: int) -> None:
        data = payload(codec, tick, seq, recv_ns)
        assert codec.decode(data) == published(tick, seq, recv_ns)
        assert decode_any(data) == published(tick, seq, recv_ns)

    check()


@codecs
def test_any_batch_comes_back_in_order(codec: Codec) -> None:
    @given(st.lists(ticks, max_size=4))
    def check(batch: list[Tick]) -> None:
        data = codec.batch([payload(codec, tick, seq, 9) for seq, tick in enumerate(batch, 1)])
        expected = [published(tick, seq, 9) for seq, tick in enumerate(batch, 1)]
        assert codec.decode_batch(data) == expected
        assert decode_any_batch(data) == expected

    check()


@given(ticks, words)
def test_a_source_cannot_claim_another_lines_name(tick: Tick, claim: str) -> None:
    liar = msgspec.structs.replace(tick, epoch=1, seq=2, recv_ns=3, line=claim, account=claim)
    assert encode_market(liar) == encode_market(tick)


@given(st.lists(st.tuples(ticks, st.none() | words), max_size=6))
def test_market_parts_of_a_batch_are_those_of_its_ticks_whatever_a_source_claims(
    batch: list[tuple[Tick, str | None]],
) -> None:
    sent = [
        tick if claim is None else msgspec.structs.replace(tick, seq=len(claim), line=claim, account=claim)
        for tick, claim in batch
    ]
    assert split_markets(encode_markets(sent)) == [encode_market(tick) for tick in sent]


def test_numbers_that_look_like_the_separator_between_ticks_do_not_cut_one() -> None:
    separator = encode_markets([one_tick()])[1 : -len(encode_market(one_tick()))]
    assert len(separator) == 9
    for cut in range(1, 9):
        (value,) = struct.unpack(">d", separator[:cut].rjust(8, b"\1"))
        whole = int.from_bytes(separator[:cut].rjust(8, b"\1"), "big")
        fields = {name: value for name, kind in Tick.__annotations__.items() if kind == "float | None"}
        # the rest of the separator as small numbers, in the integers that follow each other on the wire
        ints = tuple(min(byte, 0x7F) for byte in separator[cut:])
        tick = msgspec.structs.replace(
            one_tick(), **fields, volume=whole, bid_prices=(value,) * 5, bid_volumes=(whole, *ints), ask_volumes=ints
        )
        assert split_markets(encode_markets([tick, tick])) == [encode_market(tick)] * 2


def test_the_wire_format_is_what_the_documentation_says() -> None:
    row = msgspec.msgpack.decode(payload(CODECS["msgpack"], one_tick(), 5, 6))
    assert row[:8] == [1, EPOCH, 5, 6, LINE, ACCOUNT, "SHFE", "rb2510"]
    assert len(row) == len(Tick.__struct_fields__) + 1
    record = msgspec.json.decode(payload(CODECS["json"], one_tick(), 5, 6))
    assert list(record) == ["v", *Tick.__struct_fields__]
    assert record["v"] == 1


def test_fields_appended_by_a_later_gateway_are_skipped() -> None:
    data = payload(CODECS["msgpack"], one_tick())
    longer = b"\xdc" + struct.pack(">H", len(Tick.__struct_fields__) + 2) + data[3:] + b"\xa3new"
    assert CODECS["msgpack"].decode(longer) == published(one_tick(), 1, 2)


def test_another_version_is_refused() -> None:
    data = payload(CODECS["msgpack"], one_tick())
    with pytest.raises(WireError):
        CODECS["msgpack"].decode(data[:3] + b"\x02" + data[4:])
    text = payload(CODECS["json"], one_tick())
    for version in (b'"v":2', b'"v":true', b'"v":1.5', b'"v":null', b'"w":1'):
        with pytest.raises(WireError, match="wire format 1"):
            CODECS["json"].decode(text.replace(b'"v":1', version))


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with some of them replaced, cut out or doubled."""
    places = st.integers(0, len(data))
    edits = st.lists(st.tuples(places, places, st.binary(max_size=6)), min_size=1, max_size=4)

    def apply(edit: list[tuple[int, int, bytes]]) -> bytes:
        result = data
        for one, two, insert in edit:
            result = result[: min(one, two)] + insert + result[min(max(one, two), min(one, two) + 6) :]
        return result

    return edits.map(apply)


def only_wire_errors(read: Callable[[bytes], object], data: bytes) -> None:
    with suppress(WireError):
        read(data)


DECODERS: list[Callable[[bytes], object]] = [
    decode_any,
    decode_any_batch,
    *(getattr(codec, name) for codec in CODECS.values() for name in ("decode", "decode_batch")),
]


@given(st.binary(max_size=200))
@example(b"")
@example(b"{}")
@example(b"[[]]")
@example(b'{"v":[]}')
@example(b'[{"v":1}]')
@example(b'"\\ud800"')
@example(b"[1" + b"0" * 5000 + b"]")
@example(b"[" * 100_000)
@example(b'{"v":' * 100_000)
@example(b"\x91" * 100_000)
@example(b"\xdd\xff\xff\xff\xff")
def test_any_bytes_are_refused_as_wire_errors_and_nothing_else(data: bytes) -> None:
    for decode in DECODERS:
        only_wire_errors(decode, data)


@codecs
def test_damaged_ticks_are_refused_or_read_but_never_crash(codec: Codec) -> None:
    good = payload(codec, one_tick())

    @given(damaged(good))
    def check(data: bytes) -> None:
        for decode in DECODERS:
            only_wire_errors(decode, data)

    check()


def test_a_later_field_that_nests_too_deep_is_a_wire_error() -> None:
    data = payload(CODECS["msgpack"], one_tick())
    head = b"\xdc" + struct.pack(">H", len(Tick.__struct_fields__) + 2)
    with pytest.raises(WireError):
        CODECS["msgpack"].decode(head + data[3:] + b"\x91" * 200_000 + b"\x01")
    text = payload(CODECS["json"], one_tick())
    with pytest.raises(WireError):
        CODECS["json"].decode(text[:-1] + b',"new":' + b"[" * 100_000)


# -- frames between a line's process and the core ------------------------------------------------------------


def slot(exchange: str, code: str) -> Instrument:
    return Instrument(exchange, code)


batches = st.lists(st.lists(st.tuples(ticks, stamps), max_size=6), max_size=4)


@given(batches)
def test_any_batches_cross_the_socket_unchanged(sent: list[list[tuple[Tick, int]]]) -> None:
    packer, unpacker = TickPacker(), TickUnpacker(slot)
    for batch in sent:
        body = packer.pack([tick for tick, _ in batch], [received for _, received in batch])
        assert unpacker.unpack(body) == [
            (tick.instrument, tick.trading_day, tick.exchange_ns, tick.volume, received, encode_market(tick))
            for tick, received in batch
        ]


@given(st.lists(st.tuples(st.sampled_from([TICKS, MESSAGE]), st.binary(max_size=50)), max_size=8), st.data())
def test_frames_come_out_whole_however_the_stream_is_cut(frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(frame(kind, body) for kind, body in frames)
    got: list[tuple[int, bytes]] = []
    splitter = FrameSplitter(lambda kind, body: got.append((kind, body)))
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        splitter.feed(stream[:size])
        stream = stream[size:]
    assert got == frames


def test_a_torn_frame_waits_for_its_rest() -> None:
    got: list[bytes] = []
    splitter = FrameSplitter(lambda _kind, body: got.append(body))
    splitter.feed(frame(MESSAGE, b"whole") + frame(MESSAGE, b"torn")[:-1])
    assert got == [b"whole"]
    splitter.feed(b"n")
    assert got == [b"whole", b"torn"]


@pytest.mark.parametrize("prefix", [PREFIX.pack(0, TICKS), PREFIX.pack((64 << 20) + 1, TICKS), PREFIX.pack(5, 9)])
def test_a_stream_that_cannot_be_ours_is_refused(prefix: bytes) -> None:
    with pytest.raises(WireError, match="a line sent a frame of kind"):
        FrameSplitter(lambda _kind, _body: None).feed(prefix)


BODY = TickPacker().pack([one_tick(), one_tick()], [1, 2])


def unpack(body: bytes) -> object:
    return TickUnpacker(slot).unpack(body)


@given(st.binary(max_size=150) | damaged(BODY))
def test_any_tick_body_is_read_or_refused_as_a_wire_error(body: bytes) -> None:
    only_wire_errors(unpack, body)


@given(st.binary(max_size=150) | damaged(frame(TICKS, BODY)))
def test_any_stream_is_read_or_refused_as_a_wire_error(stream: bytes) -> None:
    splitter = FrameSplitter(lambda kind, body: only_wire_errors(unpack, body) if kind == TICKS else None)
    only_wire_errors(splitter.feed, stream)


def test_every_cut_of_a_tick_body_is_refused() -> None:
    for size in range(len(BODY)):
        with pytest.raises(WireError, match="torn tick frame"):
            unpack(BODY[:size])


@pytest.mark.parametrize(
    ("new", "columns", "market"),
    [
        ([("X", "a")], ([0, 7], [1, 1], [1, 1], [1, 1], [1, 1]), [one_tick()] * 2),
        ([("X", "a")], ([-1, 0], [1, 1], [1, 1], [1, 1], [1, 1]), [one_tick()] * 2),
        ([("X", "a")], ([0], [1], [1], [1], [1]), [one_tick()] * 2),
        ([("X", "a")], ([0, 0], [1, 1], [1], [1, 1], [1, 1]), [one_tick()] * 2),
        ([("X", "a")], ([0], ["1"], [1], [1], [1]), [one_tick()]),
        ([("X", 1)], ([0], [1], [1], [1], [1]), [one_tick()]),
        ([("X", "a")], ([0], [1], [1], [1], [1]), []),
    ],
    ids=["unknown index", "negative index", "too few", "uneven", "no number", "no name", "no ticks"],
)
def test_columns_that_contradict_the_ticks_are_refused(
    new: object, columns: tuple[object, ...], market: list[Tick]
) -> None:
    head, tail = msgspec.msgpack.encode([new, *columns]), encode_markets(market)
    with pytest.raises(WireError, match="torn tick frame"):
        unpack(struct.pack("<II", len(head), len(tail)) + head + tail)


def test_a_tick_without_bytes_is_refused() -> None:
    head, tail = msgspec.msgpack.encode([[("X", "a")], [0], [1], [1], [1], [1]]), encode_markets([one_tick()])
    tail = tail[: -len(encode_market(one_tick()))]
    with pytest.raises(WireError, match="a tick without bytes"):
        unpack(struct.pack("<II", len(head), len(tail)) + head + tail)


def test_a_body_with_badly_encoded_names_is_refused() -> None:
    head = msgspec.msgpack.encode([[("X", "a")], [], [], [], [], []]).replace(b"\xa1a", b"\xa1\xff")
    with pytest.raises(WireError, match="torn tick frame"):
        unpack(struct.pack("<II", len(head), 0) + head)
