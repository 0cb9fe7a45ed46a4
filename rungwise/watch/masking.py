"""Personal data out of what production brings back, before it is kept as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rungwise.curate.pii.span import Detector
    from rungwise.watch.harvest import Mask


def masking(*, names: bool = False) -> Mask:
    """A function that writes [EMAIL] in place of an address, and so on; with `names`, people and places too.

    It raises MissingExtra when what finds personal data is not installed.
    """
    from rungwise.curate.pii.detect import Structured
    from rungwise.curate.pii.masking import placeholder, rewritten
    from rungwise.curate.pii.step import found_by

    detectors: list[Detector] = [Structured()]
    if names:
        from rungwise.curate.names.tagger import names_detector

        detectors.append(names_detector())

    def mask(texts: Sequence[str]) -> Sequence[str]:
        spans = found_by(detectors, texts) if texts else []
        return [rewritten(text, own, placeholder) for text, own in zip(texts, spans, strict=True)]

    return mask
