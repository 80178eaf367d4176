"""Is the audit what was written? Reads everything, changes nothing."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runbook.audit.chain import GENESIS, key_id
from runbook.audit.errors import AuditError
from runbook.audit.files import AuditFile, audit_files, locked, unreadable
from runbook.audit.head import Head, read_head
from runbook.audit.index import indexed_hashes
from runbook.audit.report import Finding, Report, Severity
from runbook.audit.retention import pruned_files
from runbook.audit.tail import PENDING
from runbook.audit.walk import Walk

_MOST_FINDINGS: Final = 200


@dataclass(frozen=True, slots=True)
class _Snapshot:
    files: Sequence[tuple[AuditFile, bytes]]
    head: Head | None
    head_damage: str
    strangers: Sequence[str]


def verify(
    directory: Path,
    expect: str | Sequence[str] | None = None,
    key: bytes | Sequence[bytes] | None = None,
    *,
    accept: Collection[int] = (),
) -> Report:
    """Check every line, the chain, the seals, the head file, the index, and what witnesses remember.

    ``expect``: head hashes that were kept elsewhere, each ``HASH`` or ``SEQ:HASH``; each must be in the chain.
    ``key``: the audit's key, after a rotation all of them. With a key, an audit without seals is a finding.
    ``accept``: numbers of ``break`` notes that were looked into, and of the first sealed record where a key was
    introduced; they are then told and no longer held against it.

    Writers wait while the files are read, not while they are checked. Blocks: some seconds for 100,000 records.
    Raises AuditError when the directory cannot be read at all, or an expectation is no hash.
    """
    expected = [_expectation(text) for text in ([expect] if isinstance(expect, str) else expect or ())]
    keys = {key_id(one): one for one in ([key] if isinstance(key, bytes) else key or ())}
    with locked(directory, exclusive=False):
        snapshot = _snapshot(directory)
        try:
            index: dict[int, str] | None = indexed_hashes(directory)
        except AuditError as error:
            index, index_damage = None, str(error)
        else:
            index_damage = "" if index is not None else "there is no index"
    walk = Walk(keys, frozenset(accept))
    for file, data in snapshot.files:
        walk.file(file, data, is_last=file is snapshot.files[-1][0])
    walk.finish()
    _check_beginning(walk)
    _check_head(walk, snapshot, keys)
    _check_expected(walk, expected)
    if index is not None:
        _check_index(walk, index)
    else:
        walk.warn("index", f"{index_damage}; it cannot bear witness: `runbook audit reindex` makes it anew")
    for name in snapshot.strangers:
        walk.warn("stranger", "is not part of the audit", file=name)
    report = walk.report
    tampered = [finding for finding in report.findings if finding.severity is Severity.TAMPERED]
    others = [finding for finding in report.findings if finding.severity is not Severity.TAMPERED]
    report.findings = (tampered + others)[:_MOST_FINDINGS]
    return report


def _expectation(text: str) -> tuple[int, str]:
    number, _, digest = text.strip().lower().rpartition(":")
    if len(digest) != len(GENESIS) or set(digest) - set("0123456789abcdef") or not (number or "0").isdigit():
        raise AuditError(f"{text!r} is no head: give HASH or NUMBER:HASH as `runbook audit head` prints it")
    return int(number or 0), digest


def _snapshot(directory: Path) -> _Snapshot:
    files = audit_files(directory)
    data = []
    for file in files:
        path = directory / file.name
        try:
            data.append((file, path.read_bytes()))
        except OSError as error:
            raise unreadable(path, error) from error
    damage = ""
    try:
        head = read_head(directory)
    except ValueError as error:
        head, damage = None, str(error)
    ours = {file.name for file in files}
    strangers = [name for name in os.listdir(directory) if name.startswith("audit") and name not in ours]  # noqa: PTH208 - names are wanted
    torn = directory / "torn"
    if torn.is_dir():
        strangers += [f"torn/{path.name}" for path in torn.glob(f"*{PENDING}")]
    return _Snapshot(data, head, damage, sorted(strangers))


def _check_beginning(walk: Walk) -> None:
    """The first record is number 1, or a ``pruned`` record holds what came before it."""
    first = walk.first
    if first is None or first.seq == 1:
        return
    before = first.seq - 1
    if first.chain.get("kind") == "break":
        tail = first.chain.get("tail")
        before = tail.get("seq", before) if isinstance(tail, dict) else before
        if before == 0 and first.prev == GENESIS:
            return  # the walk has told of it
    for entry in walk.pruned:
        try:
            removed = pruned_files(entry.chain)
        except ValueError as error:
            walk.tampered("pruned", f"is a record of removed files without sense: {error}", seq=entry.seq)
            continue
        for file in removed:
            if (file.last, file.hash) == (before, first.prev):
                message = f"records 1 to {file.last} were removed by retention ({entry.record.operator}, "
                message += (
                    f"{entry.written[:19]}, kept {entry.chain.get('keep_days')} days), as record {entry.seq} says"
                )
                walk.add(Finding(kind="pruned", severity=Severity.INFO, message=message, seq=first.seq))
                return
    walk.tampered(
        "missing",
        f"records 1 to {first.seq - 1} are gone and no record of retention names them",
        seq=first.seq,
        file=walk.first_file,
        expected="record 1",
        found=f"record {first.seq}",
    )


def _check_head(walk: Walk, snapshot: _Snapshot, keys: dict[str, bytes]) -> None:
    head, last = snapshot.head, walk.last_seq
    if snapshot.head_damage:
        walk.tampered("head", f"is damaged: {snapshot.head_damage}", file="head.json")
        return
    if head is None:
        if last > 1:
            walk.tampered("head", f"is missing, and the audit has {last} records", file="head.json")
        elif last == 1:
            walk.warn("head", "is missing: a crash in the first record, or somebody's hand", file="head.json")
        return
    if keys and (head.key not in keys or not head.is_sealed_by(keys[head.key])):
        walk.tampered("head", "is not sealed with the key", file="head.json", seq=head.seq)
    _check_head_place(walk, head)


def _check_head_place(walk: Walk, head: Head) -> None:
    last = walk.last_seq
    found = walk.hashes.get(head.seq, "")
    if found == head.hash:
        if head.written != walk.written[head.seq]:
            message, time = "says another time than the record", walk.written[head.seq]
            walk.tampered("head", message, file="head.json", seq=head.seq, expected=time, found=head.written)
        if last > head.seq + 1:
            message = "is older than the files; a crash explains one record"
            walk.tampered("head", message, file="head.json", seq=head.seq, expected=str(last), found=str(head.seq))
        elif last == head.seq + 1:
            walk.warn("head", "is one record behind: a writer died there", file="head.json", seq=head.seq)
    elif head.seq in walk.damaged:
        return  # the walk has told of it
    elif walk.break_tells_of(head.seq, head.hash):
        walk.warn("head", "is from before the break: a writer died there", file="head.json", seq=head.seq)
    elif head.seq > last:
        walk.tampered(
            "truncated",
            f"records {last + 1} to {head.seq} were written, as head.json says, and are gone",
            file=walk.last_file,
            line=walk.last_line,
            seq=last,
            expected=f"record {head.seq} {head.hash}",
            found=f"record {last}",
        )
    else:
        message = "this record is not the one that head.json remembers"
        walk.tampered("rewritten", message, seq=head.seq, expected=head.hash, found=found, at=head.seq)


def _check_expected(walk: Walk, expected: Sequence[tuple[int, str]]) -> None:
    there = set(walk.hashes.values())
    for entry in walk.pruned:
        try:
            there |= {file.hash for file in pruned_files(entry.chain)}
        except ValueError:
            continue
    for seq, digest in expected:
        if digest in there and (not seq or walk.hashes.get(seq, digest) == digest):
            continue
        if seq and walk.first and seq < walk.first.seq and any(e.chain for e in walk.pruned):
            walk.warn("expected", "cannot be checked: retention removed it", seq=seq, expected=digest)
        elif seq and seq <= walk.last_seq:
            message = "this record is not the one that was given out"
            found = walk.hashes.get(seq, "nothing")
            walk.tampered("rewritten", message, seq=seq, expected=digest, found=found, at=seq)
        else:
            walk.tampered(
                "truncated",
                "the expected head is not in the chain: the end was cut off, or the chain written anew",
                file=walk.last_file,
                line=walk.last_line,
                seq=walk.last_seq,
                expected=f"{seq}:{digest}" if seq else digest,
                found=f"{walk.last_seq}:{walk.report.head}",
            )


def _check_index(walk: Walk, index: dict[int, str]) -> None:
    lost = sorted(index.keys() - walk.hashes.keys() - walk.damaged)
    unexplained = [seq for seq in lost if not walk.was_pruned(seq) and not walk.break_covers(seq)]
    if unexplained:
        walk.tampered(
            "truncated" if unexplained[0] > walk.last_seq else "missing",
            f"{len(unexplained)} records from number {unexplained[0]} are in the index and not in the files",
            file=walk.last_file,
            seq=unexplained[0],
            expected=index[unexplained[0]],
        )
    changed = sorted(seq for seq, digest in index.items() if walk.hashes.get(seq, digest) != digest)
    for seq in changed[:10]:
        message = "the index remembers another record here"
        walk.tampered("rewritten", message, seq=seq, expected=index[seq], found=walk.hashes[seq], at=seq)
