"""Settings of failover, watchdog, calendar and ledger, and the rules that they become."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.control.rules import failover_rules, ledger_path, watch_rules
from gateway.control.watched import WatchRules
from gateway.settings import FailoverSettings, LedgerSettings, Settings, WatchSettings, load_settings
from gateway.settings.oversight import span_of
from tests.unit.refused_settings import findings_of


def findings(environ: dict[str, str] | None = None, config: Path | None = None) -> str:
    return "\n".join(findings_of(load_settings, environ, config, ()))


# -- spans ---------------------------------------------------------------------------------------------------------


def test_a_span_of_the_day_is_read() -> None:
    assert span_of("15:40-16:00") == (time(15, 40), time(16, 0))
    assert FailoverSettings(planned=["00:00-23:59"]).planned == ["00:00-23:59"]
    assert FailoverSettings(planned=[]).planned == []


@pytest.mark.parametrize(
    "text",
    [
        "16:00-15:40",
        "15:40-15:40",
        "23:00-02:30",
        "15:40",
        "9:00-10:00",
        "24:00-24:30",
        "15:60-16:00",
        "15:40–16:00",
        " 15:40-16:00",
        "15:40-16:00\n",
        "15:40:00-16:00:00",
        "",
    ],
)
def test_what_is_no_span_of_one_day_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValidationError, match="write HH:MM-HH:MM in Shanghai time, for example 15:40-16:00"):
        FailoverSettings(planned=[text])


def test_a_wrong_span_in_a_file_is_named(tmp_path: Path) -> None:
    config = tmp_path / "feedgate.toml"
    config.write_text('[failover]\nplanned = ["15:40-16:00", "night"]\n')
    found = findings(config=config)
    assert "failover.planned" in found
    assert "HH:MM-HH:MM" in found


# -- values that do not fit each other -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"floor_s": 4}, "floor_s is larger than line_silent_s; lower it to at most 3"),
        ({"line_silent_s": 1}, "line_silent_s is smaller than floor_s; raise it to at least 2"),
        ({"line_silent_s": 61}, "line_silent_s is larger than bound_s; lower it to at most 60"),
        ({"bound_s": 2}, "bound_s is smaller than line_silent_s; raise it to at least 3"),
    ],
)
def test_floor_first_threshold_and_bound_are_in_order(given: dict[str, float], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        WatchSettings(**given)


def test_equal_values_are_in_order() -> None:
    rules = WatchSettings(floor_s=5, line_silent_s=5, bound_s=5)
    assert (rules.floor_s, rules.line_silent_s, rules.bound_s) == (5, 5, 5)


# -- the environment -----------------------------------------------------------------------------------------------


def test_the_operators_name_of_the_bound_is_read() -> None:
    settings = load_settings(environ={"MD_FAILOVER_THRESHOLD_SECONDS": "45"})
    assert settings.watch.bound_s == 45
    assert watch_rules(settings).pauses.bound_s == 45
    assert watch_rules(settings).stalls.stalled_s == 45


def test_a_bound_below_the_first_threshold_is_refused_by_the_name_that_was_set() -> None:
    found = findings({"MD_FAILOVER_THRESHOLD_SECONDS": "2"})
    assert "MD_FAILOVER_THRESHOLD_SECONDS" in found
    assert "raise it to at least 3" in found


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf"])
def test_a_bound_that_is_no_time_is_refused(text: str) -> None:
    assert "MD_FAILOVER_THRESHOLD_SECONDS" in findings({"MD_FAILOVER_THRESHOLD_SECONDS": text})


def test_a_misspelt_name_of_the_family_is_refused() -> None:
    assert "MD_FAILOVER_TRESHOLD_SECONDS" in findings({"MD_FAILOVER_TRESHOLD_SECONDS": "45"})


# -- the rules that they become ------------------------------------------------------------------------------------


def test_without_settings_the_rules_are_those_that_the_code_has_by_itself() -> None:
    from gateway.control.failover import FailoverRules

    assert failover_rules(Settings()) == FailoverRules()
    assert watch_rules(Settings()) == WatchRules()


def test_every_setting_of_failover_and_watchdog_reaches_its_rule() -> None:
    failover = FailoverSettings(
        cooldown_s=1, failures_window_s=2, up_s=3, confirm_s=4, tick_s=5, settle_s=6, collect_s=7, closed_grace_s=8,
        planned=["01:00-02:00"],
    )  # fmt: skip
    rules = failover_rules(Settings(failover=failover))
    switch, failures = rules.switch, rules.failures
    assert (rules.cooldown_s, failures.window_s, failures.closed_grace_s) == (1, 2, 8)
    assert (switch.up_s, switch.confirm_s, switch.tick_s, switch.settle_s, switch.collect_s) == (3, 4, 5, 6, 7)
    assert failures.planned == ((time(1), time(2)),)
    watch = watch_rules(Settings(watch=WatchSettings(line_silent_s=12, floor_s=11, bound_s=13, times=4, probe_s=14)))
    pauses = watch.pauses
    assert (pauses.default_s, pauses.floor_s, pauses.bound_s, pauses.times) == (12, 11, 13, 4)
    assert (watch.stalls.stalled_s, watch.stalls.times, watch.probe_s) == (13, 4, 14)


# -- the ledger ----------------------------------------------------------------------------------------------------


def test_the_ledger_is_where_the_settings_say_or_where_it_ends_with_the_gateway(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = tmp_path / "kept.db"
    assert ledger_path(Settings(ledger=LedgerSettings(path=kept)), tmp_path / "temporary") == kept
    with caplog.at_level("INFO"):
        assert ledger_path(Settings(), tmp_path) == tmp_path / "gaps.db"
    assert "FEEDGATE_LEDGER__PATH" in caplog.text


def test_the_ledgers_path_comes_from_the_environment() -> None:
    assert load_settings(environ={"FEEDGATE_LEDGER__PATH": "/var/lib/feedgate/gaps.db"}).ledger.path == Path(
        "/var/lib/feedgate/gaps.db"
    )


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="line_silent"):
        WatchSettings(line_silent=3)
