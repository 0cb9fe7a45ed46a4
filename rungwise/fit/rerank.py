"""A reranker fitted on the user's own queries: a cross-encoder that learns to tell relevant passages from near misses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit, Corrupt, MissingExtra
from rungwise.core.record import canonical_json
from rungwise.engines.arrays import Files
from rungwise.engines.bert import CONFIG, TOKENIZER, WEIGHTS
from rungwise.engines.cross_encoder import RERANK, TECHNIQUE, CrossEncoder
from rungwise.engines.pair_encoder import PairTokenizer, PairTokens, padded
from rungwise.fit.calibration import platt
from rungwise.fit.families import families
from rungwise.fit.finetune import RateOf, Step, Training, batches_by_length, finetune, layer_rates, seeded

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LEAST_QUERIES = 10
CHECKED = 20  # near misses of a held-out query that its order is judged on

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judged:
    """A query with the passages that answer it and the near misses: what a first search found and nobody marked, best first.

    `sources` are the ids of the documents that answer it; without them, the relevant passages stand for themselves.
    """

    query: str
    relevant: tuple[str, ...]
    others: tuple[str, ...]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RerankSettings:
    """How a reranker is fitted.

    Each relevant passage is shown with `negatives` near misses drawn anew in every epoch; pairs are cut at `max_tokens`.
    `loss` listwise: -log softmax over a passage and its near misses (Cao et al., ICML 2007, top-one ListNet; "LCE" of Gao,
    Dai and Callan, ECIR 2021); pointwise: the logistic loss of each pair. `frozen` lowest layers stay as they are. One query
    in `1 / held_out` is kept from the training: it says when to stop and calibrates.
    """

    negatives: int = 5
    max_tokens: int = 192
    loss: Literal["listwise", "pointwise"] = "listwise"
    lr: float = 5e-5
    epochs: int = 3
    seed: int = 0
    frozen: int = 0
    held_out: float = 0.1
    batch_tokens: int = 4_096


def fit_reranker(
    judged: Sequence[Judged],
    base: Path,
    settings: RerankSettings | None = None,
    *,
    on_step: Callable[[Step], None] | None = None,
) -> Files:
    """Fit a cross-encoder that starts as the encoder in the folder `base`; the files are a `BertForSequenceClassification`'s.

    Queries that share a source are held out together: a claim and its opposite, answered by one document, must not stand on
    both sides. The weights kept are those of the epoch with the best mean reciprocal rank on the held-out queries. Equal
    arguments give equal bytes on one machine with one number of threads. Raises CannotFit with fewer than 10 queries that
    have both a relevant passage and a near miss, or one source for all, MissingExtra without the libraries.
    """
    settings = settings or RerankSettings()
    usable = [one for one in judged if one.relevant and one.others]
    if len(usable) < LEAST_QUERIES:
        raise CannotFit(
            f"a reranker needs {LEAST_QUERIES} queries with a relevant passage and a near miss, and there are {len(usable)}. "
            "Add solved queries"
        )
    kept, held = hold_out(usable, settings.held_out, seed=settings.seed)
    if not held:
        raise CannotFit("all queries have the same sources, so that none can be held out. Add queries that other documents answer")
    model = _classifier(base, seed=settings.seed)
    tokenizer = (base / TOKENIZER).read_bytes()
    drawn = _Draws([usable[row] for row in kept], PairTokenizer(tokenizer, max_tokens=settings.max_tokens), settings)
    best = _Best(model, [usable[row] for row in held], tokenizer, settings)
    training = Training(
        lr=settings.lr, epochs=settings.epochs, seed=settings.seed, rate_of=_rates(model.config.num_hidden_layers, settings.frozen)
    )
    loss = listwise if settings.loss == "listwise" else pointwise
    finetune(
        model,
        drawn.batches,
        lambda batch: loss(_logits(model, batch), batch.lists),
        training,
        tokens_of=lambda batch: int(batch.ids.size),
        on_step=on_step,
        stop=best.see,
    )
    return best.files()


@dataclass(frozen=True, slots=True)
class Lists:
    """Pairs of several lists as one batch (B, T); `lists` (L, 1 + negatives) are its rows, the relevant one first."""

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    kinds: NDArray[np.int64]
    lists: Rows


def listwise(logits: Tensor, lists: Rows) -> Tensor:
    """Mean over the lists (L, 1 + n) of -log softmax at the first place, in nats. `logits` are (B,)."""
    import torch

    rows = logits.float()[torch.from_numpy(lists)]
    return -torch.log_softmax(rows, dim=1)[:, 0].mean()


def pointwise(logits: Tensor, lists: Rows) -> Tensor:
    """Mean logistic loss in nats: for the first place of each list (L, 1 + n), and for its others; both halves weigh the same."""
    import torch
    from torch.nn.functional import softplus

    rows = logits.float()[torch.from_numpy(lists)]
    return (softplus(-rows[:, 0]).mean() + softplus(rows[:, 1:]).mean()) / 2


def hold_out(judged: Sequence[Judged], share: float, *, seed: int) -> tuple[list[int], list[int]]:
    """(kept, held out) rows, both in order: about `share` of the queries, at least one; a common source keeps them together."""
    family = families([one.sources or one.relevant for one in judged])
    order = np.random.default_rng(seed).permutation(np.unique(family))
    held: list[int] = []
    for one in order[:-1]:
        if len(held) >= max(1, round(share * len(judged))):
            break
        held.extend(np.flatnonzero(family == one).tolist())
    return sorted(set(range(len(judged))) - set(held)), sorted(held)


class _Draws:
    """The pairs of the training, tokenised once, and the batches of an epoch."""

    def __init__(self, judged: Sequence[Judged], tokenizer: PairTokenizer, settings: RerankSettings) -> None:
        self._settings = settings
        pairs: list[tuple[str, str]] = []
        self._positives: list[tuple[int, Rows]] = []  # the pair of a relevant passage, and those of its query's near misses
        for one in judged:
            first = len(pairs)
            pairs += [(one.query, text) for text in (*one.relevant, *one.others)]
            others = np.arange(first + len(one.relevant), len(pairs))
            self._positives += [(first + place, others) for place in range(len(one.relevant))]
        self._tokens: list[PairTokens] = tokenizer.tokens(pairs)

    def batches(self, rng: np.random.Generator) -> list[Lists]:
        """One epoch: every relevant passage once, with near misses drawn from its query's."""
        count = self._settings.negatives
        drawn = [[own, *rng.choice(others, count, replace=len(others) < count)] for own, others in self._positives]
        sizes = [max(len(self._tokens[pair].ids) for pair in pairs) * (1 + count) for pairs in drawn]
        return [
            self._batch([drawn[row] for row in rows]) for rows in batches_by_length(sizes, rng, tokens=self._settings.batch_tokens)
        ]

    def _batch(self, drawn: Sequence[Sequence[int]]) -> Lists:
        batch = padded([self._tokens[pair] for pairs in drawn for pair in pairs])
        return Lists(batch.ids, batch.mask, batch.kinds, np.arange(len(batch.rows)).reshape(len(drawn), -1))


