"""Who may come in and what they may do: tokens, browsers' logins, roles, origins, rates."""

from runbook.web.access.guard import STATE, allow, is_public
from runbook.web.access.identify import Identify, root_of
from runbook.web.access.login import ACCESS
from runbook.web.access.places import is_loopback, local_path
from runbook.web.access.policy import LOCAL, Access

__all__ = [
    "ACCESS",
    "LOCAL",
    "STATE",
    "Access",
    "Identify",
    "allow",
    "is_loopback",
    "is_public",
    "local_path",
    "root_of",
]
