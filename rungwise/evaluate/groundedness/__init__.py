"""Checks whether a statement says what its source says."""

from rungwise.evaluate.groundedness.check import Grounding, is_grounded, supported
from rungwise.evaluate.groundedness.finding import Finding

__all__ = ["Finding", "Grounding", "is_grounded", "supported"]
