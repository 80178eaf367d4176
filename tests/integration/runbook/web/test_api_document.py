"""docs/api.md: its commands are run as they stand, in order, and every route of the API is in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.runbook.web.served import Ground, served_in

DOCUMENT = Path(__file__).parents[4] / "docs" / "api.md"
MARK = "@@@@ "


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with served_in(tmp_path_factory.mktemp("served")) as found:
        yield found


def blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    return [line for line in block.splitlines() if line.strip()]


def run_all(ground: Ground) -> dict[str, str]:
    """What each command of the document printed, by the command."""
    lines = [line for block in blocks(DOCUMENT.read_text(encoding="utf-8")) for line in commands(block)]
    script = "set -uo pipefail\n" + "".join(
        f"echo '{MARK}{number}'\n{line}\necho \"{MARK}status $?\"\n" for number, line in enumerate(lines)
    )
    environment = {
        "PATH": os.environ["PATH"],
        "API": ground.url,
        "AUTH": f"Authorization: {ground.headers['Authorization']}",
    }
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = {}
    for number, line in enumerate(lines):
        said = done.stdout.partition(f"{MARK}{number}\n")[2].partition(MARK)
        assert said[2].startswith("status 0"), f"{line}: {said[0]} {done.stderr}"
        found[f"{number} {line}"] = said[0]
    return found


def answers(said: dict[str, str], part: str) -> list[Any]:
    found = [json.loads(text) for line, text in said.items() if part in line and text.lstrip().startswith("{")]
    assert found, f"no command has {part}"
    return found


def test_the_commands_of_the_document_do_what_it_says(ground: Ground) -> None:
    # on a busy machine the logins of the start take long, and the ledger says so
    before = httpx.get(f"{ground.url}/api/gaps", headers=ground.headers).json()["totals"]["gaps"]
    said = run_all(ground)
    problems = {line: text for line, text in said.items() if "urn:feedgate:problem" in text}
    assert {line.partition(" ")[2][-60:] for line in problems} == {
        next(line for line in said if "typing error" in line).partition(" ")[2][-60:],
        next(line for line in said if "/cancel" in line).partition(" ")[2][-60:],
    }, problems
    # over, and back: what it did, that nothing is missing, and who did it
    failover, *_ = answers(said, "/api/runbook/runs/$RUN ")
    assert (failover["action"], failover["state"], failover["exit_code"]) == ("failover", "done", 0)
    status, *_ = answers(said, "/api/status")
    assert status["active"] == {"sim": "sim:backup"}
    assert status["gap_today"]["open"] == 0
    (gaps,) = [one for one in answers(said, "/api/gaps") if "totals" in one]
    assert gaps["totals"]["gaps"] == before
    (audit,) = answers(said, "/api/audit?limit=4")
    told = [(one["action"], one["event"], one["operator"], one["exit_code"]) for one in audit["records"]]
    assert told == [
        ("failback", "stop", "wang", 0),
        ("failback", "start", "wang", None),
        ("failover", "stop", "wang", 0),
        ("failover", "start", "wang", None),
    ]
    first, second = answers(said, "monday-1")
    assert first["id"] == second["id"]
    assert (first["replayed"], second["replayed"]) == (False, True)
    (verified,) = answers(said, "/api/audit/verify")
    assert verified["ok"] is True
    (typo,) = answers(said, "typing error")
    assert typo["errors"] == [{"field": "reson", "message": "there is no such field", "source": "body"}]
    (page,) = answers(said, "state=confirmed")
    assert {row["state"] for row in page["subscriptions"]} == {"confirmed"}
    table = next(text for line, text in said.items() if "line=sim:primary" in line)
    assert table.splitlines()[0] == "line,instrument,state,reason"


def test_every_route_of_the_api_has_its_command(ground: Ground) -> None:
    document = httpx.get(f"{ground.url}/schema/openapi.json", headers=ground.headers).json()
    text = "\n".join(blocks(DOCUMENT.read_text(encoding="utf-8")))
    text += "\n/api/ticks/events" if "/api/ticks/events" in DOCUMENT.read_text(encoding="utf-8") else ""
    missing = []
    for path in document["paths"]:
        shape = "".join(
            r"[\w$-]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", path)
        )
        if path.startswith("/api/") and not re.search(shape + r'(?=[\s"?]|$)', text):
            missing.append(path)
    assert missing == []
