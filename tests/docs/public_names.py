"""The public names as the code has them: `python -m tests.docs.public_names` writes them into docs/public-api.md."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "public-api.md"
MARK = "<!-- names: written by python -m tests.docs.public_names -->"

MODULES = {
    "gateway": "What most programs need",
    "gateway.settings": "Settings, and reading them",
    "gateway.client": "Consumers, and what the gateway answers them",
    "gateway.control.events": "What `client.events()` yields",
    "gateway.model": "Values",
    "gateway.errors": "Errors",
    "gateway.hookspecs": "Hooks, and what they return",
    "gateway.ports": "What a replaceable part has to be",
    "gateway.plan": "What a router is given and answers",
    "gateway.codec": "Payloads",
    "gateway.gaps": "The gap ledger",
    "gateway.clock": "Clocks",
    "gateway.subjects": "Names on the bus",
    "gateway.calendar": "Trading days and hours",
    "gateway.bus.memory": "The bus inside a process",
    "gateway.bus.nats": "The bus over NATS",
    "runbook": "The operators' side in a program",
    "runbook.settings": "Its settings",
    "runbook.hookspecs": "Its hooks",
    "runbook.model": "Its values",
    "runbook.context": "What an action is given",
}
"""All public modules."""

INTERNAL = {"gateway.control.events": {"GapsEvent", "JudgedEvent", "gap_part", "judged", "ledger_health"}}
"""Names without an underscore that only the gateway's own packages use."""

MEMBERS = ("gateway.Gateway", "gateway.Client")
"""Classes whose methods are listed too."""


@dataclass(frozen=True)
class Name:
    name: str
    kind: str
    text: str
    """One line."""

    @property
    def row(self) -> str:
        return f"| `{self.name}` | {self.kind} | {self.text} |"


def public_names(module: ModuleType) -> list[str]:
    """`__all__`, or what the module defines itself without an underscore."""
    names = getattr(module, "__all__", None)
    if names is not None:
        return sorted(names)
    internal = INTERNAL.get(module.__name__, set())
    return sorted(name for name in _defined(module) if not name.startswith("_") and name not in internal)


def described(module: str) -> list[Name]:
    """The public names of a module, each with its first sentence."""
    found = importlib.import_module(module)
    return [_described(found, name) for name in public_names(found)]


def members(path: str) -> list[Name]:
    """Methods and properties of a class that are not private; those of its own bases too."""
    module, _, name = path.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    found = []
    for one in sorted(dir(cls)):
        value = inspect.getattr_static(cls, one)
        if one.startswith("_") or one in dir(object) or not (callable(value) or isinstance(value, property)):
            continue
        kind = "property" if isinstance(value, property) else "method"
        if inspect.iscoroutinefunction(value):
            kind = "coroutine"
        found.append(Name(one, kind, _sentence(inspect.getdoc(value) or "")))
    return found


def page() -> str:
    """What stands below the mark."""
    parts = []
    for module, title in MODULES.items():
        parts += [f"## {module}", "", f"{title}.", "", "| Name | | |", "|---|---|---|"]
        parts += [one.row for one in described(module)]
        parts.append("")
    for path in MEMBERS:
        parts += [f"## Members of {path}", "", "| Member | | |", "|---|---|---|"]
        parts += [one.row for one in members(path)]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _described(module: ModuleType, name: str) -> Name:
    value = getattr(module, name)
    if inspect.isclass(value):
        return Name(name, _sort(value), _sentence(value.__doc__ or ""))
    if inspect.isroutine(value):
        return Name(name, "function", _sentence(inspect.getdoc(value) or ""))
    home = module if name in _defined(module) else importlib.import_module(_home(module, name))
    return Name(name, "value", _sentence(_defined(home)[name]))


def _sort(cls: Any) -> str:
    if issubclass(cls, BaseException):
        return "error"
    return "protocol" if getattr(cls, "_is_protocol", False) else "class"


def _home(module: ModuleType, name: str) -> str:
    homes = getattr(module, "_HOMES", {})
    if name in homes:
        return str(homes[name])
    tree = ast.parse(inspect.getsource(module))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return str(node.module)
    raise LookupError(f"{module.__name__}.{name} comes from nowhere")


@functools.cache
def _defined(module: ModuleType) -> dict[str, str]:
    """Names bound at the top of a module's source, each with the text below it."""
    body = ast.parse(inspect.getsource(module)).body
    texts = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        for name in _bound(node):
            texts[name] = (ast.get_docstring(node) if isinstance(node, ast.ClassDef | ast.FunctionDef) else "") or ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and not texts[name]:
                texts[name] = inspect.cleandoc(str(after.value.value))
    return texts


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    for target in targets:
        yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def _sentence(text: str) -> str:
    """The first one, on one line, fit for a table."""
    first = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    first = re.sub(r":(?:attr|class|func|meth):`~?([^`]+)`", lambda found: f"`{found[1].rpartition('.')[2]}`", first)
    first = re.split(r"(?<=[^.].[.?!]) (?=[A-Z`*])", first)[0]
    return first.replace("``", "`").replace("|", "\\|").rstrip(":")


def main() -> None:
    """Write the page anew below its mark."""
    head, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    PAGE.write_text(f"{head}{mark or MARK}\n\n{page()}", encoding="utf-8")


if __name__ == "__main__":
    main()
