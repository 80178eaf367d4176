"""What the built-in sources share: they act out the life of a vendor connection, faults included."""

from __future__ import annotations

import asyncio
import itertools
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from random import Random

from gateway.clock import Clock
from gateway.errors import FeedgateError
from gateway.model import Instrument, LineId, LineState
from gateway.ports import TickSink
from gateway.sources.faults import TICK_FAULTS, Fault, FaultySink, die, may_die, of_kind

log = logging.getLogger(__name__)


class PlayedSource(ABC):
    """Connects, logs in, plays, is cut off, comes back: a FeedSource without a vendor.

    After a cut the subscriptions are forgotten, as a real front forgets them; whoever runs the line sends them again.
    """

    def __init__(
        self,
        line: LineId,
        clock: Clock,
        *,
        connect_ms: float = 0.0,
        login_ms: float = 0.0,
        faults: Sequence[Fault] = (),
        seed: int = 0,
    ) -> None:
        self.line = line
        self._clock = clock
        self._connect_s, self._login_s = connect_ms / 1000, login_ms / 1000
        self._faults = tuple(fault for fault in faults if not fault.lines or line.account in fault.lines)
        self._seed = seed
        self._sink: TickSink | None = None
        self._stage: FaultySink | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._playing: asyncio.Timeout | None = None

    @property
    def sink(self) -> TickSink:
        """Where the source delivers: the line's sink, behind the tick faults if there are any."""
        if self._sink is None:
            raise RuntimeError("the source was not started")
        return self._sink

    async def start(self, sink: TickSink) -> None:
        """Begin to connect and return."""
        if self._task is not None or self._closed:
            raise RuntimeError("a source is started once")
        self._sink = sink
        if any(fault.kind in TICK_FAULTS for fault in self._faults):
            self._stage = self._sink = FaultySink(sink, self._faults, Random(f"{self._seed}:{self.line}"))
        self._task = asyncio.create_task(self._guard(), name=f"{self.line} source")

    async def aclose(self) -> None:
        """Stop playing. Nothing reaches the sink afterwards."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._stage is not None:
            self._stage.close()
        await self._release()

    def cut(self) -> None:
        """The front closes the connection and takes a new one at once. While it plays, and after planned outages."""
        if self._playing is not None:
            self._playing.reschedule(asyncio.get_running_loop().time())

    async def _guard(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                timers = [group.create_task(self._silence(fault)) for fault in of_kind(self._faults, "silence")]
                timers += [group.create_task(self._death(fault)) for fault in of_kind(self._faults, "death")]
                await self._life(asyncio.get_running_loop().time())
        except* FeedgateError as errors:
            first = errors.exceptions[0]
            self.sink.state(LineState.LOST, str(first))
        except* Exception as errors:
            log.exception("%s: the source failed", self.line)
            self.sink.state(LineState.LOST, f"the source failed: {errors.exceptions[0]!r}")

    async def _life(self, born: float) -> None:
        sink = self.sink
        for outage in itertools.chain(of_kind(self._faults, "disconnect", "storm"), itertools.repeat(None)):
            sink.state(LineState.CONNECTING)
            await self._prepare()
            await asyncio.sleep(self._connect_s)
            sink.state(LineState.CONNECTED)
            await asyncio.sleep(self._login_s)
            for refusal in of_kind(self._faults, "refuse_login"):
                sink.state(LineState.REFUSED, refusal.reason)
                return
            sink.state(LineState.LOGGED_IN)
            if outage is None:
                if not await self._played_until_cut():
                    return
                continue
            try:
                async with asyncio.timeout_at(born + outage.at_s):
                    await self._play()
                    await asyncio.Event().wait()
            except TimeoutError:
                self._forget()
            await self._cut(outage)

    async def _played_until_cut(self) -> bool:
        """Whether the connection was cut, and did not come to its end."""
        try:
            async with asyncio.timeout(None) as self._playing:
                await self._play()
        except TimeoutError:
            self._forget()
            self.sink.state(LineState.LOST, "the connection was cut")
            return True
        finally:
            self._playing = None
        return False

    async def _cut(self, outage: Fault) -> None:
        """The front closes the connection; in a storm it says so again and again."""
        sink, reason = self.sink, f"the fault {outage.kind} cut the connection"
        sink.state(LineState.LOST, reason)
        if outage.kind == "disconnect":
            await asyncio.sleep(outage.for_s)
            return
        loop = asyncio.get_running_loop()
        begun, told = loop.time(), 1
        total = max(1, int(outage.per_second * outage.for_s))
        while told < total:
            await asyncio.sleep(0.001)
            due = min(total, int((loop.time() - begun) * outage.per_second))
            while told < due:
                sink.state(LineState.LOST, reason)
                told += 1

    async def _silence(self, fault: Fault) -> None:
        if self._stage is None:
            return
        await asyncio.sleep(fault.at_s)
        self._stage.silence(begins=True)
        await asyncio.sleep(fault.for_s)
        self._stage.silence(begins=False)

    async def _death(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at_s)
        if may_die():
            die(fault.how)
            return
        raise FeedgateError(
            f"the fault death would end the whole gateway, because {self.line} runs inside its process; "
            "run the line in a child process, or take the fault out of the feed's options"
        )

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        """Unknown contracts are refused with a reason, the others confirmed, both before this returns."""
        self._subscribe(instruments)

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Confirmed before this returns; no tick of these comes later."""
        self._unsubscribe(instruments)

    @abstractmethod
    def _subscribe(self, instruments: Sequence[Instrument]) -> None: ...

    @abstractmethod
    def _unsubscribe(self, instruments: Sequence[Instrument]) -> None: ...

    @abstractmethod
    def _forget(self) -> None:
        """Drop all subscriptions: the connection is gone."""

    @abstractmethod
    async def _prepare(self) -> None:
        """What takes time before a connection stands. Called for every connection."""

    @abstractmethod
    async def _play(self) -> None:
        """Deliver ticks until cancelled or the material ends."""

    async def _release(self) -> None:  # noqa: B027 - most sources hold nothing
        """Give back files and the like."""
