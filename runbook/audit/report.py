"""What a verification found."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


class Severity(enum.StrEnum):
    TAMPERED = "tampered"
    """The files are not what was written."""
    WARNING = "warning"
    """Explained by a crash, or something that could not be checked."""
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing at one place. Unknown or meaningless: 0 and empty."""

    kind: str
    """``edited``, ``sequence``, ``chain``, ``truncated``, … as listed in the documentation of the audit."""
    severity: Severity
    message: str
    file: str = ""
    line: int = 0
    """From 1."""
    seq: int = 0
    expected: str = ""
    found: str = ""

    def __str__(self) -> str:
        where = ", ".join(
            part
            for part in (
                f"{self.file}:{self.line}" if self.line else self.file,
                f"record {self.seq}" if self.seq else "",
            )
            if part
        )
        detail = f" (expected {self.expected}, found {self.found or 'nothing'})" if self.expected else ""
        return f"{self.severity.value.upper()} {self.kind}: {where + ': ' if where else ''}{self.message}{detail}"

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True, kw_only=True)
class Report:
    """Of one verification."""

    files: int = 0
    records: int = 0
    first: int = 0
    last: int = 0
    """Numbers of the first and the last readable record; 0: none."""
    head: str = ""
    """Hash of the last readable record."""
    sealed: int = 0
    """Records whose MAC was checked and right."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing was changed, as far as can be told from here."""
        return not any(finding.severity is Severity.TAMPERED for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 intact, 1 intact with warnings, 2 tampered with."""
        if not self.ok:
            return 2
        return int(any(finding.severity is Severity.WARNING for finding in self.findings))

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "exit_code": self.exit_code,
            "files": self.files,
            "records": self.records,
            "first": self.first,
            "last": self.last,
            "head": self.head,
            "sealed": self.sealed,
            "findings": [finding.as_json() for finding in self.findings],
        }
