"""How well the search finds: BEIR SciFact's training claims by words, by meaning, by both, and with fitted rerankers.

Corpus: 5,183 abstracts, title first. Queries: the 809 training claims. Relevant: the documents a claim cites
(`cited_doc_ids`, 919 pairs, which is how BEIR made its judgements: its train part has 809 queries and 919 judgements).
The official 300 test claims are not used. Whatever is fitted (fusion weight, rerankers) is cross-fitted in five folds in
which claims that cite a common document stay together: many claims stand beside their own negation. Intervals and tests
are bootstraps over these families. Two runs on one text order give equal figures.

`--vectors FILE` keeps the sentence vectors for the next run. `--cross-encoder N` fits the cross-encoder for N of the folds
and compares on the claims of these alone.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.publish import machine
from rungwise.core.content import Passage
from rungwise.data.documents import Document
from rungwise.engines.chunking.chunk import Chunking
from rungwise.engines.chunking.cut import chunk_document
from rungwise.engines.cross_encoder import RERANK, CrossEncoder
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.engines.rank_features import FeatureRanker, RankFeatures
from rungwise.engines.search.fusion import Candidates, best_first, convex, reciprocal_rank, tune_weight
from rungwise.engines.search.languages import SNOWBALL, stop_words
from rungwise.engines.search.lexical import LexicalIndex, index_terms
from rungwise.engines.search.terms import Words
from rungwise.evaluate.ranking import ndcg_at, recall_at, reciprocal_rank_at
from rungwise.fit.families import families, folds_by_family
from rungwise.fit.rank_features import Found, fit_rank_features
from rungwise.fit.rerank import Judged, RerankSettings, fit_reranker

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "scifact"
K1, B = 1.2, 0.75
WORDS = Words(stop=True, stem=True, stemmer=SNOWBALL)
DEPTH, FOLDS, SEED, RESAMPLES = 100, 5, 0, 10_000
RERANKED = 50  # how deep the rerankers look
CROSS_READ = 20  # how deep the cross-encoder reads
HEARD = ("first", "sentence", "reading")  # the features of the light reranker that hears the cross-encoder
CROSS = RerankSettings(max_tokens=160, negatives=3, epochs=2)
CHUNKING = Chunking(method="sentences", size=500)

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
METRICS: dict[str, Callable[[Sequence[str], Sequence[str]], float]] = {
    "nDCG@10": lambda ranked, relevant: ndcg_at(ranked, relevant, 10),
    "recall@10": lambda ranked, relevant: recall_at(ranked, relevant, 10),
    "recall@100": lambda ranked, relevant: recall_at(ranked, relevant, 100),
    "MRR@10": lambda ranked, relevant: reciprocal_rank_at(ranked, relevant, 10),
}


@dataclass(frozen=True)
class SciFact:
    """Abstracts and claims; `relevant[i]` are the numbers of the abstracts that claim i cites, `family` (claims,) its family."""

    ids: list[str]
    texts: list[str]
    claims: list[str]
    relevant: list[list[int]]
    family: Rows


def read() -> SciFact:
    """The set as BEIR uses it."""
    ids, texts = [], []
    for row in _lines(DATA / "corpus.jsonl.gz"):
        ids.append(row["doc_id"])
        texts.append(row["title"] + "\n" + " ".join(row["abstract"]))
    place = {one: number for number, one in enumerate(ids)}
    claims: dict[str, str] = {}
    cited: dict[str, dict[int, None]] = {}
    for row in _lines(DATA / "claims_train.jsonl.gz"):
        claims[row["id"]] = row["claim"]
        cited.setdefault(row["id"], {}).update(dict.fromkeys(place[one] for one in row["cited_doc_ids"]))
    relevant = [list(cited[one]) for one in claims]
    return SciFact(ids, texts, list(claims.values()), relevant, families([[str(one) for one in own] for own in relevant]))


class Remembered:
    """An encoder that knows what it has encoded, in a file where one is given."""

    def __init__(self, path: Path | None) -> None:
        self._encode, self._path, self.seconds = load_encoder("minilm"), path, 0.0
        self._known: dict[bytes, Floats] = {}
        if path is not None and path.is_file():
            kept = np.load(path)
            self._known = {key.tobytes(): vector for key, vector in zip(kept["keys"], kept["vectors"], strict=True)}

    def __call__(self, texts: Sequence[str]) -> Floats:
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            begin = time.perf_counter()
            self._known |= dict(zip(new, self._encode(list(new.values())), strict=True))
            self.seconds += time.perf_counter() - begin
        return np.stack([self._known[key] for key in keys]) if keys else np.zeros((0, 384), np.float32)

    def keep(self) -> None:
        """Write the file."""
        if self._path is not None:
            keys = np.array([np.frombuffer(key, np.uint8) for key in self._known])
            np.savez(self._path, keys=keys, vectors=np.stack(list(self._known.values())))


def by_words(data: SciFact) -> tuple[LexicalIndex, Floats]:
    """The index and its scores (claims, abstracts)."""
    index = LexicalIndex.of([index_terms(data.texts, words=WORDS)], k1=K1, b=B)
    return index, np.stack([index.scores(claim) for claim in data.claims])


def by_bm25s(data: SciFact) -> Floats:
    """The peer's scores (claims, abstracts): its own tokenizer, the same stop words, the same Snowball stemmer, k1 and b."""
    import bm25s
    import Stemmer

    options: Any = {
        "stopwords": sorted(stop_words("en")),
        "stemmer": Stemmer.Stemmer("english"),
        "token_pattern": r"(?u)\b\w+\b",
        "show_progress": False,
        "return_ids": False,
    }
    peer = bm25s.BM25(method="lucene", k1=K1, b=B)
    peer.index(bm25s.tokenize(data.texts, **options), show_progress=False)
    return np.stack([peer.get_scores(claim) for claim in bm25s.tokenize(data.claims, **options)])


