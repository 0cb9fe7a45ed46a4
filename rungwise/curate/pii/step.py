"""Personal data as a step of curation: what each row holds, which rows are set aside, and how texts are rewritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rungwise.core.errors import UnknownName, UsageError
from rungwise.curate.pii.detect import Structured
from rungwise.curate.pii.masking import placeholder, pseudonyms, rewritten
from rungwise.curate.pii.span import Detector, Span, merged
from rungwise.curate.pii.surrogates import Surrogates
from rungwise.curate.pii.types import SECRETS, TYPES
from rungwise.curate.pii.vault import key_from
from rungwise.curate.step import Finding, Look, Rows

Action: TypeAlias = Literal["report", "mask", "pseudonymise", "quarantine"]
_CODES = {name: code for code, name in enumerate(TYPES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pii:
    """Finds personal data and secrets. Rows that hold a secret are set aside, whatever the action, unless it rewrites them.

    `types` are those that the action is about; none means all. `action`: `report` only counts; `quarantine` sets aside rows
    with any of `types`; `mask` and `pseudonymise` have `rewrite` change the texts, under the key in `$key_env` for the
    latter. `detectors` stand beside the one for data with a form: taggers of names, for instance.
    """

    types: tuple[str, ...] = ()
    action: Action = "report"
    detectors: tuple[Detector, ...] = ()
    key_env: str = "RUNGWISE_PII_KEY"

    def __post_init__(self) -> None:
        for name in self.types:
            if name not in TYPES:
                raise UnknownName("type of personal data", name, TYPES)
        if self.action not in ("report", "mask", "pseudonymise", "quarantine"):
            raise UsageError(f"there is no action '{self.action}'. Choose report, mask, pseudonymise or quarantine")

    @property
    def name(self) -> str:
        """The step's name in reason codes."""
        return "pii"

    @property
    def edition(self) -> int:
        """Raised whenever `look` would give something else for the same text and settings."""
        return 1

    def look(self, texts: Sequence[str]) -> Look:
        """The spans of all texts: `row` in this batch, `start` and `end` in characters, `type` as its place in TYPES; `texts` is
        how many there were."""
        import numpy as np

        found = found_by((Structured(), *self.detectors), texts)
        spans = [(row, span) for row, spans in enumerate(found) for span in spans]
        return {
            "row": np.array([row for row, _ in spans], np.uint32),
            "start": np.array([span.start for _, span in spans], np.uint32),
            "end": np.array([span.end for _, span in spans], np.uint32),
            "type": np.array([_CODES[span.type] for _, span in spans], np.uint8),
            "texts": np.array([len(texts)], np.uint32),
        }

    def decide(self, looks: Sequence[Look], rows: Rows) -> list[Finding]:
        """Rows with a secret (`pii:secret`) or with what is to be quarantined (`pii:email` ...); the evidence names types only."""
        findings, first = [], 0
        for look in looks:
            held: dict[int, set[str]] = {}
            for row, code in zip(look["row"].tolist(), look["type"].tolist(), strict=True):
                held.setdefault(row, set()).add(TYPES[code])
            for row, types in sorted(held.items()):
                reason = self._reason(types)
                if reason:
                    findings.append(Finding(first + row, f"pii:{reason}", ", ".join(sorted(types))))
            first += int(look["texts"][0])
        return findings

    def _reason(self, held: set[str]) -> str:
        if self.action in ("report", "quarantine") and not held.isdisjoint(SECRETS):
            return "secret"
        if self.action == "quarantine":
            return min(held & set(self.types or TYPES), default="").lower()
        return ""

    def counts(self, looks: Sequence[Look]) -> dict[str, int]:
        """How many spans of each type there are; for the data card."""
        import numpy as np

        totals = sum((np.bincount(look["type"], minlength=len(TYPES)) for look in looks), np.zeros(len(TYPES), np.int64))
        return {name: int(total) for name, total in zip(TYPES, totals, strict=True) if total}

    @property
    def rewrites(self) -> bool:
        """Whether `rewrite` changes texts under this action."""
        return self.action in ("mask", "pseudonymise")

    def rewrite(self, texts: Sequence[str], look: Look) -> list[str]:
        """These texts without the personal data that was seen in them; the same texts under the actions that do not rewrite."""
        if not self.rewrites:
            return list(texts)
        replacement = pseudonyms(Surrogates(key_from(self.key_env))) if self.action == "pseudonymise" else placeholder
        wanted = {_CODES[name] for name in self.types or TYPES} | {_CODES[name] for name in SECRETS}
        spans: dict[int, list[Span]] = {}
        parts = (look[name].tolist() for name in ("row", "start", "end", "type"))
        for row, start, end, code in zip(*parts, strict=True):
            if code in wanted:
                spans.setdefault(row, []).append(Span(start, end, TYPES[code]))
        return [rewritten(text, spans[row], replacement) if row in spans else text for row, text in enumerate(texts)]


def found_by(detectors: Sequence[Detector], texts: Sequence[str]) -> list[list[Span]]:
    """The spans of several detectors, merged text by text."""
    if len(detectors) == 1:
        return detectors[0](texts)
    return [merged(span for spans in found for span in spans) for found in zip(*(one(texts) for one in detectors), strict=True)]
