"""The tables of the settings document and the lines of ``.env.example``, from the model; a test compares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby

from pydantic import SecretStr

from runbook.settings import names
from runbook.settings.names import Setting

HEADER = "| TOML key | Variables | Default | Unit | Meaning |\n|---|---|---|---|---|"


def default_text(setting: Setting) -> str:
    """A default as the documents write it."""
    value = setting.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return "unset"
    if value in ("", [], {}):
        return "empty"
    shown = json.dumps(value) if isinstance(value, bool) else ",".join(value) if isinstance(value, list) else value
    return f"`{shown}`"


def row(setting: Setting) -> str:
    """One line of a table."""
    variables = [setting.operators_variable, setting.variable]
    written = ", ".join(f"`{name}`" for name in variables if name)
    unit = setting.unit or "–"
    return f"| `{setting.key}` | {written} | {default_text(setting)} | {unit} | {setting.field.description} |"


def tables() -> Iterator[tuple[str, list[str]]]:
    """``(title, rows)`` for each group of settings, in the order of the model."""
    for title, members in groupby(names.settings(), _title):
        yield title, [row(setting) for setting in members]


def document() -> str:
    """All tables as Markdown."""
    return "\n".join(f"### {title}\n\n{HEADER}\n" + "\n".join(rows) + "\n" for title, rows in tables())


def example() -> str:
    """The lines for ``.env.example``: every variable once, commented out, by the operators' name where it has one."""
    parts = []
    for title, members in groupby(names.settings(), _title):
        lines = [f"# ---- {title}"]
        for setting in members:
            default = default_text(setting)
            unit = f" ({setting.unit})" if setting.unit else ""
            value = default[1:-1] if default.startswith("`") else ""
            lines += [f"# {setting.field.description}{unit}", f"#{names.variable_of(setting.loc)}={value}"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _title(setting: Setting) -> str:
    if len(setting.loc) == 1:
        return "Runbook: places and limits"
    annotation = names.annotation_of(setting.loc[:-1])
    doc = (annotation.__doc__ or setting.loc[0]).partition("\n")[0]
    return f"Runbook, {setting.loc[0]}: {doc.partition('.')[0]}"
