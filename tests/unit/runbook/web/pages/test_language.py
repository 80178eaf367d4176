"""Words of the pages: two languages with the same keys and values, and which one a browser gets."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from runbook.web.pages.language import LANGUAGES, LOCALES, Texts, chosen

WEB = LOCALES.parent
TEXTS = Texts()
EN, ZH = TEXTS.of("en"), TEXTS.of("zh")


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_texts_with_the_same_values() -> None:
    assert set(EN.texts) == set(ZH.texts)
    different = [key for key in EN.texts if places(EN.texts[key]) != places(ZH.texts[key])]
    assert different == []


def test_no_text_is_empty_and_chinese_ones_are_chinese() -> None:
    assert [key for words in (EN, ZH) for key, text in words.texts.items() if not text.strip()] == []
    letters = re.compile(r"[\u4e00-\u9fff]")
    latin = [key for key, text in ZH.texts.items() if not letters.search(text) and not text.startswith("{")]
    assert latin == []


@pytest.mark.parametrize("path", sorted((WEB / "templates").glob("*.html")), ids=lambda path: path.name)
def test_every_key_that_a_template_names_is_there(path: Path) -> None:
    named = re.findall(r"\bt\('([a-z0-9_.-]+)'\s*[,)]", path.read_text(encoding="utf-8"))
    assert [key for key in named if not EN.has(key)] == []


def test_every_text_that_is_no_part_of_a_made_up_key_is_used() -> None:
    sources = [*(WEB / "templates").glob("*.html"), *(WEB / "pages").glob("*.py")]
    written = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    made_up = {f"{prefix}" for prefix in re.findall(r"'([a-z]+\.[a-z]*_?)' ~", written)}
    made_up |= set(re.findall(r'f"([a-z]+\.[a-z]+_)\{', written))
    made_up |= {"sentence.", "actions.", "login.", "verdict."}
    unused = [
        key for key in EN.texts if f"{key}" not in written and not any(key.startswith(prefix) for prefix in made_up)
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, None, "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "fr, en;q=0.3, zh;q=0.7", "zh"),
        (None, "en-GB,zh;q=0.9", "en"),
        ("en", "zh-CN", "en"),
        ("zh", None, "zh"),
        ("klingon", "zh", "zh"),
        (None, "zh;q=nonsense,en", "en"),
        (None, "," * 5000, "en"),
    ],
)
def test_the_cookie_decides_then_the_browsers_liking(cookie: str | None, accepted: str | None, language: str) -> None:
    assert chosen(cookie, accepted) == language


def test_a_missing_text_is_shown_as_its_key_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert EN("no.such") == "no.such"
    assert "no.such" in caplog.text


def test_there_is_a_directory_for_each_language() -> None:
    assert sorted(path.name for path in LOCALES.iterdir()) == sorted(LANGUAGES)