class _Best:
    """The weights of the best epoch so far, by the held-out queries."""

    def __init__(self, model: torch.nn.Module, held: Sequence[Judged], tokenizer: bytes, settings: RerankSettings) -> None:
        self._model, self._tokenizer, self._settings = model, tokenizer, settings
        self._pairs = [(one.query, text) for one in held for text in (*one.relevant, *one.others[:CHECKED])]
        sizes = [len(one.relevant) + len(one.others[:CHECKED]) for one in held]
        self._owner = np.repeat(np.arange(len(held)), sizes)
        self._relevant = np.concatenate([np.arange(size) < len(one.relevant) for size, one in zip(sizes, held, strict=True)])
        self._goodness, self._epoch = (-1.0, 0.0), 0
        self._files: Files = {}
        self._margins = np.zeros(len(self._pairs), np.float32)

    def see(self, epoch: int, loss: float) -> bool:
        """After an epoch: keep its weights when they order the held-out queries better; stop when two epochs were no better."""
        files = _files(self._model, self._tokenizer, self._settings)
        margins = CrossEncoder(files).logits(self._pairs)
        goodness = self._judge(margins)
        if goodness > self._goodness:
            self._goodness, self._files, self._margins, self._epoch = goodness, files, margins, epoch
        return epoch >= self._epoch + 2

    def _judge(self, margins: NDArray[np.float32]) -> tuple[float, float]:
        """Mean of 1 / rank of the best relevant passage (of equal ones, the relevant stand last); then, among equals, less loss."""
        ranks, losses = [], []
        for query in np.unique(self._owner):
            own, relevant = margins[self._owner == query].astype(np.float64), self._relevant[self._owner == query]
            ranks.append(1 + int((own[~relevant] >= own[relevant].max()).sum()))
            losses.append(float(np.logaddexp.reduce(own) - np.logaddexp.reduce(own[relevant])))
        return float(np.mean(1 / np.array(ranks))), -float(np.mean(losses))

    def files(self) -> Files:
        """The best weights, with the calibration that suits them."""
        slope, offset = platt(self._margins[:, None], self._relevant[:, None])
        about = {"slope": slope, "offset": offset, "epoch": self._epoch + 1, "held_out_reciprocal_rank": self._goodness[0]}
        return {**self._files, RERANK: _about(about, self._settings)}


