"""The operators' pages, docs/ops, and the commands on them."""

from __future__ import annotations

from pathlib import Path

from tests.docs.documents import ROOT, blocks

OPS = ROOT / "docs" / "ops"
ENGLISH = sorted(page for page in OPS.glob("*.md") if not page.name.endswith(".zh.md"))


def typed(page: Path, language: str) -> list[str]:
    """The commands of its blocks in that language; comments left out."""
    lines = [line for block in blocks(page, language) for line in block.code.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith("#")]
