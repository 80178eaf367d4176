"""What docker-compose.yml starts, really run: healthy while it works, not healthy once it does not."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.day.services import get, program
from tests.integration.deploy.container import DEADLINE_S, Host, Running, prepare, until
from tests.integration.runbook.vault_server import program as vault_program

HEALTHZ = "http://127.0.0.1:{port}/healthz"


def call(url: str, token: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def start_nats(host: Host, name: str) -> tuple[Running, str]:
    running = host.start(name)
    url = f"http://127.0.0.1:{host.port(name, 8222)}/healthz?js-enabled-only=true"
    running.healthy(url)
    return running, url


def outside(root: Path, writable: tuple[str, ...]) -> set[str]:
    """Files of a container that are in none of its writable places."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and not str(path.relative_to(root)).startswith(writable)
    }


def test_the_profile_dev_comes_up_healthy_and_says_so_when_it_is_not(tmp_path: Path) -> None:
    tools = {name: program(name) for name in ("prometheus", "prometheus-pushgateway")}
    prepare(tmp_path)
    env = (tmp_path / "config" / "sim" / "feedgate.env").read_text()
    tokens = dict(re.findall(r"(viewer|operator):\w+:(\w+)", env))
    with Host(tmp_path, "dev") as host:
        nats, nats_url = start_nats(host, "nats")
        host.start("pushgateway", program=tools["prometheus-pushgateway"], extra=(_listen(host, "pushgateway"),))
        metrics, console = host.port("gateway", 9100), host.port("runbook", 9180)
        more = {
            "FEEDGATE_METRICS__PORT": str(metrics),
            "OPS_API_PORT": str(console),
            # a quieter market, for the machine's sake
            "FEEDGATE_FEEDS__SIM__OPTIONS__RATE": "200",
            "FEEDGATE_FEEDS__SIM__OPTIONS__CONTRACTS": "30",
        }
        # the console comes first: it does not wait for the gateway
        runbook = host.start("runbook-sim", **more)
        runbook.healthy(HEALTHZ.format(port=console))
        prometheus = host.start("prometheus", program=tools["prometheus"], extra=(_listen(host, "prometheus"),))
        asked = f"http://127.0.0.1:{host.port('prometheus', 9090)}"
        until(partial(_answered, f"{asked}/-/ready"), prometheus.log.read_text)
        before = outside(host.place("gateway-sim"), ())
        gateway = host.start("gateway-sim", **more)
        gateway.healthy()

        # NATS is somebody else's: the gateway's supervisor started none
        logs = tmp_path / "volumes" / "logs"
        assert not (logs / "nats.log").exists()
        assert (logs / "gateway.log").exists()
        # a container whose root cannot be written to: what was written is in volumes and tmpfs
        writable = ("var/lib/feedgate", "var/log/feedgate", "tmp", "run/feedgate")
        assert before == set()
        for name in ("gateway-sim", "runbook-sim"):
            mounted = {"etc/feedgate/feedgate.env", "etc/feedgate/feedgate.toml"}
            assert outside(host.place(name), writable) == mounted

        # Prometheus finds them all by the names of the services, the console with its token

        def up() -> set[str]:
            try:
                told = json.loads(get(f"{asked}/api/v1/query?query=up==1"))
            except (OSError, ValueError):
                return set()
            return {row["metric"]["job"] for row in told["data"]["result"]}

        until(lambda: {"gateway", "console", "pushgateway"} <= up(), lambda: f"{up()}\n{prometheus.log.read_text()}")

        # the console restarts the gateway of the other container through the state that both have
        _restarted_by_the_console(f"http://127.0.0.1:{console}", metrics, tokens["operator"])
        assert gateway.process.poll() is None

        # the exit code is pushed when the run is over, and the console may tell of the end first
        def pushed() -> str:
            return get(f"http://127.0.0.1:{host.port('pushgateway', 9091)}/metrics")

        until(lambda: re.search(r'md_runbook_exit_code\{command="restart"[^}]*profile="dev"', pushed()), pushed)
        gateway.healthy()

        # not healthy any more, one after the other
        assert gateway.stop() == 0
        told = gateway.health()
        assert told.returncode == 1
        assert told.stderr.startswith("gateway: ")
        assert runbook.health(HEALTHZ.format(port=console)).returncode == 0, "a console lives without its gateway"
        assert runbook.stop() == 0
        assert runbook.health(HEALTHZ.format(port=console)).returncode == 1
        nats.stop()
        assert nats.health(nats_url).returncode == 1


