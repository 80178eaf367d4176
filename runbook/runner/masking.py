"""Keeps secrets out of everything that is written down; the gateway's own programs use the same masker."""

from gateway.settings.masking import MASK, Masker

__all__ = ["MASK", "Masker"]
