"""`Index`: a folder that holds a search index; one method per thing that people do with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.content import Passage, Request
from rungwise.core.errors import Corrupt, UnknownName, UsageError
from rungwise.core.progress import Progress
from rungwise.core.record import to_plain
from rungwise.core.types import Clock, Responder, collect

if TYPE_CHECKING:
    from rungwise.data.documents import DocumentSource
    from rungwise.data.indexes import Indexes, IndexVersion
    from rungwise.data.store import Store
    from rungwise.data.vectors import VectorCache
    from rungwise.engines.encoders.encode import Encode, Encoder
    from rungwise.engines.search.building import Built
    from rungwise.engines.search.index import How, SearchIndex
    from rungwise.engines.search.recipe import Recipe
    from rungwise.inference.batch_file import Counts
    from rungwise.project import Asked

Say = Callable[[Progress], None]

Stamp = tuple[tuple[int, int, int], ...]
"""Of each file of a store: its number, its bytes, and when it was written last."""

RERANKED = 50
"""How many hits are put in a better order."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How documents become an index; None keeps what the index has, or the default of a new one.

    `encoder` is minilm, hashed, the folder of an encoder, or none. `tenant` is the field that says whose a document is.
    `key` and `text` are the columns of a table. With `keep`, documents that the source does not have stay in the index.
    """

    chunking: Mapping[str, Any] | None = None
    words: Mapping[str, Any] | None = None
    encoder: str | None = None
    tenant: str | None = None
    key: str | None = None
    text: tuple[str, ...] = ()
    keep: bool = False
    encoding: str | None = None
    kind: str | None = None
    allow_hosts: tuple[str, ...] = ()


class Index:
    """A folder with a search index in it and nothing else. What is searched is one version; updates make new ones."""

    def __init__(self, directory: str | Path, *, clock: Clock | None = None) -> None:
        self.directory = Path(directory)
        self._clock = clock
        self._open: tuple[IndexVersion, SearchIndex] | None = None
        self._seen: Stamp = ()
        self._encoders: dict[str, Encoder] = {}

    @property
    def clock(self) -> Clock:
        """The clock; the system's unless one was given."""
        if self._clock is None:
            from rungwise.engines.clock import SystemClock

            self._clock = SystemClock()
        return self._clock

    def build(
        self,
        source: str | Path,
        wanted: Wanted | None = None,
        *,
        say: Say = lambda _: None,
        wait: bool = True,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Built:
        """Bring the index up to date with a folder, a page, or a table. Only what changed is cut and encoded again.

        Killed anywhere, the same call goes on, and until it is through the version before is searched. Raises BadData when
        nothing can be read, so that a share that is not mounted empties no index, UsageError for an index among its own
        documents, ProjectBusy with `wait=False` while another process writes.
        """
        from rungwise.data.documents import open_documents
        from rungwise.data.indexes import Indexes, mark
        from rungwise.data.lock import project_lock
        from rungwise.data.vectors import VectorCache
        from rungwise.engines.encoders.load import load_encoder
        from rungwise.engines.search.building import update

        wanted = wanted or Wanted()
        _check_places(source, self.directory)
        if wanted.encoder not in (None, "none"):
            self._encoders[wanted.encoder] = load_encoder(wanted.encoder)  # a misspelt name is told before anything is read
        listing = open_documents(
            source,
            id=wanted.key,
            text=wanted.text,
            kind=wanted.kind,
            encoding=wanted.encoding,
            allow_hosts=wanted.allow_hosts,
        )
        mark(self.directory)
        with project_lock(self.directory, wait=wait, on_wait=on_wait), self._store() as store:
            indexes = Indexes(store)
            head = indexes.head()
            recipe = _recipe(head, wanted, listing)
            tenant = wanted.tenant or (head.settings.get("tenant") if head is not None else None)
            encode = self._encode(recipe.encoder, cache=VectorCache(store))
            return update(indexes, listing, recipe, encode=encode, tenant=tenant, keep=wanted.keep, may_empty=False, say=say)

    def search(self, query: str, k: int = 10, how: How | None = None, *, rerank: bool = False) -> tuple[Passage, ...]:
        """The `k` best chunks for a query; by words and meaning where the index has vectors, unless `how` says otherwise.

        With `rerank`, the first 50 are put in the order of a few features that are weighed as solved queries elsewhere taught.
        """
        return next(self.search_many([query], k, how, rerank=rerank))

    def search_many(
        self, queries: Sequence[str], k: int = 10, how: How | None = None, *, rerank: bool = False
    ) -> Iterator[tuple[Passage, ...]]:
        """As `search`, for many queries: they are encoded together."""
        index, how = self._index(), how or self.how()
        if not rerank:
            yield from index.search_many(queries, k, how)
            return
        from rungwise.engines.rank_features import usual_ranker

        ranker = usual_ranker(index.recipe.words, index.lexical_of(how.tenant).rarity, index.encode)
        for query, found in zip(queries, index.search_many(queries, max(k, RERANKED), how), strict=True):
            yield ranker.ordered(query, found)[:k]

    def how(self, *, mode: str | None = None, where: Sequence[str] = (), tenant: str | None = None, **more: Any) -> How:
        """A way of searching: `where` are conditions such as year>=2020."""
        from rungwise.engines.search.filters import Condition
        from rungwise.engines.search.index import HYBRID, LEXICAL, How

        usual = HYBRID if self._index().recipe.encoder is not None else LEXICAL
        return How(mode=mode or usual, where=tuple(map(Condition.parse, where)), tenant=tenant, **more)

    def ask(self, text: str, *, passage: str | None = None, tenant: str | None = None) -> Asked:
        """The sentence that answers best, with its exact place in its document; of a tenant's documents, where there are any."""
        from rungwise.engines.loop import run_in_background
        from rungwise.project import Asked

        started = self.clock.tick()
        response = run_in_background(collect(self._answer(tenant)(Request.of(text, passage=passage))))
        return Asked(response.text, response.confidence, self.candidate.id, self.clock.tick() - started, response)

    def ask_file(
        self, source: Path, target: Path, *, tenant: str | None = None, say: Callable[[int], None] = lambda _: None
    ) -> Counts:
        """Ask every row of a JSONL file; a run that was killed goes on where it was."""
        from rungwise.engines.loop import run_in_background
        from rungwise.inference.batch_file import answer_file

        answer, candidate = self._answer(tenant), self.candidate.id
        return run_in_background(
            answer_file(
                answer,
                source,
                target,
                candidate=candidate,
                text_field=_question_field(source),
                passage_field=None,
                clock=self.clock,
                say=say,
            )
        )

    def _answer(self, tenant: str | None) -> Responder:
        from rungwise.inference.extract import best_sentence
        from rungwise.inference.injection import with_clean_passages, without_instructions
        from rungwise.inference.retrieving import DEFAULT_PASSAGES, searching

        index = self._index()
        how = self.how(tenant=tenant)
        index.check(how)
        search = without_instructions(searching(index, how))
        return with_clean_passages(best_sentence(search, k=DEFAULT_PASSAGES, within=index.lexical_of(tenant)))

    @property
    def candidate(self) -> Candidate:
        """Who answers here, as a recipe: the index is part of it by the id of its version."""
        version = self.searched
        part = Fitted(technique="index", recipe=version.recipe, inputs=(version.id,))
        return Candidate(task="answer", model="best-sentence", encoder=version.recipe.get("encoder"), index=part)

    @property
    def searched(self) -> IndexVersion:
        """The version that the last search went through; `version` may be a newer one already."""
        if self._open is None:
            self._index()
        assert self._open is not None
        return self._open[0]

    def version(self) -> IndexVersion:
        """The version that is searched. Raises UsageError when nothing was indexed yet."""
        from rungwise.data.indexes import Indexes

        with self._store() as store:
            return self._head(Indexes(store))

    def trail(self) -> tuple[str, ...]:
        """The ids of all versions that are kept, oldest first."""
        from rungwise.data.indexes import Indexes

        with self._store() as store:
            return Indexes(store).trail()

    def restore(self, version: str) -> str:
        """Search an earlier version again; give its id."""
        from rungwise.data.indexes import Indexes
        from rungwise.data.lock import project_lock

        with project_lock(self.directory), self._store() as store:
            indexes = Indexes(store)
            return indexes.point(indexes.find(version))

    def compact(self) -> int:
        """Forget earlier versions and all that was deleted; give how many bytes that freed."""
        from rungwise.data.indexes import Indexes
        from rungwise.data.lock import project_lock
        from rungwise.data.vectors import VectorCache
        from rungwise.engines.search.building import compact

        with project_lock(self.directory), self._store() as store:
            return compact(Indexes(store)) + VectorCache(store).clear()

    def snapshot(self, folder: str | Path) -> Path:
        """Copy the version that is searched into a new folder, which is an index by itself."""
        from rungwise.data.indexes import Indexes, mark
        from rungwise.data.store import EMBEDDED, Store

        target = Path(folder)
        if target.exists() and any(target.iterdir()):
            raise UsageError(f"{target} is not empty. Choose a new folder for the copy")
        mark(target)
        with self._store() as store, contextlib.closing(Store.open(target, clock=self.clock, url=EMBEDDED)) as copy:
            indexes, copies = Indexes(store), Indexes(copy)
            version = self._head(indexes)
            for segment in version.segments:
                copies.keep(indexes.load(segment), documents=segment.documents, chunks=segment.chunks)
            copies.point(version)
        return target

    def _index(self) -> SearchIndex:
        """The index, loaded once and again when another version is searched."""
        from rungwise.data.indexes import Indexes
        from rungwise.engines.search.building import open_index

        # Opening the store costs more than a search; looked at before it is read, so that no write falls in between.
        stamp = _stamp(self.directory)
        if self._open is not None and stamp == self._seen:
            return self._open[1]
        with self._store() as store:
            indexes = Indexes(store)
            version = self._head(indexes)
            while self._open is None or self._open[0].id != version.id:
                encode = self._encode(version.recipe.get("encoder"))
                try:
                    self._open = version, open_index(indexes, version, encode=encode)
                except Corrupt:
                    before, version = version, self._head(indexes)
                    if version.id == before.id:  # else it was compacted away while it was read
                        raise
        self._seen = stamp
        return self._open[1]

    def _head(self, indexes: Indexes) -> IndexVersion:
        head = indexes.head()
        if head is None:
            raise UsageError(f"nothing is indexed in {self.directory} yet. Type: rungwise index SOURCE --into {self.directory}")
        return head

    @contextlib.contextmanager
    def _store(self) -> Iterator[Store]:
        from rungwise.data.indexes import is_index
        from rungwise.data.store import EMBEDDED, Store

        if not is_index(self.directory):
            raise UsageError(f"{self.directory} holds no index. Type: rungwise index SOURCE --into {self.directory}")
        store = Store.open(self.directory, clock=self.clock, url=EMBEDDED)
        try:
            yield store
        except Corrupt as error:
            raise Corrupt(f"the index in {self.directory} is damaged ({error}). {self._mend()}") from error
        finally:
            store.close()

    def _mend(self) -> str:
        return (
            f"Go back to an earlier version (rungwise index --into {self.directory} --versions), or make it anew: "
            f"rm -r {self.directory} && rungwise index SOURCE --into {self.directory}"
        )

    def _encode(self, name: str | None, *, cache: VectorCache | None = None) -> Encode | None:
        """The encoder of a name; with a cache, what it encoded is kept, so that a killed run goes on where it stood."""
        if name is None:
            return None
        from rungwise.engines.encoders.remembering import with_cache

        # Looked up at the first text: a search by words needs none, and where nothing changed, its weights are not even loaded.
        if cache is None:
            return lambda texts: self._encoder(name)(texts)
        return lambda texts: with_cache(self._encoder(name), cache, self._encoder(name).identity)(texts)

    def _encoder(self, name: str) -> Encoder:
        """The encoder that the index has vectors of; weights are loaded once for all versions."""
        from rungwise.engines.encoders.load import load_encoder

        if name not in self._encoders:
            try:
                self._encoders[name] = load_encoder(name)
            except UnknownName as error:
                raise UsageError(
                    f"the encoder that the index was made with is gone: {name}. Put it back, search with --mode lexical, or index "
                    f"with another: rungwise index SOURCE --into {self.directory} --encoder minilm"
                ) from error
        return self._encoders[name]


def _question_field(source: Path) -> str:
    """What the first row of a file calls its question; `text` where it has none of the usual names."""
    import gzip
    import json

    usual = ("text", "question", "query", "claim")
    openly = gzip.open if source.suffix == ".gz" else open
    with contextlib.suppress(OSError, ValueError, EOFError), openly(source, "rt", encoding="utf-8") as lines:
        row = json.loads(next((line for line in lines if line.strip()), "{}"))
        return next((name for name in usual if isinstance(row, dict) and name in row), usual[0])
    return usual[0]


def _stamp(directory: Path) -> Stamp:
    """What is another after every write to the store: the database, and the log of writes beside it while that holds any."""
    from rungwise.data.store import FILE

    found = []
    for name in (FILE, f"{FILE}-wal"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            state = (directory / name).stat()
            if state.st_size:
                found.append((state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(found)


def _check_places(source: str | Path, directory: Path) -> None:
    """Raise UsageError where the index would lie among its own documents, or in a file."""
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file. Choose a new folder for the index: --into FOLDER")
    folder, own = Path(source).resolve(), directory.resolve()
    if "://" in str(source) or not folder.is_dir() or folder not in own.parents:
        return
    if not any(part.startswith(".") for part in own.relative_to(folder).parts):  # hidden folders hold no documents
        raise UsageError(
            f"{directory} lies among the documents of {source}. Choose a folder elsewhere for the index: --into FOLDER"
        )


def _recipe(head: IndexVersion | None, wanted: Wanted, listing: DocumentSource) -> Recipe:
    """What is wanted over what the index has, over the defaults; a new index is searched in the language of its documents."""
    from rungwise.data.documents import Document
    from rungwise.data.sources import Piece
    from rungwise.engines.chunking.chunk import Chunking
    from rungwise.engines.search.recipe import Recipe
    from rungwise.engines.search.terms import Words, words_for
    from rungwise.engines.search.tongue import words_of

    if head is not None:
        recipe = Recipe.of(head.recipe)
    else:
        from rungwise.ladder.expedition import installed_encoder

        pieces = (piece for piece in listing.pieces() if isinstance(piece, Piece))
        found = (document for piece in pieces for document in listing.documents(piece) if isinstance(document, Document))
        words = words_of(document.text for document in found) if wanted.words is None else Words(stem=True)
        recipe = Recipe(words=words, encoder=installed_encoder())
    if wanted.chunking is not None:
        recipe = recipe.but(chunking=Chunking(**wanted.chunking))
    if wanted.words is not None:
        usual = to_plain(words_for(str(wanted.words.get("language", "en"))))
        recipe = recipe.but(words=Words(**{**usual, **wanted.words}))
    if wanted.encoder is not None:
        recipe = recipe.but(encoder=None if wanted.encoder == "none" else wanted.encoder)
    return recipe
