"""An encoder that learns to mark spans of texts: BIO labels on words, all weights or a low-rank adapter."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit
from rungwise.engines.encoders.processor import has_bf16
from rungwise.engines.fitted.adapters import Lora, adapter_files, with_lora
from rungwise.engines.fitted.classifier import base_digest
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import CONFIG, TAGGER, load_model, model_files, read_config
from rungwise.engines.fitted.tagger import ABOUT, TaggerSettings, TokenTagger, label_changes
from rungwise.engines.fitted.token_windows import TokenWindow, Words, WordTokenizer
from rungwise.evaluate.spans import Span, span_score
from rungwise.fit.calibration import few_rows_doubt, softmax_slope
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import RateOf, Step, Trained, Training, batches_by_length, finetune, layer_rates, seeded
from rungwise.fit.fit import Fit
from rungwise.fit.parallel import ALONE, Parallel

if TYPE_CHECKING:
    from torch import Tensor

Tagged = tuple[str, Sequence[Span]]
"""A text and its spans: characters from and up to, and a type."""

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

LEAST_TEXTS = 20
IGNORED = -100  # the label of a token that is no word's first: torch's cross-entropy leaves it out


@dataclass(frozen=True, kw_only=True)
class TaggingSettings:
    """How a tagger is fitted.

    Texts are read in windows of `max_tokens` tokens that overlap by `overlap`. `method` full trains all layers but the word
    embeddings, the new head `head` times as fast; lora an adapter of `rank` beside each of them. About `held_out` of the
    texts are kept from the training: they say which epoch was best, by strict F1, and calibrate. One step takes `accumulate`
    batches, which several processes share. Rate and pace of the head are those of `fit.reader` on the same encoder; what
    they give: benchmarks/wnut17_tagging.py.
    """

    method: Literal["full", "lora"] = "full"
    rank: int = 16
    alpha: int = 32
    lr: float = 3e-4
    epochs: int = 6
    seed: int = 0
    head: float = 5.0
    dropout: float = 0.1
    max_tokens: int = 128
    overlap: int = 32
    batch_tokens: int = 512
    held_out: float = 0.1
    accumulate: int = 1
    weight_decay: float = 0.01
    bf16: bool | None = None
    device: str = "cpu"


def fit_tagger(
    rows: Sequence[Tagged],
    base: Mapping[str, bytes],
    settings: TaggingSettings | None = None,
    *,
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Fit a token classification model on the encoder in the files `base`.

    A full one loads with `AutoModelForTokenClassification`, an adapter with peft on such a model of the base. A word has the
    label of its first token (Devlin et al. 2018, section 5.3). Spans that begin or end inside a word are rounded out to
    whole words, and of two that overlap the longer one is learned: both are counted in what is told, as are the texts that
    were read in several windows. Equal arguments give equal bytes on one machine with one number of threads. Raises
    CannotFit with fewer than 20 texts, without any span, or for a span outside its text.
    """
    settings = settings or TaggingSettings()
    types = _checked(rows)
    tokenizer = WordTokenizer(base, max_tokens=_room(base, settings), overlap=settings.overlap)
    about = TaggerSettings(
        types=types,
        max_tokens=_room(base, settings),
        overlap=settings.overlap,
        base=base_digest(base) if settings.method == "lora" else "",
    )
    words = tokenizer.words([text for text, _ in rows])
    marked = [_labels(own, spans, about.labels) for own, (_, spans) in zip(words, rows, strict=True)]
    kept, held = _hold_out(rows, settings)
    lessons = _lessons(tokenizer.windows([words[row] for row in kept]), [marked[row].labels for row in kept])
    with seeded(settings.seed):
        model = _model(base, about.labels, settings)
    best = _Best(
        model, TokenTagger(model, tokenizer, about, bf16=_half(settings), device=settings.device), [rows[row] for row in held]
    )
    trained = _train(model, lessons, settings, best, on_step, checkpoints, parallel)
    best.put_back()
    about = replace(about, slope=best.slope([words[row] for row in held], [marked[row].labels for row in held]))
    told = {
        "rows": len(kept),
        "held_out_rows": len(held),
        "windows": len(lessons),
        "texts_in_several_windows": sum(len(own.ids) > tokenizer.size for own in words),
        "spans_rounded_to_words": sum(one.rounded for one in marked),
        "spans_left_out": sum(one.left_out for one in marked),
        "held_out_f1": best.f1,
        "best_epoch": best.epoch + 1,
        "parameters": sum(one.numel() for one in model.parameters()),
        "trained_parameters": sum(one.numel() for one in model.parameters() if one.requires_grad),
    }
    files = _files(model, base, about, settings) | {ABOUT: about.file(settings=asdict(settings))}
    return Fit(files=files, trained=trained, told={name: float(one) for name, one in told.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """The labels (W,) of a text's words, how many of its spans were rounded out to whole words and how many left out."""

    labels: Rows
    rounded: int
    left_out: int


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A window's token ids and the label of each (T,), IGNORED where no word begins."""

    ids: list[int]
    labels: Rows


def _labels(words: Words, spans: Sequence[Span], labels: Sequence[str]) -> Marked:
    """Spans as BIO labels of words; the longest are taken first."""
    place = {name: number for number, name in enumerate(labels)}
    found = np.zeros(len(words.first), np.int64)
    rounded = left_out = 0
    for start, end, kind in sorted(set(spans), key=lambda span: (span[0] - span[1], span)):
        inside = np.flatnonzero((words.spans[:, 0] < end) & (words.spans[:, 1] > start))
        if not len(inside) or found[inside].any():
            left_out += 1
            continue
        rounded += int((words.spans[inside[0], 0], words.spans[inside[-1], 1]) != (start, end))
        found[inside] = place[f"I-{kind}"]
        found[inside[0]] = place[f"B-{kind}"]
    return Marked(found, rounded, left_out)


def _lessons(windows: Sequence[TokenWindow], labels: Sequence[Rows]) -> list[Lesson]:
    found = []
    for window in windows:
        own = np.full(len(window.ids), IGNORED, np.int64)
        own[window.places] = labels[window.text][window.words]
        found.append(Lesson(window.ids, own))
    return found


def _train(
    model: Any,
    lessons: Sequence[Lesson],
    settings: TaggingSettings,
    best: _Best,
    on_step: Callable[[Step], None] | None,
    checkpoints: Checkpoints | None,
    parallel: Parallel,
) -> Trained:
    lengths = [len(lesson.ids) for lesson in lessons]
    return finetune(
        model,
        lambda rng: batches_by_length(lengths, rng, tokens=settings.batch_tokens),
        lambda rows: tagging_loss(model, [lessons[row] for row in rows], settings.device),
        Training(
            lr=settings.lr,
            epochs=settings.epochs,
            seed=settings.seed,
            weight_decay=settings.weight_decay,
            accumulate=settings.accumulate,
            rate_of=_rates(model, settings),
            bf16=settings.bf16,
            device=settings.device,
        ),
        tokens_of=lambda rows: max(lengths[row] for row in rows) * len(rows),
        weight_of=lambda rows: float(sum((lessons[row].labels != IGNORED).sum() for row in rows)),
        on_step=on_step,
        stop=best.see,
        checkpoints=checkpoints,
        remembers=best,
        parallel=parallel,
    )


def tagging_loss(model: Any, lessons: Sequence[Lesson], device: str) -> Tensor:
    """Mean cross-entropy of the labels of words, in nats."""
    import torch

    longest = max(len(lesson.ids) for lesson in lessons)
    ids, mask = (np.zeros((len(lessons), longest), np.int64) for _ in range(2))
    labels = np.full((len(lessons), longest), IGNORED, np.int64)
    for row, lesson in enumerate(lessons):
        size = len(lesson.ids)
        ids[row, :size], mask[row, :size], labels[row, :size] = lesson.ids, 1, lesson.labels
    seen = None if mask.all() else torch.from_numpy(mask).to(device)
    logits = model(input_ids=torch.from_numpy(ids).to(device), attention_mask=seen).logits.float()  # (B, T, labels)
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), torch.from_numpy(labels).to(device).flatten(), ignore_index=IGNORED
    )


