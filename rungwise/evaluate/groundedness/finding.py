"""What is wrong with a statement, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Wrong: TypeAlias = Literal["number", "unit", "date", "entity", "negation", "source"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Characters `start` to `end` of the statement are not what the passages say; `evidence` is what they say there, if anything.

    `kind` is the check that found it; 'source' means that no passage says anything like the statement.
    """

    kind: Wrong
    start: int
    end: int
    text: str
    evidence: str = ""

    def __str__(self) -> str:
        said = f", but the source has '{self.evidence}'" if self.evidence else ", and the source does not"
        return f"{self.kind}: the statement has '{self.text}'{said}"
