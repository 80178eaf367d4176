"""The documents that a newcomer reads, cut into what can be checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
READERS = [
    *(ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "plugins").glob("*/README*.md")),
]

_FENCE = re.compile(r"^```(?P<language>\S*)(?P<rest>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    document: Path
    number: int
    language: str
    file: str
    code: str

    @property
    def id(self) -> str:
        return f"{self.document.name}:{self.file or self.number}"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(document: Path, language: str | None = None) -> list[Block]:
    """Fenced blocks, in order. ``file=`` behind the language names the file that a block is."""
    found = []
    for number, match in enumerate(_FENCE.finditer(document.read_text(encoding="utf-8")), 1):
        file = match["rest"].strip().removeprefix("file=")
        found.append(Block(document, number, match["language"], file, match["code"]))
    return [block for block in found if language in (None, block.language)]


def prose(document: Path) -> str:
    """The text without fenced blocks."""
    return _FENCE.sub("", document.read_text(encoding="utf-8"))


def headings(document: Path) -> list[tuple[int, str]]:
    """Levels and texts."""
    return [(len(level), text) for level, text in _HEADING.findall(prose(document))]


def anchors(document: Path) -> set[str]:
    """What ``#…`` may name, as code hosts spell it."""
    found: set[str] = set()
    for _, text in headings(document):
        plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (one := slug if not number else f"{slug}-{number}") in found:
            number += 1
        found.add(one)
    return found
