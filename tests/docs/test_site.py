"""The documentation site: built strictly, whole, and complete without any other host."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests import needing
from tests.docs.documents import ROOT, blocks, headings, name_of, prose

DOCS = ROOT / "docs"
BROWSER_MS = 120_000
"""A browser on a machine that is busy with other tests starts when it can."""
SEARCHES = 6
PAGES = sorted(DOCS.rglob("*.md"))
TWINS = sorted(DOCS.rglob("*.zh.md"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it; once a test run, whatever the number of workers."""
    needing.modules("mkdocs", "material", install="pip install mkdocs-material")
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    directory = base / "site-of-all"
    with (base / "site-of-all.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.is_dir():
            build(directory)
    return directory


def build(directory: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir"]
    half = directory.with_name("site-half-built")
    built = subprocess.run(
        [*command, str(half)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    half.rename(directory)


class Links(HTMLParser):
    """What a page refers to and what in it can be referred to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.language = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "html":
            self.language = given["lang"]
        if tag == "a" and "href" in given:
            self.targets.append(given["href"])
        elif tag != "a":
            self.loaded += [given[name] for name in ("href", "src", "srcset", "poster", "data") if given.get(name)]


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}


def built_from(page: Path) -> str:
    """The place of a page of docs/ in the site."""
    name = page.relative_to(DOCS).with_suffix(".html").as_posix()
    return name.removesuffix("README.html") + "index.html" if name.endswith("README.html") else name


def test_the_site_has_a_page_for_each_document_and_each_is_in_the_navigation(site: Path, pages) -> None:
    index = pages[site / "index.html"]
    reached = {target.partition("#")[0] for target in index.targets} | {"index.html"}
    for page in PAGES:
        assert (site / built_from(page)).is_file(), name_of(page)
        if page.parent.name != "decisions":  # its pages are listed in their own section
            assert built_from(page) in reached, name_of(page)


def test_every_link_of_the_site_leads_to_a_file_and_to_an_anchor_in_it(site: Path, pages) -> None:
    broken = []
    for page, links in pages.items():
        for target in [*links.targets, *links.loaded]:
            parts = urlsplit(target)
            if parts.scheme in ("http", "https", "data", "mailto"):
                continue
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if file.is_dir():
                file /= "index.html"
            if not file.is_file() or (
                parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].ids
            ):
                broken.append(f"{page.relative_to(site)}: {target}")
    assert broken == []


def test_no_page_and_no_style_loads_anything_from_another_host(site: Path, pages) -> None:
    loaded = {target for links in pages.values() for target in links.loaded if urlsplit(target).netloc}
    assert loaded == set()
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//|@import", style.read_text(encoding="utf-8")), style.name


def test_code_and_tables_come_out_as_such(site: Path) -> None:
    for page in PAGES:
        article = (
            (site / built_from(page)).read_text(encoding="utf-8").partition("<article")[2].partition("</article")[0]
        )
        assert article.count("<pre") == len(blocks(page)), name_of(page)
        text = re.sub(r"<(pre|code)\b.*?</\1>", "", article, flags=re.DOTALL)
        assert "```" not in text, name_of(page)
        assert not re.search(r"<p>\s*\||<p>[^<]*\n(- |\* |1\. )", text), name_of(page)
        tables = re.findall(r"^\|[-| :]+\|$", prose(page), re.MULTILINE)
        assert text.count("<table") == len(tables), name_of(page)


def test_a_file_outside_docs_that_a_document_links_to_is_in_the_site(site: Path, pages) -> None:
    linked = {target for links in pages.values() for target in links.targets if "repository/" in target}
    assert any(target.endswith("repository/examples/consumer.c.html") for target in linked)
    listing = (site / "repository" / "examples" / "consumer.c.html").read_text(encoding="utf-8")
    assert "natsConnection_RequestString" in listing


@pytest.mark.parametrize("twin", TWINS, ids=name_of)
def test_a_chinese_page_says_so_and_each_twin_leads_to_the_other(twin: Path, site: Path, pages) -> None:
    chinese = site / built_from(twin)
    english = chinese.with_name(chinese.name.replace(".zh.html", ".html"))
    assert (pages[chinese].language, pages[english].language) == ("zh", "en")
    assert chinese.name in pages[english].targets
    assert english.name in pages[chinese].targets


@pytest.mark.parametrize("twin", TWINS, ids=name_of)
def test_a_chinese_page_has_the_sections_of_the_english_one(twin: Path) -> None:
    english = twin.with_name(twin.name.replace(".zh.md", ".md"))
    assert [level for level, _ in headings(twin)] == [level for level, _ in headings(english)]


def test_the_glossaries_explain_the_same_terms_in_both_languages() -> None:
    def rows(name: str) -> list[tuple[str, str]]:
        text = (DOCS / name).read_text(encoding="utf-8")
        return re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|", text, re.MULTILINE)

    english = [row for row in rows("glossary.md") if row != ("Term", "中文")]
    chinese = [(term, word) for word, term in rows("glossary.zh.md") if (word, term) != ("中文", "Term")]
    assert chinese == english
    terms = {term for row, _ in english for term in row.split(", ")}
    assert terms >= {"line", "feed", "tick", "trading day", "session", "front", "failover", "hot", "cold", "T-5"}
    assert terms >= {"seq", "epoch", "gap", "coverage"}
    assert len(terms) == len([term for row, _ in english for term in row.split(", ")]), "no term twice"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=site)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


async def test_the_search_finds_words_of_both_languages_and_asks_no_other_host(served: str) -> None:
    from playwright.async_api import TimeoutError as PlaywrightTimeout
    from playwright.async_api import async_playwright

    chromium = needing.program("chromium")
    asked: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=BROWSER_MS)
        page = await browser.new_page()
        page.set_default_timeout(BROWSER_MS)
        page.on("request", lambda request: asked.append(request.url))
        for word, found in (
            ("failback", "failover.html"),
            ("退订", "runbook.zh.html"),
            ("md_throughput_mps", "metrics.html"),
        ):
            link = page.locator(f'.md-search-result__link[href*="{found}"]').first
            for _ in range(SEARCHES):
                await page.goto(served + "index.html")
                await page.focus("input.md-search__input")
                await page.keyboard.type(word)
                # what is typed before the page's script listens is lost: then the page is opened anew
                with contextlib.suppress(PlaywrightTimeout):
                    await link.wait_for(state="attached", timeout=BROWSER_MS / 4)
                    break
            assert await link.count() == 1, word
        await browser.close()
    foreign = [url for url in asked if not url.startswith((served, "data:", "blob:"))]
    assert foreign == []
