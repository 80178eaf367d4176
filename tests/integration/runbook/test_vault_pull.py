"""``runbook secrets pull`` and ``clear`` from a real server to settings that the gateway reads."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.settings import load_settings
from runbook.model import ActionResult, Exit
from runbook.secrets import VaultError, clear, origin_of, pull
from runbook.secrets.runtime_file import MARK
from runbook.settings import VaultSettings
from tests.integration.runbook.vault_server import Bao

PASSWORDS = {"primary": 'it\'s $HOME "of" back\\slash#', "backup": " spaces kept "}


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    with Bao(tmp_path_factory.mktemp("bao")) as bao:
        yield bao


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / ".env.runtime"


def account(name: str) -> dict[str, str]:
    start = f"CTP_{name}_".upper()
    return {
        f"{start}BROKER_ID": "9999",
        f"{start}USER_ID": "160219",
        f"{start}PASSWORD": PASSWORDS[name],
        f"{start}MD_ADDRESS": "tcp://127.0.0.1:10211",
    }


def pulled(settings: VaultSettings, **options: bool) -> ActionResult:
    return pull(settings, SystemClock(), **options)


def test_what_vault_has_at_the_operators_path_is_what_the_gateway_reads(bao: Bao, file: Path) -> None:
    version = bao.put("ctp/live", **account("primary"), **account("backup"), NOTE="not ours")
    result = pulled(bao.settings(runtime_file=file))
    assert result.exit_code == Exit.OK
    found = load_settings(env_files=[file], environ={})
    for name, password in PASSWORDS.items():
        assert found.feeds["ctp"].accounts[name].password.get_secret_value() == password
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert origin_of(file) == ("secret/ctp/live", version)
    assert result.details["version"] == version
    assert result.details["left_out"] == ["NOTE"]
    assert f"8 variables of secret/ctp/live version {version} written" in result.message
    shown = json.dumps([result.message, dict(result.details), repr(result)])
    assert not any(json.dumps(password)[1:-1] in shown for password in PASSWORDS.values())


def test_the_next_pull_replaces_the_file_and_drops_what_vault_has_no_more(bao: Bao, file: Path) -> None:
    settings = bao.settings(runtime_file=file, path="twice")
    bao.put("twice", **account("primary"), **account("backup"))
    pulled(settings)
    bao.put("twice", **account("primary"))
    pulled(settings)
    assert list(load_settings(env_files=[file], environ={}).feeds["ctp"].accounts) == ["primary"]


@pytest.mark.parametrize("version", ["missing path", "newline"])
def test_a_pull_that_fails_leaves_the_file_of_the_last_one(bao: Bao, file: Path, version: str) -> None:
    path = f"kept/{version.replace(' ', '-')}"
    settings = bao.settings(runtime_file=file, path=path)
    bao.put(path, **account("primary"))
    pulled(settings)
    before = file.read_bytes()
    if version == "newline":
        bao.put(path, CTP_PRIMARY_PASSWORD="two\nlines")
    else:
        bao.call("DELETE", f"secret/metadata/{path}")
    with pytest.raises(VaultError) as caught:
        pulled(settings)
    assert caught.value.exit_code == Exit.ENVIRONMENT
    assert file.read_bytes() == before


def test_a_dry_run_reads_and_checks_and_writes_nothing(bao: Bao, file: Path) -> None:
    settings = bao.settings(runtime_file=file, path="dry")
    bao.put("dry", **account("primary"))
    result = pulled(settings, dry_run=True)
    assert "would be written" in result.message
    assert not file.exists()
    bao.put("dry", CTP_PRIMARY_PASWORD="x")
    with pytest.raises(VaultError, match="did you mean CTP_PRIMARY_PASSWORD"):
        pulled(settings, dry_run=True)


def test_clear_after_pull_leaves_nothing_behind(bao: Bao, file: Path) -> None:
    bao.put("cleared", **account("primary"))
    pulled(bao.settings(runtime_file=file, path="cleared"))
    assert file.read_text().startswith(MARK)
    assert clear(file).ok
    assert list(file.parent.iterdir()) == []
    assert clear(file).ok
