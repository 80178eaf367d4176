"""Issue 4's trading day, with the commands of the operators' contract (§1) on the real path: see docs/trading-day.md.

Native lines (openctp-tts) against two loopback fronts, a real nats-server, Vault (OpenBao), Pushgateway and Prometheus;
only the wall clock is not the machine's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.day.bad_day import BadDay
from tests.day.course import Course
from tests.day.good_day import GoodDay
from tests.day.site import site

pytestmark = pytest.mark.native


def test_a_trading_day_goes_from_the_evenings_secrets_to_the_archive_without_a_lost_tick(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        GoodDay(place, Course(place)).play()


def test_on_a_bad_day_each_failure_has_its_code_and_its_record(tmp_path: Path) -> None:
    with site(tmp_path) as place:
        BadDay(place, Course(place)).play()
