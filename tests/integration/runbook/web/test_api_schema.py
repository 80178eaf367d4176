"""schemathesis over the OpenAPI document of a served console: no 5xx, nothing that the document does not say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.runbook.web.served import Ground, served_in

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 15


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    place: Path = tmp_path_factory.mktemp("served")
    with served_in(place, actions_per_minute=100_000) as found:
        yield found


def operations(ground: Ground) -> list[schemathesis.APIOperation]:
    schema = schemathesis.openapi.from_url(f"{ground.url}/schema/openapi.json", headers=ground.headers)
    found = [one.ok() for one in schema.get_all_operations()]
    # streams of events do not end
    return [one for one in found if not one.path.endswith("/events") and one.path.startswith("/api/")]


def test_whatever_is_asked_the_answer_is_one_that_the_document_describes(ground: Ground) -> None:
    found = operations(ground)
    assert len(found) >= 20
    wrong: list[str] = []
    answers: dict[tuple[str, str], set[int]] = defaultdict(set)
    run = httpx.post(f"{ground.url}/api/runbook/log-scan", headers=ground.headers, json={}).json()["id"]
    jobs = ["refresh-contracts", "drill", ""]
    names = {
        "/api/runbook/{action}": ["failover", "failback", "restart-line", "log-scan", "job-pause", ""],
        **{f"/api/runbook/runs/{{run_id}}{rest}": [run, ""] for rest in ("", "/log", "/cancel")},
        **{f"/api/jobs/{{name}}/{what}": jobs for what in ("pause", "resume")},
    }
    assert set(names) <= {operation.path for operation in found}
    for operation in found:
        try:
            _ask(ground, operation, names.get(operation.path, [""]), answers[operation.path, operation.method])
        except FailureGroup as failure:
            wrong.append(f"{operation.method} {operation.path}: {failure.exceptions}")
    assert not wrong, "\n".join(wrong)
    never = {which: codes for which, codes in answers.items() if not codes & {200, 202}}
    assert not set(never) - {("/api/runbook/runs/{run_id}/cancel", "post"), ("/api/jobs/{name}/run", "post")}, never


def _ask(ground: Ground, operation: schemathesis.APIOperation, names: list[str], answers: set[int]) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), known=st.sampled_from(names))
    def ask(case: schemathesis.Case, known: str) -> None:
        if known:  # words by chance are no names of anything
            case.path_parameters = dict.fromkeys(case.path_parameters or {}, known)
        if known and "{action}" in operation.path and isinstance(case.body, dict):
            case.body["dry_run"] = True
        answer = case.call_and_validate(base_url=ground.url, headers=ground.headers, checks=CHECKS, timeout=60)
        answers.add(answer.status_code)

    ask()
