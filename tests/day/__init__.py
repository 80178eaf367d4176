"""A trading day in fast time, with the operators' commands as subprocesses: ``python -m tests.day``."""
