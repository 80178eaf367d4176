"""The settings themselves: plain values, the same whether a file, a variable or a program wrote them.

Names that end in ``_s`` are seconds, in ``_ms`` milliseconds. The descriptions are the text of ``docs/settings.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, SecretStr

from gateway.model import Account
from gateway.settings.fields import (
    Count,
    FilePath,
    Filled,
    FilledSecret,
    Front,
    Host,
    Milliseconds,
    NatsUrl,
    Options,
    Pattern,
    Port,
    Rate,
    Retries,
    Seconds,
    Token,
    Word,
)
from gateway.settings.log import LogSettings
from gateway.settings.oversight import CalendarSettings, FailoverSettings, LedgerSettings, WatchSettings
from gateway.settings.section import Section

DEFAULT_ACCOUNT = "primary"
_BURST = 400


class AccountSettings(Section):
    """A login at a counter. Kinds without login (``sim``, ``replay``) leave everything empty."""

    user_id: Filled = Field(default="", description="User (investor) id at the counter")
    broker_id: Filled = Field(default="", description="Broker id")
    md_address: Front = Field(default="", description="Market-data front, tcp://HOST:PORT")
    td_address: Front = Field(
        default="", description="Trader front, for the contract list; only with app_id and auth_code"
    )
    app_id: Filled = Field(default="", description="AppID of the trader login")
    password: FilledSecret = Field(default=SecretStr(""), description="Password (secret)")
    auth_code: FilledSecret = Field(default=SecretStr(""), description="AuthCode of the trader login (secret)")
    options: Options = Field(default_factory=dict, description="Options of this line; they win over the feed's")

    def account(self, name: str) -> Account:
        """The value that feed sources get. ``secrets`` always has ``password`` and ``auth_code``, maybe empty."""
        return Account(
            name=name,
            user_id=self.user_id,
            broker_id=self.broker_id,
            md_address=self.md_address,
            td_address=self.td_address,
            app_id=self.app_id,
            secrets={
                "password": self.password.get_secret_value(),
                "auth_code": self.auth_code.get_secret_value(),
            },
        )


class CatalogueSettings(Section):
    """Where a feed's contract list comes from."""

    kind: Word = Field(description="Kind of contract list, as a plugin names it")
    options: Options = Field(default_factory=dict, description="Options of the contract list")


class FeedSettings(Section):
    """One feed: a market seen through one or more accounts, a line each."""

    kind: Word | None = Field(
        default=None, description="Kind of feed, as a plugin names it; unset: the feed's own name"
    )
    options: Options = Field(default_factory=dict, description="Options of the feed's kind")
    instruments: list[Pattern] = Field(
        default_factory=lambda: ["*"], description="Patterns of wanted contracts, EXCHANGE.CODE globs"
    )
    exclude: list[Pattern] = Field(default_factory=list, description="Patterns of contracts to leave out")
    catalogue: CatalogueSettings | None = Field(default=None, description="Contract list; unset: what the kind brings")
    host: Literal["auto", "child", "inline"] = Field(
        default="auto", description="Where a line runs: child process, inline, or auto (native code in a child)"
    )
    router: Word = Field(
        default="all_hot", description="Policy that says what each line carries and which is called active"
    )
    sessions: Literal["calendar", "always"] | None = Field(
        default=None, description="Trading hours: by the calendar, or always open; unset: what the feed's kind says"
    )
    reorder_ms: Milliseconds = Field(
        default=0.0, description="Ticks wait this long for a slower line to fill what a faster one lost; 0: no waiting"
    )
    accounts: dict[Word, AccountSettings] = Field(
        default_factory=lambda: {DEFAULT_ACCOUNT: AccountSettings()},
        min_length=1,
        description="One line each, most wanted first; unset: one account `primary`, empty",
    )

    def options_of(self, account: str) -> dict[str, Any]:
        """The options of one line: the feed's, overridden by the account's."""
        return {**self.options, **self.accounts[account].options}


