"""The shape of a task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Task:
    """Data only: `metric` is the default target, `metrics` what is always reported, `ladder` the rung names."""

    name: str
    inputs: tuple[str, ...]
    output: str
    metric: str
    metrics: tuple[str, ...]
    prompt: str
    ladder: tuple[str, ...]
