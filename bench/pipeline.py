"""The gateway under test: ``python -m bench.pipeline LOAD``. Each line, core, server and consumer are own processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from bench.child import READY, load_from_arguments, say, stopped
from bench.control import LINE_PID, PEER, SETTLED_NS, Control
from bench.feed import BenchPlugin
from bench.load import EXCHANGE, FEED, PAIR_ACCOUNTS, PAIR_FEED, Load, code_of
from gateway import heap
from gateway.app import Gateway
from gateway.clock import SystemClock
from gateway.flow.balance import Balance
from gateway.settings import (
    AccountSettings,
    BusSettings,
    FeedSettings,
    LineSettings,
    MetricsSettings,
    PublishSettings,
    Settings,
)

LOOK_S = 0.01
REST_S = 2.0
"""Longest wait for the last confirmation of the bus, before the books are read."""


def settings_for(load: Load) -> Settings:
    """Defaults wherever a default exists, so that the measured gateway is the one that people run."""
    feed = FeedSettings(
        kind=f"bench-{load.source}",
        options=msgspec.structs.asdict(load),
        instruments=[f"{EXCHANGE}.{code_of(0)}"],
    )
    if load.lines > 1:
        accounts = {name: AccountSettings(options={"place": place}) for place, name in enumerate(PAIR_ACCOUNTS)}
        feed = feed.model_copy(update={"accounts": accounts})
    return Settings(
        feeds={PAIR_FEED if load.lines > 1 else FEED: feed},
        bus=BusSettings(urls=[load.nats]),
        lines=LineSettings() if load.linger_ms is None else LineSettings(linger_ms=load.linger_ms),
        publish=PublishSettings(form="batch" if load.form == "batch" else "tick"),
        metrics=MetricsSettings(enabled=False),
    )


def is_settled(balance: Balance, load: Load) -> bool:
    """Whether all lines brought everything and every copy is dropped, wherever."""
    return balance.received >= load.goal * load.lines and balance.total_dropped >= load.goal * (load.lines - 1)


async def until(true: Callable[[], bool]) -> None:
    """Look again and again: what changes, changes in other processes."""
    while not true():  # noqa: ASYNC110 - as said
        await asyncio.sleep(LOOK_S)


async def produce(load: Load) -> None:
    """Run the gateway until the harness stops us, then print its books."""
    control = Control(load.control)
    words = control.words
    try:
        async with Gateway(settings_for(load), plugins=[BenchPlugin()]) as gateway:
            await until(lambda: all(words[LINE_PID + PEER * place] for place in range(load.lines)))
            heap.settle()  # as `gateway run` does
            say(READY)
            if load.lines > 1:
                await until(lambda: stopped(control) or is_settled(gateway.balance(), load))
                words[SETTLED_NS] = 0 if stopped(control) else SystemClock.wall_ns()
            await until(lambda: stopped(control))
            with suppress(TimeoutError):
                async with asyncio.timeout(REST_S):
                    await until(lambda: not gateway.balance().in_flight)
            say(msgspec.json.encode(gateway.balance()).decode())
    finally:
        control.close()


if __name__ == "__main__":
    asyncio.run(produce(load_from_arguments()))
