"""A consumer in a process of its own: writes each tick's ``epoch seq volume line instrument`` and each loss to a file.

python -m tests.day.consumer nats://127.0.0.1:4222 ticks.txt
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from gateway.client import Loss, connect


async def consume(url: str, path: Path) -> None:
    """Until SIGTERM."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with path.open("w", buffering=1) as out:

        def lost(loss: Loss) -> None:
            print("lost", loss, file=out)

        async with connect(url, name="feedgate") as client, client.ticks("*", on_loss=lost) as ticks:
            print("connected", file=out)
            try:
                async for tick in ticks:
                    print("tick", tick.epoch, tick.seq, tick.volume, tick.line, tick.instrument, file=out)
            finally:
                print("connections", client._bus.connection, file=out)


if __name__ == "__main__":
    try:
        asyncio.run(consume(sys.argv[1], Path(sys.argv[2])))
    except asyncio.CancelledError:
        sys.exit(0)
