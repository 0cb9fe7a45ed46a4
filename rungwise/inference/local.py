"""Responders for what answers on this machine: the floor, linear models, label names, prototypes, neighbours, heads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rungwise.core.candidate import Candidate
from rungwise.core.content import Chunk, Request, Scores, Text
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.types import Responder
from rungwise.engines.batching import gathered
from rungwise.inference.fitted import CLASSIFIES, load_classifier

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

Load = Callable[[str], Mapping[str, bytes]]
Encode = Callable[[Sequence[str]], "Floats"]
Probabilities = Callable[[Sequence[str]], "Floats"]

MODELS = ("majority", "linear", "label-names", "prototypes", "neighbours", "head", "encoder")


def local_responder(candidate: Candidate, load: Load, encode: Encode) -> Responder:
    """Whoever answers for a candidate that needs no endpoint.

    `load` gives the files of a fitted part by its id; `encode` turns texts into
    vectors (n, d) of unit length, and is called by techniques on embeddings only. With
    `options["out_of_scope"]` (a label) and `options["out_of_scope_below"]` (a probability)
    a single-label answer less sure than that becomes the out-of-scope label.
    Raises UnknownName for another model, UsageError when a fitted part is not named.
    """
    if candidate.model == "majority":
        return _majority(candidate)
    if candidate.model not in MODELS:
        raise UnknownName("local model", candidate.model, MODELS, where="a candidate")
    labels, probabilities, threshold = _classifier(candidate, load, encode)
    return gathered(_answering(candidate, labels, probabilities, threshold))


def _majority(candidate: Candidate) -> Responder:
    """Always `options["answer"]`, with its share of the training rows as confidence."""
    answer, share = str(candidate.options["answer"]), float(candidate.options["share"])
    scores = _majority_scores(candidate.labels, answer, share)
    chunk = Chunk(parts=(Text(answer),) if answer else (), scores=scores, confidence=share, model="majority", finish="stop")

    async def say(request: Request) -> AsyncIterator[Chunk]:
        yield chunk

    return say


def _majority_scores(labels: tuple[str, ...], answer: str, share: float) -> Scores | None:
    """The share for the majority label, the rest evenly over the others; None where the answer is not one known label."""
    if answer not in labels:
        return None
    rest = (1.0 - share) / max(1, len(labels) - 1)
    return Scores(labels, [share if label == answer else rest for label in labels])


def _classifier(candidate: Candidate, load: Load, encode: Encode) -> tuple[tuple[str, ...], Probabilities, float | None]:
    """The labels, what gives their probabilities, and for several labels the probability from which one is given."""
    from rungwise.engines.linear import Head, Linear
    from rungwise.engines.neighbours import Neighbours, Prototypes

    if candidate.model == "linear":
        linear = Linear.load(_files(candidate, load))
        return linear.labels, linear.probabilities, linear.calibration.threshold if linear.calibration.multi_label else None
    if candidate.model == CLASSIFIES:
        fitted = load_classifier(candidate, load)
        return fitted.labels, fitted.probabilities, fitted.threshold if fitted.multi_label else None
    if candidate.model == "label-names":
        return candidate.labels, _by_name(candidate, encode), None
    if candidate.model == "prototypes":
        prototypes = Prototypes.load(_files(candidate, load))
        return prototypes.labels, lambda texts: prototypes.probabilities(encode(texts)), None
    if candidate.model == "neighbours":
        examples = Neighbours.load(_files(candidate, load))
        given = examples.threshold if examples.multi_label else None
        return examples.labels, lambda texts: examples.probabilities(encode(texts)), given
    head = Head.load(_files(candidate, load))
    given = head.calibration.threshold if head.calibration.multi_label else None
    return head.labels, lambda texts: head.probabilities(encode(texts)), given


def _files(candidate: Candidate, load: Load) -> Mapping[str, bytes]:
    if candidate.head is None:
        raise UsageError(f"the candidate's model '{candidate.model}' needs a fitted part and names none. Run the climb again")
    return load(candidate.head.id)


def _by_name(candidate: Candidate, encode: Encode) -> Probabilities:
    """Cosines of a text to the label names, or to `options["descriptions"]` where a label has one. Names are embedded once."""
    from rungwise.engines.neighbours import Prototypes

    if not candidate.labels:
        raise UsageError("a candidate that answers by label names needs labels. Run the climb again")
    told: Mapping[str, str] = candidate.options.get("descriptions", {})
    names = [told.get(label) or readable(label) for label in candidate.labels]
    made: list[Prototypes] = []

    def probabilities(texts: Sequence[str]) -> Floats:
        if not made:
            made.append(Prototypes(labels=candidate.labels, vectors=encode(names)))
        return made[0].probabilities(encode(texts))

    return probabilities


def readable(label: str) -> str:
    """A label as a person would say it: 'order_status' and 'OrderStatus' become 'order status'."""
    spaced = "".join(
        f" {sign}" if sign.isupper() and place and label[place - 1].islower() else sign for place, sign in enumerate(label)
    )
    return " ".join(spaced.replace("_", " ").replace("-", " ").replace("/", " ").split()).lower() or label


def _answering(
    candidate: Candidate, labels: tuple[str, ...], probabilities: Probabilities, threshold: float | None
) -> Callable[[Sequence[Request]], Sequence[Chunk]]:
    parts = tuple((Text(label),) for label in labels)
    outside, below = candidate.options.get("out_of_scope"), candidate.options.get("out_of_scope_below")
    away = (Text(str(outside)),) if outside is not None and below is not None else None

    def several(requests: Sequence[Request]) -> list[Chunk]:
        import numpy as np

        assert threshold is not None

        shown = probabilities([request.text for request in requests])
        sure = np.maximum(shown, 1.0 - shown).min(axis=1).tolist()
        chunks = []
        for row, given, confidence in zip(shown, shown >= threshold, sure, strict=True):
            text = "\n".join(labels[place] for place in np.flatnonzero(given))
            own = (Text(text),) if text else ()
            chunks.append(Chunk(parts=own, scores=Scores(labels, row), confidence=confidence, model=candidate.model, finish="stop"))
        return chunks

    def one(requests: Sequence[Request]) -> list[Chunk]:
        shown = probabilities([request.text for request in requests])
        chunks = []
        for row, place, confidence in zip(shown, shown.argmax(axis=1).tolist(), shown.max(axis=1).tolist(), strict=True):
            own = parts[place] if away is None or confidence >= below else away
            chunks.append(Chunk(parts=own, scores=Scores(labels, row), confidence=confidence, model=candidate.model, finish="stop"))
        return chunks

    return one if threshold is None else several