class _Best:
    """The weights of the best epoch so far, by the strict F1 on the held-out texts."""

    def __init__(self, model: Any, tagger: TokenTagger, held: Sequence[Tagged]) -> None:
        self._model, self._tagger, self._held = model, tagger, held
        self._weights: dict[str, Any] = {}
        self.f1, self.epoch = -1.0, 0

    def see(self, epoch: int, loss: float) -> bool:
        """After an epoch: keep its weights when they mark the held-out texts better."""
        self._model.eval()
        found = self._tagger.spans([text for text, _ in self._held])
        self._model.train()
        score = span_score([list(spans) for _, spans in self._held], [[span[:3] for span in own] for own in found]).f1
        if score > self.f1:
            self.f1, self.epoch = score, epoch
            self._weights = {name: one.detach().clone() for name, one in self._model.named_parameters() if one.requires_grad}
        return False

    def put_back(self) -> None:
        """Give the model the weights of the best epoch."""
        import torch

        with torch.no_grad():
            for name, one in self._model.named_parameters():
                if name in self._weights:
                    one.copy_(self._weights[name])

    def slope(self, words: Sequence[Words], labels: Sequence[Rows]) -> float:
        """One over the temperature that suits the held-out words."""
        logits, truth = np.concatenate(self._tagger.logits(words)), np.concatenate(labels)
        return softmax_slope(logits, truth, doubt=few_rows_doubt(len(truth)))

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """See `Remembers`."""
        return self._weights, {"f1": self.f1, "epoch": self.epoch}

    def restore(self, tensors: dict[str, Any], plain: dict[str, Any]) -> None:
        """See `Remembers`."""
        self._weights, self.f1, self.epoch = dict(tensors), float(plain["f1"]), int(plain["epoch"])


