"""Reports of incidents, with everything down and with something up."""

from __future__ import annotations

import gzip
import http.server
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.settings import Settings
from runbook.actions.incident import IncidentParameters, incident
from runbook.audit import open_audit
from runbook.maintenance.evidence import Collector, since
from runbook.maintenance.tarball import read_members
from runbook.maintenance.yaml_text import yaml_text
from runbook.model import AuditRecord
from runbook.runner.masking import Masker

FIELDS = [
    "date_time", "session", "operator", "trigger", "actions", "metrics", "outcome", "follow_ups", "audit_files",
    "not_available",
]  # fmt: skip


def contents(path: Path) -> dict[str, str]:
    read_members(path)
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read().decode() for info in tar}  # type: ignore[union-attr]  # files


def record(run: str, **more: Any) -> AuditRecord:
    values: dict[str, Any] = {
        "run": run, "event": "start", "at": "2026-11-20T12:00:00+08:00", "action": "failover", "operator": "wang",
        "trigger": "cli", "session": "day", "window": "day", "profile": "live", "config": "primary", "mode": "live",
        "reason": "", "parameters": {},
    }  # fmt: skip
    return AuditRecord(**values | more)


async def test_a_report_is_written_when_everything_is_down_and_says_so(desk: Any) -> None:
    parameters = IncidentParameters(trigger="no ticks", actions=["called the broker"], follow_ups=["ask why"])
    result = await incident(desk.context("incident"), parameters)
    assert result.exit_code == 1
    (path,) = desk.settings.incident_dir.iterdir()
    assert path.name == "incident_20261120_120000.tar.gz"
    assert path.stat().st_mode & 0o777 == 0o600
    found = yaml.safe_load(contents(path)["incident.yaml"])
    assert list(found) == FIELDS
    assert found["date_time"] == "2026-11-20T12:00:00.000+08:00"
    assert (found["operator"], found["trigger"], found["outcome"]) == ("li", "no ticks", "open")
    assert found["actions"] == ["called the broker"]
    assert found["metrics"] == {"md_runbook_exit_code": None, "md_failover_latency_ms": None}
    missing = "\n".join(found["not_available"])
    for what in (
        "status of the gateway: nats://127.0.0.1:4222 refuses",
        "metrics of the gateway",
        "pushgateway",
        "logs",
        "audit",
    ):
        assert what in missing


async def test_audit_logs_and_own_session_are_in_it_and_old_ones_are_not(desk: Any) -> None:
    log = open_audit(desk.settings.audit_directory, desk.clock)
    log.append(record("old"))
    await desk.clock.advance(3 * 3600)
    log.append(record("x", event="stop", exit_code=43, message="no ticks after it"))
    log.append(record(desk.context("incident").run, action="incident", session="day"))
    desk.file("runbooks/new.log", "new\n")
    desk.file("runbooks/old.log", "old\n", age_days=1)
    await incident(desk.context("incident"), IncidentParameters(minutes=60))
    (path,) = desk.settings.incident_dir.iterdir()
    files = contents(path)
    assert {"logs/new.log", "audit.jsonl"} <= files.keys()
    assert "logs/old.log" not in files
    assert '"run": "old"' not in files["audit.jsonl"]
    found = yaml.safe_load(files["incident.yaml"])
    assert found["session"] == "day"
    assert found["actions"] == ["2026-11-20T12:00:00+08:00 failover by wang: exit code 43"]
    assert 'command="failover",window="day",profile="live",source="audit"' in found["metrics"]["md_runbook_exit_code"]
    assert len(found["audit_files"]) == 1


