"""How fast this machine trains now."""

from __future__ import annotations


def training_pace(device: str) -> float:
    """Floating-point operations a second of a training in bf16, by a probe of about a second. Raises MissingExtra without torch.

    A climb does not ask for it: its forecasts are those of the machine that they were tried on, so that the same stored
    evaluations give the same decision wherever it is repeated.
    """
    from rungwise.fit.scaling import measure_pace

    return measure_pace(device=device)