class BusSettings(Section):
    """The message bus. Without ``urls`` the gateway starts and owns a nats-server."""

    kind: Literal["nats", "memory"] = Field(
        default="nats", description="nats, or memory for embedding without a server"
    )
    urls: list[NatsUrl] = Field(
        default_factory=list, description="NATS servers, comma separated; empty: a bundled server is started"
    )
    user: Filled | None = Field(default=None, description="NATS user")
    password: FilledSecret | None = Field(default=None, description="NATS password (secret)")
    token: FilledSecret | None = Field(default=None, description="NATS token (secret)")
    creds_file: FilePath | None = Field(default=None, description="NATS credentials file (JWT and seed)")
    tls_ca: FilePath | None = Field(
        default=None, description="CA certificates (PEM) for TLS; from Python 3.13 on they must have key usage"
    )
    tls_cert: FilePath | None = Field(default=None, description="Client certificate (PEM)")
    tls_key: FilePath | None = Field(default=None, description="Key of the client certificate (PEM)")
    connect_timeout_s: Seconds = Field(default=2.0, description="Limit for one connection attempt")
    bundled_host: Host = Field(default="127.0.0.1", description="Address the bundled server listens on")
    bundled_port: Port = Field(default=0, description="Port of the bundled server; 0: a free one")
    store_dir: FilePath | None = Field(
        default=None, description="Directory of the bundled server; unset: a temporary one"
    )

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        present = {field for field, value in given.items() if value not in (None, [])}
        for one, other in (("user", "password"), ("tls_cert", "tls_key")):
            if (one in present) != (other in present):
                have, lack = (one, other) if one in present else (other, one)
                yield lack, f"is missing beside {have}; set both or neither"
        logins = [field for field in ("user", "token", "creds_file") if field in present]
        if len(logins) > 1:
            yield logins[1], f"is set beside {logins[0]}; a server takes one kind of login, keep one"
        remote = sorted(present & {"user", "password", "token", "creds_file", "tls_ca", "tls_cert", "tls_key"})
        if remote and "urls" not in present:
            yield "urls", f"is missing beside {remote[0]}; name the server, or remove its login"
        urls = given.get("urls")
        if isinstance(urls, list):
            schemes = {str(url).partition(":")[0] in ("ws", "wss") for url in urls if "://" in str(url)}
            if len(schemes) > 1:
                yield "urls", "mixes ws:// or wss:// with nats:// or tls://; use one transport for all servers"


class LineSettings(Section):
    """Timers and limits of every line."""

    connect_timeout_s: Seconds = Field(
        default=5.0, description="Front must answer within; the vendor may never call back"
    )
    login_timeout_s: Seconds = Field(default=5.0, description="Login must be answered within")
    heartbeat_s: Seconds = Field(default=0.2, description="A line process gives a sign of life this often")
    hung_after_s: Seconds = Field(default=0.8, description="A silent line process counts as hung after")
    kill_after_s: Seconds = Field(default=3.0, description="A hung line process is killed after this much silence")
    start_timeout_s: Seconds = Field(default=20.0, description="A line process must be ready within")
    stop_timeout_s: Seconds = Field(default=5.0, description="A line gets this long to stop by itself")
    linger_ms: Milliseconds = Field(default=1.0, description="Wait for more ticks before a batch goes on; 0: at once")
    batch: Count = Field(default=256, description="Most ticks of one batch", json_schema_extra={"unit": "ticks"})
    queue: Count = Field(
        default=65536,
        description="Ticks held in the line process; then the oldest drop",
        json_schema_extra={"unit": "ticks"},
    )
    restart_initial_s: Seconds = Field(default=0.5, description="Pause before the first restart; doubles each time")
    restart_max_s: Seconds = Field(default=30.0, description="Longest pause between restarts")
    restart_reset_s: Seconds = Field(default=600.0, description="Time without trouble that makes the pause short again")
    storm_per_second: Count = Field(
        default=100,
        description="State callbacks that count as a storm",
        json_schema_extra={"unit": "callbacks/second"},
    )

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        yield from cls.ordered(given, "heartbeat_s", "hung_after_s")
        yield from cls.ordered(given, "hung_after_s", "kill_after_s")
        yield from cls.ordered(given, "batch", "queue")
        yield from cls.ordered(given, "restart_initial_s", "restart_max_s")


def _burst(validated: Mapping[str, Any]) -> int:
    return max(_BURST, int(validated.get("batch_size", _BURST)))


