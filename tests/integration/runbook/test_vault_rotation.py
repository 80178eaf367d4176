"""What a rotation learns from two versions in Vault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.clock import SystemClock
from runbook.secrets import Place, VaultError, VaultSession, VaultStore, new_credentials
from tests.integration.runbook.vault_server import Bao

OLD = {"CTP_PRIMARY_PASSWORD": "p-old", "CTP_BACKUP_PASSWORD": "b-old", "CTP_BACKUP_USER_ID": "1"}


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    with Bao(tmp_path_factory.mktemp("bao")) as bao:
        yield bao


@pytest.fixture
def session(bao: Bao) -> Iterator[VaultSession]:
    with VaultSession(bao.settings(), SystemClock()) as session:
        yield session


def test_a_changed_password_comes_as_a_reference_to_exactly_that_version(bao: Bao, session: VaultSession) -> None:
    place = Place("secret", "rotate")
    since = bao.put("rotate", **OLD)
    now = bao.put("rotate", **{**OLD, "CTP_BACKUP_PASSWORD": "b-new"})
    found = new_credentials(session, place, "ctp", "backup", since=since)
    assert found.line == "ctp:backup"
    assert found.references == {"password": f"secret:vault:secret/rotate?version={now}#CTP_BACKUP_PASSWORD"}
    assert "b-new" not in repr(found)
    assert not new_credentials(session, place, "ctp", "primary", since=since)

    bao.put("rotate", **{**OLD, "CTP_BACKUP_PASSWORD": "b-later"})  # meanwhile somebody writes again
    path, _, key = found.references["password"].removeprefix("secret:vault:").rpartition("#")
    assert VaultStore(bao.settings(), SystemClock()).read(path)[key] == "b-new"


def test_nothing_is_new_when_the_version_is_the_one_in_use(bao: Bao, session: VaultSession) -> None:
    since = bao.put("same", **OLD)
    found = new_credentials(session, Place("secret", "same"), "ctp", "backup", since=since)
    assert not found
    assert found.version == since


def test_what_a_running_line_cannot_take_is_named(bao: Bao, session: VaultSession) -> None:
    since = bao.put("user", **OLD)
    bao.put("user", **{**OLD, "CTP_BACKUP_USER_ID": "2", "CTP_BACKUP_AUTH_CODE": "new"})
    found = new_credentials(session, Place("secret", "user"), "ctp", "backup", since=since)
    assert list(found.references) == ["auth_code"]
    assert found.restart == ("CTP_BACKUP_USER_ID",)


def test_a_password_that_is_gone_is_no_rotation(bao: Bao, session: VaultSession) -> None:
    since = bao.put("lost", **OLD)
    bao.put("lost", CTP_PRIMARY_PASSWORD="p-new")
    with pytest.raises(VaultError, match="has no CTP_BACKUP_PASSWORD any more"):
        new_credentials(session, Place("secret", "lost"), "ctp", "backup", since=since)


def test_a_version_in_use_that_was_destroyed_cannot_be_compared(bao: Bao, session: VaultSession) -> None:
    since = bao.put("destroyed", **OLD)
    bao.put("destroyed", **OLD)
    bao.call("PUT", "secret/destroy/destroyed", {"versions": [since]})
    with pytest.raises(VaultError, match="is destroyed"):
        new_credentials(session, Place("secret", "destroyed"), "ctp", "backup", since=since)


def test_the_versions_are_listed_newest_first_with_those_that_are_gone(bao: Bao, session: VaultSession) -> None:
    for turn in range(3):
        bao.put("listed", A=str(turn))
    bao.call("POST", "secret/delete/listed", {"versions": [2]})
    found = session.versions(Place("secret", "listed"))
    assert [(version.number, version.gone) for version in found] == [(3, False), (2, True), (1, False)]


def test_a_feed_with_a_name_of_its_own_has_general_variables(bao: Bao, session: VaultSession) -> None:
    since = bao.put("own", FEEDGATE_FEEDS__MINE__ACCOUNTS__ONE__PASSWORD="old")
    now = bao.put("own", FEEDGATE_FEEDS__MINE__ACCOUNTS__ONE__PASSWORD="new")
    found = new_credentials(session, Place("secret", "own"), "mine", "one", since=since)
    variable = "FEEDGATE_FEEDS__MINE__ACCOUNTS__ONE__PASSWORD"
    assert found.references == {"password": f"secret:vault:secret/own?version={now}#{variable}"}
