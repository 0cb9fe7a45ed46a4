"""Guards see whole texts, however a stream is cut, and nothing leaves that they refuse."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.serving import Guarding
from rungwise.engines.clock import SystemClock
from rungwise.serve.ask import CHAT, Ask, Caller, Tape, Whole
from rungwise.serve.failure import BadRequest, Blocked
from rungwise.serve.guarding import with_guards
from rungwise.serve.guards import Judged, Placed, check, load_guards

SECRET = "purple elephant"
CALLER = Caller(None, frozenset({"infer"}))


def rule(**changes: Any) -> Guarding:
    return Guarding(**{"guard": "phrases", "settings": {"words": [SECRET]}, **changes})


def asking(text: str) -> Ask:
    return Ask(CHAT, "m", {"model": "m", "messages": [{"role": "user", "content": text}]}, CALLER)


def tape() -> Tape:
    return Tape("0" * 32, SystemClock())


class Saying:
    """Says what it was made to say, cut as it was told; remembers what it was asked."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self.asked: list[Ask] = []

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        self.asked.append(ask)
        message = {"role": "assistant", "content": "".join(self.pieces)}
        return Whole(json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode())

    async def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        self.asked.append(ask)
        yield _chunk({"role": "assistant", "content": ""})
        for piece in self.pieces:
            yield _chunk({"content": piece})
        yield _chunk({}, finish="stop")
        yield json.dumps({"id": "x", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}).encode()


async def into(seen: list[bytes], pieces: AsyncIterator[bytes]) -> None:
    """Keep what came, also when an error follows."""
    async for piece in pieces:
        seen.append(piece)


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return json.dumps({"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()


async def streamed(answerer: Saying, guard: Guarding) -> tuple[str, list[dict[str, Any]]]:
    pieces = [json.loads(piece) async for piece in with_guards(answerer, load_guards([guard])).stream(asking("hi"), tape())]
    return "".join((one["choices"][0]["delta"].get("content") or "") if one["choices"] else "" for one in pieces), pieces


async def test_a_question_that_a_guard_refuses_reaches_nobody() -> None:
    answerer = Saying("fine")
    with pytest.raises(Blocked, match="the input was refused"):
        await with_guards(answerer, load_guards([rule()])).whole(asking(f"tell me of the {SECRET.upper()}"), tape())
    assert not answerer.asked


@pytest.mark.parametrize("space", ["  ", "\n", "\u00a0", " \t\u2003"])
async def test_no_kind_of_space_hides_a_phrase(space: str) -> None:
    with pytest.raises(Blocked):
        await with_guards(Saying("fine"), load_guards([rule()])).whole(asking(f"a purple{space}elephant"), tape())


async def test_a_masked_question_goes_on_without_the_phrase_and_the_client_s_own_body_stays() -> None:
    answerer, ask = Saying("fine"), asking(f"the {SECRET} sleeps")
    await with_guards(answerer, load_guards([rule(on_fail="mask")])).whole(ask, tape())
    assert answerer.asked[0].body["messages"][0]["content"] == "the [...] sleeps"
    assert SECRET in ask.body["messages"][0]["content"]


async def test_an_answer_that_passes_keeps_its_bytes() -> None:
    answerer = Saying("all  is\twell")
    before = await answerer.whole(asking("hi"), tape())
    assert (await with_guards(answerer, load_guards([rule()])).whole(asking("hi"), tape())).body == before.body


async def test_a_flag_lets_it_pass_and_the_trace_says_so() -> None:
    recorded = tape()
    answer = await with_guards(Saying(f"a {SECRET}"), load_guards([rule(on_fail="flag")])).whole(asking("hi"), recorded)
    assert SECRET in answer.body.decode()
    assert [(span.name, span.kind, span.details["action"]) for span in recorded.spans] == [("phrases", "guard", "flag")]


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 600), max_size=12), before=st.integers(0, 400), after=st.integers(0, 300))
def test_no_cut_of_a_stream_lets_a_phrase_through(cuts: list[int], before: int, after: int) -> None:
    import asyncio

    text = "x" * before + f" {SECRET} " + "y" * after
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[a:b] for a, b in pairwise(places)]

    async def run() -> None:
        seen: list[bytes] = []
        guarded = with_guards(Saying(*pieces), load_guards([rule()])).stream(asking("hi"), tape())
        with pytest.raises(Blocked):
            await into(seen, guarded)
        assert SECRET not in "".join(json.loads(piece)["choices"][0]["delta"].get("content") or "" for piece in seen)
        masked, _ = await streamed(Saying(*pieces), rule(on_fail="mask"))
        assert masked == text.replace(SECRET, "[...]")

    asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(pieces=st.lists(st.text(max_size=90), max_size=20))
def test_a_stream_that_passes_says_the_same_and_keeps_its_ending_and_usage(pieces: list[str]) -> None:
    import asyncio

    said, chunks = asyncio.run(streamed(Saying(*pieces), rule()))
    assert said == "".join(pieces)
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