def _classifier(base: Path, *, seed: int) -> Any:
    """The encoder of a folder under a new head with one output. Raises Corrupt when its weights are not those of its settings."""
    try:
        from safetensors.torch import load_file
        from transformers import BertConfig, BertForSequenceClassification
    except ImportError as error:
        raise MissingExtra("fitting a reranker", "local") from error
    config = BertConfig.from_pretrained(
        base, num_labels=1, id2label={0: "relevant"}, label2id={"relevant": 0}, local_files_only=True
    )
    config.architectures = [BertForSequenceClassification.__name__]
    with seeded(seed):
        model = BertForSequenceClassification(config)
    weights = {name.removeprefix("bert."): tensor for name, tensor in load_file(base / WEIGHTS).items()}
    missing = [name for name in model.bert.load_state_dict(weights, strict=False).missing_keys if not name.startswith("pooler.")]
    if missing:
        raise Corrupt(f"the weights in {base} lack {missing[0]} and {len(missing) - 1} more. Use the folder of a BERT encoder")
    return model


def _logits(model: Any, batch: Lists) -> Tensor:
    import torch

    found: Tensor = model(
        input_ids=torch.from_numpy(batch.ids),
        attention_mask=torch.from_numpy(batch.mask),
        token_type_ids=torch.from_numpy(batch.kinds),
    ).logits[:, 0]
    return found


def _rates(layers: int, frozen: int) -> RateOf:
    return layer_rates(layers, frozen=frozen) if frozen else (lambda name: 1.0)


def _files(model: Any, tokenizer: bytes, settings: RerankSettings) -> Files:
    """The model as `transformers` reads it, and our own settings beside, without a calibration yet."""
    from safetensors.torch import save

    weights = {name: tensor.detach().contiguous() for name, tensor in sorted(model.state_dict().items())}
    about = _about({"slope": 1.0, "offset": 0.0}, settings)
    config = model.config.to_json_string().encode()
    return {CONFIG: config, WEIGHTS: save(weights, metadata={"format": "pt"}), TOKENIZER: tokenizer, RERANK: about}


def _about(about: Mapping[str, Any], settings: RerankSettings) -> bytes:
    return canonical_json({"technique": TECHNIQUE, "max_tokens": settings.max_tokens, **about}).encode()