def by_meaning(data: SciFact, encode: Remembered) -> tuple[Floats, Floats]:
    """Cosines (claims, abstracts) of the whole abstract, of which the encoder reads 256 tokens, and of its best chunk."""
    queries = encode(data.claims)
    whole = queries @ encode(data.texts).T
    chunks = [
        [chunk.text for chunk in chunk_document(Document(id, text), CHUNKING)]
        for id, text in zip(data.ids, data.texts, strict=True)
    ]
    starts = np.cumsum([0, *map(len, chunks)])[:-1]
    parts = encode([text for own in chunks for text in own])
    return whole, np.maximum.reduceat(queries @ parts.T, starts, axis=1)


def first(scores: Floats, count: int = DEPTH) -> list[Rows]:
    """The `count` best abstracts of each claim, best first."""
    numbers = np.arange(scores.shape[1])
    return [best_first(numbers, own)[0][:count] for own in scores]


def fused(data: SciFact, lexical: Floats, dense: Floats) -> tuple[list[Rows], list[tuple[Rows, Floats]], list[float]]:
    """Rankings by ranks, rankings with scores by a cross-fitted weight, and the weights of the folds."""
    both = list(zip(first(lexical), first(dense), strict=True))
    ranks = [reciprocal_rank(pair)[0] for pair in both]
    candidates = []
    for place, pair in enumerate(both):
        numbers = np.union1d(*pair)
        candidates.append(Candidates(numbers, lexical[place, numbers], dense[place, numbers]))
    ranked: list[Any] = [None] * len(candidates)
    weights = []
    for kept, held in folds_by_family(data.family, FOLDS, seed=SEED):

        def score(query: int, numbers: Rows, kept: Rows = kept) -> float:
            return ndcg_at([str(one) for one in numbers[:10]], [str(one) for one in data.relevant[kept[query]]], 10)

        weight, _ = tune_weight([candidates[row] for row in kept], score)
        weights.append(weight)
        for row in held:
            ranked[row] = convex(*candidates[row], weight=weight)
    return ranks, ranked, weights


def light(data: SciFact, ranked: Sequence[tuple[Rows, Floats]], features: RankFeatures) -> list[Rows]:
    """The rankings with their first texts in the order of the light reranker, cross-fitted."""
    found = [_found(data, place, numbers[:RERANKED], scores) for place, (numbers, scores) in enumerate(ranked)]
    order: list[Any] = [None] * len(found)
    for kept, held in folds_by_family(data.family, FOLDS, seed=SEED):
        ranker = FeatureRanker(fit_rank_features([found[row] for row in kept], features), features)
        for row in held:
            order[row] = _reordered(ranked[row][0], ranker.score(found[row].query, found[row].passages))
    return order