def _restarted_by_the_console(url: str, metrics: int, token: str) -> None:
    until(lambda: _ready(url), lambda: "the console does not see the gateway")
    epoch = _epoch(metrics)
    answer = call(f"{url}/api/runbook/restart", token, {"reason": "a test", "profile": "dev"})

    def over() -> dict[str, Any]:
        found = call(f"{url}/api/runbook/runs/{answer['id']}", token)
        return found if found["state"] == "done" else {}

    until(over, lambda: "the restart does not end")
    assert over()["exit_code"] in (0, 1), over()
    assert _epoch(metrics) > epoch


def _listen(host: Host, name: str) -> str:
    port = {"prometheus": 9090, "pushgateway": 9091, "alertmanager": 9093}[name]
    return f"--web.listen-address=127.0.0.1:{host.port(name, port)}"


def _ready(url: str) -> bool:
    try:
        return bool(json.loads(get(f"{url}/readyz"))["ready"])
    except urllib.error.HTTPError:
        return False


def _answered(url: str) -> bool:
    try:
        return bool(get(url))
    except OSError:
        return False


def _epoch(port: int) -> float:
    """When the gateway was started."""
    found = re.search(r"(?m)^md_gateway_epoch_seconds (\S+)$", get(f"http://127.0.0.1:{port}/metrics"))
    assert found is not None
    return float(found[1])


def test_three_nats_servers_make_one_jetstream_cluster(tmp_path: Path) -> None:
    prepare(tmp_path)
    names = ("nats-1", "nats-2", "nats-3")
    with Host(tmp_path, "live") as host:
        nodes = [host.start(name) for name in names]
        for node, name in zip(nodes, names, strict=True):
            node.healthy(f"http://127.0.0.1:{host.port(name, 8222)}/healthz?js-enabled-only=true")

        def peers() -> int:
            told = json.loads(get(f"http://127.0.0.1:{host.port('nats-1', 8222)}/jsz"))
            meta = told.get("meta_cluster", {})
            return int(meta.get("cluster_size", 0)) if meta.get("leader") in names else 0

        until(lambda: peers() == 3, lambda: "\n".join(node.log.read_text()[-1500:] for node in nodes))
        assert nodes[1].stop() is not None
        until(lambda: peers() == 3, lambda: "two of three are a majority")


def test_a_sealed_vault_is_not_healthy_and_one_of_the_profile_dev_is(tmp_path: Path) -> None:
    binary = vault_program()
    prepare(tmp_path)
    for profile, name, wanted in (("dev", "vault-dev", 0), ("live", "vault", 2)):  # 1: not reached yet; 2: sealed
        with Host(tmp_path / profile, profile) as host:
            (tmp_path / profile).mkdir()
            vault = host.start(name, program=binary)
            assert host.services[name]["healthcheck"]["test"] == ["CMD", "vault", "status"]
            address = f"http://127.0.0.1:{host.port(name, 8200)}"
            until(partial(_answers, binary, address, wanted), vault.log.read_text)


def _answers(binary: str, address: str, wanted: int) -> bool:
    environment = {"VAULT_ADDR": address, "HOME": "/nonexistent"}
    return subprocess.run([binary, "status"], env=environment, check=False, capture_output=True).returncode == wanted


def test_the_secrets_are_random_fit_together_and_are_never_overwritten(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    prepare(one)
    prepare(two)
    texts = {path.name: path.read_text() for path in (one / "secrets").iterdir()}
    assert set(texts) == {"nats_auth.conf", "console_token", "grafana_admin_password"}
    assert not set(texts.values()) & {path.read_text() for path in (two / "secrets").iterdir()}
    password = re.search(r'password: "(\w+)"', texts["nats_auth.conf"])
    assert password is not None
    for kind in ("sim", "live"):
        env = (one / "config" / kind / "feedgate.env").read_text()
        assert f"viewer:prometheus:{texts['console_token']}," in env
        assert f"NATS_PASSWORD={password[1]}\n" in env
    for place in ("secrets", "config"):
        assert stat.S_IMODE((one / place).stat().st_mode) == 0o700
    prepare(one)
    assert {path.name: path.read_text() for path in (one / "secrets").iterdir()} == texts
    # one of those that fit together is gone: nothing is made that would not fit
    (one / "secrets" / "console_token").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        prepare(one)
    assert not (one / "secrets" / "console_token").exists()