def _checked(rows: Sequence[Tagged]) -> tuple[str, ...]:
    """The types of all spans, sorted."""
    if len(rows) < LEAST_TEXTS:
        raise CannotFit(f"a tagger needs {LEAST_TEXTS} texts, and there are {len(rows)}. Add texts whose spans are marked")
    for row, (text, spans) in enumerate(rows):
        for start, end, kind in spans:
            if not (0 <= start < end <= len(text)) or not kind:
                raise CannotFit(
                    f"row {row + 1}: the span ({start}, {end}, {kind!r}) is not in its text of {len(text)} characters. Correct it"
                )
    types = tuple(sorted({kind for _, spans in rows for _, _, kind in spans}))
    if not types:
        raise CannotFit("no text has a marked span, so that there is nothing to learn. Mark what is to be found")
    return types


def _hold_out(rows: Sequence[Tagged], settings: TaggingSettings) -> tuple[list[int], list[int]]:
    """(kept, held out) rows in order. Equal texts stay together, and every type is left in what is learned from."""
    held: list[int] = []
    owners: dict[str, list[int]] = {}
    for row, (text, _) in enumerate(rows):
        owners.setdefault(text, []).append(row)
    left: dict[str, int] = {}
    for _, spans in rows:
        for kind in {kind for _, _, kind in spans}:
            left[kind] = left.get(kind, 0) + 1
    groups = list(owners.values())
    for place in np.random.default_rng(settings.seed).permutation(len(groups)):
        own = groups[place]
        if len(held) >= max(1, round(settings.held_out * len(rows))):
            break
        taken = [kind for row in own for kind in {kind for _, _, kind in rows[row][1]}]
        if all(left[kind] > taken.count(kind) for kind in taken):
            held += own
            for kind in taken:
                left[kind] -= 1
    return sorted(set(range(len(rows))) - set(held)), sorted(held)


def _model(base: Mapping[str, bytes], labels: Sequence[str], settings: TaggingSettings) -> Any:
    """The encoder under a new head, in an adapter where that is what learns."""
    changes = label_changes(labels)
    if "hidden_dropout_prob" in read_config(base):
        # Attention weights with dropout have no fast kernel on a processor.
        changes |= {"hidden_dropout_prob": settings.dropout, "attention_probs_dropout_prob": 0.0}
    model = load_model(base, TAGGER, device=settings.device, **changes)
    if settings.method == "full":
        return model
    head = next(name for name, one in model.named_children() if getattr(one, "out_features", None) == len(labels))
    return with_lora(model, Lora(rank=settings.rank, alpha=settings.alpha, whole=(head,)), task="TOKEN_CLS")


def _rates(model: Any, settings: TaggingSettings) -> RateOf | None:
    if settings.method == "lora":
        return None
    return layer_rates(int(getattr(model.config, "num_hidden_layers", 0)), head=settings.head)


def _files(model: Any, base: Mapping[str, bytes], about: TaggerSettings, settings: TaggingSettings) -> Files:
    """The files of the whole model, or of the adapter with the tokenizer of its base."""
    if settings.method == "lora":
        tokenizer = {name: data for name, data in base.items() if name.startswith(("tokenizer", "special_tokens", "vocab"))}
        return {**tokenizer, **adapter_files(model, base=about.base)}
    files = model_files(model, base)
    own, kept = read_config(files), read_config(base)
    own |= {name: kept[name] for name in ("hidden_dropout_prob", "attention_probs_dropout_prob") if name in kept}
    return {**files, CONFIG: (json.dumps(own, indent=1, sort_keys=True) + "\n").encode()}


def _room(base: Mapping[str, bytes], settings: TaggingSettings) -> int:
    """The tokens of a window: as set, and never more than the model has positions."""
    return min(settings.max_tokens, int(read_config(base).get("max_position_embeddings", settings.max_tokens)))


def _half(settings: TaggingSettings) -> bool:
    return settings.bf16 if settings.bf16 is not None else settings.device != "cpu" or has_bf16()
