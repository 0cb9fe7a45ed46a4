"""What a training gives: the files of the model, how it went, and what there is to tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rungwise.engines.fitted.files import Files
from rungwise.fit.finetune import Trained


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted model. `told` are counts and measures by name: parameters, tokens, rows that were cut, losses on held-out rows."""

    files: Files
    trained: Trained
    told: Mapping[str, float] = field(default_factory=dict)
