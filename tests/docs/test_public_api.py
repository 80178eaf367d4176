"""docs/public-api.md lists the public names as the code has them, each with a line; what goes is announced first."""

from __future__ import annotations

import ast
import importlib
import re
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.docs.public_names import MARK, MODULES, PAGE, ROOT, described, members, page, public_names

SOURCES = [
    path
    for folder in (ROOT / "gateway", ROOT / "runbook", *sorted((ROOT / "plugins").glob("*/src")))
    for path in sorted(folder.rglob("*.py"))
]
PROJECTS = [ROOT, *sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))]


def test_the_page_lists_every_public_name_and_no_other() -> None:
    _, mark, listed = PAGE.read_text(encoding="utf-8").partition(MARK)
    assert mark
    assert listed.strip() == page().strip(), "write it anew: python -m tests.docs.public_names"


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_of_a_module_is_there_and_says_what_it_is(module: str) -> None:
    found = importlib.import_module(module)
    names = public_names(found)
    assert names
    assert [name for name in names if not hasattr(found, name)] == []
    assert [one.name for one in described(module) if len(one.text) < 4] == []


def test_every_member_of_the_classes_on_the_page_says_what_it_is() -> None:
    assert [one.name for path in ("gateway.Gateway", "gateway.Client") for one in members(path) if not one.text] == []


def test_what_is_announced_to_go_is_on_the_page_and_the_other_way_round() -> None:
    """Whoever deprecates something names it in the table and warns; a table without a warning is no announcement."""
    warning = [path for path in SOURCES if _warns_of_deprecation(path)]
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    section = head.split("## Versions and deprecations")[1]
    rows = re.findall(r"^\| \d", section, re.MULTILINE)
    assert bool(rows) == bool(warning)
    assert bool(rows) != ("Deprecated now: nothing." in section)


def _warns_of_deprecation(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    if "DeprecationWarning" not in text:
        return False
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    warned = [node for node in calls if ast.unparse(node.func).rpartition(".")[2] in ("warn", "deprecated")]
    return any("DeprecationWarning" in ast.unparse(node) for node in warned)


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_every_package_says_that_it_is_typed_in_its_wheel_too(project: Path, tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(project)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    packages = {name.split("/")[0] for name in names if name.endswith("/__init__.py")}
    assert packages
    assert {f"{package}/py.typed" for package in packages} <= set(names)
