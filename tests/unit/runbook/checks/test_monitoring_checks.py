"""Monitoring switches, access, and the HTTP way of asking."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from runbook.checks import Severity, access, monitoring
from runbook.checks.reach import connect_error, get
from tests.ports import free_port
from tests.unit.runbook.checks.environment import inspection, listening, of, the_only, web

READY = {"/-/ready": (200, b"OK"), "/api/v1/query?query=up": (200, b'{"status":"success","data":{}}')}
TOKEN = "pl4nted-token-of-an-operator"


def test_unset_addresses_are_errors_in_live_and_warnings_elsewhere() -> None:
    errors = of(monitoring.check(inspection()), Severity.ERROR)
    assert [finding.fix.partition("=")[0] for finding in errors] == ["set PUSHGATEWAY_URL", "set OPS_PROMETHEUS_URL"]
    assert len(of(monitoring.check(inspection(profile="dev")), Severity.WARNING)) == 2


def test_servers_that_are_ready_are_fine() -> None:
    with web(READY) as url:
        found = monitoring.check(inspection({"PUSHGATEWAY_URL": url, "OPS_PROMETHEUS_URL": url}))
    assert [finding.severity for finding in found] == [Severity.OK] * 3


def test_servers_that_are_away_are_named_with_a_command() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    errors = of(monitoring.check(inspection({"PUSHGATEWAY_URL": url, "OPS_PROMETHEUS_URL": url})), Severity.ERROR)
    assert len(errors) == 2
    assert all(f"curl {url}/-/ready" in finding.fix and "refused" in finding.what for finding in errors)


def test_a_server_that_is_not_ready_or_is_no_prometheus_is_an_error() -> None:
    with web({"/-/ready": (503, b"")}) as url:
        found = monitoring.check(inspection({"PUSHGATEWAY_URL": url, "OPS_PROMETHEUS_URL": url}))
    assert all("503" in finding.what for finding in of(found, Severity.ERROR))
    with web(READY | {"/api/v1/query?query=up": (200, b"<html>")}) as url:
        found = monitoring.check(inspection({"PUSHGATEWAY_URL": url, "OPS_PROMETHEUS_URL": url}))
    assert "not Prometheus" in the_only(found, Severity.ERROR).what


def test_metrics_that_are_turned_off_are_found() -> None:
    with web(READY) as url:
        environ = {"PUSHGATEWAY_URL": url, "OPS_PROMETHEUS_URL": url, "FEEDGATE_METRICS__ENABLED": "false"}
        found = the_only(monitoring.check(inspection(environ)), Severity.ERROR)
    assert "FEEDGATE_METRICS__ENABLED=true" in found.fix


def test_an_api_that_nobody_may_use_is_found() -> None:
    assert "OPS_API_TOKENS=" in the_only(access.check(inspection()), Severity.ERROR).fix
    viewers = access.check(inspection({"OPS_API_TOKENS": f"viewer:wall:{TOKEN}"}))
    assert any("viewers only" in finding.what for finding in of(viewers, Severity.WARNING))


def test_access_names_people_and_never_tokens() -> None:
    environ = {
        "OPS_API_TOKENS": f"operator:anna:{TOKEN},viewer:wall:short1",
        "RUNBOOK_AUDIT_KEY": "k" * 20,
        "RUNBOOK_ESCALATION__COMMAND": "true",
    }
    found = access.check(inspection(environ))
    assert "anna (operator), wall (viewer)" in the_only(found, Severity.OK).what
    assert "the token of wall" in the_only(found, Severity.ERROR).what
    assert not of(found, Severity.WARNING)
    assert TOKEN not in str(found)
    assert "short1" not in str(found)


def test_commands_that_are_not_there_are_found_before_they_are_needed(tmp_path: Path) -> None:
    tokens = {"OPS_API_TOKENS": f"operator:anna:{TOKEN}", "RUNBOOK_AUDIT_KEY": "k" * 20}
    good = {"RUNBOOK_ESCALATION__COMMAND": "sh -c 'echo {marker} {exit_code}'", "DRILL_HEALTH_CMD": "true"}
    assert not of(access.check(inspection(tokens | good)), Severity.ERROR)
    bad = {"RUNBOOK_ESCALATION__COMMAND": f"{tmp_path}/call {{marker}}", "DRILL_HEALTH_CMD": f"{tmp_path}/look --now"}
    errors = of(access.check(inspection(tokens | bad)), Severity.ERROR)
    assert [finding.what.split()[0] for finding in errors] == ["RUNBOOK_ESCALATION__COMMAND", "DRILL_HEALTH_CMD"]
    assert f"chmod +x {tmp_path}/call" in errors[0].fix


@pytest.mark.parametrize(
    ("name", "value", "severity"),
    [("OPS_API_CORS_ORIGINS", "*", Severity.ERROR), ("RUNBOOK_API__HOST", "0.0.0.0", Severity.WARNING)],
)
def test_an_api_open_to_more_than_it_should_is_found(name: str, value: str, severity: Severity) -> None:
    environ = {"OPS_API_TOKENS": f"operator:anna:{TOKEN}", name: value}
    found = access.check(inspection(environ))
    fixes = [finding.fix for finding in of(found, severity)]
    assert any(("leave it empty" in fix) or ("127.0.0.1" in fix) for fix in fixes)


def test_a_server_that_says_nothing_or_nonsense_is_an_error_and_no_exception() -> None:
    with listening() as port:
        assert get(f"http://127.0.0.1:{port}", "/", 0.1).error == "no answer within 0.1 s"
        assert connect_error("127.0.0.1", port, 1.0) == ""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"INFO {}\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        answer = get(f"http://127.0.0.1:{server.getsockname()[1]}", "/", 2.0)
        thread.join()
    assert answer.error == "it does not speak HTTP"
    assert connect_error("127.0.0.1", free_port(), 1.0) == "Connection refused"


def test_a_redirect_is_not_followed() -> None:
    with web({"/-/ready": (302, b"")}) as url:
        assert get(url, "/-/ready", 2.0).said == "it answers 302"
