"""What every handler of API and pages is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.app import Runbook
from runbook.model import Role
from runbook.schedule.desk import JobDesk
from runbook.web.observatory import Observatory


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks."""

    name: str
    """As in the tokens' setting; ``local`` where nobody has to log in."""
    role: Role
    via: Literal["token", "session", "open"]
    """A bearer token, a browser's session, or a console without tokens on a loopback address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """The parts behind the handlers; one for each application. All of them live on its event loop."""

    runbook: Runbook
    observatory: Observatory
    jobs: JobDesk | None
    """None where there is no calendar, and so no jobs."""
    embedded: bool = False
    """Inside somebody's program, whose gateway it is: nothing here starts or stops it."""
