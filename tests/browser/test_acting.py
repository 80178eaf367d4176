"""Acting from pages, end to end on a running gateway: ask, confirm, watch, find it in the audit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from gateway import LineState
from tests.browser.conftest import OPERATOR, SHOTS, VIEWER, Site, opened, site_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"


async def confirmed(page: Page, name: str, reason: str) -> None:
    """Fill in the confirmation page of an action and send it; ends on the run's page."""
    await page.get_by_label("Reason").fill(reason)
    if await page.locator("input[name=confirm]").count():
        await page.locator("input[name=confirm]").fill(name)
    await page.locator("form.fields button").click()
    await page.wait_for_url("**/runs/*")


async def succeeded(page: Page) -> None:
    """Wait for the run of this page without a reload; its code is 0."""
    await ended(page)
    await expect(page.locator("#run .badge").first).to_have_text(re.compile(r"exit code 0\b"))


async def ended(page: Page) -> str:
    """Wait for the run of this page without a reload; what it says."""
    await expect(page.locator("#run .badge").first).to_contain_text("exit code")
    return await page.locator("#run").inner_text()


async def test_a_newcomer_kills_a_line_sees_no_loss_fails_back_and_finds_four_records(
    browser: Browser, tmp_path: Path
) -> None:
    async with site_of(tmp_path) as site, opened(browser, viewport={"width": 1440, "height": 900}) as page:
        active = next(line.line for line in site.gateway.lines() if line.role == "active")
        await page.goto(site.url)
        await page.get_by_role("link", name="Drill control").click()
        await page.get_by_role("link", name="Kill a line").click()
        await confirmed(page, "kill-line", "to see what happens")
        assert "SIGKILL" in await ended(page)

        await page.goto(f"{site.url}/lines")
        await expect(page.locator("#lines")).to_contain_text("line lost")
        await expect(page.locator("#lines tbody tr", has_text=active).first).to_contain_text("streaming")
        await page.goto(site.url)
        await expect(page.locator("[aria-labelledby=card-gap_today]")).to_contain_text("none")
        await expect(page.locator("[aria-labelledby=card-coverage]")).to_contain_text("100 %")
        await page.get_by_role("link", name="Gaps", exact=True).click()
        await expect(page.locator("#gaps")).to_contain_text("No gap")

        await page.get_by_role("link", name="Lines").click()
        await page.get_by_role("link", name="Failback").first.click()
        await confirmed(page, "failback", "the line is back")
        await succeeded(page)
        await page.get_by_role("link", name="Audit records of this run").click()
        await expect(page.locator("#audit tbody tr")).to_have_count(2)
        await page.get_by_role("link", name="whole audit").click()
        await expect(page.locator("#audit tbody tr")).to_have_count(4)
        assert [line.line for line in site.gateway.lines() if line.role == "active"] == [active]
        await page.get_by_role("link", name="Verify the chain").click()
        await expect(page.locator("main")).to_contain_text("The chain is whole: 4 records")


@pytest.mark.parametrize("script", [True, False])
async def test_failover_and_failback_with_and_without_javascript(browser: Browser, site: Site, *, script: bool) -> None:
    async with opened(browser, java_script_enabled=script) as page:
        for name, button in (("failover", "Failover"), ("failback", "Failback")):
            before = [line.line for line in site.gateway.lines() if line.role == "active"]
            await page.goto(site.url)
            await page.get_by_role("link", name=button, exact=True).click()
            await confirmed(page, name, f"test of {name}")
            for _ in range(240):
                if await page.get_by_text("exit code 0").count():
                    break
                await (page.wait_for_timeout(250) if script else page.reload())
            assert await page.get_by_text("exit code 0").count()
            assert [line.line for line in site.gateway.lines() if line.role == "active"] != before


async def test_a_live_action_in_trading_hours_wants_its_name_typed(browser: Browser, site: Site) -> None:
    async with opened(browser, errors=False) as page:
        await page.goto(f"{site.url}/actions/failover")
        await page.get_by_label("Reason").fill("no typing")
        await page.locator("input[name=confirm]").fill("fail")
        await page.locator("form.fields button").click()
        await expect(page.locator("[role=alert]")).to_contain_text("type failover")
        assert await page.get_by_label("Reason").input_value() == "no typing"
    assert not any("no typing" in run.request.reason for run in await site.runbook.runner.runs())


async def test_a_reason_is_required(browser: Browser, site: Site) -> None:
    async with opened(browser, errors=False) as page:
        await page.goto(f"{site.url}/actions/failover")
        await page.locator("input[name=reason]").evaluate("(input) => input.removeAttribute('required')")
        await page.locator("form.fields button").click()
        await expect(page.locator("[role=alert]")).to_contain_text("Say why")


