"""What the plugin registers, and its findings about accounts."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

import gateway_ctp
import pluggy
import pytest
from gateway_ctp.family import CTP
from gateway_ctp.source import CtpSource

from gateway.hookspecs import PROJECT, Hooks
from gateway.model import Account
from gateway.thost.checks import check

GOOD = Account(
    name="primary", broker_id="9999", user_id="160219", md_address="tcp://127.0.0.1:1",
    secrets={"password": "secret-word"},
)  # fmt: skip


def changed(**fields: object) -> Account:
    return Account(**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | fields)


@pytest.fixture(autouse=True)
def with_locale(monkeypatch):
    monkeypatch.setattr("gateway.thost.locales.findings", lambda _: [])


def test_the_plugin_brings_a_native_feed_and_a_catalogue_named_ctp():
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(gateway_ctp)
    manager.check_pending()
    ((feed,),) = manager.hook.gateway_feeds()
    ((catalogue,),) = manager.hook.gateway_catalogues()
    assert (feed.name, feed.native, catalogue.name) == ("ctp", True, "ctp")
    assert getattr(importlib.import_module(feed.factory.__module__), feed.factory.__qualname__) is CtpSource


def test_the_distribution_announces_the_plugin_by_its_entry_point():
    found = {point.name: point.value for point in entry_points(group=PROJECT)}
    assert found.get("ctp") == "gateway_ctp"


def test_a_good_account_has_no_findings():
    assert list(check(CTP, GOOD, {"exchanges": {"rb": "SHFE"}})) == []


@pytest.mark.parametrize(
    ("account", "options", "words"),
    [
        (changed(md_address="127.0.0.1:1"), {}, "tcp://HOST:PORT"),
        (changed(user_id=""), {}, "no user id"),
        (changed(secrets={}), {}, "no password"),
        (changed(broker_id=""), {}, "no broker id"),
        (changed(broker_id="12345678901"), {}, "longer than CTP's 10 bytes"),
        (changed(secrets={"password": "secret-word" * 4}), {}, "longer than CTP's 40 bytes"),
        (GOOD, {"native_module": "os"}, "openctp_ctp, openctp_tts"),
        (GOOD, {"exchanges": "SHFE"}, "table of codes"),
        (GOOD, {"exchanges": {"rb": "shfe"}}, "table of codes"),
    ],
)
def test_each_mistake_is_one_finding_that_names_it_without_the_secret(account, options, words):
    (finding,) = check(CTP, account, options)
    assert words in finding
    assert "secret" not in finding
