"""What the rungs that ask a language model have in common: the candidate's form, and what its calls will cost."""

from __future__ import annotations

from typing import Any

from rungwise.core.candidate import Candidate
from rungwise.core.usecase import Endpoint
from rungwise.ladder.rung import Forecast, Ground

# Characters per token of English text, the usual rule of thumb; only forecasts use it.
CHARS_PER_TOKEN = 4.0
OUTPUT_TOKENS = 16
CALL_S = 1.0


def asks(parent: Candidate, ground: Ground, *, prompt: str, **changes: Any) -> Candidate:
    """A candidate that asks this ground's endpoint; what shapes the prompt beside its wording goes into the recipe too."""
    endpoint, case = _endpoint(ground), ground.case
    options = dict(changes.pop("options", parent.options))
    if case.descriptions and case.task == "classify":
        options["descriptions"] = {label: case.descriptions[label] for label in ground.labels if label in case.descriptions}
    if case.multi_label:
        options["multi_label"] = True
    return parent.but(model=f"{endpoint.name}/{endpoint.model}", prompt=prompt, options=options, **changes)


def call_forecast(ground: Ground, *, candidates: int, shots: int = 0, passages: int = 0) -> Forecast:
    """Calls, tokens and money of measuring some candidates on dev, at the endpoint's list price.

    A call is taken to last 1 s where nothing is known, with the endpoint's
    concurrency; a self-hosted endpoint pays its machine for those seconds.
    """
    from rungwise.engines.prices import price_of
    from rungwise.engines.wire import TokenCount

    endpoint = _endpoint(ground)
    label_chars = sum(len(label) + 3 for label in ground.labels) + sum(map(len, ground.case.descriptions.values()))
    chars = 200 + label_chars + (1 + shots) * ground.chars + passages * 600
    tokens = TokenCount(input=int(chars / CHARS_PER_TOKEN), output=OUTPUT_TOKENS)
    answer_usd = price_of(endpoint, ground.prices).of(tokens, CALL_S / endpoint.concurrency)
    calls = candidates * ground.n_dev
    seconds = calls * CALL_S / endpoint.concurrency
    return Forecast(seconds=seconds, usd=calls * answer_usd, calls=calls, answer_usd=answer_usd)


def _endpoint(ground: Ground) -> Endpoint:
    if ground.endpoint is None:
        raise ValueError("this rung stands only where an endpoint is configured")
    return ground.endpoint
