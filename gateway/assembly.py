"""From settings and plugins to lines: pure building, nothing is started. All findings are told at once."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from gateway.clock import Clock
from gateway.errors import FeedgateError, SettingsError
from gateway.flow.subscriptions import SubscriptionPolicy, Subscriptions
from gateway.hookspecs import FeedKind
from gateway.lines.frame import Arrival
from gateway.lines.hosts import ChildHost, ChildSpec, HostEvents, HostFactory, InlineHost
from gateway.lines.line import Line
from gateway.lines.messages import Start, Tuning
from gateway.lines.restarts import RestartPolicy
from gateway.lines.vigil import LineTimers
from gateway.loader import Plugins, factory_path
from gateway.model import Account, LineId
from gateway.plan import AccountRouter
from gateway.ports import Catalogue
from gateway.settings import AccountSettings, FeedSettings, LineSettings, Settings
from gateway.settings.process import child_environment
from gateway.wanting import is_pattern


@dataclass(slots=True, kw_only=True)
class Feed:
    """A set of lines that carry the same market."""

    name: str
    settings: FeedSettings
    sessions: Literal["calendar", "always"]
    router: AccountRouter
    catalogue: Catalogue | None
    lines: list[Line] = field(default_factory=list)
    """In order of preference."""
    subscriptions: dict[LineId, Subscriptions] = field(default_factory=dict)
    catalogue_of: Callable[[Account], Catalogue | None] = lambda _account: None
    """The catalogue with other credentials."""
    hosts: dict[LineId, Callable[[Account], HostFactory]] = field(default_factory=dict)
    """How a line's process is started with other credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineWiring:
    """What every line is connected to."""

    slot_of: Callable[[str, str], object]
    deliver: Callable[[Line, list[Arrival]], None]
    changed: Callable[[Line], None]


def assemble(
    settings: Settings,
    plugins: Plugins,
    wiring: LineWiring,
    clock: Clock,
    routers: Mapping[str, AccountRouter] = MappingProxyType({}),
) -> list[Feed]:
    """Build all feeds. ``routers``: by feed, in place of what the settings name. SettingsError has every finding."""
    findings: list[str] = [
        f"routers: there is no feed {name!r}; the feeds are: {', '.join(settings.feeds) or 'none'}"
        for name in routers
        if name not in settings.feeds
    ]
    feeds: list[Feed] = []
    if not settings.feeds:
        findings.append("feeds: none is configured; set CTP_PRIMARY_* or add [feeds.NAME] to the TOML file")
    for name, feed_settings in settings.feeds.items():
        try:
            feeds.append(_feed(name, feed_settings, settings, plugins, wiring, clock, routers.get(name)))
        except SettingsError as error:
            findings += error.findings
        except FeedgateError as error:
            findings.append(f"feeds.{name}: {error}")
    if findings:
        raise SettingsError(findings)
    return feeds


def _feed(
    name: str,
    rules: FeedSettings,
    settings: Settings,
    plugins: Plugins,
    wiring: LineWiring,
    clock: Clock,
    router: AccountRouter | None,
) -> Feed:
    kind = plugins.feed_kind(settings.kind_of(name))
    accounts = [
        (account_settings.account(account), rules.options_of(account))
        for account, account_settings in _preferred(rules, settings.active)
    ]
    findings = [
        finding
        for account, options in accounts
        for finding in _check(f"feeds.{name}.accounts.{account.name}", kind, account, options)
    ]
    if findings:
        raise SettingsError(findings)

    def catalogue_of(account: Account) -> Catalogue | None:
        return _catalogue(name, rules, kind, account, plugins)

    feed = Feed(
        name=name,
        settings=rules,
        sessions=rules.sessions or kind.sessions,
        router=router if router is not None else plugins.router(rules.router).build(),
        catalogue=catalogue_of(accounts[0][0]),
        catalogue_of=catalogue_of,
    )
    for account, options in accounts:
        _add_line(feed, kind, account, options, settings, wiring, clock)
    return feed


def _preferred(feed: FeedSettings, active: str) -> Sequence[tuple[str, AccountSettings]]:
    """Accounts in order, the preferred one (``ACTIVE_FEED``) first."""
    return sorted(feed.accounts.items(), key=lambda item: item[0] != active)


