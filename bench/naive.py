"""The design that one writes first, as a yardstick: ``python -m bench.naive LOAD``.

Everything in one process: the callback reads the fields through the getters into a dict, wakes the loop for each tick
with ``call_soon_threadsafe``, and the loop publishes each tick as a JSON message with nats-py.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nats

from bench.child import READY, load_from_arguments, say, until_stopped
from bench.control import Control
from bench.load import Load
from bench.vendor import module_of, start_feeder

FIELDS = (
    "TradingDay", "ExchangeID", "InstrumentID", "LastPrice", "PreSettlementPrice", "PreClosePrice",
    "PreOpenInterest", "OpenPrice", "HighestPrice", "LowestPrice", "Volume", "Turnover", "OpenInterest",
    "ClosePrice", "SettlementPrice", "UpperLimitPrice", "LowerLimitPrice", "UpdateTime", "UpdateMillisec",
    "AveragePrice", "ActionDay",
    *(f"{name}{level}" for level in range(1, 6) for name in ("BidPrice", "BidVolume", "AskPrice", "AskVolume")),
)  # fmt: skip
"""What our own tick carries, no more."""


def spi_class(module: Any, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[dict[str, Any]]) -> Any:
    """An SPI like those in tutorials."""

    class NaiveSpi(module.CThostFtdcMdSpi):  # type: ignore[misc]  # a vendor's class, untyped
        def OnRtnDepthMarketData(self, field: Any) -> None:  # noqa: N802 - the vendor's name
            row = {name: getattr(field, name) for name in FIELDS}
            loop.call_soon_threadsafe(queue.put_nowait, row)

    return NaiveSpi


async def produce(load: Load) -> None:
    """Publish until the harness stops us."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    client = await nats.connect(load.nats)
    spi = spi_class(module_of(load), asyncio.get_running_loop(), queue)()
    feeder = start_feeder(spi, load)
    control = Control(load.control)

    async def publish() -> None:
        while True:
            row = await queue.get()
            await client.publish(f"naive.tick.{row['ExchangeID']}.{row['InstrumentID']}", json.dumps(row).encode())

    task = asyncio.create_task(publish())
    try:
        say(READY)
        await until_stopped(control)
    finally:
        await asyncio.to_thread(feeder.stop)
        task.cancel()
        await client.close()
        control.close()


if __name__ == "__main__":
    asyncio.run(produce(load_from_arguments()))
