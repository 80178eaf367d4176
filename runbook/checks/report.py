"""What all checks said together: exit code, JSON, text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runbook.checks.model import Finding, Severity
from runbook.model import Exit, Profile

MARKS: Final[Mapping[Severity, str]] = {
    Severity.OK: "ok     ",
    Severity.INFO: "info   ",
    Severity.WARNING: "WARNING",
    Severity.ERROR: "ERROR  ",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """One check's part."""

    name: str
    title: str
    findings: Sequence[Finding]
    done: Sequence[str] = ()
    """What ``--fix`` did, a sentence each."""

    @property
    def worst(self) -> Severity:
        """The worst of its findings."""
        ranks = list(Severity)
        return max((finding.severity for finding in self.findings), key=ranks.index, default=Severity.OK)


@dataclass(frozen=True, slots=True)
class Report:
    """The checks in their fixed order. Holds no secret."""

    profile: Profile
    checked: Sequence[Checked] = field(default_factory=tuple)

    def count(self, severity: Severity) -> int:
        """How many findings of a severity there are."""
        return sum(finding.severity is severity for one in self.checked for finding in one.findings)

    def exit_code(self, error: Exit = Exit.ENVIRONMENT) -> Exit:
        """0, 1 with warnings only, ``error`` with errors."""
        if self.count(Severity.ERROR):
            return error
        return Exit.WARNING if self.count(Severity.WARNING) else Exit.OK

    @property
    def summary(self) -> str:
        """One line; the first thing to do when something is wrong."""
        errors, warnings = self.count(Severity.ERROR), self.count(Severity.WARNING)
        counted = f"{_number(len(self.checked), 'check')}: {_number(errors, 'error')}, {_number(warnings, 'warning')}"
        for severity in (Severity.ERROR, Severity.WARNING):
            for one in self.checked:
                for finding in one.findings:
                    if finding.severity is severity:
                        return f"{counted}; first {one.name}: {finding.what}; {finding.fix}"
        return counted

    def as_json(self) -> dict[str, Any]:
        """``{profile, exit_code, errors, warnings, checks: [{name, title, severity, findings, done}]}``.

        Each of ``findings`` is ``{severity, what, fix}``. ``exit_code`` is that of ``validate-env``.
        """
        return {
            "profile": self.profile,
            "exit_code": int(self.exit_code()),
            "errors": self.count(Severity.ERROR),
            "warnings": self.count(Severity.WARNING),
            "checks": [
                {
                    "name": one.name,
                    "title": one.title,
                    "severity": str(one.worst),
                    "findings": [
                        {"severity": str(finding.severity), "what": finding.what, "fix": finding.fix}
                        for finding in one.findings
                    ],
                    "done": list(one.done),
                }
                for one in self.checked
            ],
        }

    def lines(self) -> Iterator[str]:
        """For people: a line per finding, its fix below it."""
        for one in self.checked:
            for done in one.done:
                yield f"fixed    {one.name}: {done}"
            for finding in one.findings:
                yield f"{MARKS[finding.severity]}  {one.name}: {finding.what}"
                if finding.fix:
                    yield f"{'':9}  -> {finding.fix}"
        yield self.summary.partition("; first ")[0]


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
