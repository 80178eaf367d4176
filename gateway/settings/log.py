"""Settings of what the programs log."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.settings.fields import Count, FilePath
from gateway.settings.section import Section


class LogSettings(Section):
    """What ``gateway run`` and ``runbook serve`` log."""

    format: Literal["text", "json"] = Field(
        default="text",
        description="On the terminal: text on stderr, or JSON, an object a line, on stdout; --log-format wins",
    )
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least level of gateway run; --log-level wins"
    )
    file: FilePath | None = Field(
        default=None, description="File of gateway run for JSON lines, beside the terminal; --log-file wins"
    )
    most_mb: Count = Field(
        default=10,
        description="The file turns over beyond so many megabytes, and with the day in Shanghai; 500 MB in all",
    )
    days: Count = Field(default=30, description="What was turned over is removed after so many days")
