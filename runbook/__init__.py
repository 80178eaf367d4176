"""The operators' side of Feedgate: actions, audit, drills, jobs, secrets. The gateway never imports it.

``from runbook import Runbook`` is the runbook of a gateway inside a program, with its console as an ASGI application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbook.web.embedded import EmbeddedRunbook as Runbook

__all__ = ["Runbook"]


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: it brings a web framework, which no command but ``serve`` needs."""
    if name == "Runbook":
        from runbook.web.embedded import EmbeddedRunbook  # noqa: PLC0415 - see above

        return EmbeddedRunbook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
