"""The words of the pages, in Chinese and English: locale files, and which language a browser wants."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

log = logging.getLogger(__name__)

Language = Literal["zh", "en"]

LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
LOCALES: Final = Path(__file__).parents[1] / "locales"


@dataclass(frozen=True, slots=True)
class Words:
    """One language: ``words("gaps.title")``, ``words("gaps.count", count=3)``."""

    language: Language
    texts: Mapping[str, str]
    fallback: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text with the values in it. A key that no file has is shown as it is, and logged."""
        text = self.texts.get(key) or self.fallback.get(key)
        if text is None:
            log.error("no text for %s in the locale files", key)
            return key
        return text.format(**values) if values else text

    def has(self, key: str) -> bool:
        """Whether there is such a text in this language."""
        return key in self.texts

    @property
    def html(self) -> str:
        """For the ``lang`` attribute."""
        return "zh-CN" if self.language == "zh" else "en"


class Texts:
    """All languages. ``locales/LANGUAGE/NAME.toml`` holds the keys ``NAME.…``."""

    def __init__(self, directory: Path = LOCALES) -> None:
        """Raises OSError or TOMLDecodeError for files that cannot be read: part of the package, so a broken install."""
        found = {language: dict(_texts(directory / language)) for language in LANGUAGES}
        self._words = {language: Words(language, texts, found["en"]) for language, texts in found.items()}

    def of(self, language: Language) -> Words:
        return self._words[language]


def chosen(cookie: str | None, accepted: str | None) -> Language:
    """The cookie's language, else the one that ``Accept-Language`` likes best, else English."""
    if cookie in ("zh", "en"):
        return "zh" if cookie == "zh" else "en"
    liked: list[tuple[float, int, Language]] = []
    for place, part in enumerate((accepted or "").split(",")[:20]):
        tag, _, weight = part.strip().partition(";")
        language = tag.strip().lower().partition("-")[0]
        if language in ("zh", "en"):
            liked.append((-_quality(weight), place, "zh" if language == "zh" else "en"))
    return min(liked)[2] if liked else "en"


def _quality(text: str) -> float:
    name, _, value = text.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def _texts(directory: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(directory.glob("*.toml")):
        yield from _flat(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))


def _flat(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}.{key}", value)
        else:
            yield f"{prefix}.{key}", str(value)
