"""The runbook's settings in the documents are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from runbook.settings import RunbookSettings, load_runbook_settings
from runbook.settings.document import document, example

ROOT = Path(__file__).parents[4]
MARK = "# ==== The runbook"


def test_the_document_ends_with_the_tables_of_the_model() -> None:
    assert (ROOT / "docs" / "runbook-settings.md").read_text("utf-8").endswith(document())


def test_the_example_shows_every_variable_with_its_default_and_no_other() -> None:
    _, mark, ours = (ROOT / ".env.example").read_text("utf-8").partition(MARK)
    assert mark
    assert ours.partition("\n\n")[2] == example()


def test_uncommenting_every_default_of_the_example_changes_nothing(tmp_path: Path) -> None:
    lines = re.findall(r"^#([A-Z][A-Z0-9_]*=.*)$", example(), re.MULTILINE)
    (tmp_path / ".env").write_text("\n".join(lines), "utf-8")
    assert load_runbook_settings(env_files=[tmp_path / ".env"], environ={}) == RunbookSettings()


def test_the_whole_example_can_be_given_to_the_gateway_and_to_the_runbook() -> None:
    assert load_runbook_settings(env_files=[ROOT / ".env.example"], environ={}) == RunbookSettings()
