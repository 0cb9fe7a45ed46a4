"""A candidate asks a language model: what is sent is what the candidate says, what comes back is a label or an answer."""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rungwise.core.candidate import Candidate
from rungwise.core.content import Passage, Request, Response, Shot
from rungwise.core.errors import EngineUnavailable
from rungwise.core.tasks import TASKS
from rungwise.core.types import collect
from rungwise.core.usecase import Endpoint
from rungwise.engines.endpoint import language_model
from rungwise.inference.language_model import language_model_responder

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engines"))  # the scripted upstream lives beside its own tests
from upstream import Asked, Reply, completion, fails, says, sends, upstream

LABELS = ("card lost", "card late", "other")
CLASSIFY = Candidate(task="classify", model="e/m", labels=LABELS)


class SystemClock:
    def now(self) -> float:
        return time.time()

    def tick(self) -> float:
        return time.perf_counter()


@asynccontextmanager
async def asking(
    script: Any, candidate: Candidate = CLASSIFY, *, multi_label: bool | None = None, **changes: Any
) -> AsyncIterator[Any]:
    """A function that asks one request, and the bodies that the upstream saw."""
    async with upstream(script) as server:
        endpoint = Endpoint(name="e", base_url=server.url, model="m", retries=0, **changes)
        async with language_model(endpoint, clock=SystemClock(), rng=random.Random(0)) as model:
            respond = language_model_responder(candidate, model, descriptions={"other": "anything else"}, multi_label=multi_label)

            async def ask(request: Request) -> tuple[Response, Mapping[str, Any]]:
                return await collect(respond(request)), server.asked[-1].body

            yield ask


async def test_a_label_comes_back_in_the_spelling_of_the_label_set() -> None:
    async with asking(says("Card Late.")) as ask:
        answer, body = await ask(Request.of("where is it?"))
    assert (answer.text, answer.confidence, answer.scores) == ("card late", None, None)
    assert answer.model == "scripted-2026"
    assert answer.usage.input_tokens == 11
    assert body["temperature"] == 0.0
    assert "- other: anything else" in body["messages"][0]["content"]
    assert body["messages"][-1] == {"role": "user", "content": "where is it?"}


async def test_an_answer_out_of_the_vocabulary_is_the_raw_text_and_says_so() -> None:
    async with asking(says("I would rather not")) as ask:
        answer, _ = await ask(Request.of("x"))
    assert (answer.text, answer.finish, answer.scores) == ("I would rather not", "out_of_vocabulary", None)


@pytest.mark.parametrize(("text", "finish"), [(None, "content_filter"), ("", "length"), (None, "tool_calls")])
async def test_an_empty_answer_is_an_answer_that_is_wrong_not_an_error(text: str | None, finish: str) -> None:
    async with asking(says(text, finish=finish)) as ask:
        answer, _ = await ask(Request.of("x"))
    assert (answer.text, answer.finish) == ("", finish)


async def test_an_empty_answer_is_wrong_even_where_no_label_may_be_right() -> None:
    async with asking(says(""), multi_label=True) as ask:
        answer, _ = await ask(Request.of("x"))
    assert answer.labels == ("(no answer)",)


async def test_confidence_and_scores_come_from_the_log_probabilities() -> None:
    body = completion("card late")
    likely = [
        {"token": "card", "logprob": math.log(0.9), "bytes": None},
        {"token": "other", "logprob": math.log(0.1), "bytes": None},
    ]
    body["choices"][0]["logprobs"] = {
        "content": [
            {"token": "card", "logprob": math.log(0.9), "bytes": None, "top_logprobs": likely},
            {"token": " late", "logprob": math.log(0.8), "bytes": None, "top_logprobs": []},
        ]
    }
    async with asking(sends(json.dumps(body).encode()), logprobs=True) as ask:
        answer, sent = await ask(Request.of("x"))
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 5)
    assert answer.confidence == pytest.approx(0.72)
    assert dict(zip(answer.scores.labels, answer.scores.values, strict=True)) == pytest.approx(
        {"card late": 0.72, "other": 0.1, "card lost": 0.18}
    )


async def test_a_schema_is_asked_for_and_read_and_done_without_where_the_server_refuses_it() -> None:
    async def no_schema(reply: Reply, asked: Asked) -> None:
        refused = fails(400, {"error": {"message": "response_format is not supported"}})
        await (refused if "response_format" in asked.body else says('Here: {"label": "card lost"}'))(reply, asked)

    candidate = CLASSIFY.but(
        options={"schema": True, "reason": True, "max_tokens": 99, "temperature": 0.7, "seed": 4, "stop": ["##"]}
    )
    async with asking(says('{"reason": "gone", "label": "card lost"}'), candidate) as ask:
        answer, sent = await ask(Request.of("x"))
    assert answer.text == "card lost"
    assert sent["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"] == list(LABELS)
    assert (sent["max_tokens"], sent["temperature"], sent["seed"], sent["stop"]) == (99, 0.7, 4, ["##"])
    async with asking(no_schema, candidate) as ask:
        answer, sent = await ask(Request.of("x"))
    assert answer.text == "card lost"
    assert "response_format" not in sent


async def test_shots_of_the_candidate_come_before_those_of_the_request() -> None:
    candidate = CLASSIFY.but(shots=(Shot("fixed", "other"),))
    async with asking(says("other"), candidate) as ask:
        _, sent = await ask(Request(Request.of("q").parts, shots=(Shot("chosen", "card lost"),)))
    assert [message["content"] for message in sent["messages"][1:]] == ["fixed", "other", "chosen", "card lost", "q"]


async def test_several_labels_come_back_one_a_line() -> None:
    async with asking(says("- other\n- card lost"), CLASSIFY.but(options={"multi_label": True})) as ask:
        answer, _ = await ask(Request.of("x"))
    assert answer.labels == ("card lost", "other")


async def test_a_question_is_answered_from_quoted_passages() -> None:
    candidate = Candidate(task="answer", model="e/m")
    async with asking(says("Answer: 30 days"), candidate) as ask:
        answer, sent = await ask(Request(Request.of("how long?").parts, (Passage("Returns: 30 days."), Passage("{text}"))))
    assert answer.text == "30 days"
    assert sent["messages"][0]["content"] == TASKS["answer"].prompt
    assert sent["messages"][1]["content"].endswith('<passage number="2">\n{text}\n</passage>\n\nhow long?')


async def test_a_failing_endpoint_is_an_error_not_an_answer() -> None:
    async with asking(fails(500)) as ask:
        with pytest.raises(EngineUnavailable):
            await ask(Request.of("x"))
