"""How an index is made, as plain data: equal recipes over equal documents give equal indexes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rungwise.core.record import to_plain
from rungwise.engines.chunking.chunk import Chunking
from rungwise.engines.search.terms import Words


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How documents are cut, how their text becomes terms, and which encoder gives vectors (None: no dense search)."""

    chunking: Chunking = field(default_factory=Chunking)
    words: Words = field(default_factory=lambda: Words(stem=True))
    encoder: str | None = None

    def plain(self) -> Mapping[str, Any]:
        """As the recipe of a fitted part holds it."""
        return {"chunking": to_plain(self.chunking), "words": to_plain(self.words), "encoder": self.encoder}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Recipe:
        """From what `plain` gave; what is missing keeps its default."""
        words = {"stem": True, **plain.get("words", {})}
        return cls(chunking=Chunking(**plain.get("chunking", {})), words=Words(**words), encoder=plain.get("encoder"))

    def but(self, **changes: Any) -> Recipe:
        """The same with some fields changed."""
        return dataclasses.replace(self, **changes)
