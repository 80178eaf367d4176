"""The values that travel through the gateway. No behaviour beyond what a value knows about itself.

Conventions, everywhere in Feedgate:

* prices are floats in the quote currency of the contract; a value that the exchange did not send is ``None``;
* ``trading_day`` is the exchange's trading day as an integer ``YYYYMMDD`` (night ticks carry the next one);
* ``*_ns`` are integers, nanoseconds since the Unix epoch (UTC); wall clocks are shown in Asia/Shanghai (+08:00).
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta, timezone

import msgspec

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China has kept one zone, UTC+8 without summer time, since 1991, so a fixed offset needs no tz database."""


class Instrument(msgspec.Struct, frozen=True, order=True):
    """One tradable contract: an exchange's upper-case code and the exchange's own spelling of the contract."""

    exchange: str
    code: str

    @classmethod
    def parse(cls, text: str) -> Instrument:
        """Read ``"SHFE.rb2510"``. Raises ValueError when there is no exchange or no code."""
        exchange, dot, code = text.partition(".")
        if not (exchange and dot and code):
            raise ValueError(f"{text!r} is not EXCHANGE.CODE, for example SHFE.rb2510")
        return cls(exchange, code)

    def __str__(self) -> str:
        return f"{self.exchange}.{self.code}"


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What a catalogue knows about an instrument. ``None`` means that the source does not say."""

    instrument: Instrument
    name: str = ""
    product: str = ""
    kind: str = "future"
    """``future``, ``option``, ``combination`` or ``other``."""
    multiplier: int | None = None
    price_tick: float | None = None
    expire_date: int | None = None
    """``YYYYMMDD``"""
    underlying: str = ""
    """Code of what an option is on, as its exchange spells it: ``m2605``, ``510050``."""
    strike: float | None = None
    """Strike price of an option, in the underlying's unit."""
    option_type: str = ""
    """``call``, ``put``, or empty for what is no option."""
    trading_code: str = ""
    """The speaking code of an option whose ``code`` is a mere number: ``510050C1904M02500``."""
    adjustments: int | None = None
    """How often a dividend or split changed the option's terms, and so strike and multiplier: 0 is never."""
    reference_price: float | None = None
    """What a volatility interruption (熔断) is measured from: the price of the last call auction. It changes during the
    day, so the gateway fills it in from what its lines were told last; None where the counter does not tell it."""


class LineId(msgspec.Struct, frozen=True, order=True):
    """A line is one feed × one account: ``ctp:primary``."""

    feed: str
    account: str

    @classmethod
    def parse(cls, text: str) -> LineId:
        feed, colon, account = text.partition(":")
        if not (feed and colon and account):
            raise ValueError(f"{text!r} is not FEED:ACCOUNT, for example ctp:primary")
        return cls(feed, account)

    def __str__(self) -> str:
        return f"{self.feed}:{self.account}"


class LineState(enum.StrEnum):
    """Where a line stands. CONNECTED, LOGGED_IN and REFUSED come from the source."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    """The front answered; the login is on its way (it has its own timer)."""
    LOGGED_IN = "logged_in"
    STREAMING = "streaming"
    """Logged in, and at least one tick came since."""
    REFUSED = "refused"
    """The counter refused the login. Trying again soon could lock the account, so the line waits long."""
    LOST = "lost"
    STOPPED = "stopped"

    @property
    def is_up(self) -> bool:
        """Whether subscriptions can be sent."""
        return self in (LineState.LOGGED_IN, LineState.STREAMING)


class Tick(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """One market snapshot, with its provenance. The order of the fields *is* wire format 1: append only.

    On the wire a tick is the msgpack array ``[1, epoch, seq, recv_ns, line, account, exchange, ...]``; the leading 1
    is the format's version. The first five fields are the provenance: a source writes ``*UNPUBLISHED`` there and the
    gateway fills them, so that no source can claim another line's name.
    """

    epoch: int
    """Start of the publishing gateway, Unix milliseconds. A new epoch begins ``seq`` anew."""
    seq: int
    """1, 2, 3 … per instrument and epoch. A hole is a loss between the gateway and the consumer."""
    recv_ns: int
    """When the line's callback got it (the machine's wall clock)."""
    line: str
    """The line that delivered it, ``ctp:primary``."""
    account: str
    """Masked account, ``16***9``."""
    exchange: str
    code: str
    trading_day: int
    exchange_ns: int
    """The exchange's own time stamp."""
    last: float | None
    volume: int
    """Cumulative contracts traded in this trading day."""
    turnover: float | None
    open_interest: float | None
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    settlement: float | None
    average: float | None
    pre_settlement: float | None
    pre_close: float | None
    pre_open_interest: float | None
    upper_limit: float | None
    lower_limit: float | None
    bid_prices: tuple[float | None, ...]
    """Best first. Levels that the exchange does not send are cut off at the end: 0 to 5 of them."""
    bid_volumes: tuple[int, ...]
    ask_prices: tuple[float | None, ...]
    ask_volumes: tuple[int, ...]

    @property
    def instrument(self) -> Instrument:
        return Instrument(self.exchange, self.code)

    @property
    def exchange_time(self) -> datetime:
        """``exchange_ns`` as an aware datetime in Asia/Shanghai (microseconds; exchanges send milliseconds)."""
        seconds, ns = divmod(self.exchange_ns, 1_000_000_000)
        return datetime.fromtimestamp(seconds, SHANGHAI).replace(microsecond=ns // 1000)

    @property
    def bid(self) -> float | None:
        return self.bid_prices[0] if self.bid_prices else None

    @property
    def ask(self) -> float | None:
        return self.ask_prices[0] if self.ask_prices else None


UNPUBLISHED: tuple[int, int, int, str, str] = (0, 0, 0, "", "")
"""What a source writes into a tick's provenance."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A login at a counter. Secrets are in ``secrets`` and never in a repr, a log or a message."""

    name: str
    """``primary``, ``backup`` …"""
    user_id: str = ""
    broker_id: str = ""
    md_address: str = ""
    td_address: str = ""
    app_id: str = ""
    secrets: dict[str, str] = msgspec.field(default_factory=dict)
    """``password`` and ``auth_code``, in the clear."""

    @property
    def masked(self) -> str:
        """What may be shown: ``160219`` becomes ``16***9``; short ids lose more."""
        user = self.user_id
        if not user:
            return self.name
        return f"{user[:2]}***{user[-1]}" if len(user) > 4 else "***"  # noqa: PLR2004 - four characters

    def __repr__(self) -> str:
        return f"Account({self.name!r}, {self.masked!r})"

    __str__ = __repr__


class LineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One line as of now, for pages, terminals and ``/status``."""

    line: str
    account: str
    role: str
    """``active`` (the router prefers it), ``hot`` (delivers as well; the first copy of a tick is published) or ``cold``
    (parked until it is needed)."""
    state: LineState
    reason: str
    since_ns: int
    restarts: int
    ticks: int
    """Delivered to the core."""
    wanted: int
    pending: int
    confirmed: int
    failed: int
    published: int = 0
    """Ticks of this line that were first, and so went out."""
