"""What the plugin registers, its findings about accounts, and that it is light."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import entry_points

import gateway_sopt
import pluggy
import pytest
from gateway_sopt.source import SoptSource

from gateway.hookspecs import PROJECT, FeedKind, Hooks
from gateway.model import Account

GOOD = Account(
    name="primary", broker_id="9999", user_id="160219", md_address="tcp://127.0.0.1:1",
    secrets={"password": "secret-word"},
)  # fmt: skip


def changed(**fields: object) -> Account:
    return Account(**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | fields)


def feed_kind() -> FeedKind:
    (kind,) = gateway_sopt.gateway_feeds()
    return kind


@pytest.fixture(autouse=True)
def with_locale(monkeypatch):
    monkeypatch.setattr("gateway.thost.locales.findings", lambda _: [])


def test_the_plugin_brings_a_native_feed_and_a_catalogue_named_sopt():
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(gateway_sopt)
    manager.check_pending()
    ((feed,),) = manager.hook.gateway_feeds()
    ((catalogue,),) = manager.hook.gateway_catalogues()
    assert (feed.name, feed.native, catalogue.name) == ("sopt", True, "sopt")
    assert getattr(importlib.import_module(feed.factory.__module__), feed.factory.__qualname__) is SoptSource


def test_the_distribution_announces_the_plugin_by_its_entry_point():
    found = {point.name: point.value for point in entry_points(group=PROJECT)}
    assert found.get("sopt") == "gateway_sopt"


def test_importing_the_plugin_imports_neither_the_library_nor_the_other_plugin_nor_the_stand_in():
    code = (
        "import sys, gateway_sopt; "
        "print([name for name in sys.modules if name.startswith(('openctp', 'gateway_ctp')) or 'standin' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_good_account_has_no_findings():
    assert list(feed_kind().check(GOOD, {"exchanges": {"IO": "CFFEX"}})) == []


@pytest.mark.parametrize(
    ("account", "options", "words"),
    [
        (changed(md_address="127.0.0.1:1"), {}, "tcp://HOST:PORT"),
        (changed(user_id=""), {}, "no user id"),
        (changed(secrets={}), {}, "no password"),
        (changed(broker_id=""), {}, "no broker id"),
        (changed(broker_id="12345678901"), {}, "longer than SOPT's 10 bytes"),
        (GOOD, {"native_module": "openctp_ctp"}, "openctp_ctpopt, standin"),
        (GOOD, {"exchanges": "SSE"}, 'IO = "CFFEX"'),
    ],
)
def test_each_mistake_is_one_finding_that_names_it_without_the_secret(account, options, words):
    (finding,) = feed_kind().check(account, options)
    assert words in finding
    assert "secret" not in finding


def test_the_stand_in_needs_no_locale_and_no_broker(monkeypatch):
    monkeypatch.setattr("gateway.thost.locales.findings", lambda _: pytest.fail("not for the stand-in"))
    monkeypatch.setattr("gateway.thost.locales.environment", lambda _: pytest.fail("not for the stand-in"))
    options = {"native_module": "standin"}
    assert list(feed_kind().check(changed(broker_id=""), options)) == []
    assert feed_kind().environment(options) == {}