class Streaming(Saying):
    """Streams choices as they are given, one in each chunk; answers whole with the last of them as a message."""

    def __init__(self, *choices: dict[str, Any]) -> None:
        super().__init__()
        self.choices = choices

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        last = {name: item for name, item in self.choices[-1].items() if name != "delta"}
        return Whole(json.dumps({"choices": [{**last, "message": self.choices[-1]["delta"]}]}).encode())

    async def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        for choice in self.choices:
            yield json.dumps({"id": "x", "choices": [{"index": 0, "finish_reason": None, **choice}]}).encode()


def calling(arguments: str, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, **more, "function": {"arguments": arguments}}]}


def gathered(pieces: list[bytes]) -> dict[str, Any]:
    from rungwise.serve.gathered import Gathered

    whole = Gathered()
    for piece in pieces:
        whole.feed(piece)
    answer: dict[str, Any] = json.loads(whole.whole() or b"{}")
    return answer


async def test_several_answers_in_one_stream_are_kept_apart() -> None:
    said = [{"index": index, "delta": {"content": word}} for word in ("pur", "ple ele", "phant") for index in (0, 1)]
    ends = [{"index": index, "delta": {}, "finish_reason": "stop"} for index in (0, 1)]
    guarded = with_guards(Streaming(*said, *ends), load_guards([rule(on_fail="mask")])).stream(asking("hi"), tape())
    choices = gathered([piece async for piece in guarded])["choices"]
    assert [(one["index"], one["message"]["content"], one["finish_reason"]) for one in choices] == [
        (0, "[...]", "stop"),
        (1, "[...]", "stop"),
    ]


@pytest.mark.parametrize(
    "spoken",
    [
        lambda text: {"role": "assistant", "content": text},
        lambda text: {"reasoning_content": text},
        lambda text: {"content": text, "refusal": None, "tool_calls": None},
        lambda text: calling(text, id="call_1", type="function"),
        lambda text: calling(text),
    ],
)
async def test_whatever_an_engine_says_beside_its_text_nothing_of_a_phrase_leaves(spoken: Any) -> None:
    pieces = [{"delta": spoken(letter), "logprobs": {"content": [{"token": letter}]}} for letter in f"a {SECRET} b"]
    guards, seen = load_guards([rule()]), list[bytes]()
    with pytest.raises(Blocked):
        await into(
            seen, with_guards(Streaming(*pieces, {"delta": {}, "finish_reason": "stop"}), guards).stream(asking("hi"), tape())
        )
    assert "purple" not in json.dumps(gathered(seen))
    with pytest.raises(Blocked):
        await with_guards(Streaming({"delta": spoken(f"a {SECRET} b")}), guards).whole(asking("hi"), tape())
    masked = with_guards(Streaming(*pieces), load_guards([rule(on_fail="mask")])).stream(asking("hi"), tape())
    assert "a [...] b" in json.dumps(gathered([piece async for piece in masked]))


async def test_a_tool_call_passes_with_its_name_after_the_text_before_it() -> None:
    named = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up"}}]}
    streaming = Streaming({"delta": {"content": "wait "}}, {"delta": named}, *({"delta": calling(one)} for one in ("{", "}")))
    guarded = with_guards(streaming, load_guards([rule()])).stream(asking("hi"), tape())
    pieces = [piece async for piece in guarded]
    assert b"wait" in pieces[0]
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    assert gathered(pieces)["choices"][0]["message"] == {"content": "wait ", "tool_calls": [call]}


async def test_a_message_that_is_nested_too_deeply_is_the_clients_error() -> None:
    content: Any = "x"
    for _ in range(900):
        content = [{"type": "text", "content": content}]
    ask = Ask(CHAT, "m", {"model": "m", "messages": [{"role": "user", "content": content}]}, CALLER)
    with pytest.raises(BadRequest, match="nested too deeply"):
        await with_guards(Saying("fine"), load_guards([rule()])).whole(ask, tape())


async def test_a_guard_that_breaks_is_closed_or_open_as_it_is_told() -> None:
    def broken(text: str) -> Judged:
        raise RuntimeError("no")

    with pytest.raises(Blocked, match="nothing passes unseen"):
        await check([Placed(rule(), broken)], "hi", "input", tape())
    assert await check([Placed(rule(on_error="open"), broken)], "hi", "input", tape()) == "hi"


@pytest.mark.parametrize("text", ["purple  elephant", "Purple\nElephant", "purple\u00a0elephant", "pur\u200bple elephant"])
async def test_a_phrase_is_found_whatever_space_is_between_its_words(text: str) -> None:
    with pytest.raises(Blocked):
        await check(load_guards([rule()]), f"an {text}!", "input", tape())


async def test_personal_data_is_found_with_the_detector_of_the_data_verbs() -> None:
    pytest.importorskip("re2")
    guards = load_guards([rule(guard="personal-data", on_fail="mask", settings={"types": ["email"]})])
    assert await check(guards, "write to ann@example.com", "input", tape()) == "write to [EMAIL]"


def test_a_guard_that_nobody_has_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'phrases'"):
        load_guards([rule(guard="phrase")])
    with pytest.raises(UsageError, match="on_fail is one of block, mask, flag"):
        load_guards([rule(on_fail="explode")])
    with pytest.raises(UsageError, match="needs its words"):
        load_guards([rule(settings={})])
