"""A sentence encoder fitted for search: queries draw near to the passages that answer them and away from near misses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit
from rungwise.engines.encoders.encode import Encode
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import Step, Training, finetune, seeded
from rungwise.fit.fit import Fit
from rungwise.fit.parallel import ALONE, Parallel
from rungwise.fit.rerank import Judged, hold_out
from rungwise.fit.sentence_model import Ids, SentenceModel

if TYPE_CHECKING:
    from torch import Tensor

Rows = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAST_QUERIES = 10
FAR = -1e4  # in place of minus infinity


@dataclass(frozen=True, kw_only=True)
class RetrieverSettings:
    """How a retriever is fitted.

    A batch has `queries` queries, each with one of its relevant passages and `negatives` of its near misses, drawn anew in
    every epoch; a query's softmax is over all passages of the batch, whose cosines are multiplied by `scale`. Texts are read
    up to `max_tokens` (None: as the base says). `frozen` lowest layers stay as they are. About `held_out` of the queries are
    kept from the training: they say which epoch was best, the base itself among them. One step takes `accumulate` batches,
    which several processes share. The values are those of benchmarks/scifact_retriever.py.
    """

    negatives: int = 1
    queries: int = 16
    scale: float = 20.0
    lr: float = 2e-5
    epochs: int = 2
    seed: int = 0
    frozen: int = 0
    dropout: float = 0.1
    held_out: float = 0.1
    accumulate: int = 1
    max_tokens: int | None = None
    weight_decay: float = 0.01
    bf16: bool | None = None
    device: str = "cpu"


def fit_retriever(
    judged: Sequence[Judged],
    base: Mapping[str, bytes],
    settings: RetrieverSettings | None = None,
    *,
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Fine-tune the sentence encoder in the files `base` for retrieval; the files are again a sentence encoder's folder.

    Queries that share a source are held out together, and in a batch no query's relevant passage counts against it. The
    weights kept are those of the epoch with the best mean reciprocal rank of held-out queries among all held-out passages;
    where none beat the base, they are the base's: `told` has both figures. Equal arguments give equal bytes on one machine
    with one number of threads. Raises CannotFit with fewer than 10 queries that have a relevant passage, or one source for all.
    """
    settings = settings or RetrieverSettings()
    usable = [one for one in judged if one.relevant]
    if len(usable) < LEAST_QUERIES:
        raise CannotFit(
            f"a retriever needs {LEAST_QUERIES} queries with a relevant passage, and there are {len(usable)}. Add solved queries"
        )
    kept, held = hold_out(usable, settings.held_out, seed=settings.seed)
    if not held:
        raise CannotFit("all queries have the same sources, so that none can be held out. Add queries that other documents answer")
    model = SentenceModel(base, max_tokens=settings.max_tokens, device=settings.device, dropout=settings.dropout)
    drawn = _Draws([usable[row] for row in kept], model, settings)
    best = _Best(model, [usable[row] for row in held], settings)
    with seeded(settings.seed):
        trained = finetune(
            model.network,
            drawn.batches,
            lambda batch: in_batch(model.vectors(batch.queries), model.vectors(batch.passages), batch.wrong, scale=settings.scale),
            Training(
                lr=settings.lr,
                epochs=settings.epochs,
                seed=settings.seed,
                weight_decay=settings.weight_decay,
                accumulate=settings.accumulate,
                rate_of=model.rates(frozen=settings.frozen),
                bf16=settings.bf16,
                device=settings.device,
            ),
            tokens_of=lambda batch: batch.tokens,
            weight_of=lambda batch: len(batch.queries),
            on_step=on_step,
            stop=best.see,
            checkpoints=checkpoints,
            remembers=best,
            parallel=parallel,
        )
    best.put_back()
    told = {
        "queries": len(kept),
        "held_out_queries": len(held),
        "cut_texts": model.cut,
        "held_out_reciprocal_rank_before": best.before,
        "held_out_reciprocal_rank": best.rank,
        "best_epoch": best.epoch + 1,
        "parameters": sum(one.numel() for one in model.network.parameters()),
    }
    return Fit(files=model.files(), trained=trained, told={name: float(one) for name, one in told.items()})


def in_batch(queries: Tensor, passages: Tensor, wrong: Bools, *, scale: float) -> Tensor:
    """Mean over the queries (B, D) of -log softmax at the own passage, in nats; passage b of (P, D) answers query b.

    `wrong` (B, P) says which of the others count against a query. Source: InfoNCE, van den Oord et al. 2018, arXiv
    1807.03748, eq. 4; in-batch and hard negatives as in Karpukhin et al. 2020, arXiv 2004.04906, section 3.2.
    """
    import torch

    with torch.autocast(queries.device.type, enabled=False):
        count = len(queries)
        own = torch.arange(count, device=queries.device)
        seen = torch.from_numpy(wrong.copy()).to(queries.device)
        seen[own, own] = True
        logits = (scale * queries @ passages.T).masked_fill(~seen, FAR)
        return torch.nn.functional.cross_entropy(logits, own)


