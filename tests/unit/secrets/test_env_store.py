"""Secrets in variables of the process: ``secret:env:BROKER#PASSWORD`` is ``BROKER_PASSWORD``."""

from __future__ import annotations

import pytest

from gateway import FeedSettings, Settings
from gateway.errors import SettingsError
from gateway.loader import Plugins
from gateway.secrets import env
from gateway.secrets.references import resolve
from gateway.settings import AccountSettings

SECRET = "s3cr3t-in-a-variable"


@pytest.fixture
def plugins() -> Plugins:
    return Plugins.load(extra=[env], entry_points=False)


def settings(password: str) -> Settings:
    return Settings(feeds={"ctp": FeedSettings(accounts={"primary": AccountSettings(user_id="u", password=password)})})


def test_a_reference_is_the_variable_with_both_names_joined(plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_BROKER_CTP_PASSWORD", SECRET)
    found = resolve(settings("secret:env:MY_BROKER#CTP_PASSWORD"), plugins)
    assert found.feeds["ctp"].accounts["primary"].password.get_secret_value() == SECRET


def test_a_missing_variable_is_reported_with_those_that_begin_alike(
    plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_BROKER_CTP_PASSWORD", SECRET)
    monkeypatch.setenv("MY_BROKER_EMPTY", " ")
    monkeypatch.setenv("MY_BROKERAGE", "another word")
    with pytest.raises(SettingsError, match=r"MY_BROKER has no PASSWORD; it has: CTP_PASSWORD$") as caught:
        resolve(settings("secret:env:MY_BROKER#PASSWORD"), plugins)
    assert SECRET not in str(caught.value)
    assert "feeds.ctp.accounts.primary.password" in str(caught.value)


def test_the_underscore_may_stand_with_the_path() -> None:
    store = env.EnvStore(lambda: {"A_B": "x", "A_C": "y", "AB": "z", "A_": "w"})
    assert dict(store.read("A_")) == dict(store.read("A")) == {"B": "x", "C": "y"}


def test_no_such_variable_says_which_names_were_looked_for() -> None:
    with pytest.raises(SettingsError, match="no variable BROKER_… is set"):
        env.EnvStore(dict).read("BROKER")


@pytest.mark.parametrize("path", ["", "A-B", "A B", "1A", "A=B", "Ä"])
def test_what_cannot_begin_a_variables_name_is_refused_with_an_example(path: str) -> None:
    with pytest.raises(SettingsError, match="secret:env:BROKER#PASSWORD for BROKER_PASSWORD"):
        env.EnvStore(dict).read(path)


def test_no_repr_shows_a_value() -> None:
    store = env.EnvStore(lambda: {"A_B": SECRET})
    assert SECRET not in f"{store!r} {store.read('A')!r} {store.read('A')}"
