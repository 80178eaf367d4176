"""Logins: AppRole, tokens that end, and tokens that are kept alive."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.clock import SystemClock
from gateway.testing.clock import ManualClock
from runbook.secrets import Place, VaultError, VaultSession
from tests.integration.runbook.vault_server import DEADLINE_S, Bao

PLACE = Place("secret", "ctp/live")


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    with Bao(tmp_path_factory.mktemp("bao")) as bao:
        bao.put("ctp/live", A="x")
        bao.policy("reader", "secret/data/ctp/live")
        yield bao


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(bao: Bao, token: str) -> bool:
    return bool(bao.call("GET", "auth/token/lookup-self", token=token, refused={}))


def token_of(session: VaultSession) -> str:
    assert session._token is not None
    return session._token.get_secret_value()


def test_an_approle_logs_in_reads_and_gives_its_token_back(bao: Bao) -> None:
    role_id, secret_id = bao.approle("reader")
    with VaultSession(bao.settings(role_id=role_id, secret_id=secret_id), SystemClock()) as session:
        assert session.read(PLACE).values["A"] == "x"
        token = token_of(session)
        assert is_alive(bao, token)
    assert not is_alive(bao, token)


def test_a_given_token_is_left_alone(bao: Bao) -> None:
    token = bao.token("reader")
    with VaultSession(bao.settings(token), SystemClock()) as session:
        session.read(PLACE)
    assert is_alive(bao, token)


def test_a_wrong_secret_id_is_refused_without_being_shown(bao: Bao) -> None:
    role_id, secret_id = bao.approle("reader")
    wrong = secret_id[::-1]
    with (
        VaultSession(bao.settings(role_id=role_id, secret_id=wrong), SystemClock()) as session,
        pytest.raises(VaultError, match="VAULT_SECRET_ID") as caught,
    ):
        session.read(PLACE)
    assert caught.value.reason == "login"
    assert wrong not in str(caught.value)


def test_a_secret_id_that_is_used_up_is_refused_at_the_next_login(bao: Bao) -> None:
    role_id, secret_id = bao.approle("reader", secret_id_num_uses=1)
    settings = bao.settings(role_id=role_id, secret_id=secret_id)
    with VaultSession(settings, SystemClock()) as session:
        session.read(PLACE)
    with VaultSession(settings, SystemClock()) as session, pytest.raises(VaultError, match="used up"):
        session.read(PLACE)


def test_a_login_in_the_wrong_namespace_says_so(bao: Bao) -> None:
    role_id, secret_id = bao.approle("reader")
    settings = bao.settings(role_id=role_id, secret_id=secret_id, namespace="nowhere")
    with VaultSession(settings, SystemClock()) as session, pytest.raises(VaultError) as caught:
        session.read(PLACE)
    assert caught.value.reason == "namespace"


def test_a_token_that_has_expired_is_told_with_the_way_out(bao: Bao) -> None:
    token = bao.token("reader", ttl="1s")
    with VaultSession(bao.settings(token), SystemClock()) as session:
        assert session.read(PLACE).values["A"] == "x"
        until(lambda: not is_alive(bao, token))
        with pytest.raises(VaultError, match=r"expired.*set VAULT_TOKEN") as caught:
            session.read(PLACE)
    assert caught.value.reason == "token"
    assert token not in str(caught.value)


def test_an_approle_whose_token_was_revoked_logs_in_anew_by_itself(bao: Bao) -> None:
    role_id, secret_id = bao.approle("reader")
    with VaultSession(bao.settings(role_id=role_id, secret_id=secret_id), SystemClock()) as session:
        session.read(PLACE)
        first = token_of(session)
        bao.call("POST", "auth/token/revoke", {"token": first})
        assert session.read(PLACE).values["A"] == "x"
        assert token_of(session) != first


def test_a_given_token_is_renewed_when_a_third_of_its_life_is_left(bao: Bao) -> None:
    clock = ManualClock()
    token = bao.token("reader", ttl="1h")
    with VaultSession(bao.settings(token), clock) as session:
        assert session.keep_alive() == pytest.approx(2400, abs=30)
        bao.call("POST", "auth/token/renew", {"token": token, "increment": "30s"})
        assert session.look() <= 30
        # 30 of 3600 s are left: due at once, and Vault grants an hour again
        assert session.keep_alive() == pytest.approx(2400, abs=30)
        assert session.look() > 3000


async def test_a_read_renews_an_approles_token_that_is_due(bao: Bao) -> None:
    clock = ManualClock()
    role_id, secret_id = bao.approle("reader", token_ttl="1h")
    with VaultSession(bao.settings(role_id=role_id, secret_id=secret_id), clock) as session:
        session.read(PLACE)
        first = token_of(session)
        await clock.advance(3000)
        session.read(PLACE)
        assert token_of(session) == first
        assert session.keep_alive() == pytest.approx(2400, abs=30)


async def test_an_approle_at_the_end_of_its_longest_life_logs_in_anew(bao: Bao) -> None:
    clock = ManualClock()
    role_id, secret_id = bao.approle("reader", token_ttl="1h", token_max_ttl="1h", token_num_uses=0)
    with VaultSession(bao.settings(role_id=role_id, secret_id=secret_id), clock) as session:
        session.read(PLACE)
        first = token_of(session)
        bao.call("POST", "auth/token/renew", {"token": first, "increment": "20s"}, refused={})
        bao.call("POST", "auth/token/revoke", {"token": first})
        await clock.advance(3500)
        assert session.keep_alive() == pytest.approx(2400, abs=30)
        assert token_of(session) != first


async def test_a_token_that_cannot_be_renewed_is_used_to_its_end_with_a_warning(
    bao: Bao, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    token = bao.token("reader", ttl="1h", renewable=False)
    with VaultSession(bao.settings(token), clock) as session:
        session.keep_alive()
        await clock.advance(3000)
        with caplog.at_level(logging.WARNING, "runbook.secrets"):
            assert 0 < session.keep_alive() < 600
        assert "cannot be renewed; log in again and set VAULT_TOKEN" in caplog.text
        assert session.read(PLACE).values["A"] == "x"


def test_a_token_without_end_needs_no_care(bao: Bao) -> None:
    with VaultSession(bao.settings(), SystemClock()) as session:
        assert session.keep_alive() == math.inf


def test_a_session_can_be_closed_twice_and_when_the_server_is_gone(bao: Bao) -> None:
    role_id, secret_id = bao.approle("reader")
    session = VaultSession(bao.settings(role_id=role_id, secret_id=secret_id), SystemClock())
    session.read(PLACE)
    session.close()
    session.close()
