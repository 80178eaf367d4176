"""The gateway's answers to requests over the bus, and what the service needs to know from the gateway for them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from gateway.control.answers import Answers
from gateway.control.orders import Orders
from gateway.control.paging import PAGE_BYTES
from gateway.subjects import control_subject

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from gateway.control.events import Switch
    from gateway.control.figures import Figures
    from gateway.control.messages.catalogue import Reloaded
    from gateway.control.messages.market import Subscription
    from gateway.control.messages.orders import Rotated
    from gateway.control.messages.reports import FeedStatus, LedgerStatus
    from gateway.flow.coverage import Coverage
    from gateway.flow.gaphistory import GapDay
    from gateway.model import Contract, Instrument, LineStatus
    from gateway.ports import Bus, Handler


class Desk(Protocol):
    """What the control service needs from the gateway. Called on the loop; only coroutines may wait."""

    @property
    def epoch(self) -> int:
        """Start of this gateway, Unix milliseconds; later than that of every gateway before it."""

    @property
    def version(self) -> str:
        """Of the gateway: ``0.1.0``."""

    @property
    def codec(self) -> str:
        """Name of the codec of ``last``'s payloads: ``msgpack`` or ``json``."""

    def last(self, wanted: Callable[[str], bool], start: int) -> Iterable[tuple[int, bytes]]:
        """``(position, payload)`` of the last published tick of each instrument whose name is ``wanted``.

        In order of position, from ``start`` on. A position belongs to one instrument for the whole epoch (the
        order in which instruments were first seen will do). Not always read to its end. What
        was posted to the bus before the call must be in it: so snapshot and stream meet without a hole.
        """

    def contracts(self, feed: str | None = None) -> Sequence[Contract]:
        """The catalogue, of one feed or of all; empty when there is none."""

    def lines(self) -> Sequence[LineStatus]:
        """All lines as of now, in a steady order."""

    def subscriptions(self, line: str) -> Iterable[Subscription]:
        """Every wanted instrument of one line of :meth:`lines`, in a steady order."""

    def wanted(self) -> Collection[Instrument]:
        """What any feed is asked to carry, also where no line has room for it or none is logged in."""

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        """Want these from now on. Returns when they are taken over, not when they are confirmed."""

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Want these no longer."""

    def counters(self) -> Mapping[str, int | float]:
        """In, out and dropped by stop, and whatever else counts; flat, dotted names."""

    @property
    def events_dropped(self) -> int:
        """Events that did not reach the bus since the gateway started; never falls."""

    def feeds(self) -> Sequence[FeedStatus]:
        """All feeds as of now, in the order of the settings. Names are unique; ``lines`` belong to these feeds."""

    def ledger(self) -> LedgerStatus:
        """Whether gaps reach the disk, as of now. Must not touch the disk."""

    def warnings(self) -> Sequence[str]:
        """What somebody should look at, worst first, one sentence each; empty when all is well.

        States, not history: a line that is down, a degraded ledger, contracts without a place, no second line. A
        warning goes away with its cause.
        """

    def coverage(self) -> Sequence[Coverage]:
        """Each of :meth:`feeds`, in the same order, counted now (one pass over what is wanted)."""

    def switches(self, feed: str) -> Sequence[Switch]:
        """The last switches of one of :meth:`feeds`, done and failed, automatic and commanded; in any order."""

    async def gaps(self, date: int | None, feed: str | None) -> GapDay:
        """The gaps of a trading day (``YYYYMMDD``; None: the latest one known) of one feed or of all (None).

        As ``flow.gaphistory.read_day``, off the loop; what the ledger has noticed until now is in it, unless the disk
        refuses it. Any feed may be asked for, also one that is no longer in the settings. Raises LedgerError.
        """

    async def failover(self, feed: str, to: str | None, reason: str, operator: str) -> Switch:
        """Leave the preferred line, for ``to`` or for the next one in the router's order; returns when that is over.

        ``feed`` is one of :meth:`feeds`; ``to`` is None or one of its :meth:`lines` (by name, ``ctp:backup``);
        ``reason`` is one line of text, not blank; ``operator`` says who asks and may be empty (the event's ``reason``
        names both). Returns the Switch event as it is published and kept in :meth:`switches`: one that failed has
        ``ok`` False and ``error``. Takes at most about 20 s. Raises SwitchRefusedError (code ``busy``) while another
        switch of the feed runs. It goes on when the asker stops to wait.
        """

    async def failback(self, feed: str, reason: str, operator: str) -> Switch:
        """Back to the first line of the feed's settings. Otherwise as :meth:`failover`."""

    async def require_failover(self, feed: str, reason: str, value: float) -> None:
        """``feed_failover_required`` of a feed is ``value`` now; returns at once.

        Above 0: leave the preferred line at the next look, if there is another one and the cooldown allows; until
        then FeedStatus says ``failover_required``, and ``reason`` is not blank. Asking again replaces the reason. 0:
        the wish is taken back if it has not been carried out (else nothing happens); ``reason`` may be empty.
        """

    async def restart_line(self, line: str, reason: str) -> None:
        """End one line in an orderly way and start it anew; returns when that is under way, not when it is up.

        ``line`` is a name of :meth:`lines`. A restart that was ordered is no failure of the line: it does not count
        towards a failover. Raises ControlError for an unknown line.
        """

    async def rotate(self, line: str, references: Mapping[str, str], reason: str) -> Rotated:
        """As ``control.rotation.Rotation.rotate``; ``references`` are of the right form. Raises ControlError."""

    async def reload_catalogue(self, feed: str, *, min_share: float, accept_smaller: bool) -> Reloaded:
        """As ``control.reloading.Reloading.reload``; ``feed`` is one of :meth:`feeds`. Raises ControlError."""


class ControlService:
    """Serves ``md.ctl.<name>.*`` from a Desk. Ends with the bus, so it has nothing to close."""

    def __init__(
        self, bus: Bus, desk: Desk, name: str, *, figures: Callable[[], Figures], page_bytes: int = PAGE_BYTES
    ) -> None:
        """``figures`` is called on the loop, at each such request."""
        self._bus = bus
        self._desk = desk
        self._name = name
        self._figures = figures
        self._page_bytes = page_bytes
        self.answered: Counter[str] = Counter()
        """Requests answered, by endpoint."""
        self.refused: Counter[str] = Counter()
        """Requests refused or failed, by endpoint."""

    async def start(self) -> None:
        """Begin to answer. Raises what ``Bus.serve`` raises."""
        await self._bus.serve(self._name, self._desk.version, self.endpoints())

    def endpoints(self) -> dict[str, Handler]:
        """Subject → handler, for a bus or for a direct call. Handlers raise ControlError."""
        answers = (
            Answers(self._desk, self._name, self._figures, self._page_bytes).handlers() | Orders(self._desk).handlers()
        )
        return {control_subject(end, self._name): self._counted(end, do) for end, do in answers.items()}

    def _counted(self, endpoint: str, answer: Handler) -> Handler:
        async def handle(payload: bytes) -> bytes:
            try:
                reply = await answer(payload)
            except Exception:
                self.refused[endpoint] += 1
                raise  # the bus turns it into an error reply
            self.answered[endpoint] += 1
            return reply

        return handle
