"""An encoder that marks spans of a text and says of what type each is: loads what `fit.tagging` fitted, LoRA or whole."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt, UsageError
from rungwise.core.record import canonical_json
from rungwise.engines.encoders.batches import in_batches
from rungwise.engines.encoders.processor import has_bf16
from rungwise.engines.fitted.adapters import ADAPTER, merged
from rungwise.engines.fitted.classifier import base_digest
from rungwise.engines.fitted.models import TAGGER, load_model
from rungwise.engines.fitted.token_windows import TokenWindow, Words, WordTokenizer

Floats = NDArray[np.float32]

ABOUT, TECHNIQUE = "tagger.json", "tagger"
BATCH_TOKENS = 8_192  # padded tokens of one batch, as for sentences
NEVER = -1e4  # in place of minus infinity, which sums to no number


class TaggedSpan(NamedTuple):
    """Characters of a text from `start` up to `end`, of a `type`; the probability that all of its words are labelled right."""

    start: int
    end: int
    type: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class TaggerSettings:
    """What a fitted tagger is besides its weights.

    `types` are the types of spans, window sizes are in tokens, and `slope` is one over the temperature of its probabilities.
    An adapter stands on the base with the digest `base`.
    """

    types: tuple[str, ...]
    max_tokens: int
    overlap: int
    slope: float = 1.0
    base: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """O, then B- and I- of every type (Ramshaw and Marcus 1995; the variant in which every span begins with a B)."""
        return ("O", *(f"{place}-{one}" for one in self.types for place in "BI"))

    def file(self, **recorded: Any) -> bytes:
        """The content of tagger.json."""
        return canonical_json({"technique": TECHNIQUE, **asdict(self), "types": list(self.types), **recorded}).encode()


def tagger_settings(files: Mapping[str, bytes]) -> TaggerSettings:
    """What tagger.json says. Raises Corrupt when it is missing or cannot be read."""
    try:
        found = json.loads(files[ABOUT])
        if found["technique"] != TECHNIQUE:
            raise ValueError(f"it is of technique {found['technique']!r}")
        return TaggerSettings(
            types=tuple(found["types"]),
            max_tokens=int(found["max_tokens"]),
            overlap=int(found["overlap"]),
            slope=float(found["slope"]),
            base=str(found["base"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{ABOUT} of a tagger cannot be read: {error!r}. Fit it again") from error


class TokenTagger:
    """Texts to spans. For any number of threads. `windowed` counts the texts so far that were read in more than one window."""

    def __init__(self, model: Any, tokenizer: WordTokenizer, settings: TaggerSettings, *, bf16: bool, device: str = "cpu") -> None:
        self.settings, self.windowed = settings, 0
        self._model, self._tokenizer, self._bf16, self._device = model, tokenizer, bf16, device
        self._lock = threading.Lock()  # torch shares its threads: two calls at once are slower than one after the other

    @classmethod
    def load(
        cls, files: Mapping[str, bytes], base: Mapping[str, bytes] | None = None, *, bf16: bool | None = None, device: str = "cpu"
    ) -> TokenTagger:
        """The tagger of its files; those of an adapter need the files of the base, into whose weights it is merged.

        Raises Corrupt when the files are not a tagger's or the base is another one, UsageError without a base.
        """
        settings = tagger_settings(files)
        if ADAPTER in files:
            if base is None:
                raise UsageError("this tagger is an adapter: name the folder of the model that it was fitted on")
            if base_digest(base) != settings.base:
                raise Corrupt("the base of a tagger is not the model that it was fitted on. Use that one, or fit it again")
            model = merged(load_model(base, TAGGER, device=device, **label_changes(settings.labels)), files)
        else:
            model = load_model(files, TAGGER, device=device)
        if tuple(model.config.id2label[place] for place in range(model.config.num_labels)) != settings.labels:
            raise Corrupt(f"the labels of a tagger's config.json are not those of {ABOUT}. Fit it again")
        tokenizer = WordTokenizer(files, max_tokens=settings.max_tokens, overlap=settings.overlap)
        return cls(model, tokenizer, settings, bf16=has_bf16() if bf16 is None else bf16, device=device)

    def spans(self, texts: Sequence[str]) -> list[list[TaggedSpan]]:
        """The spans of each text, from left to right; they do not overlap."""
        words = self._tokenizer.words(texts)
        labels = self.settings.labels
        found = []
        for own, logs in zip(words, self.log_probabilities(words), strict=True):
            path = best_path(logs, labels)
            found.append([_tagged(own, logs, path, first, last, labels) for first, last in runs(path)])
        return found

    def log_probabilities(self, words: Sequence[Words]) -> list[Floats]:
        """Of each text (W, labels) in nats: a word that stands in two windows has those of the one with more room around it."""
        logits = self.logits(words)
        return [_log_softmax(own * np.float32(self.settings.slope)) for own in logits]

    def logits(self, words: Sequence[Words]) -> list[Floats]:
        """Of each text (W, labels), before calibration."""
        windows = self._tokenizer.windows(words)
        count = len(self.settings.labels)
        found = [np.zeros((len(own.first), count), np.float32) for own in words]
        seen = [np.full(len(own.first), -1, np.int64) for own in words]
        per_text = np.bincount([window.text for window in windows], minlength=1)
        for window, own in zip(windows, self._states(windows), strict=True):
            better = window.room > seen[window.text][window.words]
            held = window.words[better]
            found[window.text][held], seen[window.text][held] = own[better], window.room[better]
        with self._lock:
            self.windowed += int((per_text > 1).sum())
        return found

    def _states(self, windows: Sequence[TokenWindow]) -> list[Floats]:
        """Of each window the logits (K, labels) of its words."""
        import torch

        found: list[Any] = [None] * len(windows)
        kind = torch.device(self._device).type
        with self._lock, torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=self._bf16):
            for batch in in_batches([window.ids for window in windows], limit_tokens=BATCH_TOKENS):
                ids, mask = (torch.from_numpy(one).to(self._device) for one in (batch.ids, batch.mask))
                logits = self._model(input_ids=ids, attention_mask=None if bool(batch.mask.all()) else mask).logits
                for row, own in zip(batch.rows, logits.float().cpu().numpy(), strict=True):
                    found[row] = own[windows[row].places]
        return found


def label_changes(labels: Sequence[str]) -> dict[str, Any]:
    """What config.json says of a tagger with these labels."""
    named = dict(enumerate(labels))
    return {"num_labels": len(labels), "id2label": named, "label2id": {name: place for place, name in named.items()}}


def best_path(logs: Floats, labels: Sequence[str]) -> NDArray[np.int64]:
    """The likeliest labels (W,) among those where an I follows only a B or an I of its type.

    `logs` are (W, labels) in nats. Source: Viterbi 1967, with transitions that are allowed or not.
    """
    words, count = logs.shape
    if not words:
        return np.zeros(0, np.int64)
    inner = np.array([name.startswith("I-") for name in labels])
    kinds = np.array([name[2:] for name in labels])
    begun = np.array([name != "O" for name in labels])
    allowed = ~inner[None, :] | (begun[:, None] & (kinds[:, None] == kinds[None, :]))  # (from, to)
    steps = np.where(allowed, 0.0, NEVER)
    best = logs[0] + np.where(inner, NEVER, 0.0)
    back = np.zeros((words, count), np.int64)
    for place in range(1, words):
        through = best[:, None] + steps
        back[place] = through.argmax(axis=0)
        best = through.max(axis=0) + logs[place]
    path = np.zeros(words, np.int64)
    path[-1] = int(best.argmax())
    for place in range(words - 1, 0, -1):
        path[place - 1] = back[place, path[place]]
    return path


def runs(path: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and last word of every span of a path; labels are 0 for O, odd for B and even for I."""
    found: list[tuple[int, int]] = []
    for place, label in enumerate(path):
        if label % 2 == 1:
            found.append((place, place))
        elif label and found:
            found[-1] = (found[-1][0], place)
    return found


def _tagged(words: Words, logs: Floats, path: NDArray[np.int64], first: int, last: int, labels: Sequence[str]) -> TaggedSpan:
    """A run as a span. Its probability is the product over its words of that of their labels, as if they were independent."""
    own = np.arange(first, last + 1)
    chance = float(np.exp(logs[own, path[own]].astype(np.float64).sum()))
    return TaggedSpan(int(words.spans[first, 0]), int(words.spans[last, 1]), labels[path[first]][2:], chance)


def _log_softmax(logits: Floats) -> Floats:
    top = logits.max(axis=1, keepdims=True) if len(logits) else logits
    shifted = logits - top
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), dtype=np.float32)
