"""A fitted reader: marks the words of a passage that answer a question, or says that none do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Passage
from rungwise.core.errors import Corrupt
from rungwise.engines.answerable import QUESTION_SIGNS, question_signs
from rungwise.engines.bert import TOKENIZER
from rungwise.engines.pair_encoder import PairEncoder, PairTokenizer, PairTokens, TokenBatch, token_batches
from rungwise.engines.sentence_scorer import Sentence, coverage, kind_asked, sentences_of

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float32]

READER = "reader.json"
"""Calibration and window of a reader, beside the files that Hugging Face libraries read."""

TECHNIQUE = "reader"
WINDOW_TOKENS = 80  # of the passages: two or three sentences, in which most answers stand (benchmarks/squad2.py says how many)
MOST_WINDOW_TOKENS = 400  # with 96 of a question and three more it stays within the 512 places of a BERT
LONGEST_SENTENCE = 100_000  # tokens; of a longer one, which is no prose, the rest is not read
LONGEST_ANSWER = 30  # tokens, as in the BERT code (run_squad.py, max_answer_length)
FAR = -1e9

SIGNS = ("over_null", "share", "answer_words", "kind_held", "kind_missing", *QUESTION_SIGNS)
"""What the confidence of an answer is read from; `signs_of` computes them. `engines/answerable.py` explains the last six."""


@dataclass(frozen=True, slots=True)
class Window:
    """The likeliest sentences of the passages as tokens, in the order of the text.

    `owner` (n,) is the place in `sentences` that each passage token is of. Spans in `tokens` are characters of their own
    sentence. `signs` (6,) are the `QUESTION_SIGNS` of the question and all sentences, those left out too.
    """

    question: str
    tokens: PairTokens
    owner: NDArray[np.int64]
    sentences: tuple[Sentence, ...]
    signs: Floats

    def text(self, first: int, last: int) -> tuple[Passage, int, int]:
        """The sentence, and the characters in it, of the passage tokens `first` to `last`, both included."""
        own = self.sentences[int(self.owner[first])].passage
        return own, int(self.tokens.spans[first, 0]), int(self.tokens.spans[last, 1])


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer: exactly the characters of `passage`, which has their offsets in its document; it stands in `sentence`.

    `score` is the sum of its start and end logits, `null` that of no answer, `share` its part of all spans' probability.
    """

    passage: Passage
    sentence: Passage
    score: float
    null: float
    share: float


@dataclass(frozen=True, slots=True)
class Answered:
    """The best answers, best first; the F1 to expect of the first, and the probability that there is none, both in [0, 1]."""

    readings: tuple[Reading, ...]
    confidence: float
    none: float

    @property
    def silent(self) -> bool:
        """Whether saying nothing is likelier to be right (the Bayes decision where silence is worth 1 or 0)."""
        return self.none > self.confidence


@dataclass(frozen=True, kw_only=True)
class Logistic:
    """The logistic of `SIGNS` by `weights` (11,) and `offset`."""

    weights: tuple[float, ...] = (0.0,) * len(SIGNS)
    offset: float = 0.0

    def __call__(self, signs: Floats) -> float:
        """A probability in (0, 1) from the signs (11,)."""
        z = float(signs.astype(np.float64) @ np.asarray(self.weights)) + self.offset
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, z))))


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """`right`: the F1 to expect of the answer; `none`: the probability that there is no answer. The larger one decides."""

    right: Logistic = Logistic(weights=(1.0, *(0.0,) * (len(SIGNS) - 1)))
    none: Logistic = Logistic(weights=(-1.0, *(0.0,) * (len(SIGNS) - 1)))


