"""The distributions, really built: everything that runs is in them, and nothing else."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.docs.documents import ROOT

PROJECTS = {
    path.parent: package
    for path, package in [
        (ROOT / "pyproject.toml", ("gateway", "runbook")),
        *((path, (f"gateway_{path.parent.name}",)) for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))),
    ]
}


@pytest.fixture(scope="module", params=PROJECTS, ids=lambda path: path.name)
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, zipfile.ZipFile]:
    """A project and its wheel."""
    to = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(to)]
    told = subprocess.run(words, cwd=request.param, check=False, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    (made,) = to.iterdir()
    return request.param, zipfile.ZipFile(made)


def sources(project: Path) -> set[str]:
    """Files of its packages, as a wheel names them."""
    base = project / "src" if (project / "src").is_dir() else project
    found = {
        path.relative_to(base).as_posix()
        for package in PROJECTS[project]
        for path in (base / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return {name for name in found if not name.endswith((".pyc", ".so"))}


def test_a_wheel_has_every_file_of_its_packages_and_no_other(wheel: tuple[Path, zipfile.ZipFile]) -> None:
    project, archive = wheel
    names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == sources(project)
    assert not [name for name in names if name.startswith(("tests/", "bench/", "deploy/"))]
    assert not [name for name in names if "/test_" in name and not name.endswith(".template")]


def test_a_wheel_is_typed(wheel: tuple[Path, zipfile.ZipFile]) -> None:
    project, archive = wheel
    for package in PROJECTS[project]:
        assert f"{package}/py.typed" in archive.namelist()


def test_a_wheel_has_its_entry_points_and_they_are_in_it(wheel: tuple[Path, zipfile.ZipFile]) -> None:
    _, archive = wheel
    names = set(archive.namelist())
    (entry,) = (name for name in names if name.endswith("entry_points.txt"))
    read = configparser.ConfigParser(delimiters=("=",))
    read.read_string(archive.read(entry).decode())
    for section in read.sections():
        for target in read[section].values():
            module = target.partition(":")[0].replace(".", "/")
            assert {f"{module}.py", f"{module}/__init__.py"} & names, target


def test_the_console_and_the_operators_executables_are_in_the_wheel(wheel: tuple[Path, zipfile.ZipFile]) -> None:
    project, archive = wheel
    if project != ROOT:
        return
    names = archive.namelist()
    for place, suffix in (("templates", ".html"), ("static", ".css"), ("static", ".js"), ("locales", ".ftl")):
        found = [name for name in names if name.startswith(f"runbook/web/{place}/")]
        assert found, place
        if suffix != ".ftl":
            assert any(name.endswith(suffix) for name in found), (place, suffix)
    for name in ("start_live_env.sh", "notify_slack.sh", "run_drill_tests.sh"):
        info = archive.getinfo(f"runbook/operations/{name}")
        assert info.external_attr >> 16 & 0o111, f"{name} could not be run"


def test_a_wheel_says_its_licence_and_what_it_needs(wheel: tuple[Path, zipfile.ZipFile]) -> None:
    project, archive = wheel
    (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    metadata = archive.read(name).decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    if project != ROOT:
        assert "Requires-Dist: feedgate>=0.1" in metadata
