"""Logins of browsers: the cookie, its flags, its life, and who may not have one."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway.errors import SettingsError
from gateway.testing.clock import ManualClock
from runbook.settings import ApiSettings
from runbook.web.access import Access
from runbook.web.access.places import host_name, is_loopback, local_path
from tests.unit.runbook.web.consoles import ADMIN, OPERATOR, TOKENS, VIEWER, asking, console_in

BROWSER = {"accept": "text/html,application/xhtml+xml", "sec-fetch-site": "same-origin"}
PLANTED = "planted-token-that-must-not-show-7f3a"


async def log_in(client: httpx.AsyncClient, token: str, **form: str) -> httpx.Response:
    return await client.post("/login", data={"token": token, **form}, headers=BROWSER)


async def test_a_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        answer = await log_in(client, OPERATOR, back="/gaps?x=1")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/gaps?x=1"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        assert "Path=/" in cookie
        assert "secure" not in cookie.lower()
        assert OPERATOR not in cookie
        assert (await client.get("/metrics")).status_code == 200


@pytest.mark.parametrize(("scheme", "setting"), [("https", False), ("http", True)])
async def test_over_https_or_when_told_so_the_cookie_is_for_https_alone(
    tmp_path: Path, scheme: str, setting: bool
) -> None:
    async with (
        console_in(tmp_path, tokens=TOKENS, secure_cookies=setting) as app,
        asking(app, base_url=f"{scheme}://127.0.0.1") as client,
    ):
        assert "secure" in (await log_in(client, VIEWER)).headers["set-cookie"].lower()


async def test_a_login_outlives_a_restart_and_ends_with_a_logout_also_for_a_copy(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        await log_in(client, OPERATOR)
        cookies = dict(client.cookies)
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        client.cookies.update(cookies)
        assert (await client.get("/metrics")).status_code == 200
        answer = await client.post("/logout", headers=BROWSER)
        assert answer.headers["location"] == "/login"
        assert "Max-Age=0" in answer.headers["set-cookie"]
        async with asking(app) as thief:
            thief.cookies.update(cookies)
            assert (await thief.get("/metrics")).status_code == 401
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        client.cookies.update(cookies)
        assert (await client.get("/metrics")).status_code == 401


async def test_a_login_ends_when_its_token_is_taken_out_of_the_settings_or_changed(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        await log_in(client, OPERATOR)
        cookies = dict(client.cookies)
    for tokens in (TOKENS[:1], [TOKENS[0], "operator:wang:another-token"]):
        async with console_in(tmp_path, tokens=tokens) as app, asking(app) as client:
            client.cookies.update(cookies)
            assert (await client.get("/metrics")).status_code == 401


async def test_a_role_that_is_taken_away_is_gone_from_the_login_too(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        await log_in(client, OPERATOR)
        cookies = dict(client.cookies)
    async with console_in(tmp_path, tokens=[f"viewer:wang:{OPERATOR}"]) as app, asking(app) as client:
        client.cookies.update(cookies)
        answer = await client.post("/api/runbook/failover", json={"reason": "x"}, headers=BROWSER)
        assert answer.status_code == 403


async def test_a_login_lasts_as_long_as_the_settings_say(tmp_path: Path) -> None:
    clock = ManualClock()
    async with console_in(tmp_path, tokens=TOKENS, session_s=600, clock=clock) as app, asking(app) as client:
        await log_in(client, VIEWER)
        cookies = dict(client.cookies)
        client.cookies.clear()
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        await clock.advance(599)
        assert (await client.get("/metrics", headers=headers)).status_code == 200
        await clock.advance(2)
        assert (await client.get("/metrics", headers=headers)).status_code == 401


def _change_a_letter(value: str) -> str:
    return value[:10] + ("A" if value[10] != "A" else "B") + value[11:]


@pytest.mark.parametrize("forge", [_change_a_letter, lambda value: value[:-1], lambda _: "a.b", lambda _: "x" * 9000])
async def test_a_cookie_that_we_did_not_sign_is_none(tmp_path: Path, forge: Callable[[str], str]) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        await log_in(client, VIEWER)
        name, value = next(iter(dict(client.cookies).items()))
        client.cookies.clear()
        answer = await client.get("/metrics", headers={"cookie": f"{name}={forge(value)}"})
        assert answer.status_code == 401


async def test_a_cookie_signed_with_another_consoles_key_is_none(tmp_path: Path) -> None:
    async with console_in(tmp_path / "one", tokens=TOKENS) as app, asking(app) as client:
        await log_in(client, ADMIN)
        cookies = dict(client.cookies)
    async with console_in(tmp_path / "two", tokens=TOKENS) as app, asking(app) as client:
        own = app.access.sessions.cookie
        answer = await client.get("/metrics", headers={"cookie": f"{own}={next(iter(cookies.values()))}"})
        assert answer.status_code == 401
        assert own not in cookies


async def test_a_key_that_others_can_read_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with console_in(tmp_path, tokens=TOKENS):
        key = tmp_path / "state" / "console" / "session.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        first = key.read_bytes()
    key.chmod(0o644)
    async with console_in(tmp_path, tokens=TOKENS):
        assert key.read_bytes() != first
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "others could read it" in caplog.text


async def test_who_may_not_see_a_page_is_sent_to_the_login_and_back_to_where_they_were(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app, accept="text/html") as client:
        answer = await client.get("/plugins?a=b&c=ä")
        assert answer.status_code == 303
        location = answer.headers["location"]
        assert location.startswith("/login?back=%2Fplugins%3F")
        assert (await client.get("/api/status")).status_code == 401


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nX-Planted: 1", ""]
)
async def test_a_login_leads_nowhere_but_into_the_console(tmp_path: Path, back: str) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        answer = await log_in(client, VIEWER, back=back)
        assert answer.headers["location"] == "/"
        assert "x-planted" not in answer.headers


async def test_a_wrong_token_is_refused_in_the_form_and_shows_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        answer = await log_in(client, PLANTED, back="/gaps")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/login?problem=refused&back=%2Fgaps"
        assert (await client.get("/api/status", headers={"Authorization": f"Bearer {PLANTED}"})).status_code == 401
        assert (await client.get("/api/status", headers={"Authorization": f"Basic {PLANTED}"})).status_code == 401
        json_answer = await client.post("/login", json={"token": PLANTED}, headers={"accept": "application/json"})
        assert json_answer.status_code in (400, 415)
        assert PLANTED not in json_answer.text
    assert "a token that is not known" in caplog.text
    assert PLANTED not in caplog.text
    written = "".join(path.read_text() for path in (tmp_path / "logs").rglob("*") if path.is_file())
    assert PLANTED not in written


async def test_guessing_is_slowed_down_and_says_for_how_long(tmp_path: Path) -> None:
    clock = ManualClock()
    async with console_in(tmp_path, tokens=TOKENS, logins_per_minute=5, clock=clock) as app:
        async with asking(app, address="10.0.0.9") as client:
            for number in range(5):
                assert (
                    (await log_in(client, f"guess-{number}")).headers["location"].startswith("/login?problem=refused")
                )
            assert (await log_in(client, OPERATOR)).headers["location"].startswith("/login?problem=slow_down")
            answer = await client.get("/api/status", headers={"Authorization": f"Bearer {OPERATOR}"})
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) == 61
        async with asking(app, OPERATOR, address="10.0.0.10") as other:
            assert (await other.get("/metrics")).status_code == 200
        await clock.advance(61)
        async with asking(app, OPERATOR, address="10.0.0.9") as client:
            assert (await client.get("/metrics")).status_code == 200


async def test_guessing_from_many_addresses_is_slowed_down_but_keeps_nobody_out_who_was_in(tmp_path: Path) -> None:
    clock = ManualClock()
    async with console_in(tmp_path, tokens=TOKENS, logins_per_minute=2, clock=clock) as app:
        async with asking(app, OPERATOR, address="192.0.2.1") as known:
            assert (await known.get("/metrics")).status_code == 200
        for number in range(20):
            async with asking(app, "guess", address=f"2001:db8:0:{number:x}::1") as client:
                assert (await client.get("/metrics")).status_code == 401
        async with asking(app, OPERATOR, address="2001:db8:0:ffff::1") as client:
            assert (await client.get("/metrics")).status_code == 429
        async with asking(app, OPERATOR, address="192.0.2.1") as known:
            assert (await known.get("/metrics")).status_code == 200


async def test_one_address_of_ipv6_is_its_whole_network(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS, logins_per_minute=2) as app:
        answers = []
        for number in range(3):
            async with asking(app, "guess", address=f"2001:db8::{number + 1}") as client:
                answers.append((await client.get("/metrics")).status_code)
    assert answers == [401, 401, 429]


async def test_a_runaway_script_is_stopped(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS, actions_per_minute=3) as app, asking(app, OPERATOR) as client:
        statuses = [(await client.post("/api/runbook/no-such-action", json={})).status_code for _ in range(4)]
        assert statuses[:3] == [404] * 3
        assert statuses[3] == 429
        async with asking(app, ADMIN) as other:
            assert (await other.post("/api/runbook/no-such-action", json={})).status_code == 404


async def test_without_tokens_everybody_on_this_machine_is_an_operator_and_nobody_elsewhere(tmp_path: Path) -> None:
    async with console_in(tmp_path) as app:
        async with asking(app) as client:
            assert (await client.get("/metrics")).status_code == 200
        async with asking(app, address="192.0.2.7") as client:
            assert (await client.get("/metrics")).status_code == 401
        async with asking(app, "some-token") as client:
            assert (await client.get("/metrics")).status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "console.example"])
def test_a_public_address_without_tokens_is_refused_with_both_fixes(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Access(ApiSettings(), tmp_path, ManualClock(), listens_on=host)
    assert "OPS_API_TOKENS" in str(refused.value)
    assert "RUNBOOK_API__ALLOW_PUBLIC=true" in str(refused.value)
    Access(ApiSettings(tokens=TOKENS), tmp_path, ManualClock(), listens_on=host)
    Access(ApiSettings(allow_public=True), tmp_path, ManualClock(), listens_on=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_loopback_needs_no_token(tmp_path: Path, host: str) -> None:
    assert Access(ApiSettings(), tmp_path, ManualClock(), listens_on=host).is_open
    assert is_loopback(host)


def test_tokens_are_kept_as_digests_alone(tmp_path: Path) -> None:
    access = Access(ApiSettings(tokens=TOKENS), tmp_path, ManualClock())
    shown = repr(vars(access.keeper)) + "".join(repr(getattr(one, "__slots__", "")) for one in access.keeper._holders)
    assert OPERATOR not in shown
    assert OPERATOR.encode() not in b"".join(holder.digest for holder in access.keeper._holders)
    found = access.keeper.find(OPERATOR)
    assert found is not None
    assert found.name == "wang"
    assert access.keeper.find(OPERATOR + "x" * 600) is None


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Console.Example:9180", "console.example"),
        ("[::1]:9180", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("localhost.", "localhost"),
        ("[::1", ""),
        ("a:b", ""),
        ("a:1:2", ""),
        ("", ""),
    ],
)
def test_a_host_header_is_read_without_its_port(header: str, name: str) -> None:
    assert host_name(header) == name


def test_a_local_path_is_a_path_of_this_console() -> None:
    assert local_path("/runs/1?x=%20") == "/runs/1?x=%20"
    assert local_path("javascript:alert(1)") == "/"
