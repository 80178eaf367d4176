"""Whatever somebody writes, the answer is settings or a SettingsError, and never a secret."""

import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.settings import Settings, load_settings, names

SECRET = "s3cr3t-Planted"
KNOWN = sorted(
    {setting.variable.replace("<FEED>", "SIM").replace("<ACCOUNT>", "A") for setting in names.settings()}
    | set(names.OPERATORS)
)
SECRET_NAMES = [name for name in KNOWN if name.endswith(("PASSWORD", "AUTH_CODE", "TOKEN"))]
KEYS = [setting.key.replace("<feed>", "ctp").replace("<account>", "primary") for setting in names.settings()]
GARBAGE = st.one_of(
    st.text(max_size=30),
    st.floats().map(str),
    st.integers().map(str),
    st.sampled_from(["1e400", "9" * 5000, "[", '["\\ud800"]', '{"a": NaN}', "[" * 3000, "\0", "\udc80", "true", ","]),
)
NAMES = st.one_of(
    st.sampled_from(KNOWN),
    st.sampled_from(KNOWN).flatmap(lambda name: st.integers(0, len(name)).map(lambda at: name[:at] + name[at + 1 :])),
    st.text(max_size=12).map("FEEDGATE_".__add__),
    st.text(max_size=12).map("CTP_PRIMARY_".__add__),
)
TOML_VALUES = st.sampled_from(
    [
        "1",
        "-1",
        "nan",
        "inf",
        "1e400",
        "true",
        '""',
        '"x"',
        '"<x>"',
        "[]",
        "[1]",
        '["\\u0000"]',
        "{}",
        "{a.b = 1}",
        "2024-01-01",
        "99999999999999999999999",
        "9" * 5000,
        "2024-13-45",
        "'",
        "[[]]",
        '"tcp://h:1"',
        "{a = {}}",
    ]
)
relaxed = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcome(caplog: pytest.LogCaptureFixture, *arguments: object) -> Settings | SettingsError:
    """Load; whatever comes of it, no text of it may show the secret."""
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    result: Settings | SettingsError
    try:
        result = load_settings(*arguments)  # type: ignore[arg-type]  # garbage is the point
    except SettingsError as refused:
        result = refused
    texts = [repr(result), str(result), caplog.text]
    if isinstance(result, SettingsError):
        assert result.findings
        assert result.__context__ is None
        "\n".join(result.findings).encode()  # printable anywhere
    else:
        texts.append(result.model_dump_json())
    assert not [text for text in texts if SECRET in text]
    return result


@given(garbage=st.dictionaries(NAMES, GARBAGE, max_size=6), place=st.sampled_from(SECRET_NAMES))
@example(garbage={"FEEDGATE_FEEDS__SIM__OPTIONS__\udc80": "1"}, place="NATS_PASSWORD")
@example(garbage={"FEEDGATE_FEEDS__SIM__OPTIONS": "{" * 9000}, place="NATS_PASSWORD")
@relaxed
def test_garbage_in_the_environment(garbage: dict[str, str], place: str, caplog: pytest.LogCaptureFixture) -> None:
    outcome(caplog, None, (), {**garbage, place: SECRET})


@given(name=NAMES)
@relaxed
def test_a_secret_under_a_wrong_name_is_refused_without_showing_it(name: str, caplog: pytest.LogCaptureFixture) -> None:
    ours = (names.PREFIX, *names.OWN_FAMILIES)
    assume(name.startswith(ours) and names.resolve(name) is None and name not in names.NOT_SETTINGS)
    assert isinstance(outcome(caplog, None, (), {name: SECRET}), SettingsError)


@given(
    content=st.one_of(
        st.binary(max_size=200), st.text(alphabet="FEDGAT_NM='\"\\$\n #\r\t\0é", max_size=80).map(str.encode)
    )
)
@relaxed
def test_garbage_in_an_env_file(content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content + f"\nCTP_PRIMARY_PASSWORD={SECRET}\n".encode())
    outcome(caplog, None, [path], {})


@example(pairs={"active": "[]"})
@given(
    pairs=st.dictionaries(
        st.sampled_from([*KEYS, "bus", "feeds", "feeds.ctp", "zzz", "bus.zzz"]), TOML_VALUES, max_size=5
    )
)
@relaxed
def test_garbage_in_a_toml_file(pairs: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "feedgate.toml"
    lines = [f"{key} = {value}" for key, value in pairs.items()]
    path.write_text("\n".join([*lines, f'feeds.x.accounts.primary.password = "{SECRET}"']), "utf-8")
    outcome(caplog, path, (), {"NATS_PASSWORD": SECRET})


@given(content=st.binary(max_size=200))
@relaxed
def test_bytes_that_are_no_toml(content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "feedgate.toml"
    path.write_bytes(content)
    outcome(caplog, path, (), {})


@given(number=st.integers(0, 65535), name=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
@relaxed
def test_good_values_arrive_unchanged_by_every_way(number: int, name: str, tmp_path: Path) -> None:
    assume(name.strip())
    variables = {"FEEDGATE_NAME": name, "FEEDGATE_METRICS__PORT": str(number)}
    env, toml = tmp_path / ".env", tmp_path / "a.toml"
    env.write_text("".join(f"{key}={value}\n" for key, value in variables.items()), "utf-8")
    toml.write_text(f'name = "{name}"\nmetrics.port = {number}\n', "utf-8")
    expected = Settings.model_validate({"name": name, "metrics": {"port": number}})
    assert load_settings(environ=variables) == expected
    assert load_settings(env_files=[env], environ={}) == expected
    assert load_settings(toml, environ={}) == expected