async def test_no_secret_of_the_settings_or_of_the_runtime_file_is_in_it(desk: Any) -> None:
    desk.configure(api={"token": "pl4nted-one"}, vault={"runtime_file": desk.root / ".env.runtime"})
    (desk.root / ".env.runtime").write_text("CTP_PRIMARY_PASSWORD='pl4nted-two'\n")
    desk.file("runbooks/a.log", "login pl4nted-one, then pl4nted-two\n")
    desk.file("runbooks/secrets.txt", "pl4nted-three\n")
    desk.file("runbooks/.env.live", "A=pl4nted-four\n")
    desk.file("runbooks/gateway.log.20261120.1", "again pl4nted-one\n")
    desk.file("runbooks/gateway.log.20261120.2.gz", gzip.compress(b"packed pl4nted-two\n"))
    desk.file("runbooks/.gateway.log.lock", "20261120")
    desk.file("runbooks/runs/x.log", json.dumps({"text": "quoted pl4nted-one", "password": "pl4nted-two"}) + "\n")
    result = await incident(desk.context("incident", reason="pl4nted-one"), IncidentParameters(outcome="pl4nted-two"))
    (path,) = desk.settings.incident_dir.iterdir()
    files = contents(path)
    everything = "".join(files.values()) + result.message + str(result.details)
    assert "pl4nted" not in everything
    assert b"pl4nted" not in b"".join(gzip.decompress(path.read_bytes()).split())
    assert "login ***, then ***" in everything
    assert files["logs/gateway.log.20261120.1"] == "again ***\n"
    assert files["logs/gateway.log.20261120.2"] == "packed ***\n"
    assert not [name for name in files if "lock" in name or "env" in name or "secrets" in name]


async def test_a_report_has_the_youngest_logs_and_a_limit(desk: Any) -> None:
    for age, name in enumerate(("c", "b", "a", "d")):
        desk.file(f"runbooks/{name}.log", f"{name} " * 50 + "\n", age_days=age / 1000)
    collector = Collector(desk.context("incident"), Masker(), since(desk.context("incident"), 60), room=150)
    evidence = await collector.collect()
    assert {name for name in evidence.files if name.startswith("logs/")} == {"logs/c.log", "logs/b.log"}
    assert "2 older logs: the report would have more than 150 bytes" in evidence.missing


async def test_a_compressed_log_that_is_broken_or_a_bomb_is_left_out_and_named(desk: Any) -> None:
    desk.file("runbooks/a.log.gz", gzip.compress(b"x" * 1000)[:-12])
    desk.file("runbooks/b.log.gz", b"no gzip at all")
    desk.file("runbooks/c.log.gz", gzip.compress(b"\0" * (65 << 20), 1))
    result = await incident(desk.context("incident"), IncidentParameters())
    missing = "\n".join(result.details["missing"])
    assert "log a.log.gz: Compressed file ended" in missing
    assert "log b.log.gz: Not a gzipped file" in missing
    assert "log c.log.gz: it has more than 67108864 bytes unpacked" in missing


@pytest.fixture
def exporter() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'md_runbook_exit_code{command="drill"} 43\nmd_failover_latency_ms{feed="ctp"} 812.5\n')

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_figures_come_from_the_metrics(desk: Any, exporter: str) -> None:
    desk.configure(metrics={"pushgateway_url": exporter})
    desk.gateway = Settings.model_validate({"metrics": {"port": int(exporter.rpartition(":")[2])}})
    result = await incident(desk.context("incident"), IncidentParameters())
    (path,) = desk.settings.incident_dir.iterdir()
    found = yaml.safe_load(contents(path)["incident.yaml"])
    assert found["metrics"]["md_runbook_exit_code"] == {'command="drill"': 43}
    assert found["metrics"]["md_failover_latency_ms"] == {'feed="ctp"': 812.5}
    assert {"metrics/gateway.txt", "metrics/pushgateway.txt"} <= set(result.details["files"])


async def test_a_place_that_takes_nothing_is_an_error(desk: Any) -> None:
    desk.file("incidents", "a file in its place")
    assert (await incident(desk.context("incident"), IncidentParameters())).exit_code == 2


texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(scalars, lambda inside: st.lists(inside) | st.dictionaries(texts, inside), max_leaves=20)


@given(st.dictionaries(texts, values, min_size=1))
@example({"a": [1e-05, 1e300, float("inf"), float("-inf"), -0.0], "yes": "no", "x": [[[]], [{"b": {}}]]})
def test_what_is_written_as_yaml_is_read_back_as_it_was(value: dict[str, Any]) -> None:
    assert yaml.safe_load(yaml_text(value)) == value
