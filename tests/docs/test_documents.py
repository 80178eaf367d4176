"""The documents agree with each other and with the code."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway
from gateway import errors
from gateway.__main__ import parser
from tests.docs.documents import READERS, ROOT, anchors, blocks, headings, name_of, prose

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
CLI = ROOT / "docs" / "cli.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


# -- links ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", READERS, ids=name_of)
def test_every_link_leads_to_something_that_is_there(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        wrong_anchor = anchor and file.suffix == ".md" and file.is_file() and anchor not in anchors(file)
        if not file.exists() or wrong_anchor:
            broken.append(target)
    assert broken == []


def test_every_document_can_be_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", index.read_text())}
    there = {path for path in READERS if path.parent.name != "decisions" and path != index}
    assert {name_of(path) for path in there - linked} == set()


# -- the two languages -------------------------------------------------------------------------------------


def test_the_chinese_readme_has_the_structure_of_the_english_one() -> None:
    assert [level for level, _ in headings(CHINESE)] == [level for level, _ in headings(ENGLISH)]
    rows = [len(re.findall(r"^\|", prose(one), re.MULTILINE)) for one in (ENGLISH, CHINESE)]
    assert rows[0] == rows[1]
    points = [len(re.findall(r"^- ", prose(one), re.MULTILINE)) for one in (ENGLISH, CHINESE)]
    assert points[0] == points[1]


def test_commands_and_programs_are_the_same_in_both_languages() -> None:
    english, chinese = blocks(ENGLISH), blocks(CHINESE)
    assert [block.language for block in english] == [block.language for block in chinese]
    for one, other in zip(english, chinese, strict=True):
        if one.language != "text":  # pictures are translated
            assert one.code == other.code


def test_every_variable_command_and_file_of_one_readme_is_in_the_other() -> None:
    def names(document: Path) -> set[str]:
        return set(re.findall(r"`([^`]*[A-Za-z][^`]*)`", prose(document)))

    assert names(CHINESE) == names(ENGLISH)


def test_the_place_for_the_figures_of_the_benchmark_is_marked_once_in_each_language() -> None:
    assert [one.read_text(encoding="utf-8").count("<!-- bench -->") for one in (ENGLISH, CHINESE)] == [1, 1]


# -- the command line --------------------------------------------------------------------------------------


def commands() -> dict[str, argparse.ArgumentParser]:
    root = parser()
    (subs,) = (action for action in root._actions if isinstance(action, argparse._SubParsersAction))
    return {"gateway": root} | {f"gateway {name}": sub for name, sub in subs.choices.items()}


def sections() -> dict[str, str]:
    text = CLI.read_text(encoding="utf-8")
    return dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))


def flags(section: str) -> dict[str, str]:
    """Flag → what its column "default" says."""
    return dict(re.findall(r"^\| `(--[a-z-]+)` \|([^|]*)\|", section, re.MULTILINE))


def test_every_command_has_its_section_and_nothing_else_has() -> None:
    assert {name for name in sections() if name.startswith("gateway")} == set(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_flags_of_a_command_are_those_of_the_code(name: str) -> None:
    options = {option for action in commands()[name]._actions for option in action.option_strings if option[:2] == "--"}
    common = set() if name == "gateway" else {"--help"}
    assert set(flags(sections()[name])) == options - common


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_defaults_of_the_flags_are_those_of_the_code(name: str) -> None:
    written = flags(sections()[name])
    for action in commands()[name]._actions:
        if not isinstance(action, argparse._StoreAction) or not action.option_strings:
            continue
        flag = next(option for option in action.option_strings if option.startswith("--"))
        shown = re.findall(r"`([^`]+)`", written[flag])
        assert shown == ([] if action.default in (None, []) else [str(action.default)]), flag


def test_the_commands_in_the_guide_and_in_the_readme_parse() -> None:
    documents = (CLI, ENGLISH, ROOT / "plugins" / "ctp" / "README.md")
    lines = [line for one in documents for block in blocks(one, "sh") for line in block.code.splitlines()]
    typed = [line.split("gateway ", 1)[1] for line in lines if re.match(r"(\.venv/bin/)?gateway ", line)]
    assert len(typed) >= 10
    for line in typed:
        parser().parse_args([word.strip("'") for word in line.split()])


def test_the_exit_codes_are_those_of_the_errors() -> None:
    def tree(kind: type[errors.FeedgateError]) -> Iterator[type[errors.FeedgateError]]:
        yield kind
        for below in kind.__subclasses__():
            yield from tree(below)

    from gateway.__main__ import _INTERRUPTED, _USAGE

    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        importlib.import_module(module.name)  # or the answer would depend on what other tests imported
    own = {kind.exit_code for kind in tree(errors.FeedgateError) if kind.__module__.startswith("gateway")}
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", sections()["Exit codes"], re.MULTILINE)}
    assert documented == own | {0, 1, _USAGE, _INTERRUPTED}


def test_every_make_target_that_is_written_down_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for document in READERS:
        assert set(re.findall(r"`make ([a-z]+)", prose(document))) <= targets, name_of(document)
        for block in blocks(document, "sh"):
            assert set(re.findall(r"^make ([a-z]+)", block.code, re.MULTILINE)) <= targets, block.id


# -- figures and names that documents repeat -----------------------------------------------------------------


def test_the_timers_of_the_architecture_are_the_defaults_of_the_settings() -> None:
    from gateway.settings import LineSettings

    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+_s)` \| ([\d.]+) s \|", text, re.MULTILINE)
    assert len(rows) == 6
    defaults = LineSettings()
    for name, value in rows:
        assert float(value) == getattr(defaults, name), name


def test_the_architecture_names_every_state_of_a_line_and_only_those() -> None:
    from gateway.model import LineState

    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| State \| Means.*?\n\|[-|]+\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == [state.value for state in LineState]


def test_every_module_that_the_architecture_names_exists() -> None:
    text = prose(ROOT / "docs" / "architecture.md")
    named = {path for path in re.findall(r"`([\w/]+\.py)`", text) if "/" in path}
    assert len(named) > 10
    missing = [path for path in named if not ((ROOT / path).is_file() or (ROOT / "gateway" / path).is_file())]
    assert missing == []


def test_the_changelog_has_an_entry_for_the_version_of_the_package() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(gateway.__version__)}\]", text, re.MULTILINE)
    assert f'version = "{gateway.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("record", DECISIONS, ids=name_of)
def test_a_decision_has_its_three_parts_one_page_and_a_row_in_the_index(record: Path) -> None:
    titles = [text for level, text in headings(record) if level == 2]
    assert titles == ["Context", "Decision", "Consequences"]
    assert headings(record)[0][1].startswith(record.name[:4])
    assert len(record.read_text(encoding="utf-8").split()) < 600
    index = (record.parent / "README.md").read_text(encoding="utf-8")
    assert f"[{record.name[:4]}]({record.name})" in index


def test_no_file_of_the_repository_names_a_host_that_packages_come_from() -> None:
    # put together here, or this file would be the one that is found
    parts = (("pypi", "org"), ("pythonhosted", "org"), ("tsinghua", "edu"), ("aliyun", "com"))
    hosts = [".".join(words) for words in parts]
    left_out = {".git", "__pycache__", "out", "build", "dist", ".hypothesis"}
    found = []
    for path in ROOT.rglob("*"):
        way = path.relative_to(ROOT).parts
        if left_out.intersection(way) or any(part.endswith("_cache") for part in way) or not path.is_file():
            continue
        if way[0].startswith(".venv"):  # there may be one for each Python
            continue
        if path.name.startswith(".env") and path.name != ".env.example":  # somebody's secrets are not ours to read
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{name_of(path)}: {host}" for host in hosts if host in text]
    assert found == []


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "picture").glob("*.svg")), ids=name_of)
def test_a_picture_is_well_formed_has_a_title_and_loads_nothing(picture: Path) -> None:
    from xml.etree import ElementTree as ET

    root = ET.parse(picture).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    assert root.findtext(f"{space}title")
    assert root.findtext(f"{space}desc")
    assert not re.search(r"(href|url\((?!#)|<script|<image)", picture.read_text(encoding="utf-8"))
