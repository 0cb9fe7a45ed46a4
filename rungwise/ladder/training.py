"""What the training rungs share: settings with what the user asked for, searched on dev, as recipes of fitted parts."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rungwise.core.candidate import ON, Candidate, Fitted
from rungwise.core.dataset import Example
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.evaluation import Evaluation
from rungwise.core.record import to_plain
from rungwise.core.types import Rung
from rungwise.core.usecase import UseCase
from rungwise.ladder.rung import Ground
from rungwise.ladder.seen import qualities

Recipe = Mapping[str, Any]
Build = Callable[[Ground, Recipe], Candidate]
"""From the settings of a trial to the candidate that is fitted with them."""


def settings(shape: type, ground: Ground, *trials: Recipe, **own: Any) -> dict[str, Any]:
    """The settings of a technique as a recipe: its defaults, then `own`, those of a trial, and what the user asked for."""
    known = {field.name for field in dataclasses.fields(shape)}
    chosen: dict[str, Any] = {"seed": ground.case.seed, "device": ground.case.train.device, **own}
    for more in (*trials, ground.case.train.settings):
        chosen |= {name: value for name, value in more.items() if name in known}
    made = shape(**{name: value for name, value in chosen.items() if name in known})
    return {name: value for name, value in to_plain(made).items() if name != "seed"}


def fitted(technique: str, ground: Ground, recipe: Recipe, *, on: Fitted | None = None, inputs: Sequence[str] = ()) -> Fitted:
    """A part that is fitted on the training rows, standing on another one where it does."""
    below = {ON: to_plain(on)} if on is not None else {}
    return Fitted(technique=technique, recipe={**recipe, **below}, inputs=(ground.train_id, *inputs), seed=ground.case.seed)


def searched(ground: Ground, space: Mapping[str, Any], first: Recipe, build: Build) -> Rung:
    """A rung that tries one candidate after another, each with the settings that the search asks for after those before it.

    One trial, which is the default, takes the usual settings. What the user set is not searched.
    """

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        open_space = {name: span for name, span in space.items() if name not in ground.case.train.settings}
        if not seen:
            return (
                (build(ground, {}),) if ground.case.train.trials == 1 or not open_space else (build(ground, _next(open_space, ())),)
            )
        if ground.case.train.trials == 1 or not open_space:
            return ()
        found = _next(open_space, qualities(seen, ground.case))
        return (build(ground, found),) if found is not None else ()

    def _next(space: Mapping[str, Any], scores: Sequence[float]) -> Any:
        from rungwise.fit.search import Search, next_trial

        asked = ground.case.train
        search = Search(how=asked.search, trials=asked.trials, seed=ground.case.seed, first=first)  # type: ignore[arg-type]
        return next_trial(space, search, scores)

    return propose


def unset(ground: Ground) -> Ground:
    """The ground without what the user set, for a training beneath or above the one that the settings are for."""
    return dataclasses.replace(
        ground, case=dataclasses.replace(ground.case, train=dataclasses.replace(ground.case.train, settings={}))
    )


def without_replay(case: UseCase) -> dict[str, Any]:
    """No replay where the use case names no general texts that could be replayed."""
    return {} if case.train.general is not None else {"replay": 0.0}


def check_settings(asked: Mapping[str, Any], shapes: Sequence[type]) -> None:
    """Raise UnknownName for a setting that none of the techniques has, UsageError for a value of another kind than its own."""
    known: dict[str, tuple[Any, Any]] = {}
    for shape in shapes:
        hints = typing.get_type_hints(shape)
        known |= {field.name: (hints[field.name], field.default) for field in dataclasses.fields(shape)}
    for name, value in asked.items():
        if name not in known:
            raise UnknownName("setting", name, known)
        kind, usual = known[name]
        if not _is_of(value, kind):
            raise UsageError(f"the setting {name} cannot be {value!r}. Its usual value is {usual!r}: --set {name}={usual}")
        if isinstance(value, (int, float)) and not isinstance(value, bool) and (value < 0 or (name in _COUNTS and value < 1)):
            raise UsageError(f"the setting {name} must be {'at least 1' if name in _COUNTS else '0 or more'}, not {value}")


_COUNTS = frozenset(
    {
        "epochs",
        "rank",
        "alpha",
        "rows",
        "batch",
        "batch_tokens",
        "batch_pairs",
        "row_tokens",
        "max_tokens",
        "context",
        "steps",
        "rounds",
    }
    | {"accumulate", "width", "layers", "heads", "inner", "encoder_layers", "decoder_layers", "words", "vocabulary"}
)
"""Settings that count something of which there is at least one."""


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value that people typed is of a kind; a whole number is a number, and a list a tuple."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(_is_of(value, one) for one in inside)
    if origin is typing.Literal:
        return value in inside
    if origin is tuple:
        return isinstance(value, (list, tuple)) and all(_is_of(one, inside[0]) for one in value)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return kind is Any or (value is None if kind is type(None) else isinstance(value, kind))
