"""The gateway under test: ``python -m bench.pipeline LOAD``. Line, core, server and consumer are four processes."""

from __future__ import annotations

import asyncio

import msgspec

from bench.child import READY, load_from_arguments, say, until_stopped
from bench.control import LINE_PID, Control
from bench.feed import BenchPlugin
from bench.load import EXCHANGE, FEED, Load, code_of
from gateway import heap
from gateway.app import Gateway
from gateway.settings import BusSettings, FeedSettings, MetricsSettings, PublishSettings, Settings


def settings_for(load: Load) -> Settings:
    """Defaults wherever a default exists, so that the measured gateway is the one that people run."""
    return Settings(
        feeds={
            FEED: FeedSettings(
                kind=f"bench-{load.source}",
                options=msgspec.structs.asdict(load),
                instruments=[f"{EXCHANGE}.{code_of(0)}"],
            )
        },
        bus=BusSettings(urls=[load.nats]),
        publish=PublishSettings(form="batch" if load.form == "batch" else "tick"),
        metrics=MetricsSettings(enabled=False),
    )


async def produce(load: Load) -> None:
    """Run the gateway until the harness stops us, then print its books."""
    control = Control(load.control)
    try:
        async with Gateway(settings_for(load), plugins=[BenchPlugin()]) as gateway:
            while not control.words[LINE_PID]:  # noqa: ASYNC110 - the line's process writes the word
                await asyncio.sleep(0.01)
            heap.settle()  # as `gateway run` does
            say(READY)
            await until_stopped(control)
            say(msgspec.json.encode(gateway.balance()).decode())
    finally:
        control.close()


if __name__ == "__main__":
    asyncio.run(produce(load_from_arguments()))
