"""What the conformance suite asks this plugin by: the stand-in, steered. For tests and ``gateway check``."""

from __future__ import annotations

from gateway.testing.thost import StandinCounter, StandinList
from gateway_sopt import gateway_catalogues, gateway_feeds
from gateway_sopt.standin import library


class SoptCounter(StandinCounter):
    """A SOPT counter without a broker."""

    kind = gateway_feeds()[0]
    library = staticmethod(library)


class SoptList(StandinList):
    """The contracts that it lists."""

    kind = gateway_catalogues()[0]


CONFORMANCE = (SoptCounter, SoptList)
