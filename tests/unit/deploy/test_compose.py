"""docker-compose.yml: whole, hardened, and about ports, paths, variables and commands that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import Settings
from runbook.cli.parser import build as runbook_parser
from runbook.settings import RunbookSettings
from runbook.supervisor.__main__ import _parser as supervisor_parser
from tests.docs.documents import ROOT, blocks
from tests.needing import without
from tests.unit.deploy.compose import COMPOSE, PROFILES, aliases, compose, mounts, ours, services

SERVICES = sorted(services())


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_has_what_the_issue_asks_for(profile: str) -> None:
    names = {alias for name, one in services(profile).items() for alias in aliases(name, one)}
    assert {"gateway", "runbook", "prometheus", "alertmanager", "pushgateway"} <= names
    assert ({"nats-1", "nats-2", "nats-3"} if profile == "live" else {"nats"}) <= names
    assert ({"grafana", "vault"} <= names) == (profile != "test")


def client() -> list[str]:
    """Of either generation: the command."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(command[0])
            and not subprocess.run([*command, "version"], check=False, capture_output=True).returncode
        ):
            return command
    return without("no client of compose is installed: apt-get install docker-compose")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_compose_client_takes_the_file(profile: str, tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yml"
    # the first generation of the client knows everything but the project's name
    file.write_text(re.sub(r"(?m)^name: .*\n", "", COMPOSE.read_text()))
    given = ["-f", str(file), "--project-directory", str(ROOT), "--profile", profile, "config"]
    told = subprocess.run([*client(), *given], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert set(services(profile)) <= set(yaml.safe_load(told.stdout)["services"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_must(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert not service.get("cap_add")
    uid, gid = str(service["user"]).split(":")
    assert int(uid) > 0 < int(gid)
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["pids_limit"]
    for port in service["ports"]:
        assert port.startswith("127.0.0.1:"), "everybody on the network could reach it"


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_by_a_version(name: str) -> None:
    image, _, tag = services()[name]["image"].rpartition(":")
    assert image
    assert re.fullmatch(r"v?\d+\.\d+\.\d+(-[a-z0-9.]+)?", tag), tag


@pytest.mark.parametrize("name", SERVICES)
def test_a_health_check_asks_the_service_itself(name: str) -> None:
    service = services()[name]
    test = service["healthcheck"]["test"]
    assert test[0] == "CMD"
    asked = " ".join(test)
    assert not re.search(r"exit 0|\|\| *true|\btrue\b|\becho\b", asked)
    assert "health.py" in asked if ours(service) else re.search(r"http://127\.0\.0\.1:\d+/|vault status", asked)
    for number in re.findall(r"127\.0\.0\.1:(\d+)", asked):
        assert number in {port.rpartition(":")[2] for port in service["ports"]}
    assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


@pytest.mark.parametrize("profile", PROFILES)
def test_within_a_profile_no_two_services_want_a_port_or_a_name(profile: str) -> None:
    taken = [port.rpartition(":")[0] for one in services(profile).values() for port in one["ports"]]
    assert len(set(taken)) == len(taken)
    names = [alias for name, one in services(profile).items() for alias in aliases(name, one)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_a_service_waits_for_is_in_its_profile_and_has_a_health_check(profile: str) -> None:
    there = services(profile)
    for one in there.values():
        for name, how in one.get("depends_on", {}).items():
            assert name in there
            assert how == {"condition": "service_healthy"}


def test_a_console_does_not_wait_for_the_gateway() -> None:
    for name in ("runbook", "runbook-sim"):
        assert not {"gateway", "gateway-sim"} & set(services()[name].get("depends_on", {}))


def test_everything_that_is_mounted_is_there_and_every_volume_and_secret_is_used() -> None:
    whole = compose()
    used: set[str] = set()
    script = (ROOT / "deploy" / "compose" / "prepare.sh").read_text()
    for service in services().values():
        for source in mounts(service).values():
            used.add(source)
            if source.startswith("./config/"):
                assert (ROOT / "deploy" / "compose" / f"{Path(source).name}.toml").is_file(), "the script copies it"
            elif source.startswith("./"):
                assert (ROOT / source).exists(), source
    assert {name for name in used if not name.startswith(("./", "secret:"))} == set(whole["volumes"])
    assert {name.removeprefix("secret:") for name in used if name.startswith("secret:")} == set(whole["secrets"])
    for secret in whole["secrets"].values():
        assert secret["file"].startswith("./secrets/")
        assert f'put "$root/{secret["file"].removeprefix("./")}" ' in script, "the script writes it"
    assert {"/secrets/", "/config/"} <= set((ROOT / ".gitignore").read_text().split())


def test_no_secret_stands_in_the_environment() -> None:
    for service in services().values():
        for name in service.get("environment", {}):
            assert not re.search(r"PASSWORD$|TOKEN|SECRET|AUTH", name), name


def known_variables() -> set[str]:
    pages = [ROOT / "docs" / "settings.md", ROOT / "docs" / "runbook-settings.md"]
    return {name for page in pages for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", page.read_text())}


@pytest.mark.parametrize("name", [name for name in SERVICES if ours(services()[name])])
def test_every_variable_of_our_containers_is_a_setting(name: str) -> None:
    given = set(services()[name]["environment"]) - {"NATS_SERVER_NAME"}
    assert given <= known_variables()


@pytest.mark.parametrize("name", ["gateway", "gateway-sim", "runbook", "runbook-sim"])
def test_the_flags_of_our_commands_exist_and_their_files_are_mounted(name: str) -> None:
    service = services()[name]
    command: list[str] = service["command"]
    if command[0] == "python":
        assert command[:3] == ["python", "-m", "runbook.supervisor"]
        args: Any = supervisor_parser().parse_args(command[3:])
        paths = [args.config, *args.env_file]
        assert args.foreground
        written = {args.state_dir, args.log_dir}
    else:
        assert command[0] == "runbook"
        args = runbook_parser({}).parse_args(command[1:])
        paths = [args.settings, *args.env_file]
        written = {args.log_dir}
    there = mounts(service)
    assert {str(path.parent) for path in paths} <= set(there)
    script = (ROOT / "deploy" / "compose" / "prepare.sh").read_text()
    for path in paths:
        assert f"config/$kind/{path.name}" in script
    assert str(Path(service["environment"]["RUNBOOK_IMAGE_FILE"]).parent) in there, "a rollback writes it"
    assert {str(path) for path in written} <= set(there), "a read-only container cannot write elsewhere"


@pytest.mark.parametrize("name", ["sim.toml", "live.toml"])
def test_every_place_that_is_written_to_is_mounted_writable(name: str) -> None:
    import tomllib

    table = tomllib.loads((ROOT / "deploy" / "compose" / name).read_text())
    service = services()["gateway-sim" if name == "sim.toml" else "gateway"]
    writable = [path for path, source in mounts(service).items() if not source.startswith("secret:")]
    writable += [entry.partition(":")[0] for entry in service["tmpfs"]]
    runbook = table["runbook"]
    written = [table["ledger"]["path"], runbook["vault"]["runtime_file"]]
    written += [runbook[key] for key in ("state_dir", "log_dir", "soak_dir", "archive_dir", "incident_dir")]
    read_only = {entry.split(":")[1] for entry in service["volumes"] if entry.endswith(":ro")}
    for path in written:
        assert any(path == place or path.startswith(f"{place}/") for place in writable if place not in read_only), path
    # no other setting has a place of its own that would be below the working directory
    places = {key for key, field in RunbookSettings.model_fields.items() if key.endswith(("_dir", "_path"))}
    assert places - set(runbook) == {"lock_path", "audit_dir"}, "those two are below state_dir unless set"


def test_ports_are_those_of_the_settings() -> None:
    assert services()["gateway"]["ports"] == [f"127.0.0.1:{Settings().metrics.port}:{Settings().metrics.port}"]
    port = RunbookSettings().api.port
    assert services()["runbook"]["ports"] == [f"127.0.0.1:{port}:{port}"]


@pytest.mark.parametrize("profile", PROFILES)
def test_prometheus_looks_where_the_services_are(profile: str) -> None:
    there = services(profile)
    ports = {
        f"{alias}:{port.rpartition(':')[2]}"
        for name, one in there.items()
        for alias in aliases(name, one)
        for port in one["ports"]
    }
    directory = ROOT / "deploy" / "compose" / "targets"
    looked = {
        target
        for path in directory.glob("*.yml")
        for group in yaml.safe_load(path.read_text())
        for target in group["targets"]
    }
    assert looked == {"gateway:9100", "runbook:9180", "pushgateway:9091", "alertmanager:9093"}
    assert looked <= ports
    assert {path.name for path in directory.iterdir()} == {
        path.name for path in (ROOT / "deploy" / "prometheus" / "targets").glob("*.yml")
    }
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    tokens = {job["authorization"]["credentials_file"] for job in config["scrape_configs"] if "authorization" in job}
    assert {f"/etc/prometheus/{token}" for token in tokens} <= set(mounts(there["prometheus"]))
    for variable in ("PUSHGATEWAY_URL", "OPS_PROMETHEUS_URL"):
        gateway = next(one for one in there.values() if "runbook.supervisor" in one.get("command", []))
        assert gateway["environment"][variable].removeprefix("http://") in ports


@pytest.mark.parametrize("profile", PROFILES)
def test_nats_is_where_the_gateway_is_told(profile: str) -> None:
    ports = {f"nats://{name}:4222" for name in services(profile) if name.startswith("nats")}
    for name, one in services(profile).items():
        if "NATS_URL" in one.get("environment", {}):
            assert set(one["environment"]["NATS_URL"].split(",")) == ports, name


DEPLOY = ROOT / "docs" / "deploy.md"


def test_the_page_has_the_same_commands_in_both_languages() -> None:
    def lines(page: Path) -> list[str]:
        return [line.partition(" #")[0].rstrip() for block in blocks(page) for line in block.code.splitlines()]

    assert lines(DEPLOY) == lines(DEPLOY.with_name("deploy.zh.md"))


def test_the_page_names_profiles_services_and_files_that_there_are() -> None:
    compose_lines = 0
    for line in (line for block in blocks(DEPLOY, "sh") for line in block.code.splitlines()):
        words = shlex.split(line, comments=True)
        for path in (word for word in words if word.startswith("deploy/")):
            assert (ROOT / path).is_file(), line
        if "compose" not in words:
            continue
        compose_lines += 1
        profile = words[words.index("--profile") + 1] if "--profile" in words else "live"
        assert profile in PROFILES, line
        rest = [word for word in words[words.index("compose") + 1 :] if not word.startswith("-")]
        for verb in ("exec", "run"):
            if verb in rest:
                assert rest[rest.index(verb) + 1] in services(profile), line
    assert compose_lines >= 10
    assert set(re.findall(r"(?m)^\| `(dev|live|test)` \|", DEPLOY.read_text())) == set(PROFILES)
