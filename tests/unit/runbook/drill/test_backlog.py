"""What waits for consumers, from each source; and what cannot be measured."""

from __future__ import annotations

import json
import logging
import os
import time

import msgspec
import pytest

from gateway.clock import SystemClock
from gateway.errors import ControlError
from runbook.drill.backlog import UnmeasuredError
from runbook.drill.connz import Connection, carries_ticks, consumers, waiting
from runbook.drill.consumer_metrics import MARKER, verify_consumer_metrics
from runbook.drill.nats_backlog import NatsBacklog
from runbook.drill.sockets import queued
from runbook.drill.web_backlog import FileBacklog, MonitoringBacklog, UrlBacklog, metrics_source, parse

NAMES = ("backup", "16***9")
TEXT = """# TYPE consumer_backlog_messages gauge
consumer_backlog_messages{feed="ctp",account="primary"} 7
consumer_backlog_messages{feed="ctp",account="backup",consumer="a"} 5
consumer_backlog_messages{feed="ctp",account="backup",consumer="b"} 11
other{feed="ctp",account="backup"} 99999
"""


@pytest.mark.parametrize("subject", ["md.tick.*.*", "md.tick.SHFE.rb2510", "md.>", ">", "*.tick.*.*", "md.batch.ctp"])
def test_subscriptions_that_get_ticks_make_a_consumer(subject: str) -> None:
    assert carries_ticks(subject)


@pytest.mark.parametrize("subject", ["md.tick", "md.tick.SHFE", "md.event.>", "_INBOX.x.*", "md.tick.SHFE.rb.x"])
def test_other_subscriptions_make_none(subject: str) -> None:
    assert not carries_ticks(subject)


def connection(**fields: object) -> Connection:
    usual = {"cid": 1, "pending_bytes": 0, "out_msgs": 100, "out_bytes": 25_000, "subscriptions_list": ["md.tick.*.*"]}
    return msgspec.convert(usual | fields, Connection)


def test_bytes_become_messages_by_the_mean_size_and_are_never_rounded_down() -> None:
    (one,) = waiting([connection(pending_bytes=501)], {})
    assert (one.messages, one.kernel_bytes) == (3, None)


def test_what_the_kernel_holds_is_added() -> None:
    (one,) = waiting([connection(ip="10.0.0.1", port=5, pending_bytes=250)], {("10.0.0.1", 5): 250})
    assert (one.messages, one.kernel_bytes) == (2, 250)


def test_large_replies_on_the_same_connection_do_not_make_the_backlog_small() -> None:
    subjects = ["md.tick.*.*", "_INBOX.a.*"]
    (one,) = waiting([connection(out_bytes=50_000_000, pending_bytes=256_000, subscriptions_list=subjects)], {})
    assert one.messages == 2000


def test_connections_without_ticks_are_no_consumers() -> None:
    assert consumers([connection(subscriptions_list=["md.event.>"]), connection(subscriptions_list=[])]) == []


def test_the_kernels_table_is_read_for_both_ends_and_both_families(tmp_path) -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n"
    v4, v6 = tmp_path / "tcp", tmp_path / "tcp6"
    v4.write_text(head + "0: 0100007F:1F90 0100007F:C001 01 0000000A:00000000 00:0 \n")
    v6.write_text(
        head + "0: 0000000000000000FFFF00000100007F:C001 0000000000000000FFFF00000100007F:1F90 01 00000000:00000005 0\n"
    )
    assert queued([("127.0.0.1", 0xC001), ("10.0.0.1", 9)], [v4, v6, tmp_path / "none"]) == {("127.0.0.1", 0xC001): 15}


# -- NATS, asked over NATS -------------------------------------------------------------------------------------


class Nats:
    """Replies by subject; None: nobody answers."""

    def __init__(self, **server: object) -> None:
        self.server = server
        self.pages: list[list[dict[str, object]]] = [[]]
        self.more: dict[str, object] = {}

    async def ask(self, subject: str, payload: bytes) -> bytes:
        if subject.startswith("$JS"):
            return json.dumps(self.more[subject]).encode()
        if subject.endswith("STATZ"):
            return self.reply({"account_statz": [{"slow_consumers": 2}]})
        offset = json.loads(payload)["offset"]
        at = 0
        page: list[dict[str, object]] = []
        for rows in self.pages:
            if at == offset:
                page = rows
            at += len(rows)
        return self.reply(
            {
                "server_id": "x",
                "num_connections": len(page),
                "total": sum(map(len, self.pages)),
                "offset": offset,
                "connections": page,
            }
        )

    def reply(self, data: object) -> bytes:
        return json.dumps({"server": self.server, "data": data}).encode()


def row(**fields: object) -> dict[str, object]:
    return msgspec.to_builtins(connection(**fields))


async def test_nats_tells_the_backlog_of_every_page_and_how_many_it_cut_off() -> None:
    nats = Nats()
    nats.pages = [[row(name="a", pending_bytes=250)], [row(cid=2, name="b", pending_bytes=1000)]]
    found = await NatsBacklog(nats.ask).measure("ctp", NAMES, 0)
    assert (found.messages, found.cut_off, [one.consumer for one in found.consumers]) == (4, 2, ["a (1)", "b (2)"])


