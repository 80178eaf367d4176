"""The last good list of contracts survives a bad source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.control.messages.catalogue import Reloaded
from gateway.errors import BusError
from runbook.actions.refresh_contracts import RefreshParameters, refresh_contracts
from runbook.health.contracts import ContractStore
from runbook.model import ActionResult


def listed(path: Path, *rows: tuple[str, str]) -> Path:
    """Name and last day."""
    lines = [f"{name.partition('.')[0]},{name.partition('.')[2]},{day}" for name, day in rows]
    path.write_text("exchange,code,expire_date\n" + "\n".join(lines) + "\n")
    return path


def many(count: int, start: int = 0) -> list[tuple[str, str]]:
    return [(f"SHFE.rb{number:04}", "20270115") for number in range(start, start + count)]


async def refresh(bench: Any, path: Path | None, *, dry_run: bool = False, **parameters: Any) -> ActionResult:
    return await refresh_contracts(bench.context(dry_run=dry_run), RefreshParameters(source=path, **parameters))


def kept(bench: Any) -> set[str]:
    last = ContractStore(bench.root / "state" / "contracts.json").load()
    return set() if last is None else set(last.by_name())


async def test_it_tells_what_is_new_what_expired_and_what_is_gone_too_early(bench: Any, tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", ("SHFE.a1", "20261120"), ("SHFE.a2", "20261121"), ("SHFE.a3", "20270101"))
    first = await refresh(bench, path)
    assert (first.exit_code, first.details["added_total"]) == (0, 3)
    assert first.details["overdue"] == ["SHFE.a1"], "20 November is past on the 21st, the 21st is not"
    listed(path, ("SHFE.a3", "20270101"), ("SHFE.a4", "20270101"))
    second = await refresh(bench, path)
    assert second.exit_code == 0
    assert second.details["added"] == ["SHFE.a4"]
    assert second.details["expired"] == ["SHFE.a1"]
    assert second.details["removed"] == ["SHFE.a2"]
    assert "gone before their last day (SHFE.a2)" in second.message
    assert kept(bench) == {"SHFE.a3", "SHFE.a4"}
    assert second.details["taken_at"] == "2026-11-21T11:30:00.000+08:00"


async def test_a_list_below_half_of_the_last_one_is_not_believed_unless_told_so(bench: Any, tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", *many(10))
    await refresh(bench, path)
    listed(path, *many(4))
    refused = await refresh(bench, path)
    assert refused.exit_code == 1
    assert refused.details["kept_last_good"] is True
    assert "4 contracts where the last good list has 10" in refused.message
    assert len(kept(bench)) == 10
    assert (await refresh(bench, path, min_share=0.4)).exit_code == 0
    listed(path, *many(1))
    assert (await refresh(bench, path, accept_smaller=True)).exit_code == 0
    assert len(kept(bench)) == 1


async def test_exactly_half_is_believed(bench: Any, tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", *many(10))
    await refresh(bench, path)
    assert (await refresh(bench, listed(path, *many(5)))).exit_code == 0


async def test_a_source_that_fails_leaves_the_last_good_list(bench: Any, tmp_path: Path, gateway: Any) -> None:
    path = listed(tmp_path / "list.csv", *many(3))
    await refresh(bench, path)
    path.write_text("not,a,list\n")
    broken = await refresh(bench, path)
    assert (broken.exit_code, len(kept(bench))) == (1, 3)
    gateway.away = BusError("no server took us")
    away = await refresh_contracts(bench.context(gateway), RefreshParameters())
    assert (away.exit_code, away.details["total"]) == (1, 3)
    assert "no server took us" in away.message
    gateway.away, gateway.catalogue = None, []
    empty = await refresh_contracts(bench.context(gateway), RefreshParameters(accept_smaller=True))
    assert (empty.exit_code, len(kept(bench))) == (1, 3)


async def test_the_gateway_takes_its_list_anew_first_and_what_it_kept_is_a_warning(bench: Any, gateway: Any) -> None:
    gateway.reloaded = [
        Reloaded(feed="ctp", ok=True, total=3, added=1, removed=1, subscribed=1, removed_names=["SHFE.a9"]),
        Reloaded(feed="sopt", ok=False, total=7, error="the counter is closed"),
    ]
    result = await refresh_contracts(bench.context(gateway), RefreshParameters(min_share=0.25))
    assert gateway.asked[0][0::2] == ("reload", "0.25")
    assert result.exit_code == 1
    assert any("SHFE.a9" in warning and "stay as they were" in warning for warning in result.details["warnings"])
    assert "feed sopt keeps its 7 contracts: the counter is closed" in result.details["warnings"]
    gateway.asked.clear()
    await refresh_contracts(bench.context(gateway, dry_run=True), RefreshParameters())
    assert gateway.asked == []


async def test_without_any_list_it_ends_with_14(bench: Any, tmp_path: Path) -> None:
    result = await refresh(bench, tmp_path / "absent.csv")
    assert result.exit_code == 14
    assert "no last good one" in result.message


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": 2}', '{"format": 1, "taken_at": "x", "source": "", "contracts": [1]}']
)
async def test_a_damaged_last_list_is_told_and_replaced(bench: Any, tmp_path: Path, text: str) -> None:
    store = bench.root / "state" / "contracts.json"
    store.parent.mkdir()
    store.write_text(text)
    result = await refresh(bench, listed(tmp_path / "list.csv", *many(3)))
    assert result.exit_code == 1
    assert "nothing was compared" in result.message
    assert len(kept(bench)) == 3


async def test_a_dry_run_writes_nothing(bench: Any, tmp_path: Path) -> None:
    result = await refresh(bench, listed(tmp_path / "list.csv", *many(3)), dry_run=True)
    assert (result.exit_code, kept(bench)) == (0, set())


async def test_a_list_that_cannot_be_written_is_an_error_and_the_old_one_stays(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = listed(tmp_path / "list.csv", *many(3))
    await refresh(bench, path)
    before = (bench.root / "state" / "contracts.json").read_text()

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = await refresh(bench, listed(path, *many(5)))
    assert result.exit_code == 2
    assert "No space left" in result.message
    assert (bench.root / "state" / "contracts.json").read_text() == before
    assert [one.name for one in (bench.root / "state").iterdir()] == ["contracts.json"]
    assert json.loads(before)["format"] == 1