def _check(where: str, kind: FeedKind, account: Account, options: Mapping[str, Any]) -> list[str]:
    findings = []
    for name in options:
        if name not in kind.options:
            near = difflib.get_close_matches(name, kind.options, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it knows: {', '.join(sorted(kind.options)) or 'none'}"
            findings.append(f"{where}.options.{name}: {kind.name} has no such option; {hint}")
    if kind.needs_account and not (account.user_id and account.secrets.get("password") and account.md_address):
        findings.append(f"{where}: {kind.name} needs user_id, password and md_address")
    findings += [f"{where}: {finding}" for finding in kind.check(account, options)]
    return findings


def _catalogue(name: str, rules: FeedSettings, kind: FeedKind, account: Account, plugins: Plugins) -> Catalogue | None:
    """The configured one, or the feed kind's own when patterns need one."""
    where = f"feeds.{name}"
    chosen, options = kind.name, rules.options
    if rules.catalogue is not None:
        chosen, options = rules.catalogue.kind, rules.catalogue.options
    elif not any(is_pattern(text) for text in rules.instruments):
        return None
    elif kind.name not in plugins.names("catalogue"):
        finding = (
            f"{where}.instruments has patterns, but the feed has no catalogue to look them up in; set "
            f"{where}.catalogue.kind (for example file) or list the contracts by name"
        )
        raise SettingsError([finding])
    try:
        return plugins.catalogue(chosen).build(account, options)
    except SettingsError as error:
        raise SettingsError([f"{where}.catalogue: {finding}" for finding in error.findings]) from None


def _add_line(
    feed: Feed,
    kind: FeedKind,
    account: Account,
    options: dict[str, Any],
    settings: Settings,
    wiring: LineWiring,
    clock: Clock,
) -> None:
    line_id = LineId(feed.name, account.name)
    numbers = settings.lines

    def host_of(account: Account) -> HostFactory:
        return _host(feed.settings, kind, account, line_id, options, numbers, clock)

    feed.hosts[line_id] = host_of
    line = Line(
        line_id,
        account,
        host=host_of(account),
        slot_of=wiring.slot_of,
        deliver=wiring.deliver,
        changed=wiring.changed,
        timers=LineTimers(
            start_s=numbers.start_timeout_s,
            connect_s=numbers.connect_timeout_s,
            login_s=numbers.login_timeout_s,
            hung_after_s=numbers.hung_after_s,
            kill_after_s=numbers.kill_after_s,
            stop_s=numbers.stop_timeout_s,
            storm_per_second=numbers.storm_per_second,
        ),
        restarts=RestartPolicy(
            initial_s=numbers.restart_initial_s,
            max_s=numbers.restart_max_s,
            reset_s=numbers.restart_reset_s,
            per_minute=settings.subscriptions.login_per_minute,
        ),
        clock=clock,
        parked=True,
    )
    rules = settings.subscriptions
    subscriptions = Subscriptions(
        line_id,
        line,
        SubscriptionPolicy(
            batch_size=rules.batch_size,
            per_second=rules.per_second,
            burst=rules.burst,
            per_login_limit=rules.per_login_limit,
            confirm_timeout_s=rules.confirm_timeout_s,
            retry_initial_s=rules.retry_initial_s,
            retry_max_s=rules.retry_max_s,
            max_retries=rules.max_retries,
            burst_disconnect_s=rules.burst_disconnect_s,
        ),
        clock,
    )
    line.subscriptions = subscriptions
    feed.lines.append(line)
    feed.subscriptions[line_id] = subscriptions


def _host(
    feed: FeedSettings,
    kind: FeedKind,
    account: Account,
    line: LineId,
    options: dict[str, Any],
    numbers: LineSettings,
    clock: Clock,
) -> HostFactory:
    in_child = feed.host == "child" or (feed.host == "auto" and kind.native)
    start = Start(
        line=line,
        account=account,
        factory=factory_path(kind) if in_child else "",
        options=options,
        tuning=Tuning(
            linger_s=numbers.linger_ms / 1000,
            batch=numbers.batch,
            queue=numbers.queue,
            heartbeat_s=numbers.heartbeat_s,
        ),
        path=list(sys.path),
    )
    if in_child:

        def environment() -> dict[str, str]:
            return child_environment() | dict(kind.environment(options))

        spec = ChildSpec(start, environment)
        return lambda events: ChildHost(spec, events)

    def inline(events: HostEvents) -> InlineHost:
        return InlineHost(start, kind.factory, clock, events)

    return inline
