"""The plugin that brings the built-in account routers."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.control.routing.all_hot import AllHot
from gateway.control.routing.primary_backup import PrimaryBackup
from gateway.control.routing.quality import Quality
from gateway.control.routing.shard import Shard
from gateway.hookspecs import RouterKind, hookimpl
from gateway.plan import AccountRouter


def _cold() -> AccountRouter:
    return PrimaryBackup("cold")


@hookimpl
def gateway_routers() -> Sequence[RouterKind]:
    """The policies of docs/failover.md."""
    return (
        RouterKind(name="all_hot", build=AllHot),
        RouterKind(name="primary_backup", build=PrimaryBackup),
        RouterKind(name="primary_backup_cold", build=_cold),
        RouterKind(name="shard", build=Shard),
        RouterKind(name="quality", build=Quality),
    )
