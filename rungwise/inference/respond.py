"""From a Candidate to a Responder: finds who can answer, and wraps it as the recipe says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.content import Shot
from rungwise.core.dataset import Example
from rungwise.core.errors import UnknownName
from rungwise.core.types import Clock, Responder
from rungwise.core.usecase import Endpoint, Included, UseCase
from rungwise.data import artefacts
from rungwise.data.calls import CallCache
from rungwise.data.store import Store
from rungwise.engines.budget import Budget
from rungwise.engines.endpoint import LanguageModel
from rungwise.engines.prices import Listed, Price, price_of
from rungwise.inference.calling import EndpointModel
from rungwise.inference.fitted import GENERATES, text_responder
from rungwise.inference.wrappers import ChooseShots, Search, recorded, with_retrieval, with_shots, with_threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rungwise.engines.encoders.encode import Encoder
    from rungwise.engines.search.index import SearchIndex
    from rungwise.inference.searching import Score

Encode = Callable[[Sequence[str]], "NDArray[np.float32]"]

EXTRACTIVE = ("nearest-question", "lead", "best-sentence")
FITTED_ON_PASSAGES = ("sentence-scorer", "reader")


@dataclass
class Kit:
    """What responders are built from: the project's store, its data, and how calls are made. Close it when done.

    `make_model` gives the client of an endpoint; without it, one that keeps its answers in `cache` and stays within `budget`.
    """

    case: UseCase
    store: Store
    clock: Clock
    rng: Random
    train: Sequence[Example] = ()
    cache: CallCache | None = None
    budget: Budget | None = None
    prices: Sequence[Sequence[Listed]] = ()
    make_model: Callable[[Endpoint], EndpointModel] | None = None
    _models: dict[str, EndpointModel] = field(default_factory=dict)
    _encoders: dict[str, Encoder] = field(default_factory=dict)
    _indexes: dict[tuple[str, Callable[[str], Encode]], SearchIndex] = field(default_factory=dict)
    _rerankers: dict[tuple[str, int], Score] = field(default_factory=dict)

    def load(self, id: str) -> Mapping[str, bytes]:
        """The files of a fitted part, checked against their digests."""
        return artefacts.load(self.store, id)

    def encoder(self, name: str) -> Encoder:
        """The encode function of a sentence encoder; its weights are loaded at the first call."""
        if name not in self._encoders:
            from rungwise.engines.encoders.load import load_encoder

            self._encoders[name] = load_encoder(name)
        return self._encoders[name]

    def index(self, part: Fitted, encode: Callable[[str], Encode]) -> SearchIndex:
        """A search index; candidates that differ only in how they search it share it."""
        from rungwise.inference.retrieving import encoding_by, load_index

        # Whoever encodes differently searches the same segments: a probe must not be answered from remembered vectors.
        if (part.id, encode) not in self._indexes:
            known = next((index for (id, _), index in self._indexes.items() if id == part.id), None)
            self._indexes[part.id, encode] = encoding_by(known, encode) if known else load_index(part, self.load, encode)
        return self._indexes[part.id, encode]

    def reranker(self, part: Fitted, index: SearchIndex) -> Score:
        """Scores passages by how likely they answer a question; candidates that rerank to other depths share it."""
        if (part.id, id(index)) not in self._rerankers:
            from rungwise.inference.reranking import load_order

            self._rerankers[part.id, id(index)] = load_order(self.load(part.id), index)
        return self._rerankers[part.id, id(index)]

    def endpoint(self, candidate: Candidate) -> Endpoint | None:
        """The configured endpoint that a candidate asks, or None when it answers by itself."""
        return next((one for one in self.case.endpoints if candidate.model == f"{one.name}/{one.model}"), None)

    def price(self, candidate: Candidate) -> Price | None:
        """What the endpoint of a candidate charges, or None when it answers by itself."""
        endpoint = self.endpoint(candidate)
        return price_of(endpoint, self.prices) if endpoint is not None else None

    def included(self, candidate: Candidate) -> Included | None:
        """The user's own system that a candidate stands for, or None."""
        name = candidate.options.get("name") if candidate.model == "recorded" else None
        return next((one for one in self.case.include if one.name == name), None)

    def model(self, endpoint: Endpoint) -> EndpointModel:
        """The one client of an endpoint: its limit of concurrent calls is shared by all candidates."""
        if endpoint.name not in self._models:
            self._models[endpoint.name] = self.make_model(endpoint) if self.make_model is not None else self._called(endpoint)
        return self._models[endpoint.name]

    def _called(self, endpoint: Endpoint) -> EndpointModel:
        price = price_of(endpoint, self.prices)
        return LanguageModel(endpoint, clock=self.clock, rng=self.rng, cache=self.cache, budget=self.budget, price=price)

    async def aclose(self) -> None:
        """Close the connections to endpoints."""
        for model in self._models.values():
            await model.aclose()


def build_responder(candidate: Candidate, kit: Kit, *, encode: Callable[[str], Encode]) -> Responder:
    """Whoever answers for this candidate, with its threshold. Raises UnknownName for an endpoint that is not configured."""
    responder = _remembering(_answering(candidate, kit, encode), candidate, kit, encode)
    return with_threshold(responder, candidate.threshold) if candidate.threshold is not None else responder


