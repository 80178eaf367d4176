"""Feeds, accounts, rates and fronts."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.hookspecs import FeedKind, hookimpl
from gateway.loader import Plugins
from gateway.model import Account
from gateway.settings import AccountSettings, FeedSettings, Settings
from gateway.sources.sim import gateway_feeds as sim_feeds
from runbook.checks import Inspection, Severity, accounts, feeds, fronts, rates
from runbook.checks.rates import WHOLE_MARKET, contracts_of
from tests import needing
from tests.ports import free_port
from tests.unit.runbook.checks.environment import (
    BACKUP,
    PRIMARY,
    inspection,
    listening,
    of,
    the_only,
    written,
)


def test_no_feed_at_all_is_an_error_in_live_and_a_warning_elsewhere() -> None:
    assert "CTP_PRIMARY_" in the_only(feeds.check(inspection()), Severity.ERROR).fix
    the_only(feeds.check(inspection(profile="dev")), Severity.WARNING)


def test_a_missing_backup_is_an_error_only_where_it_is_required() -> None:
    found = the_only(feeds.check(inspection(PRIMARY, require_backup=True)), Severity.ERROR)
    assert "feed ctp" in found.what
    assert "CTP_BACKUP_USER_ID" in found.fix
    the_only(feeds.check(inspection(PRIMARY)), Severity.WARNING)
    assert not of(feeds.check(inspection(PRIMARY, profile="dev")), Severity.WARNING)


def test_both_accounts_with_fronts_of_their_own_are_fine() -> None:
    found = feeds.check(inspection(PRIMARY | BACKUP, require_backup=True))
    assert [finding.severity for finding in found] == [Severity.OK]
    assert "primary, backup" in found[0].what


@pytest.mark.parametrize(("same", "fix"), [("MD_ADDRESS", "CTP_BACKUP_MD_ADDRESS"), ("USER_ID", "CTP_BACKUP_USER_ID")])
def test_accounts_that_share_a_front_or_a_login_fall_together(same: str, fix: str) -> None:
    needing.plugin()
    environ = PRIMARY | BACKUP | {f"CTP_BACKUP_{same}": PRIMARY[f"CTP_PRIMARY_{same}"]}
    found = the_only(feeds.check(inspection(environ)), Severity.WARNING)
    assert "primary and backup" in found.what
    assert fix in found.fix


def test_a_synthetic_market_is_not_for_live() -> None:
    environ = {"FEEDGATE_FEEDS__SIM__KIND": "sim"}
    assert "sim, which is no market" in the_only(feeds.check(inspection(environ)), Severity.ERROR).what
    assert not of(feeds.check(inspection(environ, profile="test")), Severity.ERROR)


def test_an_active_account_that_a_feed_lacks_is_named() -> None:
    environ = PRIMARY | BACKUP | {"FEEDGATE_FEEDS__SIM__KIND": "sim", "ACTIVE_FEED": "backup"}
    found = the_only(feeds.check(inspection(environ, profile="dev")), Severity.WARNING)
    assert "ACTIVE_FEED is backup, and feed sim" in found.what
    assert "primary" in found.fix


class Picky:
    """A kind whose check says what it is told to, or raises."""

    def __init__(self, *said: str, raises: Exception | None = None) -> None:
        self.said, self.raises = said, raises

    def _check(self, account: Account, _options: Mapping[str, Any]) -> Sequence[str]:
        if self.raises is not None:
            raise self.raises
        return [text.format(password=account.secrets["password"]) for text in self.said]

    @hookimpl
    def gateway_feeds(self) -> Sequence[FeedKind]:
        return [FeedKind(name="picky", factory=sim_feeds()[0].factory, check=self._check)]


def picky(plugin: Picky, password: str = "pl4nted-primary", profile: Any = "live") -> Inspection:
    account = AccountSettings(user_id="u", password=password)
    made = inspection(profile=profile)
    settings = Settings(feeds={"picky": FeedSettings(accounts={"primary": account})})
    found = Inspection(
        clock=made.clock,
        profile=made.profile,
        gateway_settings=settings,
        runbook_settings=made.runbook,
    )
    found.__dict__["plugins"] = Plugins.load(extra=[plugin], entry_points=False)
    return found


def test_what_a_plugin_has_against_an_account_is_a_finding_with_its_fix() -> None:
    found = the_only(accounts.check(picky(Picky("the front is closed: open it"))), Severity.ERROR)
    assert found.what == "picky:primary: the front is closed"
    assert found.fix == "open it"
    the_only(accounts.check(picky(Picky("the front is closed: open it"), profile="dev")), Severity.WARNING)


def test_an_account_that_its_plugin_likes_is_fine() -> None:
    assert "picky:primary" in the_only(accounts.check(picky(Picky())), Severity.OK).what


def test_a_plugin_that_names_a_secret_is_masked_even_when_the_secret_is_from_a_store(tmp_path: Path) -> None:
    store = written(tmp_path / "secrets.toml", 'key = "pl4nted-in-a-file"\n')
    found = accounts.check(picky(Picky("{password} is wrong: change it"), f"secret:file:{store}#key"))
    assert the_only(found, Severity.ERROR).what == "picky:primary: *** is wrong"


def test_a_plugin_that_breaks_while_it_checks_is_named_without_its_words() -> None:
    found = accounts.check(picky(Picky(raises=RuntimeError("pl4nted-primary"))))
    assert "RuntimeError" in the_only(found, Severity.ERROR).what
    assert "pl4nted" not in str(found)


def test_a_secret_that_cannot_be_read_is_named_with_its_fix(tmp_path: Path) -> None:
    store = written(tmp_path / "secrets.toml", 'key = "x"\n', mode=0o644)
    found = the_only(accounts.check(picky(Picky(), f"secret:file:{store}#key")), Severity.ERROR)
    assert "feeds.picky.accounts.primary.password" in found.what
    assert f"chmod 600 {store}" in found.fix


def test_a_kind_that_no_plugin_brings_is_an_error() -> None:
    found = the_only(accounts.check(inspection({"FEEDGATE_FEEDS__X__KIND": "nokind"})), Severity.ERROR)
    assert "feed x" in found.what
    assert "'nokind'" in found.what


def test_the_whole_market_at_the_usual_rate_is_subscribed_in_time() -> None:
    found = rates.check(inspection(PRIMARY))
    assert [finding.severity for finding in found] == [Severity.OK]
    assert str(WHOLE_MARKET) in found[0].what


@pytest.mark.parametrize(("rate", "severity"), [("400", "ok"), ("200", "error"), ("10", "error")])
def test_a_rate_too_low_for_the_contracts_is_an_error(rate: str, severity: str) -> None:
    found = rates.check(inspection(PRIMARY | {"RATE_LIMIT_SUBSCRIBE_PER_SECOND": rate}))
    assert [str(finding.severity) for finding in found] == [severity]
    if severity == "error":
        wanted = float(found[0].fix.partition("=")[2].split()[0])
        fixed = inspection(PRIMARY | {"RATE_LIMIT_SUBSCRIBE_PER_SECOND": f"{wanted}"})
        assert not of(rates.check(fixed), Severity.ERROR), "the fix must help"


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("RATE_LIMIT_SUBSCRIBE_PER_SECOND", "50000", "RATE_LIMIT_SUBSCRIBE_PER_SECOND="),
        ("RATE_LIMIT_LOGIN_PER_MINUTE", "1", "RATE_LIMIT_LOGIN_PER_MINUTE="),
        ("RATE_LIMIT_LOGIN_PER_MINUTE", "60", "RATE_LIMIT_LOGIN_PER_MINUTE="),
        ("MD_FAILOVER_THRESHOLD_SECONDS", "120", "MD_FAILOVER_THRESHOLD_SECONDS=60"),
        ("FEEDGATE_SUBSCRIPTIONS__PER_LOGIN_LIMIT", "500", "raise it"),
    ],
)
def test_limits_that_do_not_make_sense_are_warned_of(name: str, value: str, fix: str) -> None:
    found = the_only(rates.check(inspection(PRIMARY | {name: value})), Severity.WARNING)
    assert name in found.what
    assert fix in found.fix


def test_contracts_are_counted_where_the_settings_name_them() -> None:
    assert contracts_of(FeedSettings(instruments=["SHFE.rb2701", "DCE.m2701"]))[0] == 2
    assert contracts_of(FeedSettings(options={"contracts": 700}))[0] == 700
    assert contracts_of(FeedSettings(instruments=["SHFE.*"]))[0] == WHOLE_MARKET


def test_a_front_that_accepts_connections_is_fine_and_a_closed_one_is_named_with_a_command() -> None:
    closed = free_port()
    with listening() as port:
        environ = PRIMARY | BACKUP
        environ |= {"CTP_PRIMARY_MD_ADDRESS": f"tcp://127.0.0.1:{port}"}
        environ |= {"CTP_BACKUP_MD_ADDRESS": f"tcp://127.0.0.1:{closed}"}
        found = fronts.check(inspection(environ, require_backup=True))
        relaxed = fronts.check(inspection(environ))
    assert f"tcp://127.0.0.1:{port} (market-data front of ctp:primary)" in the_only(found, Severity.OK).what
    error = the_only(found, Severity.ERROR)
    assert "ctp:backup" in error.what
    assert f"nc -vz 127.0.0.1 {closed}" in error.fix
    the_only(relaxed, Severity.WARNING)


def test_a_closed_trader_front_is_a_warning_because_only_the_contract_list_needs_it() -> None:
    with listening() as port:
        environ = PRIMARY | {
            "CTP_PRIMARY_MD_ADDRESS": f"tcp://127.0.0.1:{port}",
            "CTP_PRIMARY_TD_ADDRESS": f"tcp://127.0.0.1:{free_port()}",
            "CTP_PRIMARY_APP_ID": "app",
            "CTP_PRIMARY_AUTH_CODE": "code",
        }
        found = fronts.check(inspection(environ))
    assert "trader front of ctp:primary" in the_only(found, Severity.WARNING).what


def test_a_front_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first, socket.socket() as second:
        # a full backlog drops further knocks: connections hang
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        environ = PRIMARY | {"CTP_PRIMARY_MD_ADDRESS": f"tcp://127.0.0.1:{full.getsockname()[1]}"}
        made = inspection(environ)
        quick = Inspection(
            clock=made.clock,
            profile="live",
            gateway_settings=made.settings,
            runbook_settings=made.runbook,
            timeout_s=0.2,
        )
        found = fronts.check(quick)
    assert "no answer within 0.2 s" in the_only(found, Severity.ERROR).what
