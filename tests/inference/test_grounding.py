"""An answer says only what its passages say, each statement with the exact words that it rests on."""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.candidate import Candidate
from rungwise.core.content import Chunk, Passage, Request, Response, Text
from rungwise.core.errors import UnknownName
from rungwise.core.types import collect
from rungwise.core.usecase import Endpoint
from rungwise.engines.endpoint import language_model
from rungwise.engines.prompts import GROUNDED, NO_EVIDENCE
from rungwise.inference.grounding import UNVERIFIED, Citing, ground, with_grounding
from rungwise.inference.language_model import language_model_responder
from tests.clocks import StillClock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engines"))  # the scripted upstream lives beside its own tests
from upstream import Upstream, says, streams, upstream

DELIVERY = "# Delivery\n\nStandard delivery takes 3 to 5 working days. Saturdays do not count.\n\nIt costs $5.90 for each order."
RETURNS = "You may return an item within 30 days. The label is in the parcel."
DOCUMENTS = {"delivery.md": DELIVERY, "returns.md": RETURNS}
COSTS = DELIVERY.index("It costs")
PASSAGES = (
    Passage(DELIVERY[12 : COSTS - 2], "delivery.md", 12, COSTS - 2, 2.0, "v1"),
    Passage(DELIVERY[COSTS:], "delivery.md", COSTS, len(DELIVERY), 1.5, "v1"),
    Passage(RETURNS, "returns.md", 0, len(RETURNS), 1.0, "v2"),
)
ASKED = Request((Text("How long does delivery take?"),), PASSAGES)
CITING = Candidate(task="answer", model="e/m", prompt=GROUNDED)


def written(text: str, **changes: Any) -> Response:
    return Response(text, (Text(text),), **changes)


@asynccontextmanager
async def grounded(script: Any, how: Citing | None = None, *, stream: bool = False) -> AsyncIterator[tuple[Any, Upstream]]:
    async with upstream(script) as server:
        endpoint = Endpoint(name="e", base_url=server.url, model="m", retries=0, stream=stream)
        async with language_model(endpoint, clock=StillClock(), rng=random.Random(0)) as model:
            answer = with_grounding(language_model_responder(CITING, model), how)

            async def ask(request: Request = ASKED) -> Response:
                return await collect(answer(request))

            yield ask, server


def check_citations(answer: Response) -> None:
    for citation in answer.citations:
        assert citation.quote == DOCUMENTS[citation.document][citation.start : citation.end] != ""
        assert citation.version == {"delivery.md": "v1", "returns.md": "v2"}[citation.document]
        assert citation.claim is not None
        start, end = citation.claim
        assert answer.text[start:end].strip() == answer.text[start:end] != ""


