"""What somebody who can write the files could do, and where the verification points."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.audit import AuditError, AuditIndex, AuditLog, Finding, Report, verify
from runbook.audit.chain import Position, seal, unseal
from runbook.audit.files import audit_files
from runbook.audit.head import write_head

KEY = b"a key of thirty-two bytes, random"
Fill = Callable[..., AuditLog]


class Hand:
    """Somebody's hand in the files. Records are named by their number."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files = [directory / file.name for file in audit_files(directory)]
        self.lines = {path: path.read_bytes().splitlines(keepends=True) for path in self.files}

    def place(self, seq: int) -> tuple[Path, int]:
        for path in reversed(self.files):
            first = int(path.name[6:16])
            if seq >= first:
                return path, seq - first
        raise AssertionError(seq)

    def get(self, seq: int) -> bytes:
        path, line = self.place(seq)
        return self.lines[path][line]

    def put(self, seq: int, *raw: bytes) -> None:
        path, line = self.place(seq)
        self.lines[path][line : line + 1] = raw
        path.write_bytes(b"".join(self.lines[path]))

    def cut_after(self, seq: int) -> None:
        for path in self.files:
            first = int(path.name[6:16])
            if first > seq:
                path.unlink()
            else:
                path.write_bytes(b"".join(self.lines[path][: seq + 1 - first]))

    def rewrite_from(self, seq: int, *, head: bool = True, index: bool = True, **changes: Any) -> None:
        """The best that somebody without the key can do: change a record and hash everything after it anew."""
        prev = unseal(self.get(seq).rstrip(b"\n")).prev
        position = None
        for number in range(seq, 31):
            entry = unseal(self.get(number).rstrip(b"\n"))
            new = replace(entry.record, **changes) if number == seq else entry.record
            raw, digest = seal(new, seq=number, prev=prev, written=entry.written, file=entry.file)
            self.put(number, raw)
            prev = digest
            position = Position(number, digest, "", 0, entry.written)
        if head and position:
            write_head(self.directory, position, None)
        if index:
            AuditIndex(self.directory).rebuild()


def serious(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.severity == "tampered"]


