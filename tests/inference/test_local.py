from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.content import Request, Response
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.types import collect
from rungwise.engines.encoders.hashed import encode_hashed
from rungwise.fit.head import fit_head
from rungwise.fit.linear import fit_linear
from rungwise.fit.prototypes import fit_neighbours, fit_prototypes
from rungwise.inference.local import local_responder, readable

TEXTS = [
    f"{start} {word} please" for start in ("where is my", "about my", "help with the") for word in ("parcel", "refund", "password")
]
LABELS = [(label,) for _ in range(3) for label in ("parcel", "refund", "password")]
MANY = [(label, "urgent") if "help" in text else (label,) for text, (label,) in zip(TEXTS, LABELS, strict=True)]


def _files(model: str, *, many: bool = False) -> Mapping[str, bytes]:
    references = MANY if many else LABELS
    vectors = encode_hashed(TEXTS)
    if model == "linear":
        return fit_linear(TEXTS, references, cs=[10.0], multi_label=many)[10.0]
    if model == "head":
        return fit_head(vectors, references, cs=[100.0], multi_label=many)[100.0]
    if model == "prototypes":
        return fit_prototypes(vectors, references)
    return fit_neighbours(vectors, references, k=3, multi_label=many)


def _responder(model: str, *, many: bool = False, **options: object):  # type: ignore[no-untyped-def]
    part = Fitted(technique=model)
    candidate = Candidate(task="classify", model=model, head=part, options=options)
    return local_responder(candidate, {part.id: _files(model, many=many)}.__getitem__, encode_hashed)


async def _ask(responder, *texts: str) -> Sequence[Response]:  # type: ignore[no-untyped-def]
    return await asyncio.gather(*(collect(responder(Request.of(text))) for text in texts))


@pytest.mark.parametrize("model", ["linear", "head", "prototypes", "neighbours"])
async def test_each_technique_answers_with_a_label_its_scores_and_its_confidence(model: str) -> None:
    answers = await _ask(_responder(model), "the parcel", "my refund", "a password")
    assert [answer.text for answer in answers] == ["parcel", "refund", "password"]
    for answer in answers:
        assert answer.scores is not None
        assert answer.scores.labels == ("parcel", "password", "refund")
        assert sum(answer.scores.values) == pytest.approx(1.0, abs=1e-4)
        assert answer.confidence == pytest.approx(max(answer.scores.values))
        assert answer.labels == (answer.text,)
        assert answer.model == model


@pytest.mark.parametrize("model", ["linear", "head", "neighbours"])
async def test_several_labels_stand_one_a_line_and_the_weakest_decision_is_the_confidence(model: str) -> None:
    (answer,) = await _ask(_responder(model, many=True), "help with the parcel please")
    assert set(answer.labels) == {"parcel", "urgent"}
    assert answer.scores is not None
    assert answer.confidence == pytest.approx(min(max(p, 1 - p) for p in answer.scores.values))


async def test_no_label_at_all_is_an_empty_answer() -> None:
    part = Fitted(technique="linear")
    texts, references = ["red apple", "red car", "grey stone", "grey dust"] * 5, [("red",), ("red",), (), ()] * 5
    files = fit_linear(texts, references, cs=[1.0], multi_label=True)[1.0]
    responder = local_responder(Candidate(task="classify", model="linear", head=part), {part.id: files}.__getitem__, encode_hashed)
    red, grey = await _ask(responder, "red apple", "grey stone")
    assert (red.labels, grey.labels, grey.text) == (("red",), (), "")


async def test_an_answer_that_is_not_sure_enough_becomes_out_of_scope_with_its_confidence_kept() -> None:
    responder = _responder("linear", out_of_scope="other", out_of_scope_below=0.8)
    known, unknown = await _ask(responder, "where is my parcel please", "zebra quartz")
    assert known.text == "parcel"
    assert unknown.text == "other"
    assert unknown.confidence is not None
    assert unknown.confidence < 0.8


async def test_label_names_or_descriptions_answer_without_any_example() -> None:
    labels = ("ParcelLocation", "money_back")
    plain = Candidate(task="classify", model="label-names", labels=labels)
    told = plain.but(options={"descriptions": {"ParcelLocation": "forgot the password"}})
    for candidate, expected in ((plain, "money_back"), (told, "ParcelLocation")):
        responder = local_responder(candidate, {}.__getitem__, encode_hashed)
        (answer,) = await _ask(responder, "i want my money back" if candidate is plain else "i forgot my password")
        assert answer.text == expected


@pytest.mark.parametrize(
    ("label", "said"),
    [("order_status", "order status"), ("OrderStatus", "order status"), ("pay/bill", "pay bill"), ("USA", "usa"), ("_", "_")],
)
def test_labels_are_read_as_people_say_them(label: str, said: str) -> None:
    assert readable(label) == said


async def test_the_floor_always_says_the_same() -> None:
    candidate = Candidate(task="classify", model="majority", labels=("a", "b", "c"), options={"answer": "b", "share": 0.5})
    (answer,) = await _ask(local_responder(candidate, {}.__getitem__, encode_hashed), "anything")
    assert (answer.text, answer.confidence) == ("b", 0.5)
    assert answer.scores is not None
    assert list(answer.scores.values) == [0.25, 0.5, 0.25]


def test_a_recipe_that_cannot_answer_is_refused_with_the_next_step() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'linear'"):
        local_responder(Candidate(task="classify", model="liner"), {}.__getitem__, encode_hashed)
    with pytest.raises(UsageError, match="Run the climb again"):
        local_responder(Candidate(task="classify", model="head"), {}.__getitem__, encode_hashed)
    with pytest.raises(UsageError, match="needs labels"):
        local_responder(Candidate(task="classify", model="label-names"), {}.__getitem__, encode_hashed)


def test_one_text_alone_gets_the_answer_that_it_gets_among_many() -> None:
    responder = _responder("linear")

    async def both() -> tuple[Response, Response]:
        alone = (await _ask(responder, TEXTS[0]))[0]
        return alone, (await _ask(responder, *TEXTS))[0]

    alone, among = asyncio.run(both())
    assert alone.scores is not None
    assert among.scores is not None
    assert np.asarray(alone.scores.values) == pytest.approx(np.asarray(among.scores.values), abs=1e-6)
