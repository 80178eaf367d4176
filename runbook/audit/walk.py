"""Goes along the chain, line by line, and notes what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook.audit.chain import GENESIS, Entry, line_mac
from runbook.audit.files import AuditFile, Found, read_lines, torn_part
from runbook.audit.report import Finding, Report, Severity


class Walk:
    """Feed it the files in order, then call :meth:`finish`. After a fault it goes on from what the line claims."""

    def __init__(self, keys: Mapping[str, bytes], accept: frozenset[int]) -> None:
        self.report = Report()
        self.hashes: dict[int, str] = {}
        """Of the records whose bytes are right, by number."""
        self.written: dict[int, str] = {}
        self.damaged: set[int] = set()
        """Numbers that lines with wrong bytes should have."""
        self.first: Entry | None = None
        self.first_file = ""
        self.last_seq = 0
        self.last_file = ""
        self.last_line = 0
        self.pruned: list[Entry] = []
        self._breaks: list[Entry] = []
        self._keys = keys
        self._accept = accept
        self._places: dict[int, tuple[str, int]] = {}
        self._seq = 0
        self._prev: str | None = GENESIS
        self._started = False
        self._keyed = False
        self._unchecked = 0
        self._last: Entry | None = None

    def add(self, finding: Finding) -> None:
        self.report.findings.append(finding)

    def tampered(self, kind: str, message: str, *, at: int = 0, **where: Any) -> None:
        """A finding against the audit; ``at`` looks up file and line of a record."""
        if at in self._places:
            where["file"], where["line"] = self._places[at]
        self.add(Finding(kind=kind, severity=Severity.TAMPERED, message=message, **where))

    def warn(self, kind: str, message: str, **where: Any) -> None:
        self.add(Finding(kind=kind, severity=Severity.WARNING, message=message, **where))

    def file(self, file: AuditFile, data: bytes, *, is_last: bool) -> None:
        """Go along one file."""
        self.report.files += 1
        torn = torn_part(data)
        line = 0
        for found in read_lines(file.name, data):
            line = found.line
            self._line(file, found)
        if not data and is_last and self._seq < file.first:
            self.warn("empty", "has no record: a writer died before the first one", file=file.name)
        elif not line and not (is_last and torn):
            self.tampered("empty", "has no record", file=file.name, seq=file.first)
        if torn and is_last:
            message = f"ends within a line ({len(torn)} bytes): a writer died there; the next one moves it aside"
            self.warn("torn", message, file=file.name, line=line + 1)
        elif torn:
            self.tampered("torn", "ends within a line and is not the last file", file=file.name, line=line + 1)
        if line:
            self.last_file, self.last_line = file.name, line

    def finish(self) -> None:
        """What can only be said at the end."""
        report = self.report
        report.last, report.head = self.last_seq, self._last.hash if self._last else ""
        report.first = self.first.seq if self.first else 0
        if not report.files:
            self.warn("empty", "there is no record at all")
        if self._keys and report.records and not self._keyed:
            self.tampered("unsealed", "a key was given and no record is sealed with it", seq=report.last)
        if not self._keys and self._keyed:
            self.warn("key", f"the seals of {self._unchecked} records were not checked: no key was given")

    def break_tells_of(self, seq: int, digest: str) -> bool:
        """Whether the very last record is the note of a break at this head."""
        last = self._last
        return bool(last and last.chain.get("kind") == "break" and last.chain.get("head") == _head(seq, digest))

    def break_covers(self, seq: int) -> bool:
        """Whether a break, told of already, lost this record."""
        return any(_lost(entry)[0] <= seq <= _lost(entry)[1] for entry in self._breaks)

    def was_pruned(self, seq: int) -> bool:
        return bool(self.first and seq < self.first.seq and self.pruned)

    def _line(self, file: AuditFile, found: Found) -> None:
        if found.error is not None:
            self._damaged(file, found)
            return
        entry = found.entry
        assert entry is not None  # noqa: S101 - a line has an entry or an error
        self.report.records += 1
        if not self._started:
            self._begin(file, entry)
        is_break = entry.chain.get("kind") == "break"
        if is_break:
            self._break(file, found.line, entry)
        elif entry.seq != self._seq + 1:
            self._out_of_sequence(file, found.line, entry)
        elif self._prev is not None and entry.prev != self._prev:
            message = "the record before it is not the one it was chained to"
            where: dict[str, Any] = {"file": file.name, "line": found.line, "seq": entry.seq}
            self.tampered("chain", message, **where, expected=self._prev, found=entry.prev)
        self._check_file(file, found.line, entry)
        self._check_seal(file, found.line, entry)
        if entry.chain.get("kind") == "pruned":
            self.pruned.append(entry)
        self.hashes.setdefault(entry.seq, entry.hash)
        self.written.setdefault(entry.seq, entry.written)
        self._places.setdefault(entry.seq, (file.name, found.line))
        self._seq, self._prev, self._last = entry.seq, entry.hash, entry
        self.last_seq = entry.seq

    def _begin(self, file: AuditFile, entry: Entry) -> None:
        self._started, self.first, self.first_file = True, entry, file.name
        if entry.seq > 1:  # whether that is right, the end of the walk says: a later record of retention may tell
            self._seq, self._prev = entry.seq - 1, None

    def _damaged(self, file: AuditFile, found: Found) -> None:
        error = found.error
        assert error is not None  # noqa: S101 - see the caller
        if not self._started:
            self._started, self._seq = True, file.first - 1
        expected = self._seq + 1
        self.tampered(error.kind, str(error), file=file.name, line=found.line, seq=expected)
        self._seq, self._prev = expected, error.claimed
        self.damaged.add(expected)
        self.last_seq = max(self.last_seq, expected)

    def _out_of_sequence(self, file: AuditFile, line: int, entry: Entry) -> None:
        expected = self._seq + 1
        if entry.seq > expected:
            last = entry.seq - 1
            message = (
                f"record {expected} is missing" if last == expected else f"records {expected} to {last} are missing"
            )
        elif self.hashes.get(entry.seq) == entry.hash:
            message = "the record is there a second time"
        else:
            message = "the record is at the wrong place"
        where: dict[str, Any] = {"file": file.name, "line": line, "seq": entry.seq}
        self.tampered("sequence", message, **where, expected=f"record {expected}", found=f"record {entry.seq}")

    def _break(self, file: AuditFile, line: int, entry: Entry) -> None:
        self._breaks.append(entry)
        lost = _lost(entry)
        gap = f"; records {lost[0]} to {lost[1]} are lost" if lost[0] <= lost[1] else ""
        message = f"before this record the audit was damaged or changed: {entry.chain.get('why')}{gap}"
        where: dict[str, Any] = {"file": file.name, "line": line, "seq": entry.seq}
        if entry.seq in self._accept:
            self.add(Finding(kind="break", severity=Severity.INFO, message=f"accepted: {message}", **where))
        else:
            self.tampered("break", message, **where)
        tail = entry.chain.get("tail")
        honest = isinstance(tail, dict) and (tail.get("seq") == self._seq or entry is self.first)
        if not honest or entry.seq <= self._seq:
            message = "the note of a break does not fit the records before it"
            self.tampered("sequence", message, **where, expected=f"a break after record {self._seq}", found=str(tail))
        elif self._prev is not None and entry is not self.first and entry.prev != self._prev:
            message = "the record before it is not the one it was chained to"
            self.tampered("chain", message, **where, expected=self._prev, found=entry.prev)

    def _check_file(self, file: AuditFile, line: int, entry: Entry) -> None:
        where: dict[str, Any] = {"file": file.name, "line": line, "seq": entry.seq}
        if line > 1 and entry.file:
            message = "this record begins a file, and is in the middle of one"
            self.tampered("rotation", message, **where, expected=entry.file, found=file.name)
        if line == 1 and entry.file != file.name:
            message = "the first record of the file says that it belongs elsewhere"
            self.tampered("rotation", message, **where, expected=entry.file or "not a first record", found=file.name)
        if line == 1 and (entry.seq != file.first or entry.written[:4] + entry.written[5:7] != file.month):
            message = "the name of the file does not fit its first record"
            self.tampered("rotation", message, **where, expected=f"{entry.seq}, {entry.written[:7]}", found=file.name)

    def _check_seal(self, file: AuditFile, line: int, entry: Entry) -> None:
        where: dict[str, Any] = {"file": file.name, "line": line, "seq": entry.seq}
        if not entry.mac:
            if self._keyed or entry.key:
                self.tampered("unsealed", "the record has no seal, and those before it have", **where)
            return
        if not entry.key:
            self.tampered("seal", "the record has a seal and names no key", **where)
            return
        if self._keys and not self._keyed and entry is not self.first:
            self._key_begins(entry, where)
        self._keyed = True
        if not self._keys:
            self._unchecked += 1
        elif entry.key not in self._keys:
            known = ", ".join(sorted(self._keys))
            self.tampered("seal", "the record is sealed with an unknown key", **where, expected=known, found=entry.key)
        elif line_mac(self._keys[entry.key], entry.hash) != entry.mac:
            self.tampered("seal", "the seal is not of the audit's key", **where)
        else:
            self.report.sealed += 1

    def _key_begins(self, entry: Entry, where: dict[str, Any]) -> None:
        """Unsealed records before a seal: before the key there was none, or somebody wrote everything anew."""
        message = "the records before it are not sealed: the key was introduced here, or they were written anew"
        if entry.seq in self._accept:
            self.add(Finding(kind="unsealed", severity=Severity.INFO, message=f"accepted: {message}", **where))
        else:
            self.tampered("unsealed", message, **where)


def _head(seq: int, digest: str) -> dict[str, Any]:
    return {"seq": seq, "hash": digest}


def _lost(entry: Entry) -> tuple[int, int]:
    """First and last number that a break says are gone; first above last: none."""
    tail = entry.chain.get("tail")
    seq = tail.get("seq") if isinstance(tail, dict) else None
    return (seq + 1 if isinstance(seq, int) else entry.seq), entry.seq - 1
