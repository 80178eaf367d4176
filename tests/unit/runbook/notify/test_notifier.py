"""Messages to a real receiver on this machine, through the real library."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.testing.clock import ManualClock
from runbook.notify import Message, Notifier

FALL = Message(title="failover failed (exit code 2)", text="the backup is silent", severity="failure")


async def test_a_message_reaches_every_address_with_title_text_and_severity(
    receiver: Any, make_settings: Any, tmp_path: Path
) -> None:
    urls = (receiver.url("one-a1b2c3d4e5"), receiver.url("two-a1b2c3d4e5"))
    notifier = Notifier(make_settings(*urls), tmp_path, ManualClock())
    sent = await notifier.send(FALL)
    assert [answer.error for answer in sent.answers] == ["", ""]
    assert sorted(path for path, _ in receiver.requests) == ["/one-a1b2c3d4e5", "/two-a1b2c3d4e5"]
    for _, body in receiver.requests:
        assert body["title"] == FALL.title
        assert body["message"] == FALL.text
        assert body["type"] == "failure"


async def test_a_plain_web_address_gets_the_message_too(receiver: Any, make_settings: Any, tmp_path: Path) -> None:
    notifier = Notifier(make_settings(f"http://127.0.0.1:{receiver.port}/any"), tmp_path, ManualClock())
    assert (await notifier.send(FALL)).taken == 1
    assert receiver.requests[0][0] == "/any"


async def test_a_refusal_is_told_with_its_status_and_without_the_address(
    receiver: Any, make_settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.status = 403
    secret = "s3cret-hook-token"
    notifier = Notifier(make_settings(receiver.url(secret), "nonsense://s3cret-hook-token"), tmp_path, ManualClock())
    sent = await notifier.send(FALL)
    assert sent.answers[0].address == "1 (json)"
    assert sent.answers[0].error == "refused the message (HTTP 403)"
    assert sent.answers[1].error == "is not an address that can be used; write it as apprise does"
    assert "notification address 1 (json)" in caplog.text
    everything = caplog.text + repr(sent) + repr(notifier) + "".join(capfd.readouterr())
    everything += "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert secret not in everything


async def test_an_address_that_hangs_is_given_up_and_the_other_one_is_served(
    receiver: Any, make_settings: Any, tmp_path: Path
) -> None:
    receiver.hold.clear()
    other = type(receiver)()
    try:
        notifier = Notifier(make_settings(receiver.url(), other.url(), timeout_s=8.0), tmp_path, ManualClock())
        sent = await notifier.send(FALL)
    finally:
        other.close()
    assert sent.answers[0].error
    assert sent.answers[1].error == ""
    assert other.requests[0][1]["title"] == FALL.title


async def test_the_same_message_is_not_sent_twice_also_by_another_process(
    receiver: Any, make_settings: Any, tmp_path: Path
) -> None:
    clock = ManualClock()
    first = Notifier(make_settings(receiver.url()), tmp_path, clock)
    second = Notifier(make_settings(receiver.url()), tmp_path, clock)
    assert (await first.send(FALL)).taken == 1
    again = await second.send(FALL)
    assert "same message" in again.left_out
    assert not again.limited
    await clock.advance(301)
    assert (await second.send(FALL)).taken == 1
    assert len(receiver.requests) == 2
    assert "left out 1 times" in receiver.requests[1][1]["message"]


async def test_a_message_that_nobody_took_may_be_sent_again_at_once(
    receiver: Any, make_settings: Any, tmp_path: Path
) -> None:
    notifier = Notifier(make_settings(receiver.url()), tmp_path, ManualClock())
    receiver.status = 500
    assert (await notifier.send(FALL)).taken == 0
    receiver.status = 200
    assert (await notifier.send(FALL)).taken == 1


async def test_without_an_address_it_says_so(make_settings: Any, tmp_path: Path) -> None:
    sent = await Notifier(make_settings(), tmp_path, ManualClock()).send(FALL)
    assert sent.left_out == "no address is configured"
