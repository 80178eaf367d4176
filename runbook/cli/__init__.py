"""The command ``runbook``: what operators type. Everything that changes something goes through the runner."""

from runbook.cli.main import main

__all__ = ["main"]