def _remembering(answer: Responder, candidate: Candidate, kit: Kit, encode: Callable[[str], Encode]) -> Responder:
    """Whoever searches for what is asked needs a question that stands alone; without turns before it nothing changes."""
    if candidate.index is None or candidate.index.technique != "index":
        return answer
    from rungwise.inference.conversation import asking_for_standalone, by_rule, with_memory

    endpoint = kit.endpoint(candidate)
    if endpoint is not None:
        return with_memory(answer, asking_for_standalone(kit.model(endpoint)))
    return with_memory(answer, by_rule(kit.index(candidate.index, encode).lexical.rarity))


def _answering(candidate: Candidate, kit: Kit, encode: Callable[[str], Encode]) -> Responder:
    endpoint = kit.endpoint(candidate)
    if endpoint is not None:
        return _asking(candidate, endpoint, kit, encode)
    if candidate.model == "recorded":
        assert candidate.index is not None
        return recorded(kit.load(candidate.index.id))
    if candidate.model in EXTRACTIVE:
        from rungwise.inference.extract import answer_responder
        from rungwise.inference.injection import with_clean_passages

        part = candidate.index
        index = kit.index(part, encode) if part is not None and part.technique == "index" else None
        return with_clean_passages(answer_responder(candidate, kit.load, index=index))
    if candidate.model in FITTED_ON_PASSAGES:
        from rungwise.inference.injection import with_clean_passages

        return with_clean_passages(_fitted(candidate, kit, encode))
    if candidate.model == "search":
        from rungwise.inference.finding import DOCUMENTS, finding

        return finding(_search(candidate, kit, encode), count=int(candidate.options.get("documents", DOCUMENTS)))
    if candidate.model == GENERATES:
        return text_responder(candidate, kit.load)
    if "/" in candidate.model:
        raise UnknownName(
            "endpoint", candidate.model.split("/")[0], [one.name for one in kit.case.endpoints], where="rungwise.yaml"
        )
    from rungwise.inference.local import local_responder

    # Looked up at the first question: a model that has features of its own asks no encoder.
    return local_responder(candidate, kit.load, lambda texts: encode(candidate.encoder or "")(texts))


def _fitted(candidate: Candidate, kit: Kit, encode: Callable[[str], Encode]) -> Responder:
    """Whoever learned from solved questions which words of a passage answer."""
    from rungwise.engines.reader import Reader
    from rungwise.engines.sentence_scorer import SentenceScorer
    from rungwise.inference.injection import without_instructions
    from rungwise.inference.reading import reader_responder, sentence_responder
    from rungwise.inference.retrieving import passages_wanted

    assert candidate.head is not None
    files = kit.load(candidate.head.id)
    search = without_instructions(_search(candidate, kit, encode)) if candidate.index is not None else None
    if candidate.model == "reader":
        # Where every training question had an answer, silence is never right: the reader says what it thinks, however sure.
        least = None if candidate.options.get("abstains") else 0.0
        return reader_responder(Reader(files), search, k=passages_wanted(candidate), threshold=least)
    return sentence_responder(SentenceScorer.load(files, encode), search, k=passages_wanted(candidate))


def _search(candidate: Candidate, kit: Kit, encode: Callable[[str], Encode], *, model: EndpointModel | None = None) -> Search:
    """The search of a candidate over its index, with its reranker where it has one."""
    from rungwise.inference.retrieving import search_of

    assert candidate.index is not None
    index, reranker = kit.index(candidate.index, encode), candidate.adapter
    score = kit.reranker(reranker, index) if reranker is not None and reranker.technique == "rerank" else None
    return search_of(candidate, index, score=score, model=model)


def _asking(candidate: Candidate, endpoint: Endpoint, kit: Kit, encode: Callable[[str], Encode]) -> Responder:
    """A language model, with retrieval or chosen shots around it where the recipe has them."""
    from rungwise.inference.language_model import language_model_responder

    responder = language_model_responder(candidate, kit.model(endpoint))
    if candidate.index is None:
        return responder
    if candidate.index.technique == "shots":
        return with_shots(responder, _shot_chooser(candidate, kit), count=int(candidate.options["shots"]))
    from rungwise.inference.grounding import with_grounding, with_sources
    from rungwise.inference.injection import with_flags

    cites = candidate.options.get("cite")
    answer = with_grounding(with_flags(responder)) if cites else with_sources(responder)
    search = _search(candidate, kit, encode, model=kit.model(endpoint))
    return with_retrieval(answer, search, k=int(candidate.options["passages"]))


def _shot_chooser(candidate: Candidate, kit: Kit) -> ChooseShots:
    """Training examples whose words are most like the question's; where too few share any, the first others come before them."""
    from rungwise.engines.search.lexical import LexicalIndex
    from rungwise.engines.search.postings import load_postings

    assert candidate.index is not None
    index = LexicalIndex.of([load_postings(kit.load(candidate.index.id))])
    shots = [Shot(row.text, "\n".join(row.references), row.passage) for row in kit.train]

    async def choose(text: str, count: int) -> Sequence[Shot]:
        alike = index.search(text, count)[0].tolist()
        others = (place for place in range(len(shots)) if place not in alike)
        return [shots[place] for place in (*alike, *islice(others, count - len(alike)))]

    return choose