class Reader:
    """A `BertForQuestionAnswering` over the likeliest sentences of some passages.

    Files are those of `transformers` (config.json, model.safetensors, tokenizer.json) with reader.json beside them; without
    that one, as in a model that was fitted elsewhere, the span's lead over no answer decides.
    """

    def __init__(self, files: Mapping[str, bytes], *, bf16: bool | None = None) -> None:
        """bf16 None: where the processor multiplies it natively. Raises MissingExtra, and Corrupt for files of another kind."""
        self.doubt, self.window_tokens = _settings(files)
        self._encoder = PairEncoder(files, bf16=bf16)
        self._tokenizer = reading_tokenizer(files[TOKENIZER])
        try:
            # in fp32: a logit in bf16 has three digits, and near ones would tie
            weight, bias = (self._encoder.weights[f"qa_outputs.{name}"].float() for name in ("weight", "bias"))
            if weight.shape[0] != 2:
                raise ValueError(f"it has {weight.shape[0]} outputs, not a start and an end")
        except (KeyError, ValueError) as error:
            raise Corrupt(
                f"the model is no reader ({error}). Fit one, or use a question answering model of the kind BERT"
            ) from error
        self._head: tuple[Tensor, Tensor] = (weight, bias)

    def answer(self, question: str, passages: Sequence[Passage], *, count: int = 1) -> Answered | None:
        """The `count` best answers that the passages hold; None when they hold no word."""
        return self.answer_many([(question, passages)], count=count)[0]

    def answer_many(self, asked: Sequence[tuple[str, Sequence[Passage]]], *, count: int = 1) -> list[Answered | None]:
        """The answers to several questions, each from passages of its own."""
        windows = self.windows(asked)
        read = iter(self.read([window for window in windows if window is not None], count=count))
        return [None if window is None else self._judged(window, next(read)) for window in windows]

    def _judged(self, window: Window, readings: tuple[Reading, ...]) -> Answered:
        signs = signs_of(window, readings[0])
        return Answered(readings, self.doubt.right(signs), self.doubt.none(signs))

    def windows(self, asked: Sequence[tuple[str, Sequence[Passage]]]) -> list[Window | None]:
        """What is read for each question; None where its passages hold no word."""
        return windows_of(self._tokenizer, asked, tokens=self.window_tokens)

    def read(self, windows: Sequence[Window], *, count: int = 1) -> list[tuple[Reading, ...]]:
        """The `count` best spans of each window, at least one, best first."""
        found: list[tuple[Reading, ...]] = [()] * len(windows)
        for batch in token_batches([window.tokens for window in windows]):
            logits = self.logits(batch)
            for place, row in enumerate(batch.rows):
                found[row] = best_spans(windows[row], logits[place, :, : len(windows[row].tokens.ids)], count=count)
        return found

    def logits(self, batch: TokenBatch) -> Floats:
        """(B, 2, T) float32: the start and end logits of the question answering model; those of padding mean nothing."""
        from torch.nn.functional import linear

        return np.asarray(linear(self._encoder.states(batch).float(), *self._head).transpose(1, 2).numpy(), dtype=np.float32)


def reading_tokenizer(tokenizer_json: bytes) -> PairTokenizer:
    """A tokenizer that leaves sentences whole: windows take what fits from them."""
    return PairTokenizer(tokenizer_json, max_tokens=LONGEST_SENTENCE)


def windows_of(
    tokenizer: PairTokenizer,
    asked: Sequence[tuple[str, Sequence[Passage]]],
    *,
    tokens: int = WINDOW_TOKENS,
    first: Callable[[int, Sentence], bool] = lambda row, sentence: False,
) -> list[Window | None]:
    """For every question, the sentences of its passages that cover most of it, best first until `tokens` are full.

    The best sentence is always read; of one longer than the window, the piece that covers most. In the window they stand
    in the order of the text, and rows without a token are None. Sentences of a row that `first` names are taken before the
    others: a training has to show the answer.
    """
    split = [sentences_of(passages) for _, passages in asked]
    pairs = [(question, own.passage.text) for (question, _), sentences in zip(asked, split, strict=True) for own in sentences]
    encoded = iter(tokenizer.tokens(pairs))
    return [
        _window(question, sentences, [next(encoded) for _ in sentences], tokens, [first(row, own) for own in sentences])
        for row, ((question, _), sentences) in enumerate(zip(asked, split, strict=True))
    ]


def _window(
    question: str, sentences: Sequence[Sentence], tokens: Sequence[PairTokens], room: int, first: Sequence[bool]
) -> Window | None:
    texts = [sentence.passage.text for sentence in sentences]
    covered = coverage(question, texts)
    order = [int(place) for place in np.argsort(-covered, kind="stable") if len(tokens[place].spans)]
    if not order:
        return None
    kept: list[int] = []
    left = room
    for place in sorted(order, key=lambda own: not first[own]):
        if not kept or len(tokens[place].spans) <= left:
            kept.append(place)
            left -= len(tokens[place].spans)
    best = tokens[order[0]]
    pieces = {place: _piece(question, texts[place], tokens[place], room) for place in sorted(kept)}
    ids = [
        best.ids[: best.start],
        *(tokens[place].ids[tokens[place].start :][piece] for place, piece in pieces.items()),
        best.ids[-1:],
    ]
    spans = [tokens[place].spans[piece] for place, piece in pieces.items()]
    owner = np.repeat(np.arange(len(pieces)), [len(own) for own in spans])
    joined = PairTokens(np.concatenate(ids), best.start, np.concatenate(spans), (0, 0))
    return Window(question, joined, owner, tuple(sentences[place] for place in pieces), question_signs(question, texts, covered))


