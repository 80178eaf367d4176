"""The ActionRunner and its parts: the only way to act."""

from runbook.runner.access import Access, RefusedError, by_rank
from runbook.runner.auditing import Audit
from runbook.runner.kinds import Kinds, UnknownActionError, collect_kinds
from runbook.runner.lock import ExclusiveLock, Holder
from runbook.runner.masking import MASK, Masker
from runbook.runner.pushing import ExitCode, ExitCodePusher
from runbook.runner.run import Run, RunState, Stage, shanghai
from runbook.runner.runner import ActionRunner
from runbook.runner.sessions import session_namer

__all__ = [
    "MASK",
    "Access",
    "ActionRunner",
    "Audit",
    "ExclusiveLock",
    "ExitCode",
    "ExitCodePusher",
    "Holder",
    "Kinds",
    "Masker",
    "RefusedError",
    "Run",
    "RunState",
    "Stage",
    "UnknownActionError",
    "by_rank",
    "collect_kinds",
    "session_namer",
    "shanghai",
]