async def test_each_statement_comes_with_the_exact_words_that_it_rests_on() -> None:
    async with grounded(says("Delivery takes 3 to 5 working days [1]. It costs $5.90 for each order [2].")) as (ask, server):
        answer = await ask()
    assert answer.text == "Delivery takes 3 to 5 working days. It costs $5.90 for each order."
    assert [(one.quote, answer.text[slice(*one.claim)]) for one in answer.citations] == [
        ("Standard delivery takes 3 to 5 working days.", "Delivery takes 3 to 5 working days."),
        ("It costs $5.90 for each order.", "It costs $5.90 for each order."),
    ]
    check_citations(answer)
    assert (answer.finish, answer.usage.calls, answer.confidence) == ("stop", 1, 1.0)
    system, user = server.asked[0].body["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert "delivery" not in system["content"].lower()
    assert '<passage number="1">\nStandard delivery' in user["content"]
    assert user["content"].endswith("Question: How long does delivery take?")


async def test_a_model_that_finds_no_evidence_abstains() -> None:
    async with grounded(says(NO_EVIDENCE)) as (ask, _):
        answer = await ask()
    assert (answer.text, answer.abstained, answer.citations, answer.confidence) == ("", True, (), 0.0)


async def test_without_passages_nobody_is_asked() -> None:
    async with grounded(says("It takes 3 days [1].")) as (ask, server):
        answer = await ask(Request.of("How long?"))
    assert (answer.text, answer.abstained, server.asked) == ("", True, [])


@pytest.mark.parametrize(
    "invented",
    [
        "Delivery takes 3 to 6 working days [1].",
        "Delivery does not take 3 to 5 working days [1].",
        "Saturdays do count [1].",
        "Couriers of Hermes bring it by plane [1].",
        "Yes.",
        "[1]",
        "",
    ],
)
async def test_an_answer_without_any_support_abstains(invented: str) -> None:
    async with grounded(says(invented)) as (ask, _):
        answer = await ask()
    assert (answer.text, answer.abstained, answer.citations) == ("", True, ())


def test_a_statement_without_support_is_left_out_or_marked() -> None:
    text = "Delivery takes 3 to 5 working days [1]. It is carried by drones [1]. You may return an item within 30 days [3]."
    left_out = ground(written(text), PASSAGES)
    assert left_out.text == "Delivery takes 3 to 5 working days. You may return an item within 30 days."
    assert left_out.confidence == pytest.approx(2 / 3)
    marked = ground(written(text), PASSAGES, Citing(unsupported="mark"))
    assert (
        marked.text
        == f"Delivery takes 3 to 5 working days. It is carried by drones. {UNVERIFIED} You may return an item within 30 days."
    )
    for answer in (left_out, marked):
        check_citations(answer)
        assert [one.document for one in answer.citations] == ["delivery.md", "returns.md"]
    with pytest.raises(UnknownName, match="remove"):
        Citing(unsupported="hide")


@pytest.mark.parametrize("marker", ["[7]", "[3]", "", "[2", "[1-9]", "[0]"])
def test_a_wrong_or_missing_marker_is_repaired_where_a_passage_says_so(marker: str) -> None:
    answer = ground(written(f"Saturdays do not count {marker}."), PASSAGES)
    assert [(one.document, one.quote) for one in answer.citations] == [("delivery.md", "Saturdays do not count.")]
    check_citations(answer)


def test_without_repair_a_statement_is_held_to_its_own_citations() -> None:
    strict = Citing(repair=False)
    assert ground(written("Saturdays do not count [3]."), PASSAGES, strict).abstained
    assert not ground(written("Saturdays do not count [1]."), PASSAGES, strict).abstained


def test_two_passages_may_support_a_statement_together() -> None:
    answer = ground(written("Delivery takes 3 to 5 working days and you may return an item within 30 days [1][3]."), PASSAGES)
    assert [one.document for one in answer.citations] == ["delivery.md", "returns.md"]
    check_citations(answer)


def test_a_yes_shares_the_fate_of_what_follows_it() -> None:
    assert ground(written("Yes. You may return an item within 30 days [3]."), PASSAGES).text.startswith("Yes. You may")
    assert ground(written("Yes. You may return an item within 90 days [3]."), PASSAGES).abstained


def test_a_better_check_can_be_given_and_half_sure_is_enough() -> None:
    def score(statement: str, evidence: str) -> float:
        return 0.5 if "label" in evidence else 0.49

    answer = ground(written("There is a label in it [3]. Saturdays do not count [1]."), PASSAGES, Citing(supported=score))
    assert answer.text == "There is a label in it."


def test_lines_stay_lines_and_confidence_of_the_model_stays() -> None:
    answer = ground(written("- Saturdays do not count [1]\n- The label is in the parcel [3]", confidence=0.7), PASSAGES)
    assert (answer.text, answer.confidence) == ("- Saturdays do not count\n- The label is in the parcel", 0.7)


ANSWER = "Delivery takes 3 to 5 working days [1][2]. Saturdays do not count [7]. It is carried by drones [1]."


@pytest.mark.parametrize("size", [1, 3, 7, 200])
async def test_a_streamed_answer_gives_the_same_in_any_pieces(size: int) -> None:
    pieces = [ANSWER[at : at + size] for at in range(0, len(ANSWER), size)]
    async with grounded(streams(*pieces), stream=True) as (ask, _):
        answer = await ask()
    assert (answer.text, answer.citations) == (ground(written(ANSWER), PASSAGES).text, ground(written(ANSWER), PASSAGES).citations)


@given(st.lists(st.integers(0, len(ANSWER)), max_size=12))
async def test_a_cut_anywhere_changes_nothing(cuts: list[int]) -> None:
    borders = sorted({0, len(ANSWER), *cuts})

    async def answer(request: Request) -> AsyncIterator[Chunk]:
        for start, end in pairwise(borders):
            yield Chunk((Text(ANSWER[start:end]),))

    whole = ground(written(ANSWER), PASSAGES)
    streamed = await collect(with_grounding(answer)(ASKED))
    assert (streamed.text, streamed.citations) == (whole.text, whole.citations)


WORDS = st.sampled_from(
    [
        *DELIVERY.split(),
        *RETURNS.split(),
        "[1]",
        "[2]",
        "[3]",
        "[9]",
        "[1-3]",
        "[2",
        "no",
        "not",
        "Yes.",
        "drones",
        "\n",
        "6",
        NO_EVIDENCE,
    ]
)


@given(st.lists(WORDS, max_size=40), st.permutations(PASSAGES), st.sampled_from(["remove", "mark"]))
def test_whatever_is_written_what_is_cited_stands_in_the_document(words: list[str], passages: Sequence[Passage], way: str) -> None:
    answer = ground(written(" ".join(words)), passages, Citing(unsupported=way))
    check_citations(answer)
    assert answer.abstained == (not answer.citations)
    if answer.abstained:
        assert answer.text == ""