async def test_jetstream_consumers_of_ticks_count_by_messages() -> None:
    nats = Nats(jetstream=True)
    nats.pages = [[row()]]
    nats.more = {
        "$JS.API.STREAM.LIST": {
            "total": 2,
            "streams": [
                {"config": {"name": "T", "subjects": ["md.tick.>"]}},
                {"config": {"name": "E", "subjects": ["md.event.>"]}},
            ],
        },
        "$JS.API.CONSUMER.LIST.T": {"total": 1, "consumers": [{"name": "c", "num_pending": 30, "num_ack_pending": 4}]},
    }
    found = await NatsBacklog(nats.ask).measure("ctp", NAMES, 0)
    assert (found.messages, found.consumers[-1].consumer) == (34, "T/c")


async def test_nats_without_a_consumer_has_no_backlog_to_measure() -> None:
    with pytest.raises(UnmeasuredError, match="no consumer of ticks"):
        await NatsBacklog(Nats().ask).measure("ctp", NAMES, 0)


async def test_one_server_of_a_cluster_is_not_taken_for_all_of_it() -> None:
    nats = Nats(cluster="prod")
    nats.pages = [[row()]]
    with pytest.raises(UnmeasuredError, match=r"cluster .prod.*DRILL_METRICS_SOURCE"):
        await NatsBacklog(nats.ask).measure("ctp", NAMES, 0)


async def test_a_server_that_does_not_tell_is_unmeasured() -> None:
    async def nobody(_subject: str, _payload: bytes) -> bytes:
        raise ControlError("no", reply_code="no_responder")

    async def nonsense(_subject: str, _payload: bytes) -> bytes:
        return b"{}"

    with pytest.raises(UnmeasuredError, match="nobody answers"):
        await NatsBacklog(nobody).measure("ctp", NAMES, 0)
    with pytest.raises(UnmeasuredError, match="something unknown"):
        await NatsBacklog(nonsense).measure("ctp", NAMES, 0)


# -- files and addresses ---------------------------------------------------------------------------------------


def test_the_worst_consumer_of_the_feed_and_account_counts() -> None:
    found = parse(TEXT, "f", "ctp", NAMES, 0)
    assert (found.messages, len(found.consumers)) == (11, 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no consumer_backlog_messages of feed=ctp"),
        (TEXT.replace("backup", "third"), "it has: feed=ctp account=primary; feed=ctp account=third"),
        ('consumer_backlog_messages{feed="ctp",account="backup"} NaN\n', "no number of messages"),
        ('consumer_backlog_messages{feed="ctp",account="backup"} -1\n', "no number of messages"),
        ('consumer_backlog_messages{feed="ctp",account="backup"} 5 1000\n', "older than this stage"),
        ("<html>", "not Prometheus text|has no consumer_backlog"),
    ],
)
def test_metrics_that_say_nothing_about_this_account_are_unmeasured(text: str, why: str) -> None:
    with pytest.raises(UnmeasuredError, match=why):
        parse(text, "f", "ctp", NAMES, 10**18)


async def test_a_file_counts_only_when_written_since_the_stage_began(tmp_path) -> None:
    file = tmp_path / "m.prom"
    source = FileBacklog(file, SystemClock())
    with pytest.raises(UnmeasuredError, match="cannot be read"):
        await source.measure("ctp", NAMES, 0)
    file.write_text(TEXT)
    assert (await source.measure("ctp", NAMES, 0)).messages == 11
    os.utime(file, (time.time() - 90, time.time() - 90))
    with pytest.raises(UnmeasuredError, match="before this stage began"):
        await source.measure("ctp", NAMES, time.time_ns() - 10**9)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UnmeasuredError, match="is not text"):
        await source.measure("ctp", NAMES, 0)


async def test_an_address_that_does_not_answer_is_unmeasured() -> None:
    with pytest.raises(UnmeasuredError, match="cannot be read"):
        await UrlBacklog("http://127.0.0.1:1/metrics", SystemClock()).measure("ctp", NAMES, 0)


def test_the_setting_says_which_source_it_is() -> None:
    clock = SystemClock()
    assert isinstance(metrics_source("http://nats:8222/connz", clock), MonitoringBacklog)
    assert isinstance(metrics_source("http://app:9100/metrics", clock), UrlBacklog)
    assert isinstance(metrics_source("/var/lib/m.prom", clock), FileBacklog)


# -- the verdict -----------------------------------------------------------------------------------------------


async def test_a_verdict_is_logged_with_its_marker_and_passes_as_soon_as_it_can(rig, caplog) -> None:
    rig.backlog.by_line["ctp:primary"] = 3
    with caplog.at_level(logging.INFO):
        verdict = await verify_consumer_metrics(
            rig.backlog,
            feed="ctp",
            accounts=("primary",),
            threshold=3,
            clock=SystemClock(),
            since_ns=0,
            patience_s=0.2,
        )
    assert (verdict.ok, verdict.figures["messages"]) == (True, 3)
    assert f"{MARKER} feed=ctp account=primary ok=true" in caplog.text
