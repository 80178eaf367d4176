"""The feed plugin of the bench: kinds ``bench-native`` and ``bench-sim``, a line whose ticks a feeder offers.

Callback, struct copy and parse are those of the CTP plugin; only login and subscription are missing, as there is no
front. The native kind runs in a child process, as every native line does; so does ``bench-sim``, by setting.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.control import LINE_PID, PEER, Control
from bench.load import Load
from bench.vendor import Stoppable, environment, module_of, start_feeder, use_ctp_plugin
from gateway.hookspecs import FeedKind, hookimpl
from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.ports import TickSink


class BenchSource:
    """A ParsingSource that is logged in at once; its ticks begin when the control block says so."""

    def __init__(self, load: Load) -> None:
        use_ctp_plugin()
        from gateway_ctp.parse import Parser  # noqa: PLC0415 - on the path only now

        self._load = load
        self._parser = Parser()
        self._feeder: Stoppable | None = None
        self._sink: TickSink | None = None

    async def start(self, sink: TickSink) -> None:
        """Load the library, make the SPI, let the feeder wait."""
        self._sink = sink
        self._feeder = await asyncio.to_thread(self._begin, sink)
        sink.state(LineState.CONNECTED)
        sink.state(LineState.LOGGED_IN)

    def _begin(self, sink: TickSink) -> Stoppable:
        from gateway_ctp.spi import Callbacks, make_spi  # noqa: PLC0415 - on the path only now

        if self._load.source == "sim":
            return start_feeder(Callbacks(sink), self._load)
        return start_feeder(make_spi(sink, module_of(self._load)), self._load)

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        """Confirm, and tell the harness that the core uses this line now."""
        if self._sink is not None:
            self._sink.confirmed(instruments)
        control = Control(self._load.control)
        control.words[LINE_PID + PEER * self._load.place] = os.getpid()
        control.close()

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Confirm."""
        if self._sink is not None:
            self._sink.unsubscribed(instruments)

    def parse(self, records: Sequence[tuple[int, bytes]], reject: Callable[[str], None]) -> Sequence[Tick]:
        """The CTP plugin's."""
        return self._parser.parse(records, reject)

    async def aclose(self) -> None:
        """Stop the feeder."""
        feeder, self._feeder = self._feeder, None
        if feeder is not None:
            await asyncio.to_thread(feeder.stop)


def build(_account: Account, _line: LineId, options: Mapping[str, Any]) -> BenchSource:
    """The factory of both kinds; options are the fields of a Load."""
    return BenchSource(Load.of(options))


def _environment(options: Mapping[str, Any]) -> Mapping[str, str]:
    return environment(Load.of(options))


class BenchPlugin:
    """Registers the kinds."""

    @hookimpl
    def gateway_feeds(self) -> Sequence[FeedKind]:
        names = frozenset(Load.__struct_fields__)
        return [
            FeedKind(
                name=f"bench-{source}",
                factory=build,
                native=True,
                options=names,
                needs_account=False,
                environment=_environment,
                sessions="always",
            )
            for source in ("native", "sim")
        ]
