"""A decision for tests that need one to exist and look at little of it."""

from __future__ import annotations

from rungwise.core.decision import Decision
from rungwise.core.usecase import Target


def met(dataset: str, *, use_case: str = "simulated", target: float = 0.9, evaluations: tuple[str, ...] = ()) -> Decision:
    """A target of accuracy was shown to be met on these rows."""
    return Decision(
        use_case=use_case,
        dataset=dataset,
        target=Target(metric="accuracy", value=target),
        verdict="met",
        control="exact",
        reason="",
        ladder=(),
        rungs=(),
        alpha_total=0.05,
        alpha_spent_before=0.0,
        alpha_spent=0.0,
        evaluations=evaluations,
    )
