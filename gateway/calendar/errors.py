"""What the calendar refuses to answer. Guessing would be worse: a wrong answer is an open market or a missed one."""

from __future__ import annotations

from gateway.errors import FeedgateError


class CalendarError(FeedgateError):
    """The calendar cannot answer: it ends before the day asked for, or its override file is wrong.

    The message names the day or the key and ends with the fix. Exit code 11, environment.
    """

    code = "calendar"
    exit_code = 11


class UnknownProductError(CalendarError):
    """No session table for a product (``fields["product"]``). Exit code 64: in a command it is wrong usage."""

    code = "unknown_product"
    exit_code = 64
