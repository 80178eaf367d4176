"""The workflows of GitHub Actions: readable, modest, and about commands and files that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.documents import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))


def read(path: Path) -> dict[str, Any]:
    # a bare `on` is a truth value to YAML 1.1
    found: dict[str, Any] = yaml.safe_load(re.sub(r"(?m)^on:", '"on":', path.read_text(encoding="utf-8")))
    return found


def steps(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in read(path)["jobs"].items():
        for step in job["steps"]:
            yield name, step


def commands(path: Path) -> list[str]:
    return [line for _, step in steps(path) for line in step.get("run", "").splitlines()]


def test_there_is_a_job_for_each_thing_that_must_be_green() -> None:
    jobs = {name for path in FILES for name in read(path)["jobs"]}
    assert {"lint", "tests", "wheels", "image", "docs"} <= jobs


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_needs_no_secret_and_may_only_read(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\bsecrets\.[A-Z]", text)
    assert "GITHUB_TOKEN" not in text
    assert "pull_request_target" not in text
    assert read(path)["permissions"] == {"contents": "read"}
    for job in read(path)["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_action_is_pinned_and_of_github_itself(path: Path) -> None:
    used = [step["uses"] for _, step in steps(path) if "uses" in step]
    assert used
    for one in used:
        assert re.fullmatch(r"actions/[a-z-]+@(v\d+(\.\d+)*|[0-9a-f]{40})", one), one
    for _, step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_step_calls_is_there(path: Path) -> None:
    for line in commands(path):
        for words in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", line):
            assert set(words.split()) <= TARGETS, line
        for script in re.findall(r"(?<![\w/.])((?:\.ci|deploy)/[\w./-]+)", line):
            assert (ROOT / script).is_file(), line
            assert (ROOT / script).stat().st_mode & 0o111, script
        if "mkdocs" in line:
            assert (ROOT / "mkdocs.yml").is_file()
    text = "\n".join(commands(path))
    for project in re.findall(r"plugins/[a-z]+", text):
        assert (ROOT / project / "pyproject.toml").is_file(), project


def test_every_distribution_is_built_and_installed() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    for path in (ROOT / "plugins").glob("*/pyproject.toml"):
        assert f"plugins/{path.parent.name}" in text
        assert f"feedgate_{path.parent.name}-*.whl" in text


def test_the_python_of_each_classifier_is_tested() -> None:
    offered = re.findall(r'Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    matrix = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["python"] == offered


def test_a_profile_that_a_workflow_starts_exists() -> None:
    from tests.unit.deploy.compose import PROFILES

    for path in FILES:
        for line in commands(path):
            if "docker compose" in line:
                words = shlex.split(line)
                assert words[words.index("--profile") + 1] in PROFILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_scripts_of_the_steps_are_shell(path: Path) -> None:
    for name, step in steps(path):
        if "run" in step:
            text = re.sub(r"\$\{\{.*?\}\}", "x", step["run"])
            told = subprocess.run(["bash", "-n"], input=text, text=True, check=False, capture_output=True)
            assert told.returncode == 0, (name, told.stderr)
