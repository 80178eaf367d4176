"""From parsed arguments to files and requests."""

from __future__ import annotations

import argparse
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args

from gateway.errors import FeedgateError
from gateway.settings.process import PROFILE, process_environment
from runbook.app import Files, Runbook
from runbook.cli.fields import WrongValueError, parameters_from
from runbook.model import ActionRequest, Exit, Profile, Trigger

REASON: Final = "operator command"
"""Of a live change that somebody typed without a reason: better an honest word in the audit than a made-up one."""
_OWN_SIMULATOR: Final = frozenset({"drill"})
_NO_CHOICE: Final = frozenset({"failover"})
"""To them ``primary`` means that nobody chose an account."""


class UsageError(FeedgateError):
    """The arguments do not fit together."""

    code = "usage"
    exit_code = Exit.USAGE


def files_of(args: argparse.Namespace, environ: Mapping[str, str] | None = None) -> Files:
    """Where settings and logs are. ``.env.PROFILE`` of the working directory counts when its profile is asked for.

    Without ``--profile`` that is the process's own, FEEDGATE_PROFILE: an escalation command has nothing else.
    """
    env_files = tuple(args.env_file or ())
    # of the audit's commands --profile is a filter
    profile = None if getattr(args, "group", "") else getattr(args, "profile", None)
    if profile is None:
        profile = (process_environment() if environ is None else environ).get(PROFILE)
    if not env_files and profile in get_args(Profile) and (usual := Path(f".env.{profile}")).is_file():
        env_files = (usual,)
    mock = bool(getattr(args, "mock", False)) and getattr(args, "kind", "") not in _OWN_SIMULATOR
    return Files(settings=args.settings, env_files=env_files, log_dir=args.log_dir, mock=mock)


def operator_of(args: argparse.Namespace, uid: int, environ: Mapping[str, str] | None = None) -> str:
    """``--operator``, or the login name, with the one behind ``sudo``."""
    if args.operator:
        return str(args.operator)
    try:
        login = pwd.getpwuid(uid).pw_name
    except KeyError:
        login = f"uid {uid}"
    behind = (process_environment() if environ is None else environ).get("SUDO_USER", "")
    return f"{login} (sudo by {behind})" if behind and behind != login else login


def request_of(args: argparse.Namespace, runbook: Runbook, uid: int) -> ActionRequest:
    """The request. Raises UsageError, and UnknownActionError for an action that is not there."""
    kind = runbook.kinds.get(args.kind)
    if args.command == "start" and args.kind != "start":
        _only_common(args, runbook)
    try:
        parameters = parameters_from(kind, args)
    except WrongValueError as wrong:
        raise UsageError(str(wrong)) from None
    if parameters.get("debug") is False:
        del parameters["debug"]  # the common flag, not given
    profile = args.profile or runbook.settings.profile
    reason = args.reason or ""
    if not reason.strip() and kind.changes and profile == "live":
        reason = REASON
    return ActionRequest(
        action=kind.name,
        parameters=parameters,
        operator=operator_of(args, uid),
        trigger=Trigger.CLI,
        reason=reason,
        window=args.window,
        profile=profile,
        config=args.config or ("primary" if kind.name in _NO_CHOICE else runbook.loaded.config_in_use),
        mode="mock" if args.mock else "live",
        dry_run=args.dry_run,
        idempotency_key=args.idempotency_key or "",
    )


def _only_common(args: argparse.Namespace, runbook: Runbook) -> None:
    """``start --failover`` takes the common flags; a parameter of start that was given would be lost silently."""
    known = runbook.kinds.get(args.kind).parameters.model_fields
    for name in runbook.kinds.get("start").parameters.model_fields:
        if name not in known and name != "debug" and getattr(args, name, None) not in (None, False):
            raise UsageError(f"--{name.replace('_', '-')} does not go with --{args.kind}")