class SubscriptionSettings(Section):
    """How fast a line asks for contracts, and how it gets over refusals."""

    batch_size: Count = Field(
        default=200, description="Contracts of one request", json_schema_extra={"unit": "contracts"}
    )
    per_second: Rate = Field(
        default=2000.0, description="Contracts asked for per second", json_schema_extra={"unit": "contracts/second"}
    )
    burst: Count = Field(
        default_factory=_burst,
        description="Contracts that may go at once after a pause; at least batch_size",
        json_schema_extra={"unit": "contracts"},
    )
    per_login_limit: Count | None = Field(
        default=None,
        description="Most contracts of one login; unset: no limit",
        json_schema_extra={"unit": "contracts"},
    )
    login_per_minute: Count = Field(
        default=6, description="Login attempts per minute and line", json_schema_extra={"unit": "logins/minute"}
    )
    confirm_timeout_s: Seconds = Field(default=5.0, description="A subscription must be confirmed within")
    retry_initial_s: Seconds = Field(default=1.0, description="Pause before the first retry; doubles each time")
    retry_max_s: Seconds = Field(default=60.0, description="Longest pause between retries")
    max_retries: Retries = Field(default=5, description="Retries before a contract counts as failed")
    burst_disconnect_s: Seconds = Field(
        default=3.0, description="A disconnect this soon after a batch blames the batch"
    )

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        if "burst" in given:
            yield from cls.ordered(given, "batch_size", "burst")
        yield from cls.ordered(given, "retry_initial_s", "retry_max_s")


class PublishSettings(Section):
    """What goes onto the bus, and how much waits while the bus is away."""

    codec: Literal["msgpack", "json"] = Field(default="msgpack", description="Payload format")
    form: Literal["tick", "batch", "both"] = Field(
        default="tick", description="One message a tick, batches for bulk consumers, or both"
    )
    held: Count = Field(
        default=200_000,
        description="Ticks kept while the bus is away or unconfirmed; then the oldest drop",
        json_schema_extra={"unit": "ticks"},
    )
    batch: Count = Field(default=256, description="Most ticks published in one go", json_schema_extra={"unit": "ticks"})

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        yield from cls.ordered(given, "batch", "held")


class MetricsSettings(Section):
    """The Prometheus endpoint."""

    enabled: bool = Field(default=True, description="Serve metrics")
    host: Host = Field(default="127.0.0.1", description="Address the metrics listen on")
    port: Port = Field(default=9100, description="Port of the metrics; 0: a free one")


class Settings(Section):
    """Everything a Gateway needs to know. Made in code it reads no environment and no file.

    Made with bad values it raises pydantic's ValidationError, without the values in its text.
    """

    name: Token = Field(default="feedgate", description="Name of this gateway on the bus, one subject token")
    profile: Literal["dev", "test", "live"] = Field(default="dev", description="What this gateway is for")
    active: Word = Field(default=DEFAULT_ACCOUNT, description="Preferred account of every feed that has it")
    plugins_blocked: list[Token] = Field(
        default_factory=list, description="Names of plugins that are not loaded, comma separated"
    )
    feeds: dict[Word, FeedSettings] = Field(default_factory=dict, description="Feeds by name")
    bus: BusSettings = Field(default_factory=BusSettings, description="Message bus")
    lines: LineSettings = Field(default_factory=LineSettings, description="Lines")
    subscriptions: SubscriptionSettings = Field(default_factory=SubscriptionSettings, description="Subscriptions")
    publish: PublishSettings = Field(default_factory=PublishSettings, description="Publishing")
    metrics: MetricsSettings = Field(default_factory=MetricsSettings, description="Metrics")
    failover: FailoverSettings = Field(default_factory=FailoverSettings, description="Failover")
    watch: WatchSettings = Field(default_factory=WatchSettings, description="Watchdog")
    calendar: CalendarSettings = Field(default_factory=CalendarSettings, description="Trading calendar")
    ledger: LedgerSettings = Field(default_factory=LedgerSettings, description="Gap ledger")
    log: LogSettings = Field(default_factory=LogSettings, description="Logs")

    def kind_of(self, feed: str) -> str:
        """The kind of a configured feed: its own setting, or else its name."""
        return self.feeds[feed].kind or feed

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        feeds, active = given.get("feeds"), given.get("active")
        if not isinstance(active, str) or not isinstance(feeds, Mapping) or not feeds:
            return
        known: set[object] = set()
        for feed in feeds.values():
            accounts = feed.get("accounts") if isinstance(feed, Mapping) else getattr(feed, "accounts", None)
            known |= set(accounts) if isinstance(accounts, Mapping) else {DEFAULT_ACCOUNT}
        if active not in known:
            yield "active", f"names an account that no feed has; choose one of: {', '.join(map(str, known))}"
