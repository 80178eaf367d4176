"""Writes the gap ledger: a bounded queue, a thread of its own, an fsync per commit. Never blocks the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import sqlite3
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import IO

from gateway.clock import Clock
from gateway.flow.gaphistory import read_day
from gateway.flow.gaps import GapEvent, LedgerError, Mark, Past, StoreHealth
from gateway.flow.gapschema import append, append_note, full_or_failing, open_ledger, read_past, unreadable, write_mark
from gateway.gaps import GapDay

_log = logging.getLogger(__name__)

_BATCH = 2000
"""Rows per commit at most: about 20 ms of writing."""
_LINGER_S = 0.02

_Row = GapEvent | tuple[int, str]


class GapStore:
    """Implements LedgerStore with a file. One store per file: a second one is refused, also in another process.

    ``put``, ``note`` and ``mark`` return at once, never raise, and may be called from the loop only. Rows are written
    in the order of putting; a mark never before the rows that were put before it. While the disk refuses, rows
    wait, up to ``limit``; then new ones are refused and counted, and the ledger gets a note of it when it can write.
    """

    def __init__(self, path: Path, *, clock: Clock, limit: int = 200_000, retry_s: float = 1.0) -> None:
        """``limit``: rows in memory at most. ``retry_s``: real seconds between attempts while the disk refuses."""
        self.path = path
        self.past: Past | None = None
        """What the run before left; set by :meth:`start`."""
        self._clock = clock
        self._limit = limit
        self._retry_s = retry_s
        self._lock_file: IO[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        # -- guarded by _changed
        self._rows: deque[_Row] = deque()
        self._put = 0
        self._written = 0
        self._mark: tuple[int, Mark] | None = None
        self._closing = False
        self._idle = False
        """The thread waits for something to do."""
        self._failures = 0
        self._reason = ""
        self._lost = 0
        self._lost_untold = 0
        self._waiters: list[tuple[int, Future[None]]] = []
        self._opening: asyncio.Future[None] | None = None
        # -- the thread's own
        self._connection: sqlite3.Connection | None = None
        self._run: int | None = None
        self._wanted: Mark | None = None
        self._started_ns = 0

    async def start(self) -> None:
        """Open the file, read what the last run left, start the thread.

        Raises LedgerError when the path cannot be used, is no ledger or belongs to another gateway. A full or
        failing disk is no error here: the store begins degraded and goes on trying; ``past`` is then None.
        """
        self._started_ns = self._clock.wall_ns()
        # a thread cannot be cancelled: aclose waits for it, or a cancelled start would leave the file locked
        self._opening = asyncio.get_running_loop().run_in_executor(None, self._open)
        await asyncio.shield(self._opening)
        self._thread = threading.Thread(target=self._work, name=f"gap ledger {self.path.name}")
        self._thread.start()

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = self.path.with_name(self.path.name + ".lock").open("ab")
        except OSError as error:
            raise unreadable(self.path, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise LedgerError(
                f"another gateway writes the gap ledger {self.path}; stop it, or give this one its own path",
                path=str(self.path),
            ) from None
        try:
            with closing(open_ledger(self.path)) as connection:
                self.past = read_past(connection)
        except sqlite3.Error as error:
            if not full_or_failing(error):
                lock.close()
                raise unreadable(self.path, error) from None
            self._failed(error)
        except BaseException:
            lock.close()
            raise
        self._lock_file = lock

    @property
    def health(self) -> StoreHealth:
        """As of now."""
        with self._changed:
            return StoreHealth(
                degraded=bool(self._reason),
                reason=self._reason,
                failures=self._failures,
                waiting=len(self._rows),
                written=self._written,
                lost=self._lost,
            )

    def put(self, event: GapEvent) -> None:
        """Append a row."""
        self._queue(event)

    def note(self, text: str) -> None:
        """Append a sentence that readers of the ledger must know."""
        self._queue((self._clock.wall_ns(), text))

    def _queue(self, row: _Row) -> None:
        with self._changed:
            if len(self._rows) >= self._limit or self._closing:
                self._lost += 1
                self._lost_untold += 1
                return
            self._rows.append(row)
            self._put += 1
            if self._idle or len(self._rows) == _BATCH:
                self._changed.notify()

    def mark(self, mark: Mark) -> None:
        """Sign of life; the latest one counts. What an unwritten one says about sessions that ended since is kept."""
        with self._changed:
            if self._mark is not None:
                watched = {one[:4]: one for one in (*self._mark[1].watched, *mark.watched)}
                mark = mark._replace(watched=tuple(watched.values()))
            self._mark = (self._put, mark)
            self._changed.notify()

    async def flushed(self) -> None:
        """Return when everything put before is on the disk; while the disk refuses, that is not now."""
        done: Future[None] = Future()
        with self._changed:
            if self._written >= self._put and self._mark is None:
                return
            self._waiters.append((self._put, done))
            self._changed.notify()
        await asyncio.wrap_future(done)

    async def day(self, trading_day: int | None, feed: str | None) -> GapDay:
        """See :func:`~gateway.flow.gaphistory.read_day`."""
        return await asyncio.to_thread(read_day, self.path, trading_day, feed)

    async def aclose(self) -> None:
        """Write what waits (one attempt), end the thread, give the file back. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._opening is not None:
            await asyncio.wait({self._opening})
            if not self._opening.cancelled():
                self._opening.exception()  # told by start, unless that was cancelled; then nobody wants to know
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None
        with self._changed:
            waiters, self._waiters = self._waiters, []
        for _, done in waiters:
            done.cancel()

    # -- the thread ------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle = True
                self._changed.wait_for(lambda: bool(self._rows or self._mark or self._closing))
                self._idle = False
                # a burst becomes few commits, and the thread does not fight the loop for the interpreter meanwhile
                self._changed.wait_for(self._hurry, _LINGER_S)
                rows = list(islice(self._rows, _BATCH))
                due = self._mark if self._mark is not None and self._mark[0] <= self._written + len(rows) else None
                lost, closing_now = self._lost_untold, self._closing
            if not rows and due is None:
                break  # closing, and nothing is left
            try:
                self._write(rows, due[1] if due is not None else None, lost)
            except (sqlite3.Error, OSError, LedgerError) as error:
                self._failed(error)
                if closing_now:
                    break
                with self._changed:
                    if not self._closing:
                        self._changed.wait_for(lambda: self._closing, self._retry_s)
            else:
                self._succeeded(len(rows), due, lost)
        self._end()

    def _hurry(self) -> bool:
        return self._closing or bool(self._waiters) or len(self._rows) >= _BATCH

    def _write(self, rows: list[_Row], mark: Mark | None, lost: int) -> None:
        """One transaction. Everything or nothing."""
        if self._connection is None:
            self._connection = open_ledger(self.path)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        run = self._run
        if lost:
            append_note(
                connection,
                self._clock.wall_ns(),
                f"{lost} rows are missing here: they could not be written and did not fit into memory",
            )
        for row in rows:
            if isinstance(row, GapEvent):
                append(connection, row)
            else:
                append_note(connection, *row)
        if mark is not None:
            wanted = self._wanted.wanted if self._wanted is not None else {}
            run = write_mark(connection, run, mark, wanted, self._started_ns)
        connection.execute("COMMIT")
        self._run = run
        if mark is not None:
            self._wanted = mark

    def _succeeded(self, rows: int, due: tuple[int, Mark] | None, lost: int) -> None:
        with self._changed:
            for _ in range(rows):
                self._rows.popleft()
            self._written += rows
            self._lost_untold -= lost
            if self._mark is due:
                self._mark = None
            was, self._reason = self._reason, ""
            waiting = len(self._rows)
            ready = [done for put, done in self._waiters if put <= self._written and self._mark is None]
            self._waiters = [one for one in self._waiters if one[1] not in ready]
        for done in ready:
            if not done.done():
                done.set_result(None)
        if was:
            _log.warning("the gap ledger writes again (%d rows still wait): %s", waiting, self.path)

    def _failed(self, error: Exception) -> None:
        """Nothing of the attempt counts; the connection may be in any state, so the next attempt opens a new one."""
        self._disconnect()
        reason = str(error)
        with self._changed:
            self._failures += 1
            again, self._reason = reason == self._reason, reason
            waiting = len(self._rows)
        if not again:
            _log.error(
                "the gap ledger cannot be written (%s), ticks go on; %d rows wait in memory and are tried again "
                "every %g s. Make room on the disk of %s",
                reason,
                waiting,
                self._retry_s,
                self.path,
            )

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _end(self) -> None:
        self._disconnect()
        with self._changed:
            left = len(self._rows)
            self._lost += left
            self._rows.clear()
        if left:
            _log.error("the gap ledger was closed with %d rows unwritten: %s", left, self.path)
