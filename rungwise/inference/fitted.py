"""Who answers with a model that was fitted here: labels from an encoder, text from a language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.errors import UsageError
from rungwise.core.types import Responder
from rungwise.engines.fitted.beneath import beneath_files, is_adapter, part_files
from rungwise.engines.fitted.models import CAUSAL, MASKED

if TYPE_CHECKING:
    from rungwise.engines.fitted.classifier import Classifier
    from rungwise.engines.fitted.sentence_classifier import SentenceClassifier

CLASSIFIES, GENERATES = "encoder", "language-model"
"""What the model of such a candidate is called: what gives labels, and what writes."""

Load = Callable[[str], Mapping[str, bytes]]


def load_classifier(candidate: Candidate, load: Load) -> Classifier | SentenceClassifier:
    """The fitted encoder of a candidate with its head. Raises UsageError when it names none, Corrupt when a byte differs."""
    from rungwise.engines.fitted.classifier import Classifier
    from rungwise.engines.fitted.sentence_classifier import HEAD, SentenceClassifier

    part = _answering(candidate)
    files = part_files(part, load)
    if any(name.startswith(HEAD) for name in files):
        return SentenceClassifier.load(files)
    return Classifier.load(files, beneath_files(part, load, MASKED) if is_adapter(files) else None)


def text_responder(candidate: Candidate, load: Load) -> Responder:
    """Whoever writes answers with the fitted language model of a candidate; the model is loaded at the first question."""
    from rungwise.inference.generating import fitted_responder

    part = _answering(candidate)

    def files() -> tuple[Mapping[str, bytes], Mapping[str, bytes] | None]:
        own = part_files(part, load)
        return own, beneath_files(part, load, CAUSAL) if is_adapter(own) else None

    return fitted_responder(candidate, files)


def loaded_bytes(part: Fitted, size: Callable[[str], int]) -> int:
    """The bytes of what a part needs to answer: an adapter needs what it stands on too, a whole model nothing beside itself."""
    below = part.beneath
    adapter = part.recipe.get("technique") == "lora"
    return size(part.id) + (loaded_bytes(below, size) if below is not None and adapter else 0)


def _answering(candidate: Candidate) -> Fitted:
    if candidate.head is None:
        raise UsageError(f"the candidate's model '{candidate.model}' needs a fitted part and names none. Run the climb again")
    return candidate.head