def mined(
    queries: Sequence[str],
    relevant: Sequence[Sequence[int]],
    passages: Sequence[str],
    encode: Encode,
    *,
    depth: int = 30,
    ceiling: float = 0.95,
) -> list[Judged]:
    """Queries with their near misses: the `depth` passages nearest to each in meaning that are not among its `relevant` ones.

    A passage nearer than `ceiling` times the cosine of the query's own is left out: it may answer too and only not be marked
    (Moreira et al. 2024, arXiv 2407.15831, section 3, TopK-PercPos with 95 %).
    """
    asked, read = encode(queries), encode(passages)
    found = []
    for number, (query, own) in enumerate(zip(queries, relevant, strict=True)):
        cosines = read @ asked[number]
        limit = ceiling * float(cosines[list(own)].min()) if own else float("inf")
        order = [int(place) for place in np.argsort(-cosines, kind="stable") if cosines[place] < limit]
        others = [place for place in order[: depth + len(own)] if place not in own][:depth]
        found.append(
            Judged(
                query,
                tuple(passages[place] for place in own),
                tuple(passages[place] for place in others),
                tuple(str(place) for place in own),
            )
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Token ids of B queries, of P passages (the b-th first answers query b), and which passages count against which query."""

    queries: Ids
    passages: Ids
    wrong: Bools

    @property
    def tokens(self) -> int:
        """Padded tokens."""
        return sum(len(ids) * max(map(len, ids)) for ids in (self.queries, self.passages))


class _Draws:
    """The texts of the training, tokenised once, and the batches of an epoch."""

    def __init__(self, judged: Sequence[Judged], model: SentenceModel, settings: RetrieverSettings) -> None:
        self._judged, self._settings = judged, settings
        texts = list(dict.fromkeys(text for one in judged for text in (*one.relevant, *one.others)))
        self._place = {text: number for number, text in enumerate(texts)}
        self._passages, self._queries = model.tokens(texts), model.tokens([one.query for one in judged])
        self._right = [{self._place[text] for text in one.relevant} for one in judged]

    def batches(self, rng: np.random.Generator) -> list[_Batch]:
        """One epoch: every query once, in random batches; the last, smaller one too."""
        order = rng.permutation(len(self._judged))
        size = self._settings.queries
        return [self._batch(order[start : start + size], rng) for start in range(0, len(order), size)]

    def _batch(self, rows: Rows, rng: np.random.Generator) -> _Batch:
        own, misses = [], []
        for row in rows:
            one = self._judged[row]
            own.append(self._place[one.relevant[rng.integers(len(one.relevant))]])
            count = min(self._settings.negatives, len(one.others))
            misses += (
                [self._place[one.others[place]] for place in rng.choice(len(one.others), count, replace=False)] if count else []
            )
        passages = [*own, *dict.fromkeys(place for place in misses if place not in own)]
        wrong = np.array([[place not in self._right[row] for place in passages] for row in rows])
        return _Batch([self._queries[row] for row in rows], [self._passages[place] for place in passages], wrong)


class _Best:
    """The weights of the best epoch so far, by the held-out queries; the base's are the first."""

    def __init__(self, model: SentenceModel, held: Sequence[Judged], settings: RetrieverSettings) -> None:
        self._model, self._bf16 = model, settings.bf16
        texts = list(dict.fromkeys(text for one in held for text in (*one.relevant, *one.others)))
        place = {text: number for number, text in enumerate(texts)}
        self._queries, self._passages = model.tokens([one.query for one in held]), model.tokens(texts)
        self._right = np.zeros((len(held), len(texts)), dtype=np.bool_)
        for row, one in enumerate(held):
            self._right[row, [place[text] for text in one.relevant]] = True
        self.before = self.rank = self._measure()
        self.epoch = -1
        self._weights = self._copied()

    def see(self, epoch: int, loss: float) -> bool:
        """After an epoch: keep its weights when they rank the held-out queries' passages better."""
        rank = self._measure()
        if rank > self.rank:
            self.rank, self.epoch, self._weights = rank, epoch, self._copied()
        return False

    def _measure(self) -> float:
        """Mean of 1 / rank of the best relevant passage; of equal ones, the relevant stand last."""
        cosines = self._model.encode(self._queries, bf16=self._bf16) @ self._model.encode(self._passages, bf16=self._bf16).T
        top = np.where(self._right, cosines, -2.0).max(axis=1, keepdims=True)
        return float(np.mean(1 / (1 + ((cosines >= top) & ~self._right).sum(axis=1))))

    def _copied(self) -> dict[str, Any]:
        return {name: one.detach().clone() for name, one in self._model.network.named_parameters()}

    def put_back(self) -> None:
        """Give the model the best weights."""
        import torch

        with torch.no_grad():
            for name, one in self._model.network.named_parameters():
                one.copy_(self._weights[name])

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """See `Remembers`."""
        return self._weights, {"rank": self.rank, "epoch": self.epoch}

    def restore(self, tensors: dict[str, Any], plain: dict[str, Any]) -> None:
        """See `Remembers`."""
        self._weights, self.rank, self.epoch = dict(tensors), float(plain["rank"]), int(plain["epoch"])
