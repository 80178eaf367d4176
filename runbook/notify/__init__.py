"""Messages to people: sent once, not too often, within a time limit; and escalation after repeated failures."""

from runbook.notify.command import CommandOutcome, arguments, run_command
from runbook.notify.escalation import Escalated, Escalates, Escalation, StageFailures
from runbook.notify.gate import Gate, Leave
from runbook.notify.message import Answer, Message, Sent
from runbook.notify.notifier import Notifier

__all__ = [
    "Answer",
    "CommandOutcome",
    "Escalated",
    "Escalates",
    "Escalation",
    "Gate",
    "Leave",
    "Message",
    "Notifier",
    "Sent",
    "StageFailures",
    "arguments",
    "run_command",
]
