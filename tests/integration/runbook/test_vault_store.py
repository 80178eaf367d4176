"""The store ``vault`` against a real server: what it reads, and what it says when it cannot."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import FeedSettings, Settings
from gateway.clock import SystemClock
from gateway.errors import SettingsError
from gateway.loader import Plugins
from gateway.secrets.references import resolve
from gateway.settings import AccountSettings
from runbook.secrets import VaultError, VaultPlugin, VaultStore, place_of
from runbook.secrets.session import VaultSession
from runbook.settings import VaultSettings
from tests.integration.runbook.vault_server import Bao

PASSWORD = "p4ss-in-vault"


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    with Bao(tmp_path_factory.mktemp("bao")) as bao:
        yield bao


def store(settings: VaultSettings) -> VaultStore:
    return VaultStore(settings, SystemClock())


def refusal(settings: VaultSettings, path: str) -> VaultError:
    with pytest.raises(VaultError) as caught:
        store(settings).read(path)
    assert PASSWORD not in str(caught.value)
    return caught.value


def test_a_reference_in_the_settings_is_looked_up_in_vault(bao: Bao) -> None:
    bao.put("ref", CTP_PRIMARY_PASSWORD=PASSWORD)
    plugins = Plugins.load(
        extra=[VaultPlugin(bao.settings(), SystemClock())], entry_points=False, blocked=["vault_secrets"]
    )
    account = AccountSettings(user_id="u", password="secret:vault:secret/ref#CTP_PRIMARY_PASSWORD")
    found = resolve(Settings(feeds={"ctp": FeedSettings(accounts={"primary": account})}), plugins)
    assert found.feeds["ctp"].accounts["primary"].password.get_secret_value() == PASSWORD


def test_a_missing_key_is_reported_with_the_names_that_are_there(bao: Bao) -> None:
    bao.put("keys", CTP_PRIMARY_PASSWORD=PASSWORD, OTHER="x")
    plugins = Plugins.load(
        extra=[VaultPlugin(bao.settings(), SystemClock())], entry_points=False, blocked=["vault_secrets"]
    )
    account = AccountSettings(user_id="u", password="secret:vault:secret/keys#CTP_PASSWORD")
    with pytest.raises(SettingsError, match="has no CTP_PASSWORD; it has: CTP_PRIMARY_PASSWORD, OTHER") as caught:
        resolve(Settings(feeds={"ctp": FeedSettings(accounts={"primary": account})}), plugins)
    assert PASSWORD not in str(caught.value)


def test_the_settings_of_the_process_lead_to_vault(bao: Bao, monkeypatch: pytest.MonkeyPatch) -> None:
    bao.put("process", A=PASSWORD)
    monkeypatch.setenv("VAULT_ADDR", bao.url)
    monkeypatch.setenv("VAULT_TOKEN", bao.root)
    from runbook.secrets import vault

    (kind,) = vault.gateway_secret_stores()
    assert dict(kind.build({}).read("secret/process")) == {"A": PASSWORD}


def test_one_version_can_be_read_after_a_newer_one_was_written(bao: Bao) -> None:
    bao.put("versions", A="one")
    bao.put("versions", A="two")
    assert store(bao.settings()).read("secret/versions")["A"] == "two"
    assert store(bao.settings()).read("secret/versions?version=1")["A"] == "one"


def test_neither_token_nor_address_nor_proxy_is_taken_from_the_environment(
    bao: Bao, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bao.put("environment", A="x")
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "VAULT_ADDR"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("VAULT_TOKEN", "not-this-one")
    monkeypatch.setenv("VAULT_NAMESPACE", "not-this-one")
    assert store(bao.settings()).read("secret/environment")["A"] == "x"
    role_id, secret_id = bao.approle()
    monkeypatch.setenv("VAULT_TOKEN", bao.root)
    settings = bao.settings(role_id=role_id, secret_id=secret_id)
    assert refusal(settings, "secret/environment").reason == "denied"  # with the root token it would be read


# -- refusals ------------------------------------------------------------------------------------------


def test_permission_denied_names_the_line_that_the_policy_lacks(bao: Bao) -> None:
    bao.put("ctp/live", A=PASSWORD)
    bao.policy("elsewhere", "secret/data/other")
    error = refusal(bao.settings(bao.token("elsewhere")), "secret/ctp/live")
    assert error.reason == "denied"
    assert 'path "secret/data/ctp/live" { capabilities = ["read"] }' in str(error)
    bao.policy("enough", "secret/data/ctp/live")
    assert store(bao.settings(bao.token("enough"))).read("secret/ctp/live")["A"] == PASSWORD


def test_permission_denied_for_the_versions_names_the_path_of_the_metadata(bao: Bao) -> None:
    bao.put("ctp/live", A=PASSWORD)
    bao.policy("no-metadata", "secret/data/ctp/live")
    with (
        VaultSession(bao.settings(bao.token("no-metadata")), SystemClock()) as session,
        pytest.raises(VaultError, match='path "secret/metadata/ctp/live"'),
    ):
        session.versions(place_of("secret/ctp/live", "secret"))


def test_a_token_that_was_revoked_is_told_from_one_that_may_not(bao: Bao) -> None:
    token = bao.token("default")
    bao.call("POST", "auth/token/revoke", {"token": token})
    error = refusal(bao.settings(token), "secret/anything")
    assert error.reason == "token"
    assert "set VAULT_TOKEN" in str(error)
    assert token not in str(error)


@pytest.mark.parametrize("token", ["nonsense", "ünïcode", " leading", "s.x"])
def test_a_token_that_never_was_one_is_refused_without_being_shown(bao: Bao, token: str) -> None:
    error = refusal(bao.settings(token), "secret/anything")
    assert error.reason in ("token", "answer")
    assert token not in str(error)


def test_a_path_that_is_not_there_says_so(bao: Bao) -> None:
    error = refusal(bao.settings(), "secret/nothing/here")
    assert error.reason == "path"
    assert "nothing at secret/nothing/here" in str(error)


def test_a_version_that_is_not_there_says_so(bao: Bao) -> None:
    bao.put("few", A="x")
    assert refusal(bao.settings(), "secret/few?version=7").reason == "version"


def test_a_deleted_and_a_destroyed_version_are_told_apart(bao: Bao) -> None:
    bao.put("gone", A="x")
    bao.call("DELETE", "secret/data/gone")
    error = refusal(bao.settings(), "secret/gone")
    assert error.reason == "deleted"
    assert "is deleted; undelete it" in str(error)
    bao.call("PUT", "secret/destroy/gone", {"versions": [1]})
    assert "is destroyed; write it again" in str(refusal(bao.settings(), "secret/gone"))


def test_an_engine_that_is_not_mounted_says_so(bao: Bao) -> None:
    error = refusal(bao.settings(), "sekret/ctp/live")
    assert error.reason == "mount"
    assert "no engine is mounted at sekret" in str(error)


def test_a_version_1_engine_is_recognised_with_full_rights_and_with_few(bao: Bao) -> None:
    bao.call("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}}, refused={})
    bao.call("POST", "old/ctp/live", {"A": PASSWORD})
    for settings in (bao.settings(), bao.settings(_token_for_v1(bao))):
        error = refusal(settings, "old/ctp/live")
        assert error.reason == "kv1"
        assert "enable-versioning old" in str(error)


def _token_for_v1(bao: Bao) -> str:
    bao.policy("v1", "old/ctp/live")
    return bao.token("v1")


def test_a_mount_with_several_parts_is_the_one_of_the_settings(bao: Bao) -> None:
    bao.mount("team/kv")
    bao.put("ctp/live", mount="team/kv", A="deep")
    assert store(bao.settings(mount="team/kv")).read("team/kv/ctp/live")["A"] == "deep"


def test_values_that_are_not_text_are_refused_by_name(bao: Bao) -> None:
    bao.put("numbers", BROKER_ID=9999, A="x")
    error = refusal(bao.settings(), "secret/numbers")
    assert error.reason == "content"
    assert "BROKER_ID must be text" in str(error)
    assert "9999" not in str(error)


def test_a_namespace_has_its_own_secrets_and_a_wrong_one_says_so(bao: Bao) -> None:
    bao.call("POST", "sys/namespaces/desk", refused={})
    bao.mount(namespace="desk")
    bao.put("ctp/live", namespace="desk", A="of the desk")
    assert store(bao.settings(namespace="desk")).read("secret/ctp/live")["A"] == "of the desk"
    error = refusal(bao.settings(namespace="desc"), "secret/ctp/live")
    assert error.reason == "namespace"
    assert "no namespace desc" in str(error)
    bao.policy("desk-reader", "secret/data/ctp/live", namespace="desk")
    inside = bao.token("desk-reader", namespace="desk")
    assert store(bao.settings(inside, namespace="desk")).read("secret/ctp/live")["A"] == "of the desk"
    outside = refusal(bao.settings(inside), "secret/ctp/live")  # VAULT_NAMESPACE forgotten
    assert outside.reason in ("token", "denied")
    assert "namespace" in str(outside).lower()


def test_a_server_that_does_not_answer_in_time_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = VaultSettings(addr=f"http://127.0.0.1:{port}", token="t", timeout_s=0.2)
        error = refusal(settings, "secret/x")
    assert error.reason == "timeout"
    assert "RUNBOOK_VAULT__TIMEOUT_S" in str(error)


def test_nobody_there_says_where_it_looked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = refusal(VaultSettings(addr=f"http://127.0.0.1:{port}", token="t"), "secret/x")
    assert error.reason == "unreachable"
    assert f"http://127.0.0.1:{port}: connection refused; check VAULT_ADDR" in str(error)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (VaultSettings(), "VAULT_ADDR is not set"),
        (VaultSettings(addr="http://127.0.0.1:1"), "set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID"),
        (VaultSettings(addr="https://127.0.0.1:1", token="t", cacert=Path("/no/ca.pem")), "VAULT_CACERT"),
    ],
)
def test_settings_that_cannot_work_name_the_variable(settings: VaultSettings, words: str) -> None:
    error = refusal(settings, "secret/x")
    assert error.reason == "settings"
    assert words in str(error)