def rehash(raw: bytes, **changes: Any) -> bytes:
    """A changed line with its own hash right again."""
    body = json.loads(raw)
    body.pop("hash")
    body.pop("mac", None)
    data = json.dumps(body | changes, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return data[:-1] + f',"hash":"{hashlib.sha256(data).hexdigest()}"}}\n'.encode()


def edit_a_byte(hand: Hand) -> None:
    hand.put(9, hand.get(9).replace(b'"operator":"wang"', b'"operator":"wanG"'))


def edit_the_exit_code_and_its_hash(hand: Hand) -> None:
    hand.put(9, rehash(hand.get(9), exit_code=0))


def edit_the_last_record_and_its_hash(hand: Hand) -> None:
    hand.put(30, rehash(hand.get(30), exit_code=0))


def edit_the_first_record_and_its_hash(hand: Hand) -> None:
    hand.put(1, rehash(hand.get(1), operator="li"))


def edit_only_the_hash(hand: Hand) -> None:
    raw = hand.get(9)
    hand.put(9, raw[:-10] + (b"0" if raw[-10:-9] != b"0" else b"1") + raw[-9:])


def edit_the_number(hand: Hand) -> None:
    hand.put(9, rehash(hand.get(9), seq=10))


def edit_prev(hand: Hand) -> None:
    hand.put(9, rehash(hand.get(9), prev="1" * 64))


def edit_the_time_zone(hand: Hand) -> None:
    hand.put(9, rehash(hand.get(9), written="2026-11-21T03:00:00+00:00"))


def add_a_field(hand: Hand) -> None:
    hand.put(9, rehash(hand.get(9), approved_by="li"))


def remove_a_field(hand: Hand) -> None:
    body = json.loads(hand.get(9))
    del body["reason"]
    hand.put(9, rehash(json.dumps(body).encode()))


def write_a_field_twice(hand: Hand) -> None:
    hand.put(9, hand.get(9).replace(b'{"action":', b'{"action":"stop","action":'))


def add_blanks(hand: Hand) -> None:
    hand.put(9, hand.get(9).replace(b'","', b'", "', 1))


def write_it_in_another_form(hand: Hand) -> None:
    """Another JSON writer: the same values, escapes instead of UTF-8, the hash of these bytes."""
    body = json.loads(hand.get(9))
    del body["hash"]
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    hand.put(9, data[:-1] + f',"hash":"{hashlib.sha256(data).hexdigest()}"}}\n'.encode())


def save_it_as_gb18030(hand: Hand) -> None:
    hand.put(9, hand.get(9).decode().encode("gb18030"))


def save_it_as_utf16(hand: Hand) -> None:
    path, _ = hand.place(9)
    path.write_bytes(path.read_bytes().decode().encode("utf-16"))


def add_a_byte_order_mark(hand: Hand) -> None:
    hand.put(1, b"\xef\xbb\xbf" + hand.get(1))


def save_it_with_windows_line_ends(hand: Hand) -> None:
    hand.put(9, hand.get(9).replace(b"\n", b"\r\n"))


def remove_a_record(hand: Hand) -> None:
    hand.put(9)


def remove_three_records(hand: Hand) -> None:
    path, line = hand.place(11)
    del hand.lines[path][line - 1 : line + 2]
    path.write_bytes(b"".join(hand.lines[path]))


def remove_the_first_record(hand: Hand) -> None:
    hand.put(1)


def remove_the_last_record(hand: Hand) -> None:
    hand.put(30)


def remove_the_last_ten_records(hand: Hand) -> None:
    hand.cut_after(20)


def cut_within_the_last_record(hand: Hand) -> None:
    hand.put(30, hand.get(30)[:40])


def cut_the_last_line_feed(hand: Hand) -> None:
    hand.put(30, hand.get(30)[:-1])


def repeat_a_record(hand: Hand) -> None:
    hand.put(9, hand.get(9), hand.get(9))


def repeat_the_last_record(hand: Hand) -> None:
    hand.put(30, hand.get(30), hand.get(30))


def repeat_an_old_record_at_the_end(hand: Hand) -> None:
    hand.put(30, hand.get(30), hand.get(9))


def swap_two_records(hand: Hand) -> None:
    nine, ten = hand.get(9), hand.get(10)
    hand.put(9, ten)
    hand.put(10, nine)


def insert_a_record(hand: Hand) -> None:
    hand.put(9, hand.get(9), rehash(hand.get(9), seq=10, prev=json.loads(hand.get(9))["hash"], message="approved"))


def insert_a_blank_line(hand: Hand) -> None:
    hand.put(9, b"\n", hand.get(9))


def insert_garbage(hand: Hand) -> None:
    hand.put(9, hand.get(9), b"\xff\x00garbage\n")


def remove_the_first_file(hand: Hand) -> None:
    hand.files[0].unlink()


def remove_a_file_in_the_middle(hand: Hand) -> None:
    hand.files[1].unlink()


def remove_the_last_file(hand: Hand) -> None:
    hand.files[-1].unlink()


def remove_all_files(hand: Hand) -> None:
    for path in hand.files:
        path.unlink()


def swap_two_files(hand: Hand) -> None:
    first, second = hand.files[0].read_bytes(), hand.files[1].read_bytes()
    hand.files[0].write_bytes(second)
    hand.files[1].write_bytes(first)


def rename_a_file(hand: Hand) -> None:
    hand.files[1].rename(hand.directory / "audit-0000000002-202611.jsonl")


def rename_a_file_to_another_month(hand: Hand) -> None:
    hand.files[1].rename(hand.directory / hand.files[1].name.replace("202611", "202610"))


def copy_a_file(hand: Hand) -> None:
    shutil.copy(hand.files[1], hand.directory / hand.files[1].name.replace("202611", "202612"))


def join_two_files(hand: Hand) -> None:
    hand.files[0].write_bytes(hand.files[0].read_bytes() + hand.files[1].read_bytes())
    hand.files[1].unlink()


def split_a_file(hand: Hand) -> None:
    path, line = hand.place(11)
    rest = hand.lines[path][line:]
    path.write_bytes(b"".join(hand.lines[path][:line]))
    (hand.directory / "audit-0000000011-202611.jsonl").write_bytes(b"".join(rest))


def move_a_record_over_the_edge_of_a_file(hand: Hand) -> None:
    path, last = hand.files[0], hand.lines[hand.files[0]][-1]
    path.write_bytes(b"".join(hand.lines[path][:-1]))
    hand.files[1].write_bytes(last + hand.files[1].read_bytes())


def empty_a_file(hand: Hand) -> None:
    hand.files[1].write_bytes(b"")


def empty_the_last_file(hand: Hand) -> None:
    hand.files[-1].write_bytes(b"")


def tear_a_file_in_the_middle(hand: Hand) -> None:
    hand.files[0].write_bytes(hand.files[0].read_bytes()[:-20])


def remove_the_head(hand: Hand) -> None:
    (hand.directory / "head.json").unlink()


def damage_the_head(hand: Hand) -> None:
    (hand.directory / "head.json").write_bytes(b'{"seq":30}')


def set_the_head_back(hand: Hand) -> None:
    entry = unseal(hand.get(20).rstrip())
    write_head(hand.directory, Position(20, entry.hash, "", 0, entry.written), None)


def cut_the_end_and_set_the_head_back(hand: Hand) -> None:
    hand.cut_after(20)
    set_the_head_back(hand)


def rewrite_all_and_forget_the_index(hand: Hand) -> None:
    hand.rewrite_from(9, index=False, operator="li")


def forge_a_record_of_retention(hand: Hand) -> None:
    """Names the removed file, and with a wrong hash."""
    entry = unseal(hand.get(30).rstrip())
    removed = {"name": hand.files[0].name, "first": 1, "last": int(hand.files[1].name[6:16]) - 1, "hash": "0" * 64}
    removed |= {"sha256": "", "newest": entry.written}
    chain = {"kind": "pruned", "keep_days": 400, "files": [removed]}
    raw, digest = seal(entry.record, seq=31, prev=entry.hash, written=entry.written, chain=chain)
    hand.put(30, hand.get(30), raw)
    write_head(hand.directory, Position(31, digest, "", 0, entry.written), None)
    hand.files[0].unlink()


TAMPERING: list[tuple[Callable[[Hand], None], str, int]] = [
    # what is done, kind of the first finding, record that it names (0: none)
    (edit_a_byte, "edited", 9),
    (edit_the_exit_code_and_its_hash, "chain", 10),
    (edit_the_last_record_and_its_hash, "rewritten", 30),
    (edit_the_first_record_and_its_hash, "chain", 2),
    (edit_only_the_hash, "edited", 9),
    (edit_the_number, "sequence", 10),
    (edit_prev, "chain", 9),
    (edit_the_time_zone, "foreign", 9),
    (add_a_field, "foreign", 9),
    (remove_a_field, "foreign", 9),
    (write_a_field_twice, "edited", 9),
    (add_blanks, "edited", 9),
    (write_it_in_another_form, "foreign", 9),
    (save_it_as_gb18030, "edited", 9),
    (save_it_as_utf16, "unreadable", 0),
    (add_a_byte_order_mark, "unreadable", 1),
    (save_it_with_windows_line_ends, "unreadable", 9),
    (remove_a_record, "sequence", 10),
    (remove_three_records, "sequence", 13),
    (remove_the_first_record, "missing", 2),
    (remove_the_last_record, "truncated", 29),
    (remove_the_last_ten_records, "truncated", 20),
    (cut_within_the_last_record, "truncated", 29),
    (cut_the_last_line_feed, "truncated", 29),
    (repeat_a_record, "sequence", 9),
    (repeat_the_last_record, "sequence", 30),
    (repeat_an_old_record_at_the_end, "sequence", 9),
    (swap_two_records, "sequence", 10),
    (insert_a_record, "sequence", 10),
    (insert_a_blank_line, "unreadable", 9),
    (insert_garbage, "unreadable", 10),
    (remove_the_first_file, "missing", 0),
    (remove_a_file_in_the_middle, "sequence", 0),
    (remove_the_last_file, "truncated", 0),
    (remove_all_files, "truncated", 0),
    (swap_two_files, "rotation", 0),
    (rename_a_file, "rotation", 0),
    (rename_a_file_to_another_month, "rotation", 0),
    (copy_a_file, "sequence", 0),
    (join_two_files, "rotation", 0),
    (split_a_file, "rotation", 11),
    (move_a_record_over_the_edge_of_a_file, "rotation", 0),
    (empty_a_file, "empty", 0),
    (empty_the_last_file, "truncated", 0),
    (tear_a_file_in_the_middle, "torn", 0),
    (remove_the_head, "head", 0),
    (damage_the_head, "head", 0),
    (set_the_head_back, "head", 20),
    (cut_the_end_and_set_the_head_back, "truncated", 21),
    (rewrite_all_and_forget_the_index, "rewritten", 9),
    (forge_a_record_of_retention, "missing", 0),
]


def test_an_untouched_audit_is_intact(directory):
    report = verify(directory)
    assert (report.findings, report.exit_code, report.records) == ([], 0, 30)


@pytest.mark.parametrize(("act", "kind", "seq"), TAMPERING, ids=lambda value: getattr(value, "__name__", ""))
def test_it_is_found_and_located(directory, act, kind, seq):
    act(Hand(directory))
    findings = serious(verify(directory))
    assert findings, "not found"
    assert kind in {finding.kind for finding in findings}
    first = next(finding for finding in findings if finding.kind == kind)
    if seq:
        assert first.seq == seq, str(first)
    if kind in {"edited", "foreign", "unreadable", "sequence", "chain", "rotation", "torn", "empty"}:
        assert (directory / first.file).exists()
        assert first.line or kind == "empty"
    if kind in {"edited", "foreign", "chain"}:
        path, line = Hand(directory).place(first.seq)
        assert (first.file, first.line) == (path.name, line + 1)


@pytest.mark.parametrize(("act", "kind", "seq"), TAMPERING, ids=lambda value: getattr(value, "__name__", ""))
def test_the_next_writer_does_not_cover_it_up(directory, act, kind, seq, clock, record):
    act(Hand(directory))
    AuditLog(directory, clock).append(record())
    assert serious(verify(directory))


def test_without_key_and_index_only_a_head_kept_elsewhere_finds_a_chain_that_was_written_anew(directory):
    """The honest limit of a chain without a key; the documentation says the same."""
    kept = {seq: str(Position(seq, unseal(Hand(directory).get(seq).rstrip()).hash, "", 0)) for seq in (20, 30)}
    Hand(directory).rewrite_from(9, operator="li")
    assert verify(directory).exit_code == 0
    for seq, head in kept.items():
        [finding] = serious(verify(directory, expect=head))
        assert (finding.kind, finding.seq, finding.expected) == ("rewritten", seq, head.partition(":")[2])
        [finding] = serious(verify(directory, expect=head.partition(":")[2]))
        assert finding.kind == "truncated"


def test_a_cut_end_with_head_and_index_set_back_is_found_by_a_head_kept_elsewhere(directory):
    kept = str(Position(30, unseal(Hand(directory).get(30).rstrip()).hash, "", 0))
    cut_the_end_and_set_the_head_back(Hand(directory))
    AuditIndex(directory).rebuild()
    assert verify(directory).exit_code == 0
    [finding] = serious(verify(directory, expect=["20:" + verify(directory).head, kept]))
    assert (finding.kind, finding.seq, finding.expected) == ("truncated", 20, kept)
    assert finding.found.startswith("20:")


def test_an_older_head_kept_elsewhere_still_fits_a_longer_chain(directory):
    for seq in (1, 17, 30):
        assert verify(directory, expect=f"{seq}:{unseal(Hand(directory).get(seq).rstrip()).hash}").exit_code == 0


@pytest.mark.parametrize("text", ["", "abc", "x:" + "0" * 64, "0" * 63 + "g"])
def test_an_expectation_that_is_no_head_is_refused(directory, text):
    with pytest.raises(AuditError, match="is no head"):
        verify(directory, expect=text)


@pytest.mark.parametrize("seq", [1, 9, 30])
def test_with_a_key_a_chain_that_was_written_anew_is_found(tmp_path, fill: Fill, seq):
    fill(tmp_path / "a", key=KEY)
    assert verify(tmp_path / "a", key=KEY).sealed == 30
    Hand(tmp_path / "a").rewrite_from(seq, operator="li")
    finding = next(f for f in serious(verify(tmp_path / "a", key=KEY)) if f.kind == "unsealed")
    assert finding.seq == max(seq, 1 if seq > 1 else 30)


def test_an_audit_whose_seals_were_all_taken_away_is_found(tmp_path, fill: Fill):
    fill(tmp_path / "a")
    assert {f.kind for f in serious(verify(tmp_path / "a", key=KEY))} == {"unsealed", "head"}


def test_an_unsealed_rewritten_chain_does_not_become_good_by_the_next_sealed_record(
    tmp_path, fill: Fill, clock, record
):
    fill(tmp_path / "a", key=KEY)
    Hand(tmp_path / "a").rewrite_from(1, operator="li")
    AuditLog(tmp_path / "a", clock, key=KEY).append(record())
    assert ("unsealed", 31) in {(f.kind, f.seq) for f in serious(verify(tmp_path / "a", key=KEY))}


def test_a_seal_with_another_key_is_found(tmp_path, fill: Fill):
    fill(tmp_path / "a", key=b"the key of somebody else!!")
    findings = serious(verify(tmp_path / "a", key=KEY))
    assert [f.seq for f in findings if f.kind == "seal"] == list(range(1, 31))


def test_a_changed_seal_is_found(tmp_path, fill: Fill):
    fill(tmp_path / "a", key=KEY)
    hand = Hand(tmp_path / "a")
    raw = hand.get(9)
    hand.put(9, raw[:-5] + (b"00" if raw[-5:-3] != b"00" else b"11") + raw[-3:])
    [finding] = serious(verify(tmp_path / "a", key=KEY))
    assert (finding.kind, finding.seq) == ("seal", 9)
    assert [f.kind for f in verify(tmp_path / "a").findings] == ["key"]  # without the key it says that it cannot tell


def test_a_removed_seal_is_found_without_the_key_too(tmp_path, fill: Fill):
    fill(tmp_path / "a", key=KEY)
    hand = Hand(tmp_path / "a")
    raw = hand.get(9)
    hand.put(9, raw[: raw.index(b',"mac"')] + b"}\n")
    [finding] = serious(verify(tmp_path / "a"))
    assert (finding.kind, finding.seq) == ("unsealed", 9)


def test_a_seal_that_names_no_key_is_found(directory):
    hand = Hand(directory)
    hand.put(9, hand.get(9)[:-2] + b',"mac":"' + b"0" * 64 + b'"}\n')
    [finding] = serious(verify(directory))
    assert (finding.kind, finding.seq) == ("seal", 9)


def test_a_forged_head_is_found_with_the_key(tmp_path, fill: Fill):
    fill(tmp_path / "a", key=KEY)
    cut_the_end_and_set_the_head_back(Hand(tmp_path / "a"))
    AuditIndex(tmp_path / "a").rebuild()
    assert "head" in {f.kind for f in serious(verify(tmp_path / "a", key=KEY))}


def test_an_old_sealed_head_put_back_over_a_cut_end_is_the_limit_and_the_kept_head_finds_it(
    tmp_path, fill: Fill, record, clock
):
    log = fill(tmp_path / "a", key=KEY)
    saved = tmp_path / "saved"
    shutil.copytree(tmp_path / "a", saved)
    head = str(log.append(record()))
    assert verify(saved, key=KEY).exit_code == 0
    assert [f.kind for f in serious(verify(saved, key=KEY, expect=head))] == ["truncated"]


def test_a_file_whose_name_lies_about_its_first_record_is_found(tmp_path, record):
    for name in ("audit-0000000001-202610.jsonl", "audit-0000000007-202611.jsonl"):
        directory = tmp_path / name
        directory.mkdir()
        written = "2026-11-21T11:00:00.000000+08:00"
        raw, digest = seal(record(), seq=1, prev="0" * 64, written=written, file=name)
        (directory / name).write_bytes(raw)
        write_head(directory, Position(1, digest, name, 0, written), None)
        [finding] = serious(verify(directory))
        assert (finding.kind, finding.file, finding.line) == ("rotation", name, 1)


def test_several_changes_are_all_told(directory):
    hand = Hand(directory)
    for seq in (3, 12, 27):
        hand.put(seq, hand.get(seq).replace("主".encode(), "副".encode()))
    assert [(f.kind, f.seq) for f in serious(verify(directory))] == [("edited", 3), ("edited", 12), ("edited", 27)]


def test_a_file_that_does_not_belong_is_told(directory):
    (directory / "audit-0000000001-202611.jsonl.bak").write_bytes(b"")
    report = verify(directory)
    assert report.exit_code == 1
    assert [(f.kind, f.file) for f in report.findings] == [("stranger", "audit-0000000001-202611.jsonl.bak")]


def test_a_directory_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(AuditError, match="cannot be read"):
        verify(tmp_path / "nothing")


def test_an_empty_directory_is_no_intact_audit(tmp_path):
    assert verify(tmp_path).exit_code == 1


def test_the_verification_changes_nothing(directory):
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.iterdir()}
    edit_a_byte(Hand(directory))
    changed = Hand(directory).place(9)[0].name
    verify(directory)
    after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {changed}


