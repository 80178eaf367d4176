"""The real openctp_ctp library against loopback fronts that are no CTP front: all that can be had without a broker."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from gateway_ctp.family import CTP

from gateway.errors import CatalogueError
from gateway.model import Account
from gateway.thost.catalogue import build_catalogue
from tests.native.conftest import child_environment, require
from tests.native.tts_front import Mode, TtsFront

pytestmark = pytest.mark.native


async def run_python(code: str, **extra: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=child_environment(**extra),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await process.wait()


@asynccontextmanager
async def refusing_address():
    """A port of ours that nobody listens on any more."""
    async with TtsFront() as front:
        await front.refuse()
        yield front.address


async def test_importing_the_library_aborts_the_process_without_the_locale_and_works_with_the_built_one(locale_dir):
    require("openctp_ctp")
    assert await run_python("import openctp_ctp") == -signal.SIGABRT
    assert await run_python("import openctp_ctp", LOCPATH=str(locale_dir)) == 0


async def test_a_line_without_the_locale_is_refused_with_the_reason_instead_of_aborting(recorded_line):
    async with recorded_line("tcp://127.0.0.1:1", module="openctp_ctp", with_locale=False) as line:
        assert "zh_CN.GB18030" in (await line.until_kind("error"))["text"]
        assert await line.close() == 0


async def test_a_front_that_refuses_is_never_told_and_the_line_still_closes_cleanly(recorded_line):
    async with refusing_address() as address, recorded_line(address, module="openctp_ctp") as line:
        await line.until_state("connecting")
        line.command("subscribe", "SHFE.rb2601")
        assert "-1, the network connection is not there" in (await line.until_kind("error"))["text"]
        assert await line.close() == 0
        assert {record["state"] for record in line.records if record["kind"] == "state"} == {"connecting"}


async def test_a_front_that_accepts_and_closes_is_reported_as_lost_with_the_vendors_code(recorded_line):
    async with TtsFront(mode=Mode.CLOSE) as front, recorded_line(front.address, module="openctp_ctp") as line:
        lost = await line.until_state("lost")
        assert lost["reason"] == "disconnected: 0x1001 reading from the network failed"
        await line.until_state("lost")
        assert front.connections >= 2
        assert await line.close() == 0


async def test_a_silent_front_is_connected_to_but_never_reported_and_the_line_closes_cleanly(recorded_line):
    async with TtsFront(mode=Mode.SILENT) as front, recorded_line(front.address, module="openctp_ctp") as line:
        await line.until_state("connecting")
        await front.until(lambda: front.connections == 1)
        assert await line.close() == 0
        assert {record["state"] for record in line.records if record["kind"] == "state"} == {"connecting"}


async def test_two_fronts_are_given_and_the_live_one_is_used(recorded_line):
    async with (
        refusing_address() as dead,
        TtsFront(mode=Mode.SILENT) as live,
        recorded_line(f"{dead},{live.address}", module="openctp_ctp") as line,
    ):
        await live.until(lambda: live.connections == 1)
        assert await line.close() == 0


@pytest.mark.parametrize("named", [True, False])
async def test_a_named_flow_directory_stays_and_a_private_one_is_removed(recorded_line, tmp_path, named):
    options = {"flow_dir": str(tmp_path / "deep" / "flow")} if named else {}
    async with (
        refusing_address() as address,
        recorded_line(address, module="openctp_ctp", options=options, TMPDIR=str(tmp_path)) as line,
    ):
        await line.until_state("connecting")
        assert await line.close() == 0
    assert (tmp_path / "deep" / "flow" / "ctp-primary").is_dir() is named
    assert [path.name for path in tmp_path.iterdir()] == (["deep"] if named else [])


ACCOUNT = Account(
    name="primary", broker_id="9999", user_id="160219", secrets={"password": "secret-word", "auth_code": "secret-code"}
)


async def test_the_contract_list_of_a_front_that_does_not_answer_is_an_error_after_our_own_timer(locale_dir: Path):
    require("openctp_ctp")
    async with TtsFront(mode=Mode.SILENT) as front:
        account = Account(**{name: getattr(ACCOUNT, name) for name in ACCOUNT.__struct_fields__} | {
            "td_address": front.address,
        })  # fmt: skip
        catalogue = build_catalogue(CTP, account, {"connect_timeout": 1, "locale_dir": str(locale_dir)})
        with pytest.raises(CatalogueError, match="did not answer") as caught:
            await catalogue.contracts()
        assert front.connections >= 1
        assert "secret" not in str(caught.value)
