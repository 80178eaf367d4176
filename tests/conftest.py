"""What all tests share: how hypothesis searches, and that processes of tests can be interrupted."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# no time limits in tests, and the same examples in every run: a red test is red again. `make fuzz` rolls the dice.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=5_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts background jobs with SIGINT ignored, and every process below would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
