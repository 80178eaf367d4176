"""The plugin that brings the built-in account routers.

Only ``all_hot`` so far. The other policies of this package are tested, but they need lines that can be parked and that
carry a part of the contracts; they are offered when a running gateway can do that.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.control.routing.all_hot import AllHot
from gateway.hookspecs import RouterKind, hookimpl


@hookimpl
def gateway_routers() -> Sequence[RouterKind]:
    """The policy ``all_hot``: every line is logged in and carries everything."""
    return (RouterKind(name="all_hot", build=AllHot),)
