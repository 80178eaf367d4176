"""What goes wrong with the audit."""

from __future__ import annotations

from gateway.errors import FeedgateError


class AuditError(FeedgateError):
    """The audit cannot be written or read. Who cannot write *start* must not act."""

    code = "audit"
    exit_code = 2
