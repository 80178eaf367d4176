"""The check of Vault, against a real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from runbook.checks import Finding, Severity, read_inspection, vault
from tests.integration.runbook.vault_server import Bao

PASSWORD = "pl4nted-vault-password"


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    with Bao(tmp_path_factory.mktemp("bao")) as bao:
        bao.put("ctp/live", CTP_PRIMARY_USER_ID="160219", CTP_PRIMARY_PASSWORD=PASSWORD)
        bao.policy("live", "secret/data/ctp/live")
        yield bao


def checked(environ: dict[str, str], profile: Any = "live") -> Sequence[Finding]:
    look = read_inspection(SystemClock(), profile=profile, environ=environ)
    assert not look.refusals
    found = vault.check(look)
    assert PASSWORD not in str(found)
    assert all(finding.fix for finding in bad(found))
    return found


def bad(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity in (Severity.WARNING, Severity.ERROR)]


def test_a_readable_path_is_fine_and_only_names_are_said(bao: Bao) -> None:
    token = bao.token("live")
    found = checked({"VAULT_ADDR": bao.url, "VAULT_TOKEN": token})
    assert not bad(found)
    assert "CTP_PRIMARY_PASSWORD, CTP_PRIMARY_USER_ID" in found[-1].what
    assert token not in str(found)


def test_an_approle_is_fine(bao: Bao) -> None:
    role_id, secret_id = bao.approle("live")
    found = checked({"VAULT_ADDR": bao.url, "VAULT_ROLE_ID": role_id, "VAULT_SECRET_ID": secret_id})
    assert not bad(found)
    assert secret_id not in str(found)


def test_a_token_that_ends_soon_is_a_warning(bao: Bao) -> None:
    (warning,) = bad(checked({"VAULT_ADDR": bao.url, "VAULT_TOKEN": bao.token("live", ttl="10m")}))
    assert warning.severity is Severity.WARNING
    assert "ends in" in warning.what


def test_a_dead_token_a_missing_right_and_a_missing_path_are_errors_with_their_fix(bao: Bao) -> None:
    (dead,) = bad(checked({"VAULT_ADDR": bao.url, "VAULT_TOKEN": "s.not-a-token-at-all"}))
    assert dead.severity is Severity.ERROR
    assert "VAULT_TOKEN" in dead.fix
    (denied,) = bad(checked({"VAULT_ADDR": bao.url, "VAULT_TOKEN": bao.token("default", ttl="2h")}))
    assert "permission denied" in denied.what
    (missing,) = bad(
        checked({"VAULT_ADDR": bao.url, "VAULT_TOKEN": bao.root, "RUNBOOK_VAULT__PATH": "ctp/nothing-here"})
    )
    assert "secret/ctp/nothing-here" in missing.what
    assert "vault kv put" in missing.fix
    (warning,) = bad(checked({"VAULT_ADDR": bao.url, "VAULT_TOKEN": "s.not-a-token-at-all"}, profile="dev"))
    assert warning.severity is Severity.WARNING


def test_a_misspelt_name_in_vault_is_found_before_a_start_needs_it(bao: Bao) -> None:
    bao.put("typo", CTP_PRIMARY_PASSWROD=PASSWORD)
    found = bad(checked({"VAULT_ADDR": bao.url, "VAULT_TOKEN": bao.root, "RUNBOOK_VAULT__PATH": "typo"}))
    assert "CTP_PRIMARY_PASSWROD" in found[0].what
    assert "did you mean CTP_PRIMARY_PASSWORD?" in found[0].fix


def test_a_name_without_a_value_is_a_warning(bao: Bao) -> None:
    bao.put("empty", CTP_PRIMARY_USER_ID="u", CTP_PRIMARY_PASSWORD="")
    found = bad(checked({"VAULT_ADDR": bao.url, "VAULT_TOKEN": bao.root, "RUNBOOK_VAULT__PATH": "empty"}))
    assert [finding.severity for finding in found] == [Severity.WARNING]
    assert "CTP_PRIMARY_PASSWORD" in found[0].what


def test_a_sealed_vault_is_an_error(tmp_path: Path) -> None:
    with Bao(tmp_path / "bao", mode="file") as bao:
        bao.initialise()
        (error,) = bad(checked({"VAULT_ADDR": bao.url, "VAULT_TOKEN": bao.root}))
    assert error.severity is Severity.ERROR
    assert "sealed" in error.what
    assert "unseal" in error.fix


def test_a_vault_that_is_away_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (error,) = bad(checked({"VAULT_ADDR": f"http://127.0.0.1:{port}", "VAULT_TOKEN": "t" * 20}))
    assert f"127.0.0.1:{port}" in error.what


def test_without_an_address_it_depends_on_what_the_settings_want() -> None:
    (warning,) = checked({})
    assert warning.severity is Severity.WARNING
    (info,) = checked({}, profile="dev")
    assert info.severity is Severity.INFO
    account = {"CTP_PRIMARY_BROKER_ID": "9999", "CTP_PRIMARY_USER_ID": "u", "CTP_PRIMARY_MD_ADDRESS": "tcp://h:1"}
    (error,) = checked(account | {"CTP_PRIMARY_PASSWORD": "secret:vault:secret/ctp/live#CTP_PRIMARY_PASSWORD"})
    assert error.severity is Severity.ERROR
    assert "VAULT_ADDR" in error.fix