def crossed(
    data: SciFact, ranked: Sequence[tuple[Rows, Floats]], encode: Remembered, index: LexicalIndex, folds: int
) -> tuple[Rows, list[Rows], list[Rows]]:
    """Claims of the first folds, and their rankings by a cross-encoder alone, and by the light reranker that hears it too.

    It reads the title and the chunk nearest to the claim, and is fitted on two thirds of the other claims; the weights of the
    light reranker on the last third, which it has not seen.
    """
    rows: list[int] = []
    alone, both = [], []
    for kept, held in list(folds_by_family(data.family, FOLDS, seed=SEED))[:folds]:
        learn, weigh = next(folds_by_family(data.family[kept], 3, seed=SEED))
        begin = time.perf_counter()
        files = fit_reranker([_judged(data, row, ranked[row][0], encode) for row in kept[learn]], minilm_folder(), CROSS)
        print(f"  cross-encoder fitted in {time.perf_counter() - begin:.0f} s: {files[RERANK].decode()}")
        reranker = CrossEncoder(files)

        def read(pairs: Sequence[tuple[str, str]], reranker: CrossEncoder = reranker) -> Floats:
            return reranker.logits([(claim, _nearest(claim, text, encode)) for claim, text in pairs])

        features = RankFeatures(WORDS, index.rarity, encode, read=read, names=HEARD)
        found = {int(row): _found(data, row, ranked[row][0][:CROSS_READ], ranked[row][1]) for row in (*kept[weigh], *held)}
        ranker = FeatureRanker(fit_rank_features([found[int(row)] for row in kept[weigh]], features), features)
        for row in held:
            own, numbers = found[int(row)], ranked[row][0]
            rows.append(int(row))
            alone.append(_reordered(numbers, read([(own.query, passage.text) for passage in own.passages])))
            both.append(_reordered(numbers, ranker.score(own.query, own.passages)))
    return np.array(rows), alone, both


def _judged(data: SciFact, row: int, numbers: Rows, encode: Remembered) -> Judged:
    claim, own = data.claims[row], data.relevant[row]
    others = tuple(_nearest(claim, data.texts[one], encode) for one in numbers[:CROSS_READ] if one not in own)
    return Judged(claim, tuple(_nearest(claim, data.texts[one], encode) for one in own), others, tuple(str(one) for one in own))


def _nearest(claim: str, text: str, encode: Remembered) -> str:
    """The title and the chunk of an abstract that is nearest to a claim."""
    title = text.partition("\n")[0]
    chunks = [chunk.text for chunk in chunk_document(Document("", text), CHUNKING)]
    best = chunks[int((encode(chunks) @ encode([claim])[0]).argmax())]
    return best if best.startswith(title) else f"{title}\n{best}"


def _found(data: SciFact, place: int, numbers: Rows, scores: Floats) -> Found:
    own = data.relevant[place]
    passages = tuple(
        Passage(data.texts[one], data.ids[one], score=float(score)) for one, score in zip(numbers, scores, strict=False)
    )
    return Found(data.claims[place], passages, tuple(bool(one in own) for one in numbers), tuple(str(one) for one in own))


def _reordered(numbers: Rows, scores: Floats) -> Rows:
    """The first texts by their new scores, equal ones as they stood, then the rest."""
    order = np.argsort(-scores, kind="stable")
    return np.concatenate([numbers[: len(scores)][order], numbers[len(scores) :]])


def judge(data: SciFact, order: Sequence[Rows], rows: Rows | None = None) -> dict[str, NDArray[np.float64]]:
    """Every metric of every claim (of `rows`)."""
    places = range(len(data.claims)) if rows is None else rows
    ranked = [[str(one) for one in own] for own in order]
    relevant = [[str(one) for one in data.relevant[place]] for place in places]
    return {name: np.array([metric(*pair) for pair in zip(ranked, relevant, strict=True)]) for name, metric in METRICS.items()}


