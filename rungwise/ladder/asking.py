"""What the rungs that ask a language model have in common: the candidate's form, and what its calls will cost."""

from __future__ import annotations

from typing import Any

from rungwise.core.candidate import Candidate
from rungwise.core.usecase import Endpoint
from rungwise.ladder.rung import Forecast, Ground

# Characters per token of English text, the usual rule of thumb; only forecasts use it.
CHARS_PER_TOKEN = 4.0


def asks(parent: Candidate, ground: Ground, *, prompt: str, **changes: Any) -> Candidate:
    """A candidate that asks this ground's endpoint."""
    endpoint = _endpoint(ground)
    return parent.but(model=f"{endpoint.name}/{endpoint.model}", prompt=prompt, **changes)


def call_forecast(ground: Ground, *, candidates: int, shots: int = 0, passages: int = 0) -> Forecast:
    """Calls, tokens and money of measuring some candidates on dev, at the endpoint's list price.

    A call is taken to last 1 s where nothing is known, with the endpoint's
    concurrency; a self-hosted endpoint pays its machine for those seconds.
    """
    from rungwise.engines.prices import price_of

    endpoint = _endpoint(ground)
    label_chars = sum(len(label) + 3 for label in ground.labels) + sum(map(len, ground.case.descriptions.values()))
    chars = 200 + label_chars + (1 + shots) * ground.chars + passages * 600
    price = price_of(endpoint)
    answer_usd = price.usd(input_tokens=int(chars / CHARS_PER_TOKEN), output_tokens=16)
    calls = candidates * ground.n_dev
    seconds = calls / endpoint.concurrency
    if endpoint.usd_per_hour is not None:
        answer_usd += endpoint.usd_per_hour / 3600.0 / endpoint.concurrency
    return Forecast(seconds=seconds, usd=calls * answer_usd, calls=calls, answer_usd=answer_usd)


def _endpoint(ground: Ground) -> Endpoint:
    if ground.endpoint is None:
        raise ValueError("this rung stands only where an endpoint is configured")
    return ground.endpoint
