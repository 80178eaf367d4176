"""Every page as people get it: both languages, both themes, a phone, without JavaScript, for screen readers."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.async_api import Browser, Page

from tests.browser.conftest import SHOTS, Site, opened

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = {
    "overview": "/",
    "drill": "/drill",
    "subscriptions": "/subscriptions?pattern=SHFE.*",
    "gaps": "/gaps",
    "lines": "/lines",
    "audit": "/audit",
    "verify": "/audit/verify",
    "jobs": "/jobs",
    "plugins": "/plugins",
    "ticks": "/ticks?pattern=SHFE.*",
    "actions": "/actions",
    "failover": "/actions/failover",
    "drill-form": "/actions/drill?mode=mock",
    "login": "/login",
    "missing": "/nothing/here",
}
HEAVIEST = 150_000
"""Bytes of a page with everything that it loads. Source: the console's design, Measures."""
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


async def violations(page: Page) -> list[str]:
    """What axe finds; evaluated, because the page's own policy lets no other script in."""
    await page.evaluate(AXE)
    found = await page.evaluate(
        "async (rules) => (await axe.run(document, {runOnly: rules})).violations"
        ".map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`)",
        RULES,
    )
    return list(found)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("language", "theme"), [("en", "dark"), ("zh", "light")])
async def test_every_page_reads_well_for_everybody(
    browser: Browser, site: Site, name: str, language: str, theme: str
) -> None:
    async with opened(browser, errors=name != "missing", viewport={"width": 1440, "height": 900}) as page:
        await page.context.add_cookies(
            [{"name": key, "value": value, "url": site.url} for key, value in (("lang", language), ("theme", theme))]
        )
        await page.goto(site.url + PAGES[name])
        assert await page.locator("h1").count() == 1
        assert await page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[language]
        await shoot(page, f"{name}-{language}-{theme}")
        assert await violations(page) == []


@pytest.mark.parametrize("name", PAGES)
async def test_every_page_fits_a_phone(browser: Browser, site: Site, name: str) -> None:
    async with opened(browser, errors=name != "missing", viewport={"width": 390, "height": 844}) as page:
        await page.goto(site.url + PAGES[name])
        await shoot(page, f"{name}-phone")
        assert await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.mark.parametrize("name", PAGES)
async def test_every_page_is_whole_without_javascript(browser: Browser, site: Site, name: str) -> None:
    async with opened(browser, errors=False, java_script_enabled=False) as plain, opened(browser, errors=False) as page:
        await plain.goto(site.url + PAGES[name])
        await page.goto(site.url + PAGES[name])
        headings = [await one.locator("h1, h2, h3, th").all_inner_texts() for one in (plain, page)]
        assert headings[0] == headings[1]


@pytest.mark.parametrize("name", [name for name in PAGES if name != "missing"])
async def test_no_page_is_heavy_or_asks_another_host(browser: Browser, site: Site, name: str) -> None:
    async with opened(browser) as page:
        sizes: list[int] = []
        hosts: set[str] = set()
        page.on("request", lambda request: hosts.add("/".join(request.url.split("/")[:3])))
        answer = await page.goto(site.url + PAGES[name])
        assert answer is not None
        sizes.append(len(await answer.body()))
        loaded = await page.evaluate("performance.getEntriesByType('resource').map((one) => one.decodedBodySize)")
        assert sum(sizes + loaded) < HEAVIEST
        assert hosts == {site.url}


async def test_the_language_switch_stays_on_the_page_and_is_remembered(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/ticks?pattern=SHFE.*")
    await page.get_by_role("link", name="中文").click()
    assert page.url == f"{site.url}/ticks?pattern=SHFE.*"
    assert await page.locator("h1").inner_text() == "实时行情"
    await page.goto(f"{site.url}/gaps")
    assert await page.locator("h1").inner_text() == "缺口"


async def test_a_browser_that_likes_chinese_gets_it(browser: Browser, site: Site) -> None:
    async with opened(browser, locale="zh-CN") as page:
        await page.goto(site.url)
        assert await page.locator("h1").inner_text() == "总览"


async def test_the_keyboard_reaches_everything_in_the_order_of_reading(page: Page, site: Site) -> None:
    await page.goto(site.url)
    seen = []
    for _ in range(14):
        await page.keyboard.press("Tab")
        seen.append(await page.evaluate("document.activeElement.innerText || document.activeElement.id"))
    assert seen[:4] == ["Skip to the content", "Feedgate", "Overview", "Drill control"]
    assert "中文" in seen


async def test_live_parts_change_without_a_reload(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/lines")
    await page.evaluate("window.stayed = true")
    before = await page.locator("#lines").inner_html()
    await page.wait_for_function("(before) => document.getElementById('lines').innerHTML !== before", arg=before)
    assert await page.evaluate("window.stayed") is True


async def test_watched_ticks_move(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/ticks?pattern=*")
    cell = page.locator("[data-tick$='|seq']").first
    before = await cell.inner_text()
    name = await cell.get_attribute("data-tick")
    await page.wait_for_function(
        "([name, before]) => document.querySelector(`[data-tick='${name}']`).textContent !== before", arg=[name, before]
    )


async def test_a_search_that_finds_nothing_says_how_names_are_written(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/ticks?pattern=NYSE.AAPL")
    assert "EXCHANGE.CODE" in await page.locator("main").inner_text()
