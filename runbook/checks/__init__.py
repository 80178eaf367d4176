"""Checks of the environment and the machine: one module per check, findings with the next command to type."""

from runbook.checks.inspection import Inspection, NotReadError
from runbook.checks.model import Check, Finding, Severity
from runbook.checks.reading import read_inspection
from runbook.checks.registry import CHECKS, MACHINE_CHECKS, UnknownCheckError, chosen
from runbook.checks.report import Report
from runbook.checks.running import run_checks

__all__ = [
    "CHECKS",
    "MACHINE_CHECKS",
    "Check",
    "Finding",
    "Inspection",
    "NotReadError",
    "Report",
    "Severity",
    "UnknownCheckError",
    "chosen",
    "read_inspection",
    "run_checks",
]
