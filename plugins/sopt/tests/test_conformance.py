"""The conformance suite on the stand-in; what only the real library can show is in tests/native."""

from __future__ import annotations

import pytest
from gateway_sopt.conformance import SoptCounter, SoptList

from gateway.testing.catalogue_contract import CatalogueContract
from gateway.testing.feed_contract import FeedContract
from gateway.thost import source


@pytest.fixture(autouse=True)
def short_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "QUIET_S", 0.01)


class TestSopt(FeedContract):
    counter = SoptCounter


class TestSoptList(CatalogueContract):
    place = SoptList
