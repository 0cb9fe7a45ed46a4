"""All that improves a search and all that verifies an answer, one around the other, over the articles that are shipped."""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path

from rungwise.core.candidate import Candidate
from rungwise.core.content import Passage, Request, Response, Text, Turn
from rungwise.core.types import collect
from rungwise.core.usecase import Endpoint
from rungwise.data.documents import read_documents
from rungwise.engines.chunking.chunk import Chunking
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.endpoint import language_model
from rungwise.engines.prices import guess_tokens
from rungwise.engines.prompts import ASKABLE, GROUNDED, HYPOTHESIS, NO_EVIDENCE, QUERIES, STANDALONE
from rungwise.engines.search.building import build_segment
from rungwise.engines.search.index import HYBRID, How, SearchIndex
from rungwise.engines.search.recipe import Recipe
from rungwise.inference.conversation import asking_for_standalone, with_memory
from rungwise.inference.extract import find_sentence
from rungwise.inference.grounding import with_grounding
from rungwise.inference.injection import with_flags, without_instructions
from rungwise.inference.language_model import language_model_responder
from rungwise.inference.packing import with_parents, within_tokens
from rungwise.inference.searching import (
    asking_for_hypothesis,
    asking_for_queries,
    with_hypothesis,
    with_mmr,
    with_queries,
    with_reranking,
    without_near_duplicates,
)
from rungwise.inference.wrappers import Search, with_retrieval
from tests.clocks import StillClock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engines"))  # the scripted upstream lives beside its own tests
from upstream import Asked, Reply, completion, upstream

ARTICLES = Path(__file__).resolve().parents[2] / "examples" / "support" / "articles"
DOCUMENTS = read_documents(ARTICLES).documents
RECIPE = Recipe(chunking=Chunking(method="hierarchy", size=300, parent=1_000), encoder="hashed")
ENCODE = load_encoder("hashed")
SYSTEMS = (QUERIES.split("{")[0], HYPOTHESIS, STANDALONE, GROUNDED.split("\n{")[0], ASKABLE.split("{")[0])


async def reads(reply: Reply, asked: Asked) -> None:
    """A model that does what its prompts ask for, with words from what it is shown."""
    system, user = (message["content"] for message in asked.body["messages"])
    if system.startswith(SYSTEMS[0]):
        said = "1. days for a return\n2. send an item back"
    elif system == HYPOTHESIS:
        said = "You can return an item for some days."
    elif system == STANDALONE:
        said = "How many days do I have to return an item?"
    else:
        assert system == SYSTEMS[3]
        quoted = re.findall(r'<passage number="\d+">\n(.*?)\n</passage>', user, re.DOTALL)
        best = find_sentence(
            user.rsplit("Question: ", 1)[1], [Passage(text, start=1_000_000 * at) for at, text in enumerate(quoted)]
        )
        said = (
            NO_EVIDENCE
            if best is None
            else f"{best.passage.text.rstrip('.')} [{1 + best.passage.start // 1_000_000}]. Bees sing [1]."
        )
    await reply.send(200, completion(said))


def shared_words(query: str, found: list[Passage]) -> list[float]:
    shared = set(re.findall(r"\w+", query.lower()))
    return [len(shared & set(re.findall(r"\w+", one.text.lower()))) for one in found]


async def asked(request: Request) -> tuple[Response, list[Asked]]:
    index = SearchIndex(RECIPE, [build_segment(DOCUMENTS, RECIPE, ENCODE)], encode=ENCODE)

    async def hybrid(query: str, k: int) -> tuple[Passage, ...]:
        return index.search(query, k, How(mode=HYBRID, weight=0.5))

    async with upstream(reads) as server:
        endpoint = Endpoint(name="e", base_url=server.url, model="m", retries=0)
        async with language_model(endpoint, clock=StillClock(), rng=random.Random(0)) as model:
            search: Search = with_hypothesis(with_queries(hybrid, asking_for_queries(model), count=2), asking_for_hypothesis(model))
            search = with_reranking(search, shared_words, depth=20)  # type: ignore[arg-type]
            search = without_near_duplicates(search, ENCODE, threshold=0.98, depth=20)
            search = with_parents(with_mmr(search, ENCODE, weight=0.7, depth=20), index.parent_of)
            search = within_tokens(without_instructions(search), 600, lambda text: guess_tokens([text]))
            model_answer = language_model_responder(Candidate(task="answer", model="e/m", prompt=GROUNDED), model)
            answer = with_memory(
                with_retrieval(with_grounding(with_flags(model_answer)), search, k=3), asking_for_standalone(model)
            )
            return await collect(answer(request)), server.asked


async def test_an_answer_from_the_articles_cites_them_to_the_character() -> None:
    texts = {document.id: document for document in DOCUMENTS}
    turns = (Turn("How do I return an item?", "You send it back with the label."),)
    found, calls = await asked(Request((Text("And for how many days?"),), turns=turns))
    assert "item" in found.text
    assert "Bees" not in found.text
    assert found.citations
    for one in found.citations:
        assert one.quote == texts[one.document].text[one.start : one.end]
        assert one.version == texts[one.document].version
        assert one.claim is not None
        assert found.text[slice(*one.claim)].rstrip(".") in one.quote
    for passage in found.passages:
        assert passage.text == texts[passage.document].text[passage.start : passage.end]
    assert sum(guess_tokens([passage.text]) for passage in found.passages) <= 600
    assert (len(calls), found.usage.calls) == (4, 4)  # to stand alone, to imagine, for other queries, to answer: all are paid for


async def test_no_text_of_a_document_and_nothing_that_was_said_is_ever_in_the_system_role() -> None:
    _, calls = await asked(Request((Text("And for how many days?"),), turns=(Turn("How do I return an item?", "With the label."),)))
    for call in calls:
        roles = {message["role"]: message["content"] for message in call.body["messages"]}
        assert set(roles) == {"system", "user"}
        assert roles["system"].startswith(SYSTEMS)


async def test_the_same_question_gives_the_same_bytes() -> None:
    request = Request.of("How many days do I have to return an item?")
    first, second = (await asked(request))[0], (await asked(request))[0]
    assert json.dumps(first.text) == json.dumps(second.text)
    assert (first.citations, first.passages) == (second.citations, second.passages)
