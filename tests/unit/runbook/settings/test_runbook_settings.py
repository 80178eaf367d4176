"""Reading, merging and refusing the runbook's settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from gateway.settings import load_settings
from runbook.model import Role
from runbook.settings import ApiToken, RunbookSettings, load_runbook_settings, names, secrets_of
from runbook.settings.document import document, example, row, tables
from tests.unit.refused_settings import SECRET, findings_of, only


def findings(
    environ: Mapping[str, str] | None = None, config: Path | None = None, env_files: tuple[Path, ...] = ()
) -> list[str]:
    return findings_of(load_runbook_settings, environ, config, env_files)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "feedgate.toml"


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    path = tmp_path / ".env.live"
    path.touch(0o600)
    return path


# where values come from


def test_nothing_set_means_defaults_of_the_contract() -> None:
    settings = load_runbook_settings(environ={})
    assert settings == RunbookSettings()
    assert settings.api.port == 9180
    assert settings.api.cors_origins == []
    assert settings.api.cors_methods == ["GET", "POST", "OPTIONS"]
    assert settings.drill.consumer_backlog_threshold == 2000
    assert settings.health.coverage_threshold == 0.995
    assert (settings.retention.logs_days, settings.retention.screenshots_days, settings.retention.incidents_days) == (
        (30, 7, 90)
    )
    assert settings.lock_file == settings.state_dir / "runbook.lock"
    assert settings.audit_directory == settings.state_dir / "audit"


def test_the_process_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_API_PORT", "9188")
    assert load_runbook_settings().api.port == 9188


def test_every_variable_of_the_contract_sets_its_setting() -> None:
    settings = load_runbook_settings(
        environ={
            "OPS_API_TOKENS": f"admin:wang:{SECRET},{SECRET}2",
            "OPS_API_TOKEN": SECRET,
            "OPS_API_CORS_ORIGINS": "https://desk.example.com,http://localhost:3000",
            "OPS_API_CORS_METHODS": "get,post",
            "OPS_RUNBOOK_SCRIPT": "/opt/ops/start.sh",
            "OPS_API_PORT": "9181",
            "OPS_PROMETHEUS_URL": "http://127.0.0.1:9090/",
            "PUSHGATEWAY_URL": "127.0.0.1:9091",
            "DRILL_EXPECT_FEED": "ctp",
            "DRILL_EXPECT_ACCOUNT": "backup",
            "DRILL_HEALTH_CMD": "check_feed_health.py --mode 'dry-run'",
            "DRILL_METRICS_SOURCE": "http://127.0.0.1:9100/metrics",
            "DRILL_CONSUMER_BACKLOG_THRESHOLD": "500",
            "VAULT_ADDR": "https://vault.example.com:8200",
            "VAULT_ROLE_ID": "role",
            "VAULT_SECRET_ID": SECRET,
            "VAULT_NAMESPACE": "desk",
            "SESSION_CONFIG": "sessions.toml",
        }
    )
    assert settings.api.access() == (
        ApiToken(Role.ADMIN, "wang", SecretStr(SECRET)),
        ApiToken(Role.OPERATOR, "operator-2", SecretStr(f"{SECRET}2")),
    )
    assert settings.api.token == SecretStr(SECRET)
    assert settings.api.cors_origins == ["https://desk.example.com", "http://localhost:3000"]
    assert settings.api.cors_methods == ["GET", "POST"]
    assert settings.api.script == Path("/opt/ops/start.sh")
    assert settings.api.port == 9181
    assert settings.metrics.prometheus_url == "http://127.0.0.1:9090"
    assert settings.metrics.pushgateway_url == "http://127.0.0.1:9091"
    assert (settings.drill.expect_feed, settings.drill.expect_account) == ("ctp", "backup")
    assert settings.drill.metrics_source == "http://127.0.0.1:9100/metrics"
    assert settings.drill.consumer_backlog_threshold == 500
    assert settings.vault.role_id == "role"
    assert settings.vault.namespace == "desk"
    assert settings.session_config == Path("sessions.toml")
    assert SECRET not in repr(settings)
    assert SECRET not in repr(settings.api.access())
    assert SECRET not in settings.model_dump_json()
    assert {SECRET, f"{SECRET}2"} <= secrets_of(settings)


def test_environment_wins_over_env_files_over_toml_over_defaults(toml: Path, dotenv: Path, tmp_path: Path) -> None:
    other = tmp_path / ".env.runtime"
    toml.write_text("[runbook.health]\nlag_warning_s = 1\nlag_critical_s = 2\n[runbook.start]\ntries = 9\n")
    dotenv.write_text("RUNBOOK_HEALTH__LAG_CRITICAL_S=3\nOPS_API_PORT=1\nRUNBOOK_START__STAGE_TIMEOUT_S=4\n")
    other.write_text("OPS_API_PORT=2\nRUNBOOK_START__STAGE_TIMEOUT_S=5\n")
    settings = load_runbook_settings(toml, [dotenv, other], {"RUNBOOK_START__STAGE_TIMEOUT_S": "6"})
    assert (settings.health.lag_warning_s, settings.health.lag_critical_s) == (1, 3)
    assert (settings.start.tries, settings.start.stage_timeout_s, settings.api.port) == (9, 6, 2)


def test_the_gateways_settings_in_the_same_places_are_passed_over(toml: Path, dotenv: Path) -> None:
    toml.write_text('active = "backup"\n[bus]\nkind = "memory"\n')
    dotenv.write_text(f"CTP_PRIMARY_PASSWORD={SECRET}\nNATS_URL=nats://127.0.0.1:4222\nFEEDGATE_NAME=x\n")
    assert load_runbook_settings(toml, [dotenv], {"PATH": "/bin", "FEEDGATE_WRONG": "1"}) == RunbookSettings()


def test_the_gateway_passes_over_the_runbooks_variables() -> None:
    environ = {**dict.fromkeys(names.OPERATORS, "x"), "RUNBOOK_STATE_DIR": "/x"}
    load_settings(environ=environ)


def test_empty_variables_count_as_unset(dotenv: Path) -> None:
    dotenv.write_text("PUSHGATEWAY_URL=\nOPS_API_TOKENS= \n")
    assert load_runbook_settings(None, [dotenv], {"VAULT_TOKEN": ""}) == RunbookSettings()


def test_a_dollar_in_a_secret_is_an_ordinary_character(dotenv: Path) -> None:
    dotenv.write_text("OPS_API_TOKEN='a$b${PATH}'\n")
    token = load_runbook_settings(None, [dotenv], {}).api.token
    assert token is not None
    assert token.get_secret_value() == "a$b${PATH}"


def test_a_file_with_secrets_that_others_can_read_is_pointed_out(
    dotenv: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dotenv.write_text("OPS_API_PORT=1\n")
    dotenv.chmod(0o644)
    load_runbook_settings(None, [dotenv], {})
    assert not caplog.records
    dotenv.write_text(f"VAULT_TOKEN={SECRET}\nVAULT_ADDR=http://127.0.0.1:8200\n")
    load_runbook_settings(None, [dotenv], {})
    assert f"chmod 600 {dotenv}" in caplog.text
    assert SECRET not in caplog.text


# what is refused


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OPS_API_PORT", "many", "is not a whole number"),
        ("OPS_API_PORT", "70000", "is too large; write 65535 or less"),
        ("OPS_API_TOKENS", f"boss:wang:{SECRET}", "OPS_API_TOKENS[0] (environment): is not role:name:token"),
        ("OPS_API_TOKENS", f"x,wang:{SECRET}", "OPS_API_TOKENS[1] (environment): is not role:name:token"),
        ("OPS_API_TOKENS", f"admin:wa ng:{SECRET}", "no plain name"),
        ("OPS_API_TOKENS", "admin:wang:", "no token after the second colon"),
        ("OPS_API_TOKENS", "changeme", "placeholder"),
        ("OPS_API_TOKENS", f"admin:wang:{SECRET},viewer:wang:{SECRET}1", "two entries of the same name (entry 2)"),
        ("OPS_API_TOKENS", f"admin:wang:{SECRET},{SECRET}", "the same token twice (entry 2)"),
        ("OPS_API_CORS_ORIGINS", "https://x.example.com/path", "is not an origin"),
        ("OPS_API_CORS_METHODS", "GET,P OST", "is not an HTTP method"),
        ("OPS_PROMETHEUS_URL", "ftp://x", "is not an HTTP address"),
        ("PUSHGATEWAY_URL", f"http://user:{SECRET}@127.0.0.1:9091", "carries a user or password"),
        ("PUSHGATEWAY_URL", f"http://127.0.0.1:9091/?key={SECRET}", "carries a query"),
        ("PUSHGATEWAY_URL", "http://127.0.0.1:99999", "is not an HTTP address"),
        ("DRILL_HEALTH_CMD", "check 'it", "a quote that does not end"),
        ("DRILL_CONSUMER_BACKLOG_THRESHOLD", "0", "is too small; write 1 or more"),
        ("RUNBOOK_ESCALATION__COMMAND", "notify {who}", "only {marker} and {exit_code}"),
        ("RUNBOOK_ESCALATION__COMMAND", "notify {", "a brace that does not fit"),
        ("RUNBOOK_HEALTH__COVERAGE_THRESHOLD", "1.01", "is too large; write 1 or less"),
        ("RUNBOOK_HEALTH__COVERAGE_THRESHOLD", "nan", "is not a finite number"),
        ("RUNBOOK_SCHEDULE__DRILL_AT", "25:00", "is not a time of day"),
        ("RUNBOOK_SCHEDULE__ENABLED", "maybe", "is neither true nor false"),
        ("RUNBOOK_NOTIFY__URLS", SECRET, "is not a notification address"),
        ("RUNBOOK_AUDIT_KEY", SECRET, "is too short for a key"),
        ("RUNBOOK_HEALTH", "{}", "is a group of settings"),
        ("VAULT_TOKEN", f"{SECRET}\n", "control character"),
    ],
)
def test_a_bad_value_is_named_with_its_fix_and_never_shown(variable: str, value: str, said: str) -> None:
    found = findings({variable: value, "VAULT_ADDR": "http://127.0.0.1:8200"})
    assert said in only(found)
    assert only(found).startswith(variable)


@pytest.mark.parametrize(
    ("variable", "guess"),
    [
        ("OPS_API_TOKNES", "OPS_API_TOKENS"),
        ("DRILL_EXPECT_FEDE", "DRILL_EXPECT_FEED"),
        ("RUNBOOK_LOGDIR", "RUNBOOK_LOG_DIR"),
        ("RUNBOOK_HEALTH__LAG_WARNING", "RUNBOOK_HEALTH__LAG_WARNING_S"),
    ],
)
def test_an_unknown_variable_of_ours_is_refused_with_a_guess(variable: str, guess: str) -> None:
    assert only(findings({variable: SECRET})) == f"{variable} (environment): no such setting; did you mean {guess}?"


def test_a_slip_in_a_name_that_others_use_too_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    load_runbook_settings(environ={"VAULT_NAMESPCE": SECRET, "VAULT_SKIP_VERIFY": "1", "OPS_TEAM": "x"})
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "VAULT_NAMESPCE (environment) is not a setting of the runbook; did you mean VAULT_NAMESPACE?"
    ]


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"VAULT_ROLE_ID": "r"}, ["VAULT_SECRET_ID: is missing beside role_id", "VAULT_ADDR: is missing"]),
        ({"VAULT_TOKEN": SECRET}, ["VAULT_ADDR: is missing beside token"]),
        (
            {"VAULT_ADDR": "http://v:1", "VAULT_TOKEN": SECRET, "VAULT_ROLE_ID": "r", "VAULT_SECRET_ID": SECRET},
            ["VAULT_TOKEN (environment): is set beside an AppRole"],
        ),
        (
            {"RUNBOOK_HEALTH__LAG_CRITICAL_S": "10"},
            ["RUNBOOK_HEALTH__LAG_CRITICAL_S (environment): is smaller than lag_warning_s"],
        ),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused(environ: dict[str, str], said: list[str]) -> None:
    found = findings(environ)
    assert len(found) == len(said)
    for finding, text in zip(found, said, strict=True):
        assert finding.startswith(text)


def test_all_findings_come_at_once(dotenv: Path, toml: Path) -> None:
    dotenv.write_text("# comment\n\nOPS_API_PORT=x\nnonsense\nexport DRILL_EXPECT_FEDE=1\n")
    toml.write_text('[runbook]\nlog_dri = "x"\nhealth = 3\n[runbook.vault]\npaht = "x"\n[runbook.log_dir]\na = 1\n')
    found = findings({"RUNBOOK_START__TRIES": "0"}, toml, (dotenv,))
    assert sorted(found) == sorted(
        [
            f"{dotenv} line 4: not NAME=value; write one variable a line, or begin it with #",
            f"DRILL_EXPECT_FEDE ({dotenv} line 5): no such setting; did you mean DRILL_EXPECT_FEED?",
            f"runbook.log_dri ({toml}): no such key; did you mean runbook.log_dir?",
            f"runbook.health ({toml}): must be a table; write it as [runbook.health] with its own keys",
            f"runbook.vault.paht ({toml}): no such key; did you mean runbook.vault.path?",
            f"runbook.log_dir.a ({toml}): no such key; it is a single value; remove the table",
            f"OPS_API_PORT ({dotenv} line 3): is not a whole number; write one",
            "RUNBOOK_START__TRIES (environment): is too small; write 1 or more",
        ]
    )


def test_two_names_of_one_setting_must_agree() -> None:
    environ = {"OPS_API_PORT": "1", "RUNBOOK_API__PORT": "1"}
    assert load_runbook_settings(environ=environ).api.port == 1
    assert "contradicts OPS_API_PORT" in only(findings({**environ, "RUNBOOK_API__PORT": "2"}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"[runbook\n{SECRET}", "not TOML"),
        ("runbook = 3", "must be a table"),
        ("[runbook]\nx = 2020-99-99", "not TOML"),
        ("[runbook.api]\nport = true", "is true or false; write a number"),
        ("[runbook.api]\ntokens = 3", "must be a list"),
    ],
)
def test_a_bad_file_is_a_finding(toml: Path, text: str, said: str) -> None:
    toml.write_text(text)
    assert said in only(findings(config=toml))


def test_files_that_cannot_be_read_are_findings(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"OPS_API_TOKEN=\xff")
    found = findings(config=tmp_path / "none.toml", env_files=(tmp_path, tmp_path / "latin"))
    assert len(found) == 3
    assert "No such file" in "".join(found)
    assert "not UTF-8" in "".join(found)
    assert "Is a directory" in "".join(found)


def test_made_in_code_with_bad_values_the_error_does_not_show_them() -> None:
    with pytest.raises(ValidationError) as caught:
        RunbookSettings.model_validate({"api": {"tokens": [f"boss:x:{SECRET}"]}})
    assert SECRET not in str(caught.value)


# documents


def test_every_setting_has_a_meaning_and_both_names_lead_to_it() -> None:
    for setting in names.settings():
        assert setting.field.description, setting.key
        found = names.resolve(setting.variable)
        assert found is not None
        assert found[0] == setting.loc
        if setting.operators_variable:
            assert names.resolve(setting.operators_variable) == found


def test_every_setting_with_a_secret_is_known_as_one_and_says_so() -> None:
    said = {setting.loc for setting in names.settings() if "(secret)" in (setting.field.description or "")}
    assert said == names.secret_locs()


def test_the_tables_have_one_row_for_every_setting() -> None:
    rows = [line for _, lines in tables() for line in lines]
    assert rows == [row(setting) for setting in names.settings()]
    assert all(line in document() for line in rows)


def test_the_example_changes_nothing_commented_or_not(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(example(), "utf-8")
    assert load_runbook_settings(None, [path], {}) == RunbookSettings()
    lines = example().splitlines()
    values = [line[1:] for line in lines if line.startswith("#") and not line.startswith("# ")]
    assert len(values) == len(list(names.settings()))
    path.write_text("\n".join(values), "utf-8")
    assert load_runbook_settings(None, [path], {}) == RunbookSettings()
