"""The ledger's file: what was committed survives everything, and nothing is ever changed."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.flow import gapstore
from gateway.flow.gaphistory import read_day
from gateway.flow.gaps import CLOSED, Gap, GapEvent, LedgerError, Mark, Watched
from gateway.flow.gapschema import open_ledger, open_reader, read_past
from gateway.flow.gapstore import GapStore
from tests.unit.flow.ledger_child import RB, gap, opened
from tests.unit.flow.ledger_market import AU

ROOT = Path(__file__).parents[3]


def child(job: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.unit.flow.ledger_child", job, str(path)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def store_at(path: Path, **options: object) -> GapStore:
    store = GapStore(path, clock=SystemClock(), **options)
    await store.start()
    return store


def closed(number: int, end_ns: int) -> GapEvent:
    from msgspec.structs import replace

    return GapEvent(CLOSED, end_ns, replace(gap(number), end_ns=end_ns, lost_volume=7))


async def test_a_start_that_is_cancelled_gives_the_file_back(tmp_path, monkeypatch):
    reading, go_on = threading.Event(), threading.Event()

    def read_slowly(connection):
        reading.set()
        go_on.wait(60)
        return read_past(connection)

    path = tmp_path / "ledger.db"
    store = GapStore(path, clock=SystemClock())
    with monkeypatch.context() as patched:
        patched.setattr(gapstore, "read_past", read_slowly)
        starting = asyncio.create_task(store.start())
        await asyncio.to_thread(reading.wait, 60)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        asyncio.get_running_loop().call_soon(go_on.set)
        await store.aclose()
    await (await store_at(path)).aclose()


@pytest.mark.parametrize("kill_after", [1, 3, 6])
def test_a_kill_in_the_middle_of_writing_leaves_everything_that_was_told_to_be_safe(tmp_path, kill_after):
    path = tmp_path / "ledger.db"
    with child("write", path) as process:
        safe = 0
        for _ in range(kill_after):
            safe = int(process.stdout.readline())
        process.kill()
        for line in process.stdout:
            safe = int(line)
        process.stderr.read()
    day = read_day(path, 20250829)  # a reader comes first, while the log of the dead writer is still there
    numbers = sorted(int(one.id.split("-")[1]) for one in day.gaps)
    assert numbers == list(range(1, len(numbers) + 1))  # no hole, no torn row
    assert len(numbers) >= safe
    with closing(open_ledger(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    asyncio.run(_continue(path, safe))


async def _continue(path: Path, safe: int) -> None:
    store = await store_at(path)
    assert store.past is not None
    assert store.past.alive_ns >= safe - 500
    assert store.past.wanted == {"ctp": frozenset([RB])}
    assert len(store.past.open_gaps) >= safe
    await store.aclose()


def test_a_full_disk_is_told_held_within_bounds_and_made_up_for_when_there_is_room(tmp_path):
    path = tmp_path / "ledger.db"
    with child("full", path) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    full, after = out.splitlines()
    assert full.startswith("degraded=True bounded=True lost=")
    assert after == "degraded=False waiting=0 complete=True"
    assert "ticks go on" in err
    lost = int(full.split("lost=")[1].split()[0])
    assert lost > 0
    day = read_day(path, 20250829)
    assert len(day.gaps) == 5000 - lost
    with closing(open_reader(path)) as connection:
        (text,) = connection.execute("SELECT text FROM notes").fetchone()
    assert text.startswith(f"{lost} rows are missing here")


async def test_a_reader_sees_committed_rows_while_the_gateway_writes(tmp_path):
    store = await store_at(tmp_path / "ledger.db")
    store.put(opened(1))
    await store.flushed()
    with closing(open_reader(store.path)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM gap_rows").fetchone() == (1,)
        store.put(opened(2))
        await store.flushed()  # the reader blocks no writer
        assert reader.execute("SELECT count(*) FROM gap_rows").fetchone() == (1,)  # and keeps its own moment
    assert len(read_day(store.path).gaps) == 2
    await store.aclose()


async def test_the_latest_row_of_a_gap_counts_and_earlier_rows_stay(tmp_path):
    store = await store_at(tmp_path / "ledger.db")
    store.put(opened(1))
    store.put(closed(1, 99))
    await store.aclose()
    (found,) = read_day(store.path, 20250829).gaps
    assert (found.end_ns, found.lost_volume) == (99, 7)
    with closing(open_ledger(store.path)) as connection:
        rows = connection.execute("SELECT event, end_ns FROM gap_rows ORDER BY row").fetchall()
        assert rows == [("opened", None), ("closed", 99)]
        for change in ("UPDATE gap_rows SET end_ns = 1", "DELETE FROM gap_rows"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(change)


async def test_every_commit_is_synced(tmp_path):
    with closing(open_ledger(tmp_path / "ledger.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


async def test_the_wanted_set_of_the_last_sign_of_life_is_what_the_next_gateway_finds(tmp_path):
    store = await store_at(tmp_path / "ledger.db")
    assert store.past is None
    both, one = frozenset([RB, AU]), frozenset([RB])
    store.mark(Mark(10, {"ctp": both, "sim": one}))
    await store.flushed()
    store.mark(Mark(11, {"ctp": frozenset([AU]), "sim": one}, (Watched("ctp", 20250829, "day", 10, 11, 1),)))
    await store.flushed()
    store.mark(Mark(12, {"ctp": frozenset([AU]), "sim": one}, clean=True))
    await store.aclose()
    again = await store_at(store.path)
    assert again.past is not None
    assert (again.past.alive_ns, again.past.clean) == (12, True)
    assert again.past.wanted == {"ctp": frozenset([AU]), "sim": one}
    await again.aclose()
    third = await store_at(store.path)
    assert third.past == again.past  # a gateway that never got to its first sign of life changes nothing
    await third.aclose()


async def test_a_second_gateway_on_the_same_ledger_is_refused(tmp_path):
    store = await store_at(tmp_path / "ledger.db")
    with pytest.raises(LedgerError, match=r"another gateway writes.*its own path"):
        await store_at(store.path)
    await store.aclose()
    await store.aclose()
    await (await store_at(store.path)).aclose()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no database at all, just text" * 100, "file is not a database"), (None, "not a gap ledger"), (2, "format 99")],
)
async def test_a_file_that_is_no_ledger_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "other.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE mine (x)")
            if content:
                connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=message) as error:
        await store_at(path)
    assert str(path) in str(error.value)
    with pytest.raises(LedgerError, match=message):
        read_day(path)
    if content is not None and isinstance(content, bytes):
        assert path.read_bytes() == before


async def test_reading_a_ledger_that_is_not_there_makes_none(tmp_path):
    with pytest.raises(LedgerError, match="no gap ledger"):
        read_day(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_gap_survives_its_row():
    import msgspec

    whole = gap(1)
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Gap) == whole
