"""Reading, merging and refusing settings."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from gateway.settings import AccountSettings, BusSettings, FeedSettings, LineSettings, Settings, load_settings
from tests.unit.refused_settings import SECRET, findings_of, only

FULL_SET = {
    "CTP_PRIMARY_BROKER_ID": "9999",
    "CTP_PRIMARY_USER_ID": "160219",
    "CTP_PRIMARY_PASSWORD": SECRET,
    "CTP_PRIMARY_MD_ADDRESS": "tcp://180.168.146.187:10211",
}
TRADER = {
    "CTP_PRIMARY_TD_ADDRESS": "tcp://180.168.146.187:10201",
    "CTP_PRIMARY_APP_ID": "client_1",
    "CTP_PRIMARY_AUTH_CODE": SECRET + "0",
}


def findings(
    environ: Mapping[str, str] | None = None, config: Path | None = None, env_files: tuple[Path, ...] = ()
) -> list[str]:
    return findings_of(load_settings, environ, config, env_files)


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "feedgate.toml"


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    path = tmp_path / ".env.live"
    path.touch(0o600)
    return path


# Where values come from


def test_nothing_set_means_defaults() -> None:
    assert load_settings(environ={}) == Settings()


def test_settings_made_in_code_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDGATE_NAME", "other")
    monkeypatch.setenv("NAME", "other")
    monkeypatch.setenv("CTP_PRIMARY_USER_ID", "160219")
    assert Settings().name == "feedgate"
    assert Settings().feeds == {}
    assert load_settings(environ={}) == Settings()


def test_without_a_mapping_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("FEEDGATE_", "CTP_", "SOPT_", "NATS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FEEDGATE_NAME", "night")
    assert load_settings().name == "night"


def test_environment_wins_over_env_files_over_toml_over_defaults(toml: Path, tmp_path: Path) -> None:
    toml.write_text('name = "toml"\n[metrics]\nport = 1\n[lines]\nbatch = 1\nqueue = 1\n[bus]\nbundled_port = 1\n')
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("FEEDGATE_NAME=first\nFEEDGATE_METRICS__PORT=2\nFEEDGATE_LINES__QUEUE=2\n")
    second.write_text("FEEDGATE_NAME=second\nFEEDGATE_METRICS__PORT=3\n")
    settings = load_settings(toml, [first, second], {"FEEDGATE_NAME": "environ"})
    assert settings.name == "environ"
    assert settings.metrics.port == 3
    assert (settings.lines.queue, settings.lines.batch) == (2, 1)
    assert settings.bus.bundled_port == 1
    assert settings.publish.batch == 256


def test_an_account_may_be_put_together_from_a_file_and_the_environment(toml: Path) -> None:
    toml.write_text('[feeds.ctp.accounts.primary]\nbroker_id = "9999"\nmd_address = "tcp://h:1"\n')
    environ = {name: FULL_SET[name] for name in ("CTP_PRIMARY_USER_ID", "CTP_PRIMARY_PASSWORD")}
    account = load_settings(toml, environ=environ).feeds["ctp"].accounts["primary"]
    assert (account.broker_id, account.user_id) == ("9999", "160219")
    assert account.password.get_secret_value() == SECRET


def test_an_empty_variable_counts_as_unset(toml: Path) -> None:
    toml.write_text('name = "toml"\n')
    environ = {"FEEDGATE_NAME": "", "NATS_URL": "  ", "CTP_PRIMARY_USER_ID": ""}
    settings = load_settings(toml, environ=environ)
    assert settings.name == "toml"
    assert settings.bus.urls == []
    assert settings.feeds == {}


def test_a_dollar_sign_in_a_password_is_an_ordinary_character(dotenv: Path) -> None:
    dotenv.write_text(
        "".join(f"{name}={value}\n" for name, value in FULL_SET.items())
        + "CTP_PRIMARY_PASSWORD=a$HOME${HOME}b # comment\n"
    )
    account = load_settings(env_files=[dotenv], environ={}).feeds["ctp"].accounts["primary"]
    assert account.password.get_secret_value() == "a$HOME${HOME}b"


def test_operators_variables_create_feeds_with_the_primary_account_first() -> None:
    backup = {name.replace("PRIMARY", "BACKUP"): value for name, value in FULL_SET.items()}
    option = {name.replace("CTP", "SOPT"): value for name, value in FULL_SET.items()}
    settings = load_settings(environ={**backup, **option, **FULL_SET, **TRADER, "ACTIVE_FEED": "backup"})
    assert list(settings.feeds["ctp"].accounts) == ["primary", "backup"]
    assert list(settings.feeds["sopt"].accounts) == ["primary"]
    assert settings.kind_of("sopt") == "sopt"
    assert settings.active == "backup"


def test_other_operators_variables_reach_their_settings() -> None:
    settings = load_settings(
        environ={
            "RATE_LIMIT_LOGIN_PER_MINUTE": "3",
            "RATE_LIMIT_SUBSCRIBE_PER_SECOND": "150.5",
            "SUBSCRIBE_BATCH_SIZE": "500",
            "NATS_URL": "nats://a:4222, tls://b",
            "NATS_USER": "gw",
            "NATS_PASSWORD": SECRET,
        }
    )
    assert settings.subscriptions.login_per_minute == 3
    assert settings.subscriptions.per_second == 150.5
    assert settings.subscriptions.batch_size == settings.subscriptions.burst == 500
    assert settings.bus.urls == ["nats://a:4222", "tls://b"]


def test_options_from_variables_have_the_types_of_json() -> None:
    options = "FEEDGATE_FEEDS__SIM__OPTIONS"
    settings = load_settings(
        environ={
            f"{options}": '{"seed": 1, "exchanges": ["SHFE"]}',
            f"{options}__RATE": "1000",
            f"{options}__QUIET": "true",
            f"{options}__START": "0900",
            f"{options}__LEVEL": "NaN",
            "FEEDGATE_FEEDS__SIM__INSTRUMENTS": "SHFE.rb*,[A-D]*.a*",
            "FEEDGATE_PLUGINS_BLOCKED": '["replay", "ctp"]',
        }
    )
    feed = settings.feeds["sim"]
    expected = {"seed": 1, "exchanges": ["SHFE"], "rate": 1000, "quiet": True, "start": "0900", "level": "NaN"}
    assert feed.options == expected
    assert feed.instruments == ["SHFE.rb*", "[A-D]*.a*"]
    assert settings.plugins_blocked == ["replay", "ctp"]


def test_the_options_of_a_line_win_over_those_of_its_feed() -> None:
    feed = FeedSettings(options={"rate": 1, "seed": 2}, accounts={"a": AccountSettings(options={"rate": 9})})
    assert feed.options_of("a") == {"rate": 9, "seed": 2}


def test_a_feed_without_accounts_gets_one_line(toml: Path) -> None:
    toml.write_text("[feeds.sim]\n[feeds.ctp]\nkind = 'replay'\n")
    settings = load_settings(toml, environ={})
    assert list(settings.feeds["sim"].accounts) == ["primary"]
    assert settings.kind_of("ctp") == "replay"


def test_variables_of_other_programs_and_later_parts_are_left_alone() -> None:
    others = ["OPS_API_PORT", "DRILL_EXPECT_FEED", "VAULT_TOKEN", "PUSHGATEWAY_URL", "SESSION_CONFIG", "PATH"]
    others += ["NATS_PORT_4222_TCP", "CTP_HOME", "FEEDGATE_REQUIRE_TOOLS"]
    assert load_settings(environ=dict.fromkeys(others, "x")) == Settings()


# Secrets


def test_no_secret_is_in_any_picture_of_the_settings() -> None:
    environ = {**FULL_SET, **TRADER, "NATS_URL": "nats://h", "NATS_TOKEN": SECRET}
    settings = load_settings(environ=environ)
    for picture in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert SECRET not in picture
    account = settings.feeds["ctp"].accounts["primary"].account("primary")
    assert account.secrets == {"password": SECRET, "auth_code": SECRET + "0"}
    assert (account.name, account.user_id, account.app_id) == ("primary", "160219", "client_1")
    assert SECRET not in repr(account)


def test_a_mistake_in_code_does_not_show_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        AccountSettings(pasword=SECRET)  # type: ignore[call-arg]  # the mistake
    assert SECRET not in str(caught.value)


def test_pydantic_settings_own_debug_log_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    with caplog.at_level(logging.DEBUG):
        load_settings(environ=FULL_SET)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, True), (0o600, False)])
def test_a_file_with_secrets_that_others_can_read_is_named_in_a_warning(
    dotenv: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: bool
) -> None:
    dotenv.write_text("".join(f"{name}={value}\n" for name, value in FULL_SET.items()))
    dotenv.chmod(mode)
    load_settings(env_files=[dotenv], environ={})
    assert (f"chmod 600 {dotenv}" in caplog.text) == warned
    assert SECRET not in caplog.text


def test_an_open_file_without_secrets_is_no_matter(dotenv: Path, caplog: pytest.LogCaptureFixture) -> None:
    dotenv.write_text("FEEDGATE_NAME=a\nCTP_PRIMARY_PASSWORD=\n")
    dotenv.chmod(0o644)
    load_settings(env_files=[dotenv], environ={})
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["password", "token"])
def test_an_option_that_would_show_a_secret_is_refused(toml: Path, name: str) -> None:
    toml.write_text(f'[feeds.sim.options]\n{name} = "{SECRET}"\n')
    found = only(findings(config=toml))
    assert found.startswith(f"feeds.sim.options ({toml}): has {name}")


# Unknown names


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("CTP_PRIMARY_PASWORD", "CTP_PRIMARY_PASSWORD"),
        ("SOPT_BACKUP_BROKERID", "SOPT_BACKUP_BROKER_ID"),
        ("CTP_PRIMRY_PASSWORD", "CTP_PRIMARY_PASSWORD"),
        ("RATE_LIMIT_LOGINS_PER_MINUTE", "RATE_LIMIT_LOGIN_PER_MINUTE"),
        ("SUBSCRIBE_BATCHSIZE", "SUBSCRIBE_BATCH_SIZE"),
        ("FEEDGATE_METRICS_PORT", "FEEDGATE_METRICS__PORT"),
        ("FEEDGATE_METRIC__PORT", "FEEDGATE_METRICS__PORT"),
        ("FEEDGATE_BUS__CONECT_TIMEOUT_S", "FEEDGATE_BUS__CONNECT_TIMEOUT_S"),
        ("FEEDGATE_FEEDS__CTP__ACCOUNTS__X__PASWORD", "FEEDGATE_FEEDS__CTP__ACCOUNTS__X__PASSWORD"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_right_spelling(typed: str, meant: str) -> None:
    assert only(findings({typed: SECRET})) == f"{typed} (environment): no such setting; did you mean {meant}?"


def test_an_unknown_variable_like_nothing_we_know_is_refused(dotenv: Path) -> None:
    dotenv.write_text("\n\n# comment\n\nFEEDGATE_ZZZ=1\n")
    found = only(findings(env_files=(dotenv,)))
    assert found == f"FEEDGATE_ZZZ ({dotenv} line 5): no such setting; remove it, or see docs/settings.md for the names"


def test_a_nats_variable_of_somebody_else_is_only_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    load_settings(environ={"NATS_URLS": SECRET})
    assert "did you mean NATS_URL?" in caplog.text
    assert SECRET not in caplog.text


def test_a_misspelt_toml_key_is_refused_with_the_right_spelling(toml: Path) -> None:
    toml.write_text('nam = "a"\n[bus]\nconect_timeout_s = 1\n[feeds.ctp.accounts.primary]\nmd_adress = "x"\nqqq = 1\n')
    found = findings(config=toml, environ=FULL_SET)
    assert f"nam ({toml}): no such key; did you mean name?" in found
    assert f"bus.conect_timeout_s ({toml}): no such key; did you mean bus.connect_timeout_s?" in found
    place = "feeds.ctp.accounts.primary"
    assert f"{place}.md_adress ({toml}): no such key; did you mean {place}.md_address?" in found
    assert any(text.startswith(f"{place}.qqq ({toml}): no such key; the keys here are: user_id,") for text in found)
    assert len(found) == 4


def test_two_names_for_one_setting_must_agree() -> None:
    assert load_settings(environ={"NATS_URL": "nats://a", "FEEDGATE_BUS__URLS": "nats://a"}).bus.urls == ["nats://a"]
    found = only(findings({"NATS_URL": "nats://a", "FEEDGATE_BUS__URLS": "nats://b"}))
    assert found.startswith("FEEDGATE_BUS__URLS (environment): contradicts NATS_URL")


def test_a_variable_that_names_a_whole_group_is_refused() -> None:
    assert only(findings({"FEEDGATE_BUS": "{}"})).startswith("FEEDGATE_BUS (environment): is a group of settings")


def test_a_value_beside_a_table_of_the_same_name_is_refused(toml: Path) -> None:
    toml.write_text("[feeds.sim.options]\nfault = 1\n")
    found = only(findings({"FEEDGATE_FEEDS__SIM__OPTIONS__FAULT__DELAY": "1"}, toml))
    assert found.startswith("FEEDGATE_FEEDS__SIM__OPTIONS__FAULT__DELAY (environment): cannot be set beside")


# Half-filled accounts


@pytest.mark.parametrize("missing", FULL_SET)
def test_a_half_filled_account_names_what_is_missing(missing: str) -> None:
    found = only(findings({name: value for name, value in FULL_SET.items() if name != missing}))
    assert found.startswith(f"{missing}: is missing, while CTP_PRIMARY_")


@pytest.mark.parametrize("missing", TRADER)
def test_the_trader_login_takes_all_three_or_none(missing: str) -> None:
    load_settings(environ={**FULL_SET, **TRADER})
    found = only(findings({name: value for name, value in {**FULL_SET, **TRADER}.items() if name != missing}))
    assert found.startswith(f"{missing}: is missing, while CTP_PRIMARY_")


def test_a_ctp_feed_without_any_account_is_told_which_variables_to_set(toml: Path) -> None:
    toml.write_text("[feeds.ctp]\ninstruments = ['SHFE.*']\n[feeds.day]\nkind = 'ctp'\naccounts.a.user_id = '1'\n")
    found = findings(config=toml)
    assert {text.partition(":")[0] for text in found if "cannot log in" in text} == set(FULL_SET)
    lacking = [text for text in found if "while feeds.day.accounts.a.user_id" in text]
    assert len(lacking) == 3
    assert lacking[0].startswith("FEEDGATE_FEEDS__DAY__ACCOUNTS__A__PASSWORD: is missing")


# Bad values


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FEEDGATE_BUS__CONNECT_TIMEOUT_S", "-1", "is too small; write more than 0"),
        ("FEEDGATE_BUS__CONNECT_TIMEOUT_S", "nan", "is not a finite number"),
        ("FEEDGATE_BUS__CONNECT_TIMEOUT_S", "inf", "is not a finite number"),
        ("FEEDGATE_BUS__CONNECT_TIMEOUT_S", "soon", "is not a number"),
        ("FEEDGATE_LINES__LINGER_MS", "1001", "is too large; write 1000 or less"),
        ("FEEDGATE_METRICS__PORT", "65536", "is too large; write 65535 or less"),
        ("FEEDGATE_METRICS__PORT", "1.5", "is not a whole number"),
        ("FEEDGATE_METRICS__ENABLED", "maybe", "is neither true nor false"),
        ("FEEDGATE_PUBLISH__CODEC", "xml", "is none of the choices; write 'msgpack' or 'json'"),
        ("FEEDGATE_NAME", "a.b", "is not a plain name"),
        ("FEEDGATE_BUS__BUNDLED_HOST", "a b", "is not a host"),
        ("RATE_LIMIT_LOGIN_PER_MINUTE", "0", "is too small; write 1 or more"),
        ("SUBSCRIBE_BATCH_SIZE", "many", "is not a whole number"),
        ("NATS_CREDS", "/no/such/file", "no such file"),
        ("FEEDGATE_FEEDS__SIM__INSTRUMENTS", "rb2510", "is not an instrument pattern"),
        ("FEEDGATE_FEEDS__SIM__OPTIONS", "rate=1", "must be a JSON object"),
        ("FEEDGATE_FEEDS__SIM__HOST", "thread", "is none of the choices; write 'auto', 'child' or 'inline'"),
    ],
)
def test_a_bad_value_is_refused_with_the_variable_and_the_fix(name: str, value: str, said: str) -> None:
    extra = {"NATS_URL": "nats://h"} if name == "NATS_CREDS" else {}
    found = only(findings({name: value, **extra}))
    assert found.startswith((f"{name} (environment): ", f"{name}[0] (environment): "))
    assert said in found
    assert ";" in found or "no such" in found


@pytest.mark.parametrize(
    "address",
    [
        "h:1",
        "tcp://h",
        "tcp://:1",
        "tcp://h:0",
        "tcp://h:65536",
        "tcp://h:x",
        "http://h:1",
        "tcp://h:1/x",
        "tcp://u@h:1",
        "tcp://[::1:1",
        "tcp://h h:1",
        "tcp://h:1?x",
        "tcp:h:1",
    ],
)
def test_a_front_that_would_kill_the_native_library_is_refused(address: str) -> None:
    found = only(findings({**FULL_SET, "CTP_PRIMARY_MD_ADDRESS": address}))
    assert found.startswith("CTP_PRIMARY_MD_ADDRESS (environment): is not a front address; write tcp://HOST:PORT")


@pytest.mark.parametrize("url", ["localhost:4222", "http://h", "nats://", "nats://h:0", "nats://h/x", "nats://h?x=1"])
def test_an_address_that_nats_cannot_use_is_refused(url: str) -> None:
    found = only(findings({"NATS_URL": f"nats://good:4222,{url}"}))
    assert found.startswith("NATS_URL[1] (environment): is not a NATS address")


def test_a_password_inside_a_nats_address_is_refused() -> None:
    assert "NATS_USER and NATS_PASSWORD" in only(findings({"NATS_URL": f"nats://gw:{SECRET}@h:4222"}))


@pytest.mark.parametrize("value", ["changeme", "CHANGE_ME", "<password>", "your_password_here", "xxx", "****"])
def test_a_placeholder_is_refused(value: str) -> None:
    found = only(findings({**FULL_SET, "CTP_PRIMARY_PASSWORD": value}))
    assert found.startswith("CTP_PRIMARY_PASSWORD (environment): still holds a placeholder")


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("bus = 1", "bus", "must be a table"),
        ("feeds.sim = 'x'", "feeds.sim", "must be a table"),
        ("feeds.ctp.kind = 'sim'\nfeeds.ctp.accounts.primary.user_id = 160219", "user_id", "write it in quotes"),
        ("metrics.port = true", "metrics.port", "write a number"),
        ("lines.batch = 1.5", "lines.batch", "is not a whole number"),
        ("lines.heartbeat_s = nan", "lines.heartbeat_s", "is not a finite number"),
        ("bus.urls = 'nats://h'", "bus.urls", "must be a list"),
        ("feeds.Sim.kind = 'sim'", "feeds.Sim", "is not a plain name"),
        ("feeds.sim.accounts = {}", "feeds.sim.accounts", "is empty"),
        ("feeds.sim.catalogue.options.a = 1", "feeds.sim.catalogue.kind", "is missing"),
    ],
)
def test_a_bad_toml_value_is_refused_with_the_key_and_the_fix(toml: Path, text: str, key: str, said: str) -> None:
    toml.write_text(text)
    found = only(findings(config=toml))
    assert key in found.partition(" (")[0]
    assert f"({toml})" in found
    assert said in found


@pytest.mark.parametrize(
    ("environ", "name", "said"),
    [
        (
            {"FEEDGATE_LINES__HUNG_AFTER_S": "9"},
            "FEEDGATE_LINES__HUNG_AFTER_S (environment)",
            "larger than kill_after_s",
        ),
        ({"FEEDGATE_LINES__KILL_AFTER_S": "0.1"}, "FEEDGATE_LINES__KILL_AFTER_S (environment)", "at least 0.8"),
        ({"FEEDGATE_PUBLISH__HELD": "1"}, "FEEDGATE_PUBLISH__HELD (environment)", "at least 256"),
        ({"FEEDGATE_SUBSCRIPTIONS__BURST": "1"}, "FEEDGATE_SUBSCRIPTIONS__BURST (environment)", "at least 200"),
        ({"NATS_URL": "nats://h", "NATS_USER": "a"}, "NATS_PASSWORD", "missing beside user"),
        ({"NATS_USER": "a", "NATS_PASSWORD": SECRET}, "NATS_URL", "missing beside password"),
        ({"NATS_URL": "nats://h,ws://h"}, "NATS_URL (environment)", "mixes"),
        ({**FULL_SET, "ACTIVE_FEED": "backup"}, "ACTIVE_FEED (environment)", "choose one of: primary"),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused(environ: dict[str, str], name: str, said: str) -> None:
    found = only(findings(environ))
    assert found.startswith(f"{name}: ")
    assert said in found


def test_values_that_do_not_fit_each_other_are_refused_in_code_too() -> None:
    with pytest.raises(ValidationError, match="hung_after_s is larger than kill_after_s"):
        LineSettings(hung_after_s=9.0)
    with pytest.raises(ValidationError, match="creds_file is set beside token"):
        BusSettings(urls=["nats://h"], token=SecretStr("t"), creds_file=Path("c"))
    with pytest.raises(ValidationError, match="active names an account that no feed has"):
        Settings(active="backup", feeds={"sim": FeedSettings()})


def test_everything_wrong_is_said_at_once(toml: Path, dotenv: Path) -> None:
    toml.write_text("[lines]\nbatch = 'x'\nheartbeat_s = 2.0\n[bus]\nkynd = 'nats'\n")
    dotenv.write_text("CTP_BACKUP_USER_ID=1\nCTP_BACKUP_MD_ADDRESS=nowhere\nnonsense\n")
    found = findings({"FEEDGATE_METRICS__PORT": "x", "FEEDGATE_NAMES": "x"}, toml, (dotenv,))
    starts = ["lines.batch", "lines.heartbeat_s", "bus.kynd", "CTP_BACKUP_MD_ADDRESS", "CTP_BACKUP_PASSWORD"]
    starts += ["CTP_BACKUP_BROKER_ID", f"{dotenv} line 3", "FEEDGATE_METRICS__PORT", "FEEDGATE_NAMES"]
    for start in starts:
        assert any(text.startswith(start) for text in found), start
    assert len(found) == len(starts)


# Files that cannot be used


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    found = findings(config=tmp_path / "a.toml", env_files=(tmp_path / ".env.b",))
    assert found == [
        f"{tmp_path / name}: cannot be read (No such file or directory); give the path of a readable file"
        for name in (".env.b", "a.toml")
    ]


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert "cannot be read (Is a directory)" in only(findings(config=tmp_path))


def test_a_syntax_error_in_toml_has_its_line(toml: Path) -> None:
    toml.write_text(f"name = 'a'\n[feeds.ctp.accounts.primary]\npassword = {SECRET}\n")
    found = only(findings(config=toml))
    assert found.startswith(f"{toml}: not TOML")
    assert "line 3" in found


def test_toml_nested_beyond_reason_is_refused(toml: Path) -> None:
    toml.write_text("feeds.sim.options." + ".".join("a" * 3000) + " = 1\n")
    assert "nested more than" in only(findings(config=toml))
    toml.write_text("feeds.sim.options.x = " + "[" * 5000 + "]" * 5000)
    assert "nested too deeply" in only(findings(config=toml))


def test_a_line_that_is_no_assignment_is_named(dotenv: Path) -> None:
    dotenv.write_text(f"# a\n\n{SECRET}\nFEEDGATE_NAME='a\n")
    found = findings(env_files=(dotenv,))
    assert [text.partition(": not NAME=value")[0] for text in found] == [f"{dotenv} line 3", f"{dotenv} line 4"]


def test_bytes_that_are_not_utf8_are_named_with_their_line(dotenv: Path) -> None:
    dotenv.write_bytes("FEEDGATE_NAME=a\nCTP_PRIMARY_PASSWORD=密码\n".encode("gbk"))
    assert only(findings(env_files=(dotenv,))).startswith(f"{dotenv} line 2: not UTF-8")


def test_the_runbooks_table_in_a_shared_file_is_none_of_the_gateways_business(tmp_path: Path) -> None:
    path = tmp_path / "feedgate.toml"
    path.write_text('name = "desk"\n[runbook.drill]\nexpect_feed = "ctp"\n', encoding="utf-8")
    assert load_settings(path, environ={}).name == "desk"
