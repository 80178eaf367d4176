"""The dashboards that are committed: made by the generator, whole, and about metrics and pages that exist."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana import lines, md_ops  # isort: skip - first, because it quietens the SDK
from deploy.grafana.__main__ import DIRECTORY, documents, main  # isort: skip
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from gateway.model import LineState
from runbook.actions import t5_checkpoint
from runbook.maintenance import probe
from runbook.supervisor import figures
from tests.docs.documents import ROOT, anchors

FILES = sorted(DIRECTORY.glob("*.json"))
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
METRIC = re.compile(r"\b(?:md_[a-z0-9_]+|feed_failover_required|consumer_backlog_messages)\b")
BUILT_IN = {"__rate_interval", "__range"}
PUSHED = {figures.STARTUP, t5_checkpoint.METRIC, probe.METRIC}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions(board: dict[str, Any]) -> list[str]:
    asked = [one["query"] for one in board["templating"]["list"] if one["type"] == "query"]
    return asked + [target["expr"] for panel in panels(board) for target in panel["targets"]]


def test_the_files_are_what_the_generator_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert {path.name for path in FILES} == set(documents())
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_a_file_that_was_changed_by_hand_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("deploy.grafana.__main__.DIRECTORY", tmp_path)
    assert main([]) == 0
    assert main(["--check"]) == 0
    path = tmp_path / "md-ops.json"
    path.write_text(path.read_text().replace("5000", "50"))
    assert main(["--check"]) == 1
    assert "md-ops.json is not what the generator makes" in capsys.readouterr().err


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_grafanas_own_types_read_a_dashboard_and_lose_nothing_of_it(path: Path) -> None:
    board = read(path)
    again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    assert again == board


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_metric_of_a_dashboard_exists(path: Path) -> None:
    table = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `([a-z0-9_]+)` \|", table, re.MULTILINE)) | PUSHED
    used = {name for expr in expressions(read(path)) for name in METRIC.findall(expr)}
    assert len(used) > 8
    assert {re.sub(r"_bucket$", "", name) for name in used} - known == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_variable_that_a_query_uses_is_chosen_at_the_top(path: Path) -> None:
    board = read(path)
    offered = {one["name"] for one in board["templating"]["list"]}
    used = {name for expr in expressions(board) for name in re.findall(r"\$\{?([a-z_]+)", expr)}
    assert used - BUILT_IN <= offered
    assert {"gateway", "feed", "account"} <= used


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_panel_says_what_it_shows_and_leads_to_a_step_of_the_runbook(path: Path) -> None:
    for language in ("runbook.md", "runbook.zh.md"):
        assert (ROOT / "docs" / language).is_file()
    steps = anchors(ROOT / "docs" / "runbook.md")
    for panel in panels(read(path)):
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        (link,) = panel["links"]
        address, _, step = link["url"].partition("#")
        assert (address, step in steps) == ("${runbook}", True), (panel["title"], step)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_panel_covers_another_and_each_has_a_number_of_its_own(path: Path) -> None:
    places = {}
    for panel in read(path)["panels"]:
        at = panel["gridPos"]
        across = range(at.get("x", 0), at.get("x", 0) + at["w"])
        assert across.stop <= 24, panel["title"]
        places[panel["title"], panel["id"]] = {(x, y) for x in across for y in range(at["y"], at["y"] + at["h"])}
    assert len({number for _, number in places}) == len(places)
    for (one, here), (other, there) in combinations(places.items(), 2):
        assert not here & there, (one, other)


def test_the_panels_of_the_operators_contract_are_there_with_their_limits() -> None:
    board = {panel["title"]: panel for panel in panels(read(DIRECTORY / "md-ops.json"))}

    def limits(title: str) -> list[float]:
        steps = board[title]["fieldConfig"]["defaults"]["thresholds"]["steps"]
        return [step["value"] for step in steps if step["value"] is not None]

    assert limits("Throughput") == limits("Throughput by line") == [5000]
    assert limits("Coverage") == limits("Coverage heat map") == [0.995, 1]
    assert limits("Rate-limit incidents") == [1]
    assert limits("Consumer lag over time") == [2000]
    assert limits("Failover latency") == [5001]
    assert {"Feed source", "Consumer error rate"} <= set(board)


def test_every_state_of_a_line_has_its_colour() -> None:
    assert list(lines.STATES) == [state.value for state in LineState]


def test_the_two_dashboards_lead_to_each_other() -> None:
    boards = {board["uid"]: board for board in map(read, FILES)}
    assert set(boards) == {md_ops.UID, lines.UID}
    for uid, board in boards.items():
        (other,) = set(boards) - {uid}
        assert f"/d/{other}" in [link["url"] for link in board["links"]]


def test_grafana_is_told_of_the_source_and_of_the_directory() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "${PROMETHEUS_URL}")
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "feedgate.yml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    grafana = compose["services"]["grafana"]
    mounted = {text.split(":")[1]: text.split(":")[0] for text in grafana["volumes"] if text.startswith("./")}
    assert mounted[provider["options"]["path"]] == "./deploy/grafana/dashboards"
    assert mounted["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"
    assert "PROMETHEUS_URL" in grafana["environment"]
