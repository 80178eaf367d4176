"""The tutorial, followed to the letter from an empty directory; and its Chinese twin."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from contextlib import ExitStack
from pathlib import Path

from tests.docs.documents import ROOT, Block, blocks, headings
from tests.docs.terminals import Terminal
from tests.ports import free_port

ENGLISH, CHINESE = ROOT / "docs" / "tutorial.md", ROOT / "docs" / "tutorial.zh.md"
PLUGIN = ("__init__", "messages", "source")
TELLS = {"counter": "password practice-4711", "gateway": "line tide:backup: streaming"}
"""What a long-running command says when the reader may go on."""
OFFLINE = """#!/bin/sh
exec python -m pip --quiet --disable-pip-version-check --require-virtualenv "$@" \\
  --no-index --no-deps --no-build-isolation --no-compile --ignore-installed
"""
"""The pip of the reader's environment: fetches nothing, and touches nothing that is installed elsewhere."""
PYTEST = """#!/bin/sh
exec python -m pytest "$@"
"""
"""What pip makes beside the package that it would fetch."""


def test_a_reader_who_follows_the_page_has_a_feed_that_passes_gateway_check(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    with ExitStack() as stack:
        printed = reader.follow(stack)
        assert reader.terminals["gateway"].interrupt() == 0
        assert reader.terminals["counter"].interrupt() == 0
    scaffold, tutorial = printed["gateway check tide"]
    assert " 0 failed" in scaffold
    assert " 0 failed" in tutorial
    assert list(tmp_path.glob(".venv/lib/*/site-packages/gateway/terminal/new_plugin/templates/*.template"))
    (told,) = [text for typed, texts in printed.items() for text in texts if typed.startswith("gateway tail")]
    assert len([line for line in told.splitlines() if " TIDE." in line]) == 5
    assert "(balanced)" in reader.terminals["gateway"].seen
    assert "tide" in printed["gateway plugins"][0]


class Reader:
    """Types every block in its terminal, writes every file; but for the network and for ports, to the letter."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.terminals: dict[str, Terminal] = {}
        self._env = _environment(directory)
        self._counter, self._nats = free_port(), free_port()

    def follow(self, stack: ExitStack) -> dict[str, list[str]]:
        """To the end of the page. Returns what each command of the first terminal printed, every time."""
        printed: dict[str, list[str]] = {}
        for block in blocks(ENGLISH):
            if block.language in ("python", "toml"):
                self._write(block)
            elif block.file:
                self._in_another_terminal(block, stack)
            elif block.language == "sh":
                if "" not in self.terminals:
                    self.terminals[""] = stack.enter_context(Terminal(self.directory, self._env))
                here = self.terminals[""]
                for command in self._mine(block.code).splitlines():
                    printed.setdefault(command, []).append(here.run(command))
                    self._afterwards(command)
        return printed

    def _mine(self, text: str) -> str:
        return (
            text.replace("FEEDGATE=~/feedgate ", f"FEEDGATE={ROOT} ")
            .replace("python3 -m venv ", f"{sys.executable} -m venv --without-pip ")
            .replace("7001", str(self._counter))
            .replace("4222", str(self._nats))
        )

    def _write(self, block: Block) -> None:
        file = self.directory / "tide" / block.file
        assert block.file, f"{block.id}: every file of the page has a name"
        assert file.is_file(), f"{block.file} is not what new-plugin wrote"
        before = file.read_text(encoding="utf-8") + "\n" if block.language == "toml" else ""
        file.write_text(before + self._mine(block.code), encoding="utf-8")

    def _in_another_terminal(self, block: Block, stack: ExitStack) -> None:
        name = block.file.removeprefix("terminal=")
        terminal = self.terminals[name] = stack.enter_context(Terminal(self.directory, self._env))
        terminal.run(". .venv/bin/activate")
        terminal.begin(self._mine(block.code))
        terminal.until(TELLS[name])

    def _afterwards(self, command: str) -> None:
        """What stands in for the network, and what a careful author looks at."""
        if " -m venv " in command:
            self._bring_what_pip_would_fetch()
        elif command.startswith("gateway new-plugin"):
            settings = self.directory / "tide" / "gateway.toml"
            settings.write_text(self._mine(settings.read_text(encoding="utf-8")), encoding="utf-8")
        elif command.startswith("gateway check"):
            self._look_over()

    def _bring_what_pip_would_fetch(self) -> None:
        venv = self.directory / ".venv"
        (packages,) = venv.glob("lib/python3*/site-packages")
        here = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        lines = [f"import site; site.addsitedir({path!r})" for path in sorted(here)]
        (packages / "of_the_test_run.pth").write_text("\n".join(lines), encoding="utf-8")
        for name, script in (("pip", OFFLINE), ("pytest", PYTEST)):
            command = venv / "bin" / name
            command.write_text(script, encoding="utf-8")
            command.chmod(0o755)

    def _look_over(self) -> None:
        """The project is clean by its own rules."""
        venv = self.directory / ".venv" / "bin" / "python"
        cache = self.directory / "mypy"
        for tool in (
            ["ruff", "check", "--no-cache", "."],
            ["ruff", "format", "--no-cache", "--check", "."],
            ["mypy", "--python-executable", str(venv), "--cache-dir", str(cache)],
        ):
            done = subprocess.run(
                [sys.executable, "-m", *tool],
                cwd=self.directory / "tide",
                env=self._env,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr


def _environment(home: Path) -> dict[str, str]:
    """That of a newcomer: nothing of this checkout, of its virtual environment, or of somebody's settings."""
    # not the directory of the Python that runs the tests: its pip is not the reader's
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}


def test_the_plugin_of_the_tutorial_has_under_100_lines_of_code() -> None:
    parts = {block.file: block.code for block in blocks(ENGLISH, "python")}
    lines = [line.strip() for part in PLUGIN for line in parts[f"src/gateway_tide/{part}.py"].splitlines()]
    code = [line for line in lines if line and not line.startswith(("#", '"""'))]
    assert 50 < len(code) < 100


def test_both_languages_have_the_same_files_commands_and_headings() -> None:
    def core(page: Path) -> list[tuple[str, str, str]]:
        return [(block.language, block.file, block.code) for block in blocks(page)]

    assert core(CHINESE) == core(ENGLISH)
    assert [level for level, _ in headings(CHINESE)] == [level for level, _ in headings(ENGLISH)]