def interval(values: NDArray[np.float64], family: Rows) -> tuple[float, float, float]:
    """95 % of a mean by a bootstrap over families, and the two-sided p-value that it is 0."""
    codes = np.unique(family, return_inverse=True)[1]
    sums, sizes = np.bincount(codes, weights=values), np.bincount(codes).astype(np.float64)
    drawn = np.random.default_rng(SEED).integers(0, len(sums), (RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    p_value = min(1.0, 2 * (1 + min((means <= 0).sum(), (means >= 0).sum())) / (RESAMPLES + 1))
    return float(low), float(high), float(p_value)


def show(name: str, found: dict[str, NDArray[np.float64]], family: Rows) -> None:
    """One line of the table."""
    low, high, _ = interval(found["nDCG@10"], family)
    others = "".join(f"{found[metric].mean():>11.4f}" for metric in list(METRICS)[1:])
    print(f"{name:<44}{found['nDCG@10'].mean():>8.4f}  [{low:.3f}, {high:.3f}]{others}")


def against(name: str, first: NDArray[np.float64], second: NDArray[np.float64], family: Rows) -> dict[str, float]:
    """Prints and returns how much better the second is than the first in nDCG@10, claim by claim."""
    low, high, p_value = interval(second - first, family)
    difference = float((second - first).mean())
    print(f"{name:<60}{difference:>+8.4f}  [{low:+.4f}, {high:+.4f}]  p = {p_value:.4f}")
    return {"difference": difference, "low": low, "high": high, "p": p_value}


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    """Print the tables and the JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--cross-encoder", type=int, default=0)
    arguments = parser.parse_args()
    data, encode = read(), Remembered(arguments.vectors)
    index, lexical = by_words(data)
    whole, chunks = by_meaning(data, encode)
    encode.keep()
    ranks, ranked, weights = fused(data, lexical, chunks)
    _, ranked_whole, _ = fused(data, lexical, whole)
    hybrid = [numbers for numbers, _ in ranked]
    rankings = {
        "by words (BM25, k1 1.2, b 0.75)": first(lexical),
        "bm25s, same stemmer, stop words, k1 and b": first(by_bm25s(data)),
        "by meaning (MiniLM), whole abstract": first(whole),
        "by meaning (MiniLM), best chunk of 500 chars": first(chunks),
        "hybrid, reciprocal rank": ranks,
        "hybrid, convex, whole abstract": [numbers for numbers, _ in ranked_whole],
        "hybrid, convex": hybrid,
        "hybrid + light reranker, words alone": light(data, ranked, RankFeatures(WORDS, index.rarity)),
        "hybrid + light reranker, with sentences": light(data, ranked, RankFeatures(WORDS, index.rarity, encode)),
    }
    encode.keep()
    print(f"{machine()}; {len(data.claims)} claims in {len(np.unique(data.family))} families, {len(data.texts)} abstracts")
    print(
        f"fusion weight of the dense score by fold: {', '.join(f'{one:.2f}' for one in weights)}; encoding {encode.seconds:.0f} s\n"
    )
    print(f"{'':<44}{'nDCG@10':>8}  {'95 % interval':<14}{''.join(f'{name:>11}' for name in list(METRICS)[1:])}")
    found = {name: judge(data, order) for name, order in rankings.items()}
    for name, own in found.items():
        show(name, own, data.family)
    print("\nnDCG@10, second less first, claim by claim")
    scores = {name: own["nDCG@10"] for name, own in found.items()}
    words, peer, _, meaning, rrf, _, both, plain, sentences = scores
    better = max((words, meaning), key=lambda name: scores[name].mean())
    pairs = [(peer, words), (better, rrf), (better, both), (rrf, both), (both, plain), (both, sentences)]
    tests = {f"{one} -> {two}": against(f"{one} -> {two}"[:60], scores[one], scores[two], data.family) for one, two in pairs}
    if arguments.cross_encoder:
        rows, alone, heard = crossed(data, ranked, encode, index, arguments.cross_encoder)
        print(f"\nthe {len(rows)} claims of {arguments.cross_encoder} folds")
        for name in (both, sentences):
            show(name, {metric: values[rows] for metric, values in found[name].items()}, data.family[rows])
        for name, order in (("cross-encoder alone", alone), ("light reranker that hears the cross-encoder", heard)):
            own = judge(data, order, rows)
            show(name, own, data.family[rows])
            tests[f"hybrid -> {name}"] = against(f"hybrid -> {name}", scores[both][rows], own["nDCG@10"], data.family[rows])
    means = {name: {metric: float(values.mean()) for metric, values in own.items()} for name, own in found.items()}
    print(json.dumps({"benchmark": "scifact", "claims": len(data.claims), "systems": means, "tests": tests}))


if __name__ == "__main__":
    main()
