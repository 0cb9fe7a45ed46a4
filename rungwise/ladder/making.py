"""Making the fitted parts of candidates: each technique's fit, run once on the executor and kept under the part's id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rungwise.core.candidate import Fitted
from rungwise.core.dataset import Example
from rungwise.core.errors import UsageError
from rungwise.core.types import Clock, Executor
from rungwise.core.usecase import UseCase
from rungwise.data import artefacts
from rungwise.data.documents import Documents
from rungwise.data.steps import Steps
from rungwise.data.store import Store
from rungwise.engines.fitted.beneath import BASE
from rungwise.ladder.embedding import Embeddings
from rungwise.ladder.fitting import FITS, Schooling, took, train_part

if TYPE_CHECKING:
    from rungwise.core.content import Passage
    from rungwise.engines.search.index import How, SearchIndex

Files = Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What a fit may use: training rows, documents, recorded answers, embeddings, parts made before. Never dev, never sealed."""

    case: UseCase
    train: Sequence[Example]
    documents: Documents
    recordings: Mapping[str, Files]
    embeddings: Embeddings
    executor: Executor
    load: Callable[[str], Files]
    schooling: Schooling | None = None


class Maker:
    """Makes parts that do not exist yet. Parts that differ in one setting are fitted together, since they share the features."""

    def __init__(self, store: Store, materials: Materials, clock: Clock) -> None:
        self.store, self.materials, self.clock = store, materials, clock

    async def make(self, parts: Sequence[Fitted]) -> None:
        """Make every part that is missing. Raises MissingExtra when its library is not installed."""
        trained = [part for part in _by_id(parts).values() if part.technique in TRAINED]
        batches: dict[str, list[Fitted]] = {}
        for part in _by_id(parts).values():
            if part.technique not in TRAINED:
                batches.setdefault(_batch(part), []).append(part)
        for batch in batches.values():
            # All or none: each fit starts from the one before it, so its bytes depend on who is fitted with it. A climb that
            # was killed between two saves would otherwise go on with another model than the one that was begun.
            if all(artefacts.has(self.store, part.id) for part in batch):
                continue
            started = self.clock.tick()
            made = await TECHNIQUES[batch[0].technique](self.materials, batch)
            share = (self.clock.tick() - started) / len(batch)
            for part, files in zip(batch, made, strict=True):
                artefacts.save(self.store, part.id, files, seconds=share)

        for part in trained:  # in the order given: what a part stands on comes before it
            if not artefacts.has(self.store, part.id):
                await self._train(part)

    async def _train(self, part: Fitted) -> None:
        """Fit one part with checkpoints, which are kept until the part is."""
        schooling = self.materials.schooling
        if schooling is None:
            raise UsageError(f"the part '{part.technique}' cannot be fitted here. Type: rungwise climb PROJECT")
        await train_part(self.store, schooling, part)

    def took(self, part: Fitted) -> Mapping[str, float]:
        """`bytes`, the most memory that this process held while the part was trained, and `tokens_per_s`; empty for the others."""
        return took(self.store, part)

    def seconds(self, part: Fitted) -> float:
        """What making the part took when it was made, in seconds; a batch is shared evenly."""
        step = Steps(self.store).get(part.id)
        return step.seconds if step else 0.0


TRAINED = (BASE, *FITS)


def _by_id(parts: Sequence[Fitted]) -> dict[str, Fitted]:
    return {part.id: part for part in parts}


def _batch(part: Fitted) -> str:
    """Parts with the same key differ only in C and can be fitted in one go."""
    rest = {name: value for name, value in part.recipe.items() if name != "c"}
    return Fitted(technique=part.technique, recipe=rest, inputs=part.inputs, seed=part.seed).id


