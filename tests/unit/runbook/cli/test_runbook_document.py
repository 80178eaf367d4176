"""docs/runbook.md and its Chinese twin against the parser: every command and flag, and nothing else."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.cli.main import kinds_to_show
from runbook.cli.parser import ALIASES, build
from runbook.model import Exit

ROOT = Path(__file__).parents[4]
PAGES = {language: ROOT / "docs" / f"runbook{language}.md" for language in ("", ".zh")}
COMMON = {"every command", "settings and logs"}
COMMON_TITLE = {"": "Flags of every command", ".zh": "所有命令共有的选项"}
CODES_TITLE = {"": "Exit codes", ".zh": "退出码"}
ALERT_NOT_SEEN, INTERRUPTED = 3, 130


SPELLINGS = {word for words in ALIASES.values() for word in words}
"""Other names of commands. They have no section of their own; that of the command names them."""


def walk(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                if word not in SPELLINGS:
                    yield from walk(f"{name} {word}", below)


PARSERS = dict(walk("runbook", build(kinds_to_show())))


def test_other_spellings_of_a_command_are_the_same_command_and_in_its_section() -> None:
    commands = next(one for one in build(kinds_to_show())._actions if isinstance(one, argparse._SubParsersAction))
    for name, spellings in ALIASES.items():
        for spelling in spellings:
            assert commands.choices[spelling] is commands.choices[name]
            for language in PAGES:
                assert f"`runbook {spelling}`" in sections(language)[f"runbook {name}"]


def sections(language: str) -> dict[str, str]:
    text = PAGES[language].read_text(encoding="utf-8")
    return dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))


def written(section: str) -> dict[str, str]:
    """Flag → default."""
    rows = re.findall(r"^\| (`--[^|]*) \|([^|]*)\|", section, re.MULTILINE)
    return {flag: default.strip() for cell, default in rows for flag in re.findall(r"`(--[a-z0-9-]+)`", cell)}


def common(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for group in parser._action_groups if group.title in COMMON for action in group._group_actions]


def own(name: str) -> dict[str, argparse.Action]:
    parser = PARSERS[name]
    shared = common(parser)
    hidden = set() if name == "runbook" else {"--help"}
    return {
        option: action
        for action in parser._actions
        if action not in shared
        for option in action.option_strings
        if option.startswith("--") and option not in hidden
    }


@pytest.mark.parametrize("language", PAGES)
def test_every_command_has_its_section_and_nothing_else_has(language: str) -> None:
    assert {name for name in sections(language) if name.startswith("runbook")} == set(PARSERS)


@pytest.mark.parametrize("language", PAGES)
@pytest.mark.parametrize("name", PARSERS)
def test_the_flags_of_a_command_are_those_of_the_parser(language: str, name: str) -> None:
    assert set(written(sections(language)[name])) == set(own(name))


@pytest.mark.parametrize("language", PAGES)
def test_the_flags_of_every_command_are_written_once(language: str) -> None:
    expected = {option for action in common(PARSERS["runbook start"]) for option in action.option_strings}
    assert set(written(sections(language)[COMMON_TITLE[language]])) == expected
    for name, parser in PARSERS.items():
        shared = {option for action in common(parser) for option in action.option_strings}
        assert shared in (set(), expected, {"--settings", "--env-file", "--log-dir"}), name


@pytest.mark.parametrize("language", PAGES)
@pytest.mark.parametrize("name", PARSERS)
def test_the_defaults_are_those_of_the_parser(language: str, name: str) -> None:
    found = written(sections(language)[name])
    for flag, action in own(name).items():
        said = re.search(r"\(default: (.*)\)", action.help or "")
        default = action.default if action.default not in (None, "", [], False, argparse.SUPPRESS) else None
        if isinstance(action, argparse._StoreConstAction):  # --failover of start
            default = None
        expected = said[1] if said else str(default) if default is not None else ""
        assert found[flag] == (f"`{expected}`" if expected else ""), flag


@pytest.mark.parametrize("language", PAGES)
def test_the_exit_codes_are_those_of_the_contract(language: str) -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", sections(language)[CODES_TITLE[language]], re.MULTILINE)}
    assert codes == {int(code) for code in Exit} | {ALERT_NOT_SEEN, INTERRUPTED}


@pytest.mark.parametrize("language", PAGES)
def test_every_command_line_on_the_page_is_understood(language: str) -> None:
    lines = re.findall(r"`runbook ([^`\n]+)`", PAGES[language].read_text(encoding="utf-8"))
    typed = [line for line in lines if "COMMAND" not in line and line.split()[0] != "restart-line"]
    assert len(typed) > 20
    for line in typed:
        PARSERS["runbook"].parse_args(shlex.split(line))


def test_both_languages_have_the_same_commands_in_the_same_order() -> None:
    one, other = ([name for name in sections(language) if name.startswith("runbook")] for language in PAGES)
    assert one == other
    lines = [re.findall(r"`(runbook [a-z][^`\n]+ --[^`\n]+)`", path.read_text("utf-8")) for path in PAGES.values()]
    assert len(lines[0]) > 10
    assert set(lines[0]) == set(lines[1])
