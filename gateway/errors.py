"""One tree of errors. Every message names the thing and ends with the next step; fields say it to machines."""

from __future__ import annotations


class FeedgateError(Exception):
    """Base of all errors that Feedgate raises on purpose.

    ``code`` is a stable machine name; ``exit_code`` is what a command exits with (contract: 11 environment,
    12 NATS, 13 gateway, 14 subscriptions, 64 usage).
    """

    code = "error"
    exit_code = 2

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.fields = fields


class SettingsError(FeedgateError):
    """Settings cannot be used: ``findings`` names each variable with its fix."""

    code = "settings"
    exit_code = 11

    def __init__(self, findings: list[str]) -> None:
        super().__init__("settings refused:\n" + "\n".join(f"  - {finding}" for finding in findings))
        self.findings = findings


class PluginError(FeedgateError):
    """A plugin cannot be loaded or used; it is named with its version."""

    code = "plugin"
    exit_code = 11


class BusError(FeedgateError):
    """The message bus cannot be reached or refuses us."""

    code = "bus"
    exit_code = 12


class LineError(FeedgateError):
    """A line cannot do what was asked."""

    code = "line"
    exit_code = 13


class CatalogueError(FeedgateError):
    """The instrument list cannot be had or read."""

    code = "catalogue"
    exit_code = 14


class LedgerError(FeedgateError):
    """The gap ledger cannot be opened or read."""

    code = "ledger"
    exit_code = 11


class WireError(FeedgateError):
    """Bytes that are not what they should be; the reader counts them as rejected."""

    code = "wire"


class ControlError(FeedgateError):
    """A request to the control service failed or was refused."""

    code = "control"
