"""The rules of Prometheus and the routes of Alertmanager: sound, tested, documented, and about figures that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric

from gateway.__main__ import parser as gateway_parser
from gateway.metrics import GatewayCollector
from gateway.settings import MetricsSettings
from runbook.actions import t5_checkpoint
from runbook.cli.main import kinds_to_show
from runbook.cli.parser import build
from runbook.maintenance import probe
from runbook.settings import ApiSettings
from runbook.web.meters import Meters
from tests.docs.documents import ROOT, anchors
from tests.needing import program
from tests.unit.test_metrics import View

PROMETHEUS, ALERTMANAGER = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "alertmanager"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
CASES = sorted((PROMETHEUS / "tests").glob("*.yml"))
PAGES = {"en": ROOT / "docs" / "alerts.md", "zh": ROOT / "docs" / "alerts.zh.md"}

TARGET = {"gateway", "job", "instance"}
RUN = {"command", "window", "profile"}
OTHERS = {
    "up": TARGET,
    "push_time_seconds": TARGET | RUN | {"session"},
    "prometheus_rule_evaluation_failures_total": {"rule_group"},
    "prometheus_rule_group_last_evaluation_timestamp_seconds": {"rule_group"},
    "prometheus_notifications_dropped_total": TARGET,
    "alertmanager_notifications_failed_total": {"integration"},
    probe.METRIC: TARGET | RUN,
    "md_runbook_last_success_timestamp_seconds": TARGET | RUN,
    t5_checkpoint.METRIC: TARGET | {"session", "profile"},
}
"""What is pushed, and what Prometheus and Alertmanager say of themselves: metric → labels."""
WORDS = {
    *("and", "or", "unless", "on", "by", "offset", "group_left", "group_right", "ignoring", "without", "bool"),
    *("sum", "max", "min", "count", "rate", "increase", "changes", "deriv", "predict_linear", "absent", "time"),
    *("vector", "label_replace", "histogram_quantile", "min_over_time"),
}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for path in RULES for group in load(path)["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def run(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- the tools' own opinion ----------------------------------------------------------------------------


def test_the_configuration_of_prometheus_is_sound(tmp_path: Path) -> None:
    promtool = program("promtool", package="prometheus")
    copy = tmp_path / "prometheus"
    shutil.copytree(PROMETHEUS, copy)
    (copy / "console_token").write_text("token\n")
    said = run(promtool, "check", "config", copy / "prometheus.yml")
    assert f"{len(RULES)} rule files found" in said


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_alerts_fire_and_stay_silent(path: Path) -> None:
    run(program("promtool", package="prometheus"), "test", "rules", path)


def test_the_configuration_of_alertmanager_is_sound() -> None:
    run(program("amtool", package="prometheus-alertmanager"), "check-config", ALERTMANAGER / "alertmanager.yml")


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=ThroughputLow", "severity=critical"], "on-call"),
        (["alertname=RunbookFailed", "severity=critical", "profile=live"], "on-call"),
        (["alertname=RunbookFailed", "severity=critical", "profile=test"], "desk"),
        (["alertname=LineDown", "severity=warning"], "desk"),
        (["alertname=Heartbeat", "severity=none"], "heartbeat"),
    ],
)
def test_an_alert_goes_to_its_receiver(labels: list[str], receiver: str) -> None:
    amtool = program("amtool", package="prometheus-alertmanager")
    config = ALERTMANAGER / "alertmanager.yml"
    assert run(amtool, "config", "routes", "test", f"--config.file={config}", *labels).split() == [receiver]


# -- every alert ---------------------------------------------------------------------------------------


def test_every_alert_says_how_bad_it_is_what_was_measured_and_where_to_read_on() -> None:
    steps = anchors(ROOT / "docs" / "runbook.md")
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in ("critical", "warning") or name == "Heartbeat", name
        assert rule["labels"]["component"] in ("gateway", "runbook", "target", "monitoring"), name
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}, name
        assert "$value" in rule["annotations"]["description"], name
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "docs/runbook.md", name
        assert anchor in steps, (name, anchor)


def expected_in(case: dict[str, Any]) -> tuple[set[str], bool]:
    """The alerts that one case of a unit test expects to fire, and whether it also looks while none does."""
    samples = [look.get("exp_samples") or [] for look in case.get("promql_expr_test", ())]
    names = re.findall(r'alertname="(\w+)"', str(samples))
    return set(names), [] in samples


def test_every_alert_has_a_unit_test_in_which_it_fires_and_one_in_which_nothing_does() -> None:
    cases = [case for path in CASES for case in load(path)["tests"]]
    fired = set(chain.from_iterable(expected_in(case)[0] for case in cases))
    assert fired == set(ALERTS)
    silent = [case["name"] for case in cases if not expected_in(case)[0]]
    assert {"lunch, the 10:15 break and an auction are quiet", "a closed market and a day without a night session"} <= {
        *silent
    }


def test_the_alerts_of_the_operators_are_there_as_they_are_asked_for() -> None:
    asked = {
        "ThroughputLow": ("critical", "5m"),
        "CoverageLow": ("critical", "2m"),
        "RateLimitSpike": ("warning", None),
        "RunbookFailed": ("critical", None),
        "FailoverLatencyHigh": ("critical", None),
        "ConsumerBacklogGrowth": ("warning", "1m"),
    }
    assert {name: (ALERTS[name]["labels"]["severity"], ALERTS[name].get("for")) for name in asked} == asked
    numbers = {rule["record"]: rule["expr"] for rule in rules() if rule.get("record", "").startswith("threshold:")}
    assert numbers["threshold:md_throughput_mps:min"] == "5000"
    assert numbers["threshold:md_subscription_coverage_ratio:min"] == "0.995"
    assert numbers["threshold:md_switch_latency_ms:max"] == "5000"
    assert numbers["threshold:consumer_backlog_messages:max"] == "2000"


def test_a_threshold_that_is_missing_is_noticed_and_every_one_is_used() -> None:
    thresholds = {name for name in RECORDED if name.startswith("threshold:")}
    watched = set(re.findall(r"absent\((threshold:[\w:]+)\)", ALERTS["ThresholdMissing"]["expr"]))
    assert watched == thresholds
    used = " ".join(rule["expr"] for rule in rules() if rule.get("alert") != "ThresholdMissing")
    assert thresholds <= set(re.findall(r"threshold:[\w:]+", used))


# -- figures that exist --------------------------------------------------------------------------------


def labels_of(families: list[Metric]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, set(TARGET)).update(sample.labels)
    return found


def known() -> dict[str, set[str]]:
    """Every metric that can be asked for → its labels."""
    meters = Meters()
    meters.request(method="GET", route="/x", status=500, seconds=0.1, stream=False)
    meters._backlog.labels("ctp", "primary").set(1)
    found = labels_of([*GatewayCollector(View()).collect(), *meters.registry.collect()]) | OTHERS
    figure = {*TARGET, "feed", "account", "kind", "stop", "reason"}
    return found | dict.fromkeys(RECORDED, figure)


EXPRESSIONS = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]


@pytest.mark.parametrize(
    ("name", "expression"), EXPRESSIONS, ids=[f"{name}-{n}" for n, (name, _) in enumerate(EXPRESSIONS)]
)
def test_every_metric_and_label_of_a_rule_exists_in_the_code(name: str, expression: str) -> None:
    there = known()
    plain = re.sub(r'"[^"]*"', '""', re.sub(r"\[\w+\]|offset \w+", "", expression))
    names = set(re.findall(r"[a-zA-Z_][\w:]*", re.sub(r"\{[^}]*\}|\b(by|on|group_left) \([^)]*\)", "", plain))) - WORDS
    assert names <= set(there), name
    assert names or expression == "vector(1)" or name.startswith("threshold:"), name
    for metric, selector in re.findall(r"([\w:]+)\{([^}]*)\}", plain):
        assert set(re.findall(r"(\w+)[!=]", selector)) <= there[metric], (name, metric)
    grouped = re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", plain)
    labels = {label.strip() for part in grouped for label in part.split(",")} - {""}
    made = set(re.findall(r'\]\), "(\w+)", "\$1"', expression))
    assert labels <= made.union(*(there[metric] for metric in names)), name


def test_every_value_that_a_rule_asks_for_can_occur() -> None:
    sources = [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "runbook").rglob("*.py"), PROMETHEUS / "prometheus.yml"]
    written = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    for name, expression in EXPRESSIONS:
        for value in chain.from_iterable(one.split("|") for one in re.findall(r'[=!]~?"([^"]+)"', expression)):
            if value != ".*-dry-run":
                assert re.search(rf'["\s]{value}"|job_name: {value}\n', written), (name, value)


def test_a_dry_run_is_named_as_the_rules_leave_it_out() -> None:
    assert 'f"{request.action}-dry-run"' in (ROOT / "runbook" / "runner" / "recovery.py").read_text()


def test_the_targets_are_the_ports_of_the_settings() -> None:
    jobs = {job["job_name"] for job in load(PROMETHEUS / "prometheus.yml")["scrape_configs"]}
    ports = {
        path.stem: int(load(path)[0]["targets"][0].rpartition(":")[2]) for path in (PROMETHEUS / "targets").iterdir()
    }
    assert ports == {
        "gateway": MetricsSettings().port,
        "console": ApiSettings().port,
        "pushgateway": 9091,
        "alertmanager": 9093,
    }
    assert jobs == {*ports, "prometheus"}


def test_what_is_inhibited_exists() -> None:
    components = {rule["labels"]["component"] for rule in ALERTS.values()}
    rows = load(ALERTMANAGER / "alertmanager.yml")["inhibit_rules"]
    for matcher in chain.from_iterable(row["source_matchers"] + row["target_matchers"] for row in rows):
        label, value = re.split(r" =~? ", matcher)
        assert set(value.strip('"').split("|")) <= (set(ALERTS) if label == "alertname" else components)


# -- the pages -----------------------------------------------------------------------------------------


def rows_of(language: str) -> dict[str, list[str]]:
    """Alert → the cells of its row."""
    text = PAGES[language].read_text(encoding="utf-8")
    return {
        cells[1].strip("` "): cells[2:-1]
        for row in re.findall(r"^\| `[A-Z].*$", text, re.MULTILINE)
        if (cells := row.split("|"))
    }


@pytest.mark.parametrize("language", PAGES)
def test_every_alert_has_its_row(language: str) -> None:
    rows = rows_of(language)
    assert list(rows) == list(rows_of("en"))
    assert {name: cells[0].strip() for name, cells in rows.items()} == {
        name: rule["labels"]["severity"] for name, rule in ALERTS.items()
    }
    assert all(len(cells) == 4 and all(cell.strip() for cell in cells) for cells in rows.values())
    assert [cells[3] for cells in rows.values()] == [cells[3] for cells in rows_of("en").values()]


@pytest.mark.parametrize("language", PAGES)
def test_every_threshold_has_its_row(language: str) -> None:
    text = PAGES[language].read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(threshold:[\w:]+)` \| ([\d.]+) \|", text, re.MULTILINE))
    numbers = {rule["record"]: rule["expr"] for rule in rules() if rule.get("record", "").startswith("threshold:")}
    assert documented == numbers


def test_the_commands_of_the_page_can_be_typed() -> None:
    typed = re.findall(r"`((?:runbook|gateway) [^`]+)`", " ".join(cells[3] for cells in rows_of("en").values()))
    assert len(typed) > 20
    runbook = build(kinds_to_show())
    for line in typed:
        program_name, *words = shlex.split(line)
        (runbook if program_name == "runbook" else gateway_parser()).parse_args(words)