@pytest.fixture(scope="module", params=[None, KEY], ids=["without key", "with key"])
def original(request, tmp_path_factory, fill: Fill) -> tuple[Path, bytes | None]:
    directory = tmp_path_factory.mktemp("original") / "a"
    fill(directory, key=request.param, count=12, max_bytes=2500)
    (directory / "index.sqlite").unlink()  # files and head alone must do
    return directory, request.param


def verified(directory: Path, name: str, data: bytes, key: bytes | None) -> Report:
    """With one file changed for the moment."""
    before = (directory / name).read_bytes()
    (directory / name).write_bytes(data)
    try:
        return verify(directory, key=key)
    finally:
        (directory / name).write_bytes(before)


@given(data=st.data())
def test_any_changed_byte_is_found(original, data):
    directory, key = original
    name = data.draw(st.sampled_from([file.name for file in audit_files(directory)] + ["head.json"]))
    content = bytearray((directory / name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    report = verified(directory, name, bytes(content), key)
    assert not report.ok
    if name != "head.json":
        line = (directory / name).read_bytes()[:place].count(b"\n") + 1
        near = {(name, line - 1), (name, line), (name, line + 1)}
        assert near & {(finding.file, finding.line) for finding in serious(report)}


@given(data=st.data())
def test_any_removed_or_added_byte_is_found(original, data):
    directory, key = original
    name = data.draw(st.sampled_from([file.name for file in audit_files(directory)]))
    content = (directory / name).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place] + content[place + 1 :]
    else:
        content = content[:place] + data.draw(st.binary(min_size=1, max_size=3)) + content[place:]
    # a byte that equals its neighbour gives the same bytes again
    assert verified(directory, name, content, key).ok == (content == (directory / name).read_bytes())


@given(data=st.data())
def test_any_other_order_or_choice_of_lines_is_found(original, data):
    directory, key = original
    name = data.draw(st.sampled_from([file.name for file in audit_files(directory)]))
    lines = (directory / name).read_bytes().splitlines(keepends=True)
    others = b"".join((directory / file.name).read_bytes() for file in audit_files(directory)).splitlines(keepends=True)
    new = data.draw(st.one_of(st.permutations(lines), st.lists(st.sampled_from(others), max_size=len(lines) + 2)))
    assert verified(directory, name, b"".join(new), key).ok == (new == lines)
