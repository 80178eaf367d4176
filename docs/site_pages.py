# ruff: noqa: INP001 - a script of MkDocs, beside the pages
"""What the documentation site needs beyond mkdocs.yml: files outside docs/, and the two languages.

The documents link to files of the repository as one reads them on a code host: ``../README.md``,
``../examples/consumer.c``. The site has to work alone, without a code host, so a file that is linked becomes a page
under ``repository/``: a document as it is, any other text as a listing. The sources stay as they are; only what MkDocs
builds is changed.

A page ``name.zh.md`` is the Chinese twin of ``name.md``, and its language is marked.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
OUTSIDE = "repository"
"""The folder of the site for what lies outside docs/."""

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_OPENING = re.compile(r"^```(?P<language>\S+) (?P<rest>[^\n`]+)$", re.MULTILINE)
_LINK = re.compile(r"(?P<before>\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?P<after>\))")
_ITEM_AFTER_TEXT = re.compile(r"^(?P<text>(?![ \t]*(?:[-*]|\d+\.)[ ])[^\n|#].*)\n(?=(?:[-*]|1\.)[ ])", re.MULTILINE)
_LEXERS = {".py": "python", ".c": "c", ".toml": "toml", ".sh": "sh", ".yml": "yaml", ".json": "json", ".js": "js"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the decisions into their section of the navigation: they are numbered, so nobody has to list them."""
    for section in config.nav or []:
        section.get("Decisions", []).extend(
            f"decisions/{path.name}" for path in sorted((DOCS / "decisions").glob("[0-9]*.md"))
        )
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in every file that a document links to, and what those documents link to in turn."""
    waiting = [ROOT / "docs" / file.src_uri for file in files.documentation_pages()]
    seen: set[Path] = set()
    while waiting:
        document = waiting.pop()
        for target in _targets(document):
            if target in seen or target.is_relative_to(DOCS):
                continue
            seen.add(target)
            files.append(_generated(target, config))
            if target.suffix == ".md":
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs names them
    """Write the links as the site needs them, and the fences as its Markdown reads them."""
    here = _source(page.file.src_uri)
    if here.suffix != ".md":
        return markdown

    def link(match: re.Match[str]) -> str:
        target = (here.parent / match["path"]).resolve()
        if not target.exists():
            return match[0]  # MkDocs tells it
        path = posixpath.relpath(_uri(target), posixpath.dirname(page.file.src_uri) or ".")
        return f"{match['before']}{path}{match['anchor'] or ''}{match['after']}"

    def prose(text: str) -> str:
        # a list may follow its sentence at once, as on code hosts
        return _ITEM_AFTER_TEXT.sub(r"\g<text>\n\n", _LINK.sub(link, text))

    return _OPENING.sub(_opening, _outside_fences(markdown, prose))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001 - MkDocs names them
    """Mark the language of a Chinese page: browsers choose fonts and screen readers voices by it."""
    if not page.file.src_uri.endswith(".zh.md"):
        return output
    return output.replace('<html lang="en"', '<html lang="zh"', 1)


def _targets(document: Path) -> list[Path]:
    found = []
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    for match in _LINK.finditer(text):
        target = (document.parent / match["path"]).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            continue
        if target.is_dir():
            raise PluginError(f"{document.relative_to(ROOT)}: {match['path']} is a directory; link to a file in it")
        found.append(target)
    return found


def _generated(target: Path, config: MkDocsConfig) -> File:
    if target.suffix == ".md":
        return File.generated(config, _uri(target), abs_src_path=str(target), inclusion=InclusionLevel.NOT_IN_NAV)
    text = target.read_text(encoding="utf-8")
    fence = "`" * (max((len(run) for run in re.findall("`{3,}", text)), default=2) + 1)
    name = target.relative_to(ROOT).as_posix()
    lexer = _LEXERS.get(target.suffix, "text")
    page = f"---\ntitle: {name}\nsearch:\n  exclude: true\n---\n# `{name}`\n\n{fence}{lexer}\n{text}\n{fence}\n"
    return File.generated(config, _uri(target), content=page, inclusion=InclusionLevel.NOT_IN_NAV)


def _uri(target: Path) -> str:
    """The place of a file of the repository among the sources of the site."""
    if target.is_relative_to(DOCS):
        return target.relative_to(DOCS).as_posix()
    name = target.relative_to(ROOT).as_posix()
    return f"{OUTSIDE}/{name if target.suffix == '.md' else name + '.md'}"


def _source(uri: str) -> Path:
    """The file of the repository that a source of the site came from."""
    if not uri.startswith(f"{OUTSIDE}/"):
        return DOCS / uri
    path = ROOT / uri.removeprefix(f"{OUTSIDE}/")
    return path if path.exists() else path.with_suffix("")


def _outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    parts, end = [], 0
    for match in _FENCE.finditer(markdown):
        parts += [change(markdown[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, change(markdown[end:])])


def _opening(match: re.Match[str]) -> str:
    """What stands behind the language becomes the title of the block: the name of a file, or ``request last``."""
    title = match["rest"].removeprefix("file=").replace('"', "'")
    return f'```{match["language"]} title="{title}"'
