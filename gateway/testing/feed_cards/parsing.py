"""Cards of bad records and of ``parse``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from gateway.model import Tick
from gateway.testing.cards import CardFailed, NotApplicable, card, expect
from gateway.testing.counter import Counter
from gateway.testing.rig import Rig
from gateway.testing.sink import Parse
from gateway.testing.tick_values import problems_of

_ROUNDS: Final = 4
_SPLITS: Final = 20
_MUTANTS: Final = 300
Entry = tuple[int, bytes]


@card(
    "FEED-18",
    "A record that cannot be a tick is a counted reject, and the next good one comes",
    needs=("login", "ticks", "send_bad"),
    fix="catch what your decoder raises and call sink.reject(a short word), or parse's reject",
)
async def _rejects(make: Callable[[], Counter]) -> None:
    async with make() as counter, Rig(counter) as rig:
        await rig.log_in()
        await rig.subscribe(*rig.pair)
        await rig.tick(rig.pair[0])
        good = len(rig.sink.ticks)
        await counter.send_bad()

        def counted() -> bool:
            more = len(rig.sink.ticks) > good and not counter.streams
            return more or rig.sink.rejects.total() > 0

        await rig.come(counted, "a reject")
        expect(rig.sink.rejects.total(), "a record that cannot be a tick became one")
        await rig.tick(rig.pair[0])


@card(
    "FEED-19",
    "parse() is pure: the same records give the same ticks, however the batch is cut",
    needs=("login", "ticks"),
    fix="keep no state between calls of parse(): the gateway asks again, record by record, after a reject",
)
async def _pure(make: Callable[[], Counter]) -> None:
    async with make() as counter, Rig(counter) as rig:
        parse, records = await _records(rig)
        whole = _parsed(parse, records)
        dice = Random(1)  # noqa: S311 - the same cuts in every run
        for _ in range(_SPLITS):
            cuts = sorted(dice.sample(range(1, len(records)), min(3, len(records) - 1)))
            parts = [records[a:b] for a, b in zip([0, *cuts], [*cuts, len(records)], strict=True)]
            pieces = [tick for part in parts for tick in _parsed(parse, part)]
            expect(pieces == whole, f"cut at {cuts}, {len(records)} records give other ticks than in one batch")
        singly = [tick for record in records for tick in _parsed(parse, [record])]
        expect(singly == whole, f"one at a time, {len(records)} records give other ticks than in one batch")
        expect(_parsed(parse, records) == whole, f"asked again, the same {len(records)} records give other ticks")


@card(
    "FEED-20",
    "parse() raises for no bytes whatever: each record is one tick or one reject",
    needs=("login", "ticks"),
    fix="check the length first, catch what decoding raises, and call reject exactly once for a record left out",
)
async def _swallows_garbage(make: Callable[[], Counter]) -> None:
    async with make() as counter, Rig(counter) as rig:
        parse, records = await _records(rig)
        mutants = [(1, data) for data in _mutants([data for _, data in records])]
        for entry in mutants:
            _accounted(parse, [entry])
        _accounted(parse, [*records, *mutants])


async def _records(rig: Rig) -> tuple[Parse, Sequence[Entry]]:
    await rig.log_in()
    await rig.subscribe(*rig.pair)
    for _ in range(_ROUNDS):
        for instrument in rig.pair:
            await rig.tick(instrument)
    if rig.sink.parse is None or not rig.sink.records:
        raise NotApplicable("no capability parse: its source hands over finished ticks")
    return rig.sink.parse, list(rig.sink.records)


def _parsed(parse: Parse, records: Sequence[Entry]) -> list[Tick]:
    return list(parse(records, lambda _reason: None))


def _mutants(good: Sequence[bytes]) -> Sequence[bytes]:
    dice = Random(2)  # noqa: S311 - the same garbage in every run
    made = [b"", b"\0", b"\xff" * 7]
    for number in range(_MUTANTS):
        data = bytearray(good[number % len(good)])
        if number % 3 == 0:
            del data[dice.randrange(len(data)) :]
        elif number % 3 == 1:
            for _ in range(dice.randint(1, 8)):
                data[dice.randrange(len(data))] = dice.randrange(256)
        else:
            data = bytearray(dice.randbytes(len(data)))
        made.append(bytes(data))
    return made


def _accounted(parse: Parse, records: Sequence[Entry]) -> None:
    reasons: list[str] = []
    try:
        ticks = parse(records, reasons.append)
    except Exception as error:
        shown = records[0][1][:16].hex() if len(records) == 1 else f"{len(records)} records"
        raise CardFailed(f"parse() raised {type(error).__name__} ({error}) for {shown}") from error
    count = len(ticks) + len(reasons)
    expect(count == len(records), f"{len(records)} records became {len(ticks)} ticks and {len(reasons)} rejects")
    for tick in ticks:
        wrong = next(problems_of(tick), "")
        expect(not wrong, f"a damaged record became a tick with {wrong}")


CARDS = (_rejects, _pure, _swallows_garbage)
