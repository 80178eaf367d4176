"""mypy (strict) and pyright agree with every example of the public API, and no public name is untyped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.public_names import MODULES

ROOT = Path(__file__).parents[2]
EXAMPLES = Path(__file__).with_name("public_api.py")
BASES = {"gateway.app", "gateway.flow.tap", "gateway.stream.live", "gateway.stream.order", "gateway.stream.events"}
"""Where classes that public modules hand on are defined."""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """With this interpreter first on the path: --verifytypes asks the ``python3`` found there for the packages."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": paths}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def pyright(*words: str) -> dict[str, Any]:
    """What it finds."""
    checked = run("basedpyright", "--pythonpath", sys.executable, *words, "--outputjson")
    found: dict[str, Any] = json.loads(checked.stdout)
    return found


def test_mypy_accepts_the_examples_and_refuses_what_must_not_pass() -> None:
    # strict by pyproject.toml; with the cache of `make types`, which has read all modules already
    checked = run("mypy", str(EXAMPLES))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_pyright_accepts_the_examples_and_refuses_what_must_not_pass(tmp_path: Path) -> None:
    rules = {
        "include": [str(EXAMPLES)],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "standard",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "enableTypeIgnoreComments": False,  # those are mypy's
    }
    config = tmp_path / "pyrightconfig.json"
    config.write_text(json.dumps(rules))
    found = pyright("-p", str(config))
    assert found["summary"]["filesAnalyzed"] == 1
    assert found["generalDiagnostics"] == []


@pytest.fixture(scope="module")
def completeness() -> dict[str, Any]:
    found = pyright("--verifytypes", "gateway", "--ignoreexternal")
    return dict(found["typeCompleteness"])


def test_no_signature_of_the_gateway_has_an_unknown_type(completeness: dict[str, Any]) -> None:
    exported = completeness["exportedSymbolCounts"]
    assert exported["withKnownType"] > 1000
    assert exported["withUnknownType"] == 0
    assert completeness["otherSymbolCounts"]["withUnknownType"] == 0


def test_every_name_and_attribute_of_the_public_modules_states_its_type(completeness: dict[str, Any]) -> None:
    found = [
        f"{symbol['name']}: {message['message']}"
        for symbol in completeness["symbols"]
        for message in symbol["diagnostics"]
        if "missing" in message["message"] and module_of(message.get("file", "")) in {*MODULES, *BASES}
    ]
    assert found == []


def module_of(file: str) -> str:
    if not file.startswith(str(ROOT)):
        return ""
    return Path(file).relative_to(ROOT).with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".")
