"""The HTTP API: JSON in, JSON out (CSV for long lists), problem details for everything that goes wrong."""

from __future__ import annotations

from typing import Final

from runbook.web.api.actions import act, list_actions
from runbook.web.api.audit import list_audit, verify_audit
from runbook.web.api.gaps import list_gaps
from runbook.web.api.health import get_health
from runbook.web.api.inventory import list_lines, list_plugins
from runbook.web.api.jobs import list_jobs, pause_job, resume_job, run_job
from runbook.web.api.metrics import get_summary
from runbook.web.api.runs import cancel_run, get_log, get_run, list_runs
from runbook.web.api.status import get_status
from runbook.web.api.subscriptions import get_coverage, list_subscriptions
from runbook.web.api.timeseries import get_timeseries

API: Final = (
    *(get_status, get_health, get_summary, get_timeseries),
    *(list_subscriptions, get_coverage, list_gaps, list_lines),
    *(list_actions, act, list_runs, get_run, get_log, cancel_run),
    *(list_audit, verify_audit),
    *(list_jobs, run_job, pause_job, resume_job),
    list_plugins,
)
"""Everything below ``/api`` but the streams of events."""
