"""The documents about settings say what the code does, no more and no less."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from gateway.settings import Settings, load_settings, names
from gateway.settings.names import OPERATORS, Setting

ROOT = Path(__file__).parents[2]
ENV_EXAMPLE = ROOT / ".env.example"
RUNBOOK = "# ==== The runbook"
"""Below this line the example shows the runbook's variables; those have a test of their own."""
DOCUMENT = ROOT / "docs" / "settings.md"
ASSIGNMENT = re.compile(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def gateways_part() -> str:
    return ENV_EXAMPLE.read_text("utf-8").partition(RUNBOOK)[0]


def default_text(setting: Setting) -> str:
    """A default as the documents write it."""
    value = setting.default
    if value is ...:
        return "*required*"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return "unset"
    if value in ("", [], {}):
        return "empty"
    return (
        f"`{json.dumps(value) if isinstance(value, bool) else ','.join(value) if isinstance(value, list) else value}`"
    )


def row(setting: Setting) -> str:
    variables = ", ".join(f"`{name}`" for name in [*setting.operators_variables, setting.variable])
    meaning = setting.field.description
    unit = setting.unit or "–"
    return f"| `{setting.key}` | {variables} | {default_text(setting)} | {unit} | {meaning} |"


def example_variables() -> dict[str, Setting]:
    """Every variable that the example must show, the user's own names being SIM and PRIMARY."""
    expected: dict[str, Setting] = {}
    for setting in names.settings():
        general = setting.variable.replace("<FEED>", "SIM").replace("<ACCOUNT>", "PRIMARY")
        for name in setting.operators_variables or [general]:
            expected[name] = setting
    return expected


def test_every_setting_says_what_it_means() -> None:
    for setting in names.settings():
        assert setting.field.description, setting.key


def test_the_document_has_one_row_for_every_setting_and_no_other_row() -> None:
    found = [line for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert found == [row(setting) for setting in names.settings()]


def test_every_variable_in_the_documents_prose_exists() -> None:
    later = ("FEEDGATE_REQUIRE_TOOLS",)
    for name in re.findall(r"`((?:FEEDGATE|CTP|SOPT|NATS)_[A-Z0-9_]*[A-Z0-9])`", DOCUMENT.read_text("utf-8")):
        assert name in later or names.resolve(name), name


def test_the_example_shows_every_variable_once_and_no_other() -> None:
    shown = [name for name, _ in ASSIGNMENT.findall(gateways_part())]
    assert sorted(shown) == sorted(example_variables())


def test_every_variable_of_the_example_has_a_comment_above_it() -> None:
    previous = ""
    for line in gateways_part().splitlines():
        if ASSIGNMENT.match(line):
            assert previous.startswith("# ") or ASSIGNMENT.match(previous), line
        previous = line


def test_the_example_shows_the_true_defaults() -> None:
    shown = dict(ASSIGNMENT.findall(gateways_part()))
    for name, setting in example_variables().items():
        default = default_text(setting)
        if default.startswith("`"):
            assert f"`{shown[name]}`" == default, name


def test_the_example_is_used_as_it_is_and_changes_nothing() -> None:
    assert load_settings(env_files=[ENV_EXAMPLE], environ={}) == Settings()


def test_uncommenting_every_default_of_the_example_changes_nothing(tmp_path: Path) -> None:
    lines = ASSIGNMENT.findall(gateways_part())
    chosen = [f"{name}={value}" for name, value in lines if "FEEDS" not in name and not value.startswith("<")]
    (tmp_path / ".env").write_text("\n".join(chosen), "utf-8")
    assert load_settings(env_files=[tmp_path / ".env"], environ={}) == Settings()


def test_the_example_configuration_loads() -> None:
    settings = load_settings(ROOT / "examples" / "feedgate.toml", environ={})
    assert settings.kind_of("sim") == "sim"
    assert list(settings.feeds["sim"].accounts) == ["primary", "backup"]


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operators_variable_leads_to_a_setting(name: str) -> None:
    resolved = names.resolve(name)
    assert resolved is not None
    assert resolved == names.resolve("FEEDGATE_" + "__".join(OPERATORS[name]).upper())


def test_every_leaf_of_the_model_is_listed() -> None:
    def leaves(model: BaseModel) -> int:
        values = [getattr(model, name) for name in type(model).model_fields]
        return sum(leaves(value) if isinstance(value, BaseModel) else 1 for value in values)

    plain = [setting for setting in names.settings() if not setting.key.startswith("feeds.")]
    assert len(plain) == leaves(Settings()) - 1  # ``feeds`` itself