async def test_a_line_is_restarted_from_its_row(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/lines")
    await page.locator("#lines tbody tr", has_text="sim:backup").first.get_by_role("link", name="Restart").click()
    assert await page.locator("input[name='p.line']").input_value() == "sim:backup"
    await confirmed(page, "restart-line", "new credentials")
    assert "sim:backup is up again" in await ended(page)


async def test_a_drill_on_the_simulator_shows_its_stages_and_a_ribbon_everywhere(browser: Browser, site: Site) -> None:
    async with opened(browser) as page, opened(browser) as other:
        await page.goto(f"{site.url}/drill")
        await page.get_by_role("link", name="Drill on the simulator").click()
        await confirmed(page, "drill", "weekly drill")
        await other.goto(f"{site.url}/gaps")
        await expect(other.locator("#ribbon")).to_contain_text("演练 / DRILL · mock")
        SHOTS.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=SHOTS / "drill-running.png")
        await succeeded(page)
        await expect(other.locator("#ribbon")).to_be_hidden()
        await page.goto(f"{site.url}/drill")
        await expect(page.locator("#now")).to_contain_text("Failover drill completed successfully")
        await page.screenshot(path=SHOTS / "drill-done.png", full_page=True)


async def test_a_run_that_goes_on_is_cancelled_from_its_page(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/actions/drill?mode=mock")
    await confirmed(page, "drill", "to be cancelled")
    await page.get_by_label("Reason").fill("wrong day")
    await page.get_by_role("button", name="Cancel this run").click()
    await expect(page.locator("#run .badge").first).to_contain_text("exit code")
    assert "exit code 0" not in await page.locator("#run").inner_text()
    await page.goto(f"{site.url}/audit?event=exception")
    await expect(page.locator("#audit")).to_contain_text("wrong day")


async def test_hostile_words_stay_words(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/actions/check-feed-health")
    await confirmed(page, "check-feed-health", HOSTILE)
    await ended(page)
    assert HOSTILE in await page.locator("#run").inner_text()
    await page.goto(f"{site.url}/audit?text=onerror")
    assert HOSTILE in await page.locator("#audit").inner_text()
    await page.goto(f"{site.url}/ticks?pattern={HOSTILE}")
    assert "owned" not in await page.title()


async def test_a_second_action_is_refused_with_the_name_of_the_first_and_its_operator(
    browser: Browser, site: Site
) -> None:
    async with opened(browser) as page, opened(browser, errors=False) as other:
        await page.goto(f"{site.url}/actions/drill?mode=mock")
        await other.goto(f"{site.url}/actions/failover")
        await confirmed(page, "drill", "first")
        await other.get_by_label("Reason").fill("second")
        await other.locator("input[name=confirm]").fill("failover")
        await other.locator("form.fields button").click()
        await expect(other.locator("[role=alert]")).to_contain_text("drill")
        await expect(other.locator("[role=alert]")).to_contain_text("local")
        await ended(page)


async def test_a_form_that_is_sent_twice_acts_once(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/actions/check-feed-health")
    await page.get_by_label("Reason").fill("sent twice")
    twice = await page.evaluate(
        "async () => { const send = async () => (await fetch(location.href, {method: 'POST',"
        " body: new URLSearchParams(new FormData(document.querySelector('form.fields')))})).url;"
        " return [await send(), await send()]; }"
    )
    assert "/runs/" in twice[0]
    assert twice[0] == twice[1]


async def test_whoever_is_not_logged_in_is_asked_for_a_token_and_comes_back(browser: Browser, guarded: Site) -> None:
    async with opened(browser, errors=False) as page:
        await page.goto(f"{guarded.url}/gaps")
        assert "/login" in page.url
        await page.get_by_label("Token").fill("wrong-token-0123456789")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.locator("[role=alert]")).to_contain_text("not known")
        await page.get_by_label("Token").fill(OPERATOR)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url("**/gaps")
        await expect(page.locator(".person")).to_contain_text("olga")
        cookies = {cookie["name"]: cookie for cookie in await page.context.cookies()}
        session = next(cookie for name, cookie in cookies.items() if name not in ("lang", "theme"))
        assert session["httpOnly"]
        assert OPERATOR not in str(cookies)
        await page.get_by_role("button", name="Log out").click()
        await page.goto(f"{guarded.url}/gaps")
        assert "/login" in page.url


async def test_a_viewer_sees_everything_and_can_change_nothing(browser: Browser, guarded: Site) -> None:
    async with opened(browser, errors=False) as page:
        await page.goto(f"{guarded.url}/login")
        await page.get_by_label("Token").fill(VIEWER)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url(f"{guarded.url}/")
        assert await page.get_by_role("link", name="Failover", exact=True).count() == 0
        await page.goto(f"{guarded.url}/actions/failover")
        await expect(page.locator("[role=alert]")).to_contain_text("role")
        assert await page.locator("form.fields").count() == 0
        runs = len(await guarded.runbook.runner.runs())
        status = await page.evaluate(
            "async () => (await fetch('/actions/failover', {method: 'POST', body: new URLSearchParams("
            "{reason: 'x', confirm: 'failover'})})).status"
        )
        assert status == 403
        assert all(line.state is LineState.STREAMING for line in guarded.gateway.lines())
        assert len(await guarded.runbook.runner.runs()) <= runs + 1
