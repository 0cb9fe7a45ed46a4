"""A fitted language model as a responder: micro-batches, streams, usage, and nobody's fault but one's own."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pytest

from rungwise.core.candidate import Candidate
from rungwise.core.content import Chunk, Passage, Request, Text, Turn
from rungwise.core.errors import Corrupt, UsageError
from rungwise.core.types import collect
from rungwise.engines.fitted.decoding import Continued, Decoder, Decoding, Heard
from rungwise.engines.fitted.files import with_manifest
from rungwise.engines.fitted.generation import Generator, load_generator
from rungwise.engines.fitted.models import TEMPLATE
from rungwise.inference.generating import asked_tokens, fitted_responder, generating_responder
from tests.engines.fitted.language_models import language_model

pytest.importorskip("torch")

TEMPLATED = {TEMPLATE: b"{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"}
SHORT = Decoding(max_tokens=12)
TEXTS = [f"where is parcel {number}" + "?" * number for number in range(6)]


class Watched:
    """An engine with an eye on it: how many rows each call had, and which thread made it."""

    def __init__(self, decoder: Decoder, seconds: float = 0.0) -> None:
        self.name, self._decoder, self._seconds = decoder.name, decoder, seconds
        self.rows: list[int] = []
        self.threads: set[int] = set()
        self.tokens = 0

    def __call__(self, prompts: Sequence[Sequence[int]], decoding: Decoding, heard: Heard | None = None) -> list[Continued]:
        self.rows.append(len(prompts))
        self.threads.add(threading.get_ident())
        assert heard is not None

        def slowly(row: int, token: int) -> bool:
            self.tokens += 1
            time.sleep(self._seconds)
            return heard(row, token)

        return self._decoder(prompts, decoding, slowly)


@cache
def model(engine: str = "transformers", shape: str = "llama") -> Generator:
    return load_generator(language_model(shape) | TEMPLATED, engine=engine)  # type: ignore[arg-type]


def watched(seconds: float = 0.0) -> tuple[Generator, Watched]:
    made = load_generator(language_model("llama") | TEMPLATED, engine="transformers")
    made.decoder = eye = Watched(made.decoder, seconds)
    return made, eye


async def chunks_of(stream: Any) -> list[Chunk]:
    return [chunk async for chunk in stream]


async def test_questions_of_one_time_share_a_batch_and_each_gets_its_own_answer() -> None:
    generator, eye = watched()
    respond = generating_responder(generator, decoding=SHORT)
    answers = await asyncio.gather(*(collect(respond(Request.of(text))) for text in TEXTS))
    alone = [model().generate([asked_tokens(model(), Request.of(text))], SHORT)[0] for text in TEXTS]
    assert [one.text for one in answers] == [one.text for one in alone]
    assert eye.rows == [len(TEXTS)]
    assert threading.get_ident() not in eye.threads


async def test_the_last_chunk_says_what_was_used_why_it_ended_and_how_sure_the_model_was() -> None:
    expected = model().generate([asked_tokens(model(), Request.of("hello"))], SHORT)[0]
    answer = await collect(generating_responder(model(), decoding=SHORT)(Request.of("hello")))
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (expected.prompt_tokens, len(expected.ids))
    assert (answer.finish, answer.model) == (expected.finish, "fitted")
    assert answer.confidence == pytest.approx(math.exp(expected.logprob))


@pytest.mark.parametrize("engine", ["transformers", "ctranslate2"])
async def test_a_lone_answer_comes_in_pieces_while_it_is_written(engine: str) -> None:
    if engine == "ctranslate2":
        pytest.importorskip("ctranslate2")
    chunks = await chunks_of(generating_responder(model(engine), decoding=Decoding(max_tokens=30))(Request.of("hello")))
    pieces = [part.text for chunk in chunks for part in chunk.parts if isinstance(part, Text)]
    assert len(pieces) > 5
    assert "".join(pieces) == model().generate([asked_tokens(model(), Request.of("hello"))], Decoding(max_tokens=30))[0].text


async def test_the_event_loop_stays_alive_while_an_answer_is_written() -> None:
    generator, _ = watched(seconds=0.02)
    task = asyncio.ensure_future(collect(generating_responder(generator, decoding=SHORT)(Request.of("hello"))))
    turns = 0
    while not task.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert turns > 10


async def test_an_answer_that_nobody_reads_on_is_ended() -> None:
    generator, eye = watched(seconds=0.01)
    stream = generating_responder(generator, decoding=Decoding(max_tokens=60))(Request.of("hello"))
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0.1)
    before = eye.tokens
    await asyncio.sleep(0.1)
    assert eye.tokens == before < 30


async def test_a_question_that_is_too_long_fails_alone() -> None:
    respond = generating_responder(model(), decoding=SHORT)
    asked = ["hello", "much too long " * 40, "good day"]
    found = await asyncio.gather(*(collect(respond(Request.of(text))) for text in asked), return_exceptions=True)
    assert isinstance(found[1], UsageError)
    assert [getattr(one, "finish", None) for one in found] == ["length", None, "length"]


async def test_earlier_turns_and_passages_stand_in_the_prompt() -> None:
    request = Request((Text("and now?"),), passages=(Passage("It is on its way."),), turns=(Turn("where is it?", "here"),))
    shown = model().tokenizer.decode(asked_tokens(model(), request))
    assert shown == "[user]where is it?[assistant]here[user]It is on its way.\n\nand now?"


async def test_an_encoder_decoder_is_given_the_text_alone() -> None:
    answer = await collect(generating_responder(model(shape="t5"), decoding=SHORT)(Request.of("where is my parcel")))
    expected = model(shape="t5").generate(["where is my parcel"], SHORT)[0]
    assert (answer.text, answer.usage.input_tokens) == (expected.text, expected.prompt_tokens)


async def test_a_candidate_answers_with_the_model_of_its_files_loaded_once_at_the_first_question() -> None:
    asked: list[int] = []

    def files() -> tuple[Mapping[str, bytes], None]:
        asked.append(threading.get_ident())
        return with_manifest(language_model("llama") | TEMPLATED), None

    candidate = Candidate(task="answer", model="language-model", options={"max_tokens": 7, "temperature": 0.7, "seed": 2})
    respond = fitted_responder(candidate, files)
    assert not asked
    answers = [await collect(respond(Request.of("hello"))) for _ in range(2)]
    expected = model().generate([asked_tokens(model(), Request.of("hello"))], Decoding(max_tokens=7, temperature=0.7, seed=2))[0]
    assert [one.text for one in answers] == [expected.text] * 2
    assert answers[0].model == "language-model"
    assert len(asked) == 1
    assert threading.get_ident() not in asked


async def test_damaged_files_are_told_to_whoever_asks() -> None:
    def files() -> tuple[Mapping[str, bytes], None]:
        return {**with_manifest(language_model("llama")), "config.json": b"{}"}, None

    with pytest.raises(Corrupt, match=r"config\.json"):
        await collect(fitted_responder(Candidate(task="answer", model="language-model"), files)(Request.of("hello")))
