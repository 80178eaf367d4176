"""The subcommands and flags of the operators' contract, §1, exactly as written there."""

from __future__ import annotations

import argparse

import pytest

from runbook.app.builtin import MODULES, builtin
from runbook.cli.main import kinds_to_show, main
from runbook.cli.parser import build

CONTRACT = [
    "start --window day --profile live --log-dir logs --config primary --debug --env-file .env.live --reason why",
    "start --mock",
    "start --restart --window night --profile dev",
    "start --stop",
    "start --failover --config backup",
    "start --failback",
    "start --drill --mock",
    "stop --profile test",
    "restart --debug",
    "failover --reason why",
    "failback",
    "drill --self-test",
    "validate-env --profile live --source .env.live --require-backup",
    (
        "check-feed-health --mode dry-run --skip-metrics --json-indent 2 --out csv --out-dir out "
        "--max-remediation-attempts 3 --coverage-threshold 0.995 --lag-warning 60 --lag-critical 180"
    ),
    "check-feed-health --enforce",
    "check-feed-health --mode enforce --escalation-command CMD",
    (
        "subscribe --batch-size 500 --rate-limit-window 1 --rate-limit-max 1000 --max-retries 3 --include SHFE.* "
        "--exclude DCE.* --limit 10 --dry-run --health --output-dir out"
    ),
    "alert-smoke --wait-seconds 3",
    "refresh-contracts",
    "notify --tag marker --code 2",
    "secrets pull",
    "secrets clear",
    "archive",
    "doctor",
    "audit verify",
    "audit list --profile live --env-file x",
    "audit --settings x verify",
    "incident new",
    "t5-checkpoint --window day",
    "jobs --simulate 2026-10",
    "jobs run day-t5 --reason why",
    "jobs pause drill",
]


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    return build(kinds_to_show())


def test_every_built_in_action_is_there() -> None:
    _, findings = builtin(None)
    assert findings == []
    assert len(kinds_to_show()) == len(MODULES)


@pytest.mark.parametrize("line", CONTRACT)
def test_a_line_of_the_contract_is_understood(parser: argparse.ArgumentParser, line: str) -> None:
    parser.parse_args(line.split())


@pytest.mark.parametrize("other", ["stop", "restart", "failover", "failback", "drill"])
def test_a_flag_of_start_means_the_other_command(parser: argparse.ArgumentParser, other: str) -> None:
    assert parser.parse_args(["start", f"--{other}"]).kind == other
    assert parser.parse_args(["start"]).kind == "start"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "served",
        "start --stop --restart",
        "start --window noon",
        "start --prof live",
        "failover --debug --nonsense",
        "secrets",
        "restart-line",
        "audit",
        "jobs run nonsense",
    ],
)
def test_wrong_usage_ends_with_64(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 64
    assert capsys.readouterr().err


def test_help_ends_with_0_and_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "failback" in capsys.readouterr().out


def test_every_flag_has_a_help_text(parser: argparse.ArgumentParser) -> None:
    subs = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for name, one in subs.choices.items():
        for action in one._actions:
            assert action.help or not action.option_strings, (name, action.dest)
        one.format_help()
