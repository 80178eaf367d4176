"""What all groups of settings have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

DISAGREE = "disagree"
"""The pydantic error type of values that are fine one by one but not together."""


class Section(BaseModel):
    """A group of settings: immutable, refuses unknown names, reads nothing but its arguments."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """``(field, what is wrong and the fix)`` for values that do not fit each other.

        ``given`` has what was set, validated or still raw: a loader shows these together with all other
        findings, so values that make no sense by themselves are passed over here.
        """
        del given
        yield from ()

    @classmethod
    def number(cls, given: Mapping[str, object], field: str) -> float | None:
        """A field as a number, its default when it was not given, None when it is no number."""
        value = given.get(field, cls.model_fields[field].default)
        try:
            return None if value is None or isinstance(value, bool) else float(str(value))
        except ValueError:
            return None

    @classmethod
    def ordered(cls, given: Mapping[str, object], low: str, high: str) -> Iterator[tuple[str, str]]:
        """The problem of ``low`` above ``high``, blamed on whichever was set."""
        first, second = cls.number(given, low), cls.number(given, high)
        if first is not None and second is not None and first > second:
            if high in given:
                yield high, f"is smaller than {low}; raise it to at least {first:.15g}, or lower {low}"
            else:
                yield low, f"is larger than {high}; lower it to at most {second:.15g}, or raise {high}"

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        given = {field: getattr(self, field) for field in self.model_fields_set}
        if found := [f"{field} {text}" for field, text in self.problems(given)]:
            raise PydanticCustomError(DISAGREE, "{text}", {"text": "; ".join(found)})
        return self
