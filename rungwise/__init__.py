"""Climb no higher than you need."""

__version__ = "0.1.0"
