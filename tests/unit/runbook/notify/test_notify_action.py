"""The action ``notify``: exit codes, and the kinds of addresses operators use."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings
from gateway.testing.clock import ManualClock
from runbook.actions.notify import NotifyParameters, notify
from runbook.context import ActionContext
from runbook.model import ActionRequest, Trigger
from runbook.notify import Message, Notifier
from runbook.notify.deliver import _usable
from runbook.settings import RunbookSettings


@asynccontextmanager
async def nobody() -> Any:
    yield None


def context(root: Path, *urls: str, **more: Any) -> ActionContext:
    settings = {"state_dir": root, "notify": {"urls": list(urls), "timeout_s": 20.0, **more}}
    return ActionContext(
        run="r",
        request=ActionRequest(action="notify", operator="li", trigger=Trigger.CLI),
        settings=Settings(),
        runbook=RunbookSettings.model_validate(settings),
        clock=ManualClock(),
        log_dir=root,
        connect=nobody,
    )


DOWN = NotifyParameters(tag="health_check_escalation", code=2)


async def test_tag_and_code_reach_people_and_exit_0(receiver: Any, tmp_path: Path) -> None:
    result = await notify(context(tmp_path, receiver.url()), DOWN)
    assert result.exit_code == 0, result.message
    body = receiver.requests[0][1]
    assert body["title"] == body["message"] == "health_check_escalation (exit code 2)"
    assert body["type"] == "failure"


async def test_some_that_failed_exit_1_and_all_that_failed_exit_2(receiver: Any, tmp_path: Path) -> None:
    some = await notify(context(tmp_path / "a", receiver.url(), "nonsense://x"), DOWN)
    assert some.exit_code == 1
    assert "1 of 2 addresses" in some.message
    receiver.status = 500
    assert (await notify(context(tmp_path / "b", receiver.url()), DOWN)).exit_code == 2


async def test_without_an_address_it_exits_11(tmp_path: Path) -> None:
    result = await notify(context(tmp_path), DOWN)
    assert result.exit_code == 11
    assert "RUNBOOK_NOTIFY__URLS" in result.message


async def test_a_repetition_exits_0_and_one_too_many_exits_1(receiver: Any, tmp_path: Path) -> None:
    given = context(tmp_path, receiver.url(), per_minute=1)
    codes = [(await notify(given, NotifyParameters(tag=tag))).exit_code for tag in ("a", "a", "b")]
    assert codes == [0, 0, 1]
    assert len(receiver.requests) == 1


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # imported by apprise 2.2
@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7", "Slack"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7", "Slack"),
        ("dingtalk://SECa1b2c3d4e5f6@a1b2c3d4e5f6a7b8/13800138000", "DingTalk"),
        ("mailtos://me:word@example.com?to=desk@example.com", "E-Mail"),
        ("https://example.com/hook", "JSON"),
    ],
)
def test_the_operators_kinds_of_addresses_are_understood(url: str, service: str) -> None:
    target = _usable(url, 7.0)
    assert target.service_name == service
    assert target.request_timeout == (7.0, 7.0)


async def test_an_e_mail_arrives_at_a_mail_server(make_settings: Any, tmp_path: Path) -> None:
    letters: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                letters.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                break
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"mailto://127.0.0.1:{port}?from=feedgate@example.com&to=desk@example.com&mode=insecure"
        notifier = Notifier(make_settings(url), tmp_path, ManualClock())
        sent = await notifier.send(Message(title="failover failed", text="the backup is silent"))
    assert sent.taken == 1, sent
    assert "Subject: failover failed" in letters[0]
    assert "the backup is silent" in letters[0]