def _piece(question: str, text: str, tokens: PairTokens, room: int) -> slice:
    """All tokens of a sentence that fits; else the run of `room` tokens, in strides of half of it, that covers most."""
    count = len(tokens.spans)
    if count <= room:
        return slice(0, count)
    begins = [*range(0, count - room, max(1, room // 2)), count - room]
    covered = coverage(question, [text[tokens.spans[begin, 0] : tokens.spans[begin + room - 1, 1]] for begin in begins])
    begin = begins[int(np.argmax(covered))]
    return slice(begin, begin + room)


def best_spans(window: Window, logits: Floats, *, count: int = 1) -> tuple[Reading, ...]:
    """The `count` spans with the highest sum of start and end logit (Devlin et al. 2018, section 4.2), best first.

    `logits` are (2, T). A span stands in one sentence, has at most 30 tokens, and shares none with a better one.
    """
    size = len(window.owner)
    begin = window.tokens.start
    start, end = logits[0, begin : begin + size].astype(np.float64), logits[1, begin : begin + size].astype(np.float64)
    far = np.arange(size)[None, :] - np.arange(size)[:, None]
    allowed = (far >= 0) & (far < LONGEST_ANSWER) & (window.owner[:, None] == window.owner[None, :])
    scores = np.where(allowed, start[:, None] + end[None, :], FAR)
    total = np.exp(scores - scores.max()).sum()
    top = scores.max()
    null = float(logits[0, 0] + logits[1, 0])
    readings: list[Reading] = []
    while len(readings) < count and scores.max() > FAR:
        first, last = (int(place) for place in np.unravel_index(int(scores.argmax()), scores.shape))
        score = float(scores[first, last])
        sentence, own, up_to = window.text(first, last)
        exact = replace(
            sentence, text=sentence.text[own:up_to], start=sentence.start + own, end=sentence.start + up_to, score=sentence.score
        )
        readings.append(Reading(exact, sentence, score, null, float(np.exp(score - top) / total)))
        scores[: last + 1, first:] = FAR  # whatever begins before its end and ends after its begin
    return tuple(readings)


def signs_of(window: Window, reading: Reading) -> Floats:
    """(11,) float32, in the order of `SIGNS`."""
    kind = kind_asked(window.question)
    held = kind is not None and kind.search(reading.passage.text) is not None
    share = min(max(reading.share, 1e-4), 1 - 1e-4)
    return np.array(
        [
            reading.score - reading.null,
            math.log(share / (1 - share)),
            math.log(1 + len(reading.passage.text.split())),
            held,
            kind is not None and not held,
            *window.signs,
        ],
        dtype=np.float32,
    )


def reader_settings(doubt: Doubt, *, window_tokens: int, **recorded: Any) -> dict[str, Any]:
    """What reader.json holds."""
    return {
        "technique": TECHNIQUE,
        "signs": list(SIGNS),
        "right": asdict(doubt.right),
        "none": asdict(doubt.none),
        "window_tokens": window_tokens,
        **recorded,
    }


def _settings(files: Mapping[str, bytes]) -> tuple[Doubt, int]:
    if READER not in files:
        return Doubt(), WINDOW_TOKENS
    try:
        found = json.loads(files[READER])
        if found["technique"] != TECHNIQUE or tuple(found["signs"]) != SIGNS:
            raise ValueError(f"technique {found['technique']!r} with {found['signs']}")
        return Doubt(right=_logistic(found["right"]), none=_logistic(found["none"])), int(found["window_tokens"])
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{READER} cannot be read ({error!r}). Fit the reader again") from error


def _logistic(found: Mapping[str, Any]) -> Logistic:
    weights = tuple(float(weight) for weight in found["weights"])
    if len(weights) != len(SIGNS):
        raise ValueError(f"{len(weights)} weights for {len(SIGNS)} signs")
    return Logistic(weights=weights, offset=float(found["offset"]))
