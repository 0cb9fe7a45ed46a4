"""The one door to Optuna: which settings to try next, given what was tried; the same history asks for the same trial again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rungwise.core.errors import MissingExtra, UsageError

PATIENCE = 5
"""Trials in a row that may bring nothing better before the search ends."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Numbers from `low` to `high`; with `log`, tenfold steps are as likely as each other."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Span | Sequence[Any]]
"""The settings that are searched: a span of numbers, or a list of choices."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How settings are searched.

    'bayesian': tree-structured Parzen estimators (Bergstra et al., NeurIPS 2011), 'random', or 'grid', which takes `cuts` values
    of each span. At most `trials`; it ends after `patience` trials that brought nothing better.
    """

    how: Literal["grid", "random", "bayesian"] = "bayesian"
    trials: int = 8
    seed: int = 0
    patience: int = PATIENCE
    cuts: int = 3
    first: Mapping[str, Any] = field(default_factory=dict)


def next_trial(space: Space, search: Search, scores: Sequence[float]) -> dict[str, Any] | None:
    """The settings to try after trials with these scores (more is better), or None when the search is over.

    The first trial is `search.first`, where that is given. Equal arguments give equal settings, so that a search that was
    killed goes on as it would have. Raises UsageError for an empty space, MissingExtra without Optuna.
    """
    if not space:
        raise UsageError("there is nothing to search: name at least one setting")
    if len(scores) >= search.trials or _stalled(scores, search.patience):
        return None
    optuna = _optuna()
    choices = {name: _choices(one, search.cuts) for name, one in space.items()}
    if search.how == "grid" and len(scores) >= math.prod(map(len, choices.values())):
        return None
    distributions = {name: _distribution(optuna, one, choices[name], grid=search.how == "grid") for name, one in space.items()}
    study = optuna.create_study(direction="maximize", sampler=_sampler(optuna, search, choices))
    if search.first and search.how != "grid":
        study.enqueue_trial({name: search.first[name] for name in space if name in search.first})
    for score in scores:
        study.tell(study.ask(distributions), score)
    return dict(study.ask(distributions).params)


def _stalled(scores: Sequence[float], patience: int) -> bool:
    best = max(range(len(scores)), key=scores.__getitem__) if scores else 0
    return len(scores) - 1 - best >= patience


def _choices(one: Span | Sequence[Any], cuts: int) -> list[Any]:
    """The values of a grid: evenly spaced, or by equal factors."""
    if not isinstance(one, Span):
        return list(one)
    steps = [place / max(1, cuts - 1) for place in range(cuts)]
    if one.log:
        return [one.low * (one.high / one.low) ** step for step in steps]
    return [one.low + (one.high - one.low) * step for step in steps]


def _distribution(optuna: Any, one: Span | Sequence[Any], choices: list[Any], *, grid: bool) -> Any:
    if isinstance(one, Span) and not grid:
        return optuna.distributions.FloatDistribution(one.low, one.high, log=one.log)
    return optuna.distributions.CategoricalDistribution(choices)


def _sampler(optuna: Any, search: Search, choices: Mapping[str, list[Any]]) -> Any:
    if search.how == "grid":
        return optuna.samplers.GridSampler({name: list(values) for name, values in choices.items()}, seed=search.seed)
    if search.how == "random":
        return optuna.samplers.RandomSampler(seed=search.seed)
    return optuna.samplers.TPESampler(seed=search.seed)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra("searching hyperparameters", "train") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
