"""A whole environment of real servers passes; and whatever fails, no planted secret is said."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.testing.nats import NatsServer, ServerOptions
from runbook.checks.commands import add_arguments, validate_env_command
from tests import needing
from tests.integration.runbook.vault_server import Bao
from tests.ports import free_port
from tests.unit.runbook.checks.environment import listening, web, written

SECRETS = {
    "CTP_PRIMARY_PASSWORD": "pl4nted-primary-password",
    "CTP_PRIMARY_AUTH_CODE": "pl4nted-auth-code",
    "CTP_BACKUP_PASSWORD": "pl4nted-backup-password",
    "NATS_PASSWORD": "pl4nted-nats",
    "VAULT_TOKEN": "pl4nted-vault-token",
    "OPS_API_TOKENS": "operator:anna:pl4nted-api-token-of-anna",
    "RUNBOOK_AUDIT_KEY": "pl4nted-audit-key-of-the-desk",
    "RUNBOOK_NOTIFY__URLS": "slack://pl4ntedtokenA/pl4ntedtokenB/pl4ntedtokenC",
}
PROMETHEUS = {"/-/ready": (200, b"OK"), "/api/v1/query?query=up": (200, b'{"status":"success"}')}


async def validate(environ: Mapping[str, str], *words: str) -> tuple[int, str]:
    parser = ArgumentParser()
    add_arguments(parser, of_environment=True)
    out = io.StringIO()
    args = parser.parse_args(["--profile", "live", "--require-backup", *words])
    code = await asyncio.to_thread(validate_env_command, args, out, SystemClock(), environ)
    return code, out.getvalue()


def account(name: str, port: int) -> dict[str, str]:
    return {
        f"CTP_{name}_BROKER_ID": "9999",
        f"CTP_{name}_USER_ID": f"16021{port % 10}{name[0]}",
        f"CTP_{name}_MD_ADDRESS": f"tcp://127.0.0.1:{port}",
    }


def places(root: Path) -> dict[str, str]:
    names = ("STATE", "LOG", "ARCHIVE", "INCIDENT", "SOAK")
    return {f"RUNBOOK_{name}_DIR": f"{root}/{name.lower()}" for name in names} | {
        "FEEDGATE_LEDGER__PATH": f"{root}/state/gaps.sqlite",
        "RUNBOOK_VAULT__RUNTIME_FILE": f"{root}/.env.runtime",
        "FEEDGATE_METRICS__PORT": str(free_port()),
        "OPS_API_PORT": str(free_port()),
        "FEEDGATE_PROFILE": "live",
        "RUNBOOK_ESCALATION__COMMAND": "true",
    }


async def test_an_environment_in_order_has_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    needing.plugin()
    caplog.set_level(logging.DEBUG)
    root = tmp_path / "desk"
    root.mkdir(mode=0o700)
    options = ServerOptions(user="feed", password=SECRETS["NATS_PASSWORD"])
    with Bao(tmp_path / "bao") as bao, web(PROMETHEUS) as url, listening() as one, listening() as other:
        bao.put("ctp/live", CTP_PRIMARY_PASSWORD=SECRETS["CTP_PRIMARY_PASSWORD"])
        async with NatsServer(options) as server:
            values = SECRETS | account("PRIMARY", one) | account("BACKUP", other) | places(root)
            values |= {"NATS_URL": server.url, "NATS_USER": "feed", "PUSHGATEWAY_URL": url, "OPS_PROMETHEUS_URL": url}
            values |= {"VAULT_ADDR": bao.url, "VAULT_TOKEN": bao.token("root")}
            values["CTP_BACKUP_PASSWORD"] = "secret:vault:secret/ctp/live#CTP_PRIMARY_PASSWORD"
            values.pop("CTP_PRIMARY_AUTH_CODE")
            lines = "".join(f"{name}={value}\n" for name, value in values.items())
            source = written(root / ".env.live", lines)
            code, text = await validate({}, "--source", str(source), "--fix", "--json")
    report = json.loads(text)
    errors = [
        (check["name"], finding)
        for check in report["checks"]
        for finding in check["findings"]
        if finding["severity"] == "error"
    ]
    # nothing was pulled from Vault in this test, and the calendar's end is not in our hands
    assert {name for name, _ in errors} <= {"runtime-file", "calendar"}, errors
    assert code == report["exit_code"]
    assert len(report["checks"]) == 24
    for said in (text, caplog.text):
        assert "pl4nted" not in said


async def test_an_environment_out_of_order_names_every_fault_with_its_fix_and_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    root = tmp_path / "desk"
    root.mkdir(mode=0o777)
    root.chmod(0o777)
    away = f"http://127.0.0.1:{free_port()}"
    values = SECRETS | account("PRIMARY", free_port()) | account("BACKUP", free_port()) | places(root)
    values |= {"CTP_PRIMARY_TD_ADDRESS": "tcp://127.0.0.1:1", "CTP_PRIMARY_APP_ID": "app"}
    values |= {"PUSHGATEWAY_URL": away, "OPS_PROMETHEUS_URL": away, "VAULT_ADDR": away}
    values |= {"NATS_URL": f"nats://127.0.0.1:{free_port()}", "NATS_USER": "feed"}
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    source = written(root / ".env.live", lines, 0o666)
    texts = [await validate({}, "--source", str(source), *words) for words in ([], ["--json"], ["--fix"])]
    assert {code for code, _ in texts} == {11}
    report = json.loads(texts[1][1])
    worst = {check["name"]: check["severity"] for check in report["checks"]}
    for name in ("fronts", "vault", "nats", "monitoring", "secret-files", "ledger"):
        assert worst[name] == "error", (name, report)
    for check in report["checks"]:
        for finding in check["findings"]:
            assert finding["what"]
            assert finding["fix"] or finding["severity"] in ("ok", "info"), finding
    for said in (*(text for _, text in texts), caplog.text):
        assert "pl4nted" not in said


async def test_values_in_the_wrong_place_are_not_said(tmp_path: Path) -> None:
    source = written(
        tmp_path / ".env.live",
        "CTP_PRIMARY_MD_ADDRESS=pl4nted-one\nOPS_API_PORT=pl4nted-two\nNATS_URL=http://u:pl4nted-three@h\n"
        "VAULT_ADDR=http://u:pl4nted-four@h\npl4nted-five\nRUNBOOK_AUDIT_KEY=pl4nted\n",
    )
    for words in ([], ["--json"]):
        code, text = await validate({}, "--source", str(source), "--only", "settings", *words)
        assert code == 11
        assert "pl4nted" not in text
        assert "CTP_PRIMARY_MD_ADDRESS" in text