async def _linear(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    from rungwise.fit.linear import fit_linear

    cs = [float(part.recipe["c"]) for part in parts]
    fit = partial(fit_linear, cs=cs, seed=parts[0].seed, multi_label=given.case.multi_label)
    fitted = await given.executor.run(fit, [row.text for row in given.train], _references(given))
    return [fitted[c] for c in cs]


async def _head(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    from rungwise.fit.head import fit_head

    cs = [float(part.recipe["c"]) for part in parts]
    vectors = await given.embeddings.of_rows(parts[0].recipe["encoder"], given.train)
    fit = partial(fit_head, cs=cs, seed=parts[0].seed, multi_label=given.case.multi_label)
    fitted = await given.executor.run(fit, vectors, _references(given))
    return [fitted[c] for c in cs]


async def _prototypes(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    from rungwise.fit.prototypes import fit_prototypes

    vectors = await given.embeddings.of_rows(parts[0].recipe["encoder"], given.train)
    return [await given.executor.run(fit_prototypes, vectors, _references(given)) for _ in parts]


async def _neighbours(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    from rungwise.fit.prototypes import fit_neighbours

    vectors = await given.embeddings.of_rows(parts[0].recipe["encoder"], given.train)
    many = given.case.multi_label
    fits = [partial(fit_neighbours, k=part.recipe["k"], multi_label=many) for part in parts]
    return [await given.executor.run(fit, vectors, _references(given)) for fit in fits]


async def _shots(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    from rungwise.engines.search.postings import index_terms
    from rungwise.engines.search.terms import Words

    files = (await given.executor.run(partial(index_terms, words=Words()), [row.text for row in given.train])).files()
    return [files for _ in parts]


async def _nearest_question(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    from rungwise.engines.search.questions import question_files

    return [await given.executor.run(question_files, given.train) for _ in parts]


async def _index(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    from rungwise.engines.search.building import build_segment
    from rungwise.engines.search.recipe import Recipe

    made = []
    for part in parts:
        recipe = Recipe.of(part.recipe)
        encode = given.embeddings.keeping(recipe.encoder) if recipe.encoder is not None else None
        build = partial(build_segment, recipe=recipe, encode=encode)
        made.append((await given.executor.run(build, given.documents.documents)).files())
    return made


async def _rerank(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    from rungwise.ladder.near_misses import found_rows
    from rungwise.ladder.reranking import fit_order

    made = []
    for part in parts:
        index, how = _searched(given, part)
        find = partial(found_rows, given.train, index, how, by_document=given.case.task == "search")
        fit = partial(fit_order, reads=bool(part.recipe["reads"]), seed=part.seed)
        made.append(await given.executor.run(fit, await given.executor.run(find), index))
    return made


async def _sentence_scorer(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    from rungwise.fit.sentence_scorer import fit_sentence_scorer

    made = []
    for part in parts:
        encoder = str(part.recipe["encoder"])
        encode = given.embeddings.remembering(encoder)
        fit = partial(fit_sentence_scorer, encoder=encoder, seed=part.seed)
        made.append(await given.executor.run(fit, given.train, await given.executor.run(_read, given, part), encode))
    return made


async def _reader(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    from rungwise.engines.encoders.minilm import minilm_folder
    from rungwise.fit.reader import ReaderSettings, fit_reader
    from rungwise.ladder.near_misses import with_passages

    made = []
    for part in parts:
        rows = with_passages(given.train, await given.executor.run(_read, given, part))
        settings = ReaderSettings(seed=part.seed, clozes=int(part.recipe["clozes"]))
        texts = [document.text for document in given.documents.documents]
        made.append(await given.executor.run(partial(fit_reader, settings=settings, documents=texts), rows, minilm_folder()))
    return made


def _read(given: Materials, part: Fitted) -> list[tuple[Passage, ...]]:
    """What each training question is answered from: its own passage, else what the search of the recipe finds."""
    if "index" not in part.recipe:
        return [row.request.passages for row in given.train]
    index, how = _searched(given, part)
    return list(index.search_many([row.text for row in given.train], int(part.recipe["passages"]), how))


def _searched(given: Materials, part: Fitted) -> tuple[SearchIndex, How]:
    """The index that a part is fitted over, which is its second input, and how it is searched."""
    from rungwise.inference.retrieving import how_of, load_index

    index = Fitted(technique="index", recipe=part.recipe["index"], inputs=(part.inputs[1],))
    return load_index(index, given.load, given.embeddings.remembering), how_of(part.recipe["search"])


async def _recorded(given: Materials, parts: Sequence[Fitted]) -> Sequence[Files]:
    return [given.recordings[part.inputs[0]] for part in parts]


def _references(given: Materials) -> list[tuple[str, ...]]:
    return [row.references for row in given.train]


TECHNIQUES: Mapping[str, Callable[[Materials, Sequence[Fitted]], Awaitable[Sequence[Files]]]] = {
    "linear": _linear,
    "head": _head,
    "prototypes": _prototypes,
    "neighbours": _neighbours,
    "shots": _shots,
    "nearest-question": _nearest_question,
    "index": _index,
    "rerank": _rerank,
    "sentence-scorer": _sentence_scorer,
    "reader": _reader,
    "recorded": _recorded,
}
