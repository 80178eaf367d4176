"""docs/ops: commands that are not run name what exists, figures are those of the code, both languages say the same.

Blocks ``bash`` need a tool, a server or a privilege that is not here, or are run by other tests (tests/day has most to
the letter): their commands must parse, and their services, units and checks must be there.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gateway.__main__ import parser as gateway_parser
from gateway.bus.process import find_nats_server
from gateway.settings import load_settings
from runbook.checks import CHECKS, MACHINE_CHECKS
from runbook.cli.main import kinds_to_show
from runbook.cli.parser import build
from tests.docs.documents import ROOT, blocks, headings, name_of, prose
from tests.docs.operators_pages import ENGLISH, OPS, typed


def inline(page: Path) -> list[str]:
    """Commands in the text and in tables."""
    found = re.findall(r"`((?:runbook|gateway) [^`]+)`", prose(page))
    return [one for one in found if "…" not in one]


ELSEWHERE = [(page, line) for page in ENGLISH for line in [*typed(page, "bash"), *typed(page, "sh"), *inline(page)]]


@functools.cache
def runbook_parser() -> argparse.ArgumentParser:
    return build(kinds_to_show())


ENTRY: dict[str, Callable[[], argparse.ArgumentParser]] = {"gateway": gateway_parser, "runbook": runbook_parser}
UNITS = {path.name.partition(".")[0] for path in (ROOT / "deploy" / "systemd").glob("*.service")}
DEBIAN = {"prometheus", "prometheus-pushgateway", "prometheus-alertmanager", "nats-server"}
OTHERS = {"nats-server", "vault", "promtool", "/opt/feedgate/bin/pip", "curl", "export", "tail", "ps", "python3"}


@pytest.mark.parametrize(("page", "line"), ELSEWHERE, ids=lambda one: one if isinstance(one, str) else one.stem)
def test_a_command_names_what_exists(page: Path, line: str) -> None:
    words = shlex.split(line.partition(" | ")[0], comments=True)
    while re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if words[0] in ENTRY:
        given = ENTRY[words[0]]().parse_args(words[1:])
        if words[0] == "runbook" and words[1] in ("validate-env", "doctor"):
            known = {check.name for check in (CHECKS if words[1] == "validate-env" else MACHINE_CHECKS)}
            assert set(given.only or ()) <= known
    elif words[:3] == ["python", "-m", "bench"]:
        source = (ROOT / "bench" / "__main__.py").read_text(encoding="utf-8")
        assert {word for word in words if word.startswith("--")} <= set(re.findall(r'"(--[a-z-]+)"', source))
    elif words[:2] == ["docker", "compose"]:
        the_compose_file_has(words[2:])
    elif words[0] in ("systemctl", "systemd-analyze"):
        named = [word.partition(".")[0] for word in words[2:]]
        assert set(named) <= UNITS | DEBIAN
    else:
        assert words[0] in OTHERS, f"{page.name}: {words[0]}"


def the_compose_file_has(words: list[str]) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", ())}
    while words[0].startswith("--"):
        flag, value, *words = words
        assert flag in ("--profile", "--env-file")
        assert flag != "--profile" or value in profiles
    if words[0] in ("exec", "run"):
        assert words[1] in services
        assert words[2] == "runbook"
        runbook_parser().parse_args(words[3:])
    else:
        assert words[0] in ("up", "ps", "config", "restart")
        assert {word for word in words[1:] if not word.startswith("-")} <= set(services)


@pytest.mark.parametrize("name", ["systemctl restart nats-server", "docker compose restart nats-1"])
def test_the_two_ways_to_an_external_nats_exist(name: str) -> None:
    assert f"`{name}`" in prose(OPS / "failures.md")
    test_a_command_names_what_exists(OPS / "failures.md", name)


def test_the_market_of_the_capacity_page_is_one_that_the_gateway_takes(tmp_path: Path) -> None:
    (block,) = blocks(OPS / "capacity.md", "toml")
    file = tmp_path / block.file
    file.write_text(block.code, encoding="utf-8")
    settings = load_settings(file, environ={})
    assert tomllib.loads(block.code)["feeds"]["sim"]["options"]["contracts"] == 10_000
    assert list(settings.feeds["sim"].accounts) == ["primary", "backup"]


def test_nats_takes_the_logins_of_the_security_page(tmp_path: Path) -> None:
    (block,) = blocks(OPS / "security.md", "text")
    file = tmp_path / "auth.conf"
    file.write_text(block.code, encoding="utf-8")
    done = subprocess.run([find_nats_server(), "-t", "-c", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ENGLISH, ids=name_of)
def test_variables_figures_and_alerts_of_a_page_exist(page: Path) -> None:
    def of(*documents: str) -> str:
        return "".join((ROOT / one).read_text(encoding="utf-8") for one in documents)

    text = prose(page)
    variables = set(re.findall(r"`([A-Z]+_[A-Z_]+)\b", text)) - {"LOG_DIR", "STATE_DIR", "FEEDGATE_FEEDS__CTP__ROUTER"}
    known = of(".env.example", "docs/settings.md", "docs/runbook-settings.md", "docs/runbook.md")
    assert {name for name in variables if name not in known} == set()
    figures = set(re.findall(r"`((?:md|consumer|feed)_[a-z0-9_]+)", text))
    assert {name for name in figures if f"`{name}`" not in of("docs/metrics.md")} == set()
    alerts = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z]\w+|5\w+)+)`", text)) | set(re.findall(r"`(T5\w+)`", text))
    assert {name for name in alerts if f"| `{name}` |" not in of("docs/alerts.md")} == set()


# -- figures that the pages repeat -------------------------------------------------------------------------


def panels(dashboard: str) -> list[tuple[str, str]]:
    """Row and title, in order."""
    found, row = [], ""
    sheet = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / dashboard).read_text(encoding="utf-8"))
    for panel in sheet["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            found += [(row, inner["title"]) for inner in panel.get("panels", ())]
        else:
            found.append((row, panel["title"]))
    return found


@pytest.mark.parametrize("suffix", ["", ".zh"])
@pytest.mark.parametrize(("title", "file"), [("MD Ops", "md-ops.json"), ("Lines & failover", "lines-failover.json")])
def test_the_dashboard_page_has_every_panel_in_its_place(suffix: str, title: str, file: str) -> None:
    text = (OPS / f"dashboard{suffix}.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([A-Z][^|]*) \| ([A-Z][^|]*) \| [^|]* \| [^|]* \|$", section, re.MULTILINE)
    assert [row for row in rows if row != ("Row", "Panel")] == panels(file)


@pytest.mark.parametrize("suffix", ["", ".zh"])
def test_the_thresholds_of_the_page_are_those_of_the_alerts(suffix: str) -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules" / "thresholds.yml").read_text(encoding="utf-8"))
    wanted = {rule["record"]: float(rule["expr"]) for group in rules["groups"] for rule in group["rules"]}
    text = (OPS / f"dashboard{suffix}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| ([\d.,]+)[^|]* \| `(threshold:[\w:]+)` \|$", text, re.MULTILINE)
    assert {name: float(value.replace(",", "")) for value, name in rows} == wanted


# -- the two languages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ENGLISH, ids=name_of)
def test_both_languages_tell_the_same_commands_and_names(page: Path) -> None:
    def core(one: Path) -> list[tuple[str, str, str]]:
        return [(block.language, block.file, block.code) for block in blocks(one)]

    def names(one: Path) -> list[str]:
        return sorted(re.findall(r"`([^`\n]+)`", prose(one)))

    twin = page.with_name(page.name.replace(".md", ".zh.md"))
    assert core(twin) == core(page)
    assert names(twin) == names(page)
    assert [level for level, _ in headings(twin)] == [level for level, _ in headings(page)]
    rows = [len(re.findall(r"^\|", prose(one), re.MULTILINE)) for one in (page, twin)]
    assert rows[0] == rows[1]


def test_every_page_has_a_block_that_is_run() -> None:
    assert [page.name for page in ENGLISH if not typed(page, "sh")] == []
    kinds = {block.language for page in ENGLISH for block in blocks(page)}
    assert kinds == {"sh", "bash", "toml", "text"}
