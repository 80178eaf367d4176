"""Secrets that the settings only refer to."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import FeedSettings, Settings
from gateway.errors import SettingsError
from gateway.loader import Plugins
from gateway.secrets import file as file_store
from gateway.secrets.references import resolve
from gateway.settings import AccountSettings

SECRET = "s3cr3t-in-a-file"


@pytest.fixture
def plugins() -> Plugins:
    return Plugins.load(extra=[file_store], entry_points=False)


def settings(password: str) -> Settings:
    return Settings(feeds={"ctp": FeedSettings(accounts={"primary": AccountSettings(user_id="u", password=password)})})


def password_of(found: Settings) -> str:
    return found.feeds["ctp"].accounts["primary"].password.get_secret_value()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.toml"
    path.write_text(f'ctp = "{SECRET}"\n')
    path.chmod(0o600)
    return path


def test_a_reference_is_replaced_by_what_the_store_has(plugins: Plugins, path: Path) -> None:
    assert password_of(resolve(settings(f"secret:file:{path}#ctp"), plugins)) == SECRET


def test_a_plain_password_stays(plugins: Plugins) -> None:
    assert password_of(resolve(settings("plain"), plugins)) == "plain"


def test_a_file_that_others_may_read_is_refused_with_the_command_that_mends_it(plugins: Plugins, path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600") as caught:
        resolve(settings(f"secret:file:{path}#ctp"), plugins)
    assert "feeds.ctp.accounts.primary.password" in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("secret:file:{path}#nothing", "has no nothing; it has: ctp"),
        ("secret:file:/does/not/exist#x", "No such file"),
        ("secret:cellar:/x#y", "cellar"),
        ("secret:file:", "is written secret:STORE:PATH#KEY"),
    ],
)
def test_a_reference_that_leads_nowhere_says_where_it_broke(
    plugins: Plugins, path: Path, reference: str, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        resolve(settings(reference.format(path=path)), plugins)


@pytest.mark.parametrize("text", [f"{SECRET}", f'ctp = "{SECRET}', f'a = 1\nctp = "{SECRET}"'])
def test_a_broken_file_is_refused_without_showing_what_is_in_it(plugins: Plugins, path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        resolve(settings(f"secret:file:{path}#ctp"), plugins)
    assert SECRET not in f"{caught.value} {caught.value!r}"
