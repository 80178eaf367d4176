from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.model import Instrument
from gateway.subjects import (
    batch_subject,
    control_subject,
    instrument_of,
    matcher,
    subscription_subject,
    tick_subject,
    token,
    untoken,
)

any_text = st.text(st.characters(), max_size=30)
"""Lone surrogates included: they come out of badly decoded vendor bytes."""
names = any_text.filter(bool)
exchanges = names.filter(lambda text: "." not in text)
globs = st.text(st.sampled_from("SHFErb25.*?[]!- "), max_size=12)


def nats_match(subject: str, pattern: str) -> bool:
    """NATS's own rule, for patterns without ``>``."""
    left, right = subject.split("."), pattern.split(".")
    return len(left) == len(right) and all(b in ("*", a) for a, b in zip(left, right, strict=True))


def test_ordinary_contracts_stay_readable() -> None:
    assert tick_subject(Instrument("SHFE", "rb2510")) == "md.tick.SHFE.rb2510"
    assert tick_subject(Instrument("DCE", "m2601-C-3000")) == "md.tick.DCE.m2601-C-3000"
    assert batch_subject("ctp") == "md.batch.ctp"
    assert control_subject("last", "desk a") == "md.ctl.desk%20a.last"


def test_a_spread_with_a_space_is_encoded_and_comes_back() -> None:
    spread = Instrument("DCE", "SP a2105&a2109")
    assert tick_subject(spread) == "md.tick.DCE.SP%20a2105&a2109"
    assert instrument_of(tick_subject(spread)) == spread


@given(names)
@example("%")
@example("%41")
@example("\ud800\udc00")
@example("合约")
def test_any_name_becomes_one_safe_token_and_comes_back(text: str) -> None:
    encoded = token(text)
    assert encoded
    assert all("!" <= one <= "~" and one not in ".*>" for one in encoded)
    assert untoken(encoded) == text


@given(names, names)
def test_different_names_never_share_a_token(one: str, two: str) -> None:
    assert (token(one) == token(two)) == (one == two)


@given(names, names)
def test_any_instrument_comes_back_from_its_subject(exchange: str, code: str) -> None:
    instrument = Instrument(exchange, code)
    assert instrument_of(tick_subject(instrument)) == instrument


def test_an_empty_name_is_no_token() -> None:
    with pytest.raises(ValueError, match="empty"):
        token("")


@pytest.mark.parametrize(
    "subject",
    ["", "md.tick", "md.tick.", "md.tick.SHFE", "md.tick.SHFE.", "md.tick..rb", "xmd.tick.A.b", "md.batch.A.b"],
)
def test_other_subjects_are_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="not a tick subject"):
        instrument_of(subject)


@given(any_text)
@example("md.tick.%FF.%ED%A0")
def test_reading_any_subject_gives_an_instrument_or_a_value_error(subject: str) -> None:
    for text in (subject, f"md.tick.{subject}"):
        with suppress(ValueError):
            assert isinstance(instrument_of(text), Instrument)


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        ("*", "md.tick.*.*"),
        ("SHFE.rb*", "md.tick.SHFE.*"),
        ("SHFE.rb2510", "md.tick.SHFE.rb2510"),
        ("*.IF2512", "md.tick.*.IF2512"),
        ("DCE.SP a2105&a2109", "md.tick.DCE.SP%20a2105&a2109"),
        ("[SD]*.??2510", "md.tick.*.*"),
    ],
)
def test_a_pattern_becomes_the_narrowest_subject(pattern: str, subject: str) -> None:
    assert subscription_subject(pattern) == subject


@pytest.mark.parametrize("pattern", ["", "SHFE", "SHFE.", ".rb2510", "."])
def test_what_is_no_pattern_is_refused_with_an_example(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"write EXCHANGE\.CODE, for example SHFE\.rb\*"):
        subscription_subject(pattern)


@given(globs, exchanges, names)
@example("*.1", "SHFE", "a.1")
@example("S[H.]FE.x", "SHFE", "x")
@example("S*1", "SHFE", "a.1")
def test_the_subject_of_a_pattern_covers_everything_that_matches_it(pattern: str, exchange: str, code: str) -> None:
    covers(pattern, exchange, code)


@given(globs, st.text(st.sampled_from("SHFE"), min_size=1), st.text(st.sampled_from("rb25.-"), min_size=1))
def test_the_subject_of_a_pattern_covers_lookalikes_too(pattern: str, exchange: str, code: str) -> None:
    covers(pattern, exchange, code)
    covers(f"{exchange[:1]}*.{code}", exchange, code)


def covers(pattern: str, exchange: str, code: str) -> None:
    try:
        subject = subscription_subject(pattern)
    except ValueError:
        return
    if matcher(pattern)(f"{exchange}.{code}"):
        assert nats_match(tick_subject(Instrument(exchange, code)), subject)


@given(any_text)
def test_any_text_is_a_harmless_pattern(pattern: str) -> None:
    assert matcher(pattern)("SHFE.rb2510") in (True, False)


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        ("SHFE.rb*", "SHFE.rb2510", True),
        ("SHFE.rb*", "SHFE.RB2510", False),
        ("SHFE.rb*", "DCE.rb2510", False),
        ("*", "CZCE.TA509", True),
        ("C*", "CZCE.TA509", True),
        ("*.[IT]*", "CFFEX.T2512", True),
        ("*.1", "SHFE.a.1", False),
        ("*.a.1", "SHFE.a.1", True),
    ],
)
def test_a_matcher_knows_case_and_globs(pattern: str, text: str, answer: bool) -> None:
    assert matcher(pattern)(text) is answer
