"""What the reference pages list is what the code has: nothing is left out, and nothing that is gone is still there.

Settings, commands, flags, exit codes, the gateway's and the console's metrics, control requests and jobs are compared
beside the code that has them (``tests/unit``); here is the rest.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from pydantic_core import PydanticUndefined

from gateway import hookspecs
from gateway.control.events import ControlEvent, Event
from gateway.loader import Plugins
from runbook.audit import witness
from runbook.cli.main import kinds_to_show
from runbook.hookspecs import ActionKind, RunbookHooks
from runbook.model import AuditRecord
from runbook.runner import collect_kinds
from tests.docs.documents import ROOT, prose

DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def section(name: str, title: str) -> str:
    """The part of a page under one heading."""
    found = re.search(
        rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,6}} (?<!### )|\Z)", text(name), re.MULTILINE | re.DOTALL
    )
    assert found, f"docs/{name} has no section {title!r}"
    return found[2]


def rows(table: str) -> list[list[str]]:
    """The cells of all rows that begin with a name."""
    return [
        [cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\| `.*\|$", table, re.MULTILINE)
    ]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def sources(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    """Module names, and what is in them."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def value_of(node: ast.expr, module: str) -> str | None:
    """What an expression is: a text, a constant of its module, or an f-string of them."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        found = getattr(importlib.import_module(module), node.id, None)
        return found if isinstance(found, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
        return "".join(value_of(part, module) or "?" for part in parts)
    return None


# -- events -------------------------------------------------------------------------------------------------


def test_every_event_is_in_the_table_with_its_fields_in_whatever_order() -> None:
    told = {names(kind)[0]: set(names(fields)) for kind, _, fields in rows(section("failover.md", "Events"))}
    kinds = {one.__struct_config__.tag: set(one.__struct_fields__) for one in get_args(ControlEvent)}
    assert told == {kind: fields - set(Event.__struct_fields__) for kind, fields in kinds.items()}


def test_every_subject_below_md_event_is_named() -> None:
    assert f"`{witness.SUBJECT}`" in section("failover.md", "Events")
    (subject,) = {one for one in re.findall(r"`md\.event\.([\w<>.]+)`", text("subjects.md")) if "<" in one}
    assert subject == "<kind>.<feed>"


# -- hooks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "kind"),
    [
        ("gateway_feeds", hookspecs.FeedKind),
        ("gateway_routers", hookspecs.RouterKind),
        ("gateway_secret_stores", hookspecs.SecretStoreKind),
        ("gateway_catalogues", hookspecs.CatalogueKind),
        ("gateway_observe", hookspecs.Observer),
        ("runbook_actions", ActionKind),
    ],
)
def test_every_field_that_a_hook_returns_is_explained_or_shown(hook: str, kind: type) -> None:
    told = section("hooks.md", f"`{hook}`")
    missing = [one.name for one in dataclasses.fields(kind) if not re.search(rf"\b{one.name}\b", told)]
    assert missing == []


def test_every_hook_of_the_runbook_is_documented() -> None:
    there = {name for name, _ in inspect.getmembers(RunbookHooks, inspect.isfunction)}
    assert set(re.findall(r"^### `(runbook_\w+)`$", text("hooks.md"), re.MULTILINE)) == there


def test_the_example_of_a_runbook_hook_brings_an_action_that_can_be_used(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", section("hooks.md", "`runbook_actions`"), re.MULTILINE | re.DOTALL)
    module = ModuleType("documented_runbook_actions")
    exec(compile(code, str(tmp_path / "documented_runbook_actions.py"), "exec"), vars(module))
    kinds = collect_kinds(Plugins.load([module], entry_points=False).manager)
    assert kinds.findings == ()
    kind = kinds.get("count-lines")
    assert kind.parameters().model_dump() == {"feed": "sim"}
    assert callable(kind.build())


# -- actions ------------------------------------------------------------------------------------------------


def test_every_action_is_in_the_table_with_its_role_and_its_typed_parameters() -> None:
    def shown(kind: ActionKind) -> list[str]:
        found = []
        for name, field in kind.parameters.model_fields.items():
            default = field.get_default(call_default_factory=True)
            if default is PydanticUndefined:
                found.append(f"`{name}` (required)")
            elif default in (None, "", [], (), False):
                found.append(f"`{name}`")
            else:
                found.append(f"`{name}` = `{json.dumps(default)}`")
        return found

    told = {names(row[0])[0]: row[1:] for row in rows(section("api.md", "Actions and their runs"))}
    assert told == {
        name: [
            str(kind.role),
            "yes" if kind.changes else "no",
            "yes" if kind.exclusive else "no",
            ", ".join(shown(kind)),
        ]
        for name, kind in kinds_to_show().items()
    }


# -- the audit ----------------------------------------------------------------------------------------------


def test_every_field_of_the_audit_is_listed_and_no_other() -> None:
    files = section("audit.md", "The files")
    (listed,) = re.findall(r"fields of the record \(`([^`]+)`\)", files)
    assert sorted(listed.split()) == sorted(field.name for field in dataclasses.fields(AuditRecord))


# -- metrics that are pushed --------------------------------------------------------------------------------


def pushed() -> set[str]:
    """Names of the figures that the runbook makes for the Pushgateway; those of its own ``/metrics`` are elsewhere."""
    found = set()
    for module, tree in sources("runbook"):
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if module.startswith("runbook.web") or "prometheus_client" not in imported:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Gauge", "Counter", "Histogram"}:
                name = value_of(node.args[0], module)
                assert name, f"{module}: the name of a metric cannot be read"
                found.add(name)
    return found


def test_every_metric_that_is_pushed_is_documented_and_no_other() -> None:
    told = {names(row[0])[0] for row in rows(section("metrics.md", "Pushed by the runbook"))}
    assert told == pushed()


# -- log markers --------------------------------------------------------------------------------------------


def markers() -> set[str]:
    """What the code gives as ``marker``, or names so."""
    found = set()
    for module, tree in sources("runbook"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                values = [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "marker"]
                found |= {value_of(value, module) for value in values}
            elif isinstance(node, ast.Name) and node.id == "MARKER" and isinstance(node.ctx, ast.Store):
                found.add(value_of(node, module))
    return {one for one in found if one}


@pytest.mark.parametrize(("page", "title"), [("runbook.md", "Log markers"), ("runbook.zh.md", "日志标记")])
def test_every_log_marker_is_documented_and_no_other(page: str, title: str) -> None:
    told = {names(row[0])[0] for row in rows(section(page, title))}
    # an escalation's log line has "event=" before what the escalation command gets
    assert {one.removeprefix("event=") for one in told} == {one.removeprefix("event=") for one in markers()}


# -- the API ------------------------------------------------------------------------------------------------


def routes() -> set[tuple[str, str]]:
    """Method and path of every route below ``/api``, of all that is written as a handler."""
    found = set()
    for _, tree in sources("runbook/web"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"get", "post", "put", "patch", "delete"}:
                paths = [one.value for one in node.args[:1] if isinstance(one, ast.Constant)]
                found |= {(node.func.id.upper(), path) for path in paths if str(path).startswith("/api/")}
    return found


def test_no_route_is_written_down_that_is_not_there() -> None:
    there = {re.sub(r"\{(\w+)(:\w+)?\}", "*", path) for _, path in routes()}
    assert len(there) > 20
    typed = re.findall(r"(?:\$API|GET |POST |`)(/api/[\w/$<>{}:-]*)", text("api.md"))
    known = [re.compile(re.escape(path).replace(r"\*", r"[\w$:{}-]+") + "$") for path in there]
    unknown = {path for path in typed if not any(one.match(path.rstrip("/")) for one in known)}
    assert unknown == set()


def test_every_code_of_a_problem_is_in_the_table() -> None:
    from runbook.web import errors

    codes = {*errors._CODES.values(), *errors._OF_EXIT.values()}
    for module, tree in sources("runbook/web"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ApiError":
                codes.add(value_of(node.args[1], module) or "")
    told = set(names("".join(re.findall(r"^\| \d+ \|.*\|$", section("api.md", "Problems"), re.MULTILINE))))
    assert codes - {""} - told == set()


# -- all pages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_a_page_names_no_metric_that_is_not_in_the_reference(page: Path) -> None:
    known = set(re.findall(r"`((?:md|feed|consumer)_\w+)`", text("metrics.md"))) | {"md_address"}  # a setting
    named = set(re.findall(r"`(md_[a-z0-9_]+)(?:\{[^`]*\})?`", prose(page)))
    named = {re.sub(r"_(bucket|count|sum)$", "", one) for one in named}
    assert {one for one in named if one not in known and f"{one}_total" not in known and not one.endswith("_")} == set()
