"""A candidate that asks a language model, as a responder: prompt in, label or short answer out."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from rungwise.core.candidate import Candidate
from rungwise.core.content import Chunk, Part, Request, Response, Text, Token, Usage
from rungwise.core.tasks import TASKS
from rungwise.core.types import Responder
from rungwise.engines.answers import label_scores, parse
from rungwise.engines.dialect import Options
from rungwise.engines.prompts import Message, Prompt, answer_schema, renderer
from rungwise.inference.calling import EndpointModel

# The alternatives a token that are asked for: hosts allow 5 to 20.
LIKELY = 5


def language_model_responder(
    candidate: Candidate,
    model: EndpointModel,
    *,
    descriptions: Mapping[str, str] | None = None,
    multi_label: bool | None = None,
) -> Responder:
    """Answers by asking `model` as the candidate says.

    Its options: `schema` (JSON answer), `reason` (reasoning first), `multi_label`, `descriptions` (of labels),
    `temperature`, `max_tokens`, `seed`, `stop`, `sample`. The candidate's own descriptions and
    `multi_label` win over the arguments. The answer is one chunk, since it must be read whole; an answer out of the
    vocabulary is the raw text. Confidence and scores come from the tokens' log-probabilities, where the endpoint offers them.
    """
    prompt = prompt_of(candidate, descriptions=descriptions, multi_label=multi_label)
    options = options_of(candidate, prompt, likely=LIKELY if model.endpoint.logprobs else 0)

    render = renderer(prompt)

    async def answer(request: Request) -> AsyncIterator[Chunk]:
        turns = render(request.text, request.passages, request.shots)
        written = await _read(model, turns, options)
        yield _answered(prompt, *written)

    return answer


def prompt_of(candidate: Candidate, *, descriptions: Mapping[str, str] | None = None, multi_label: bool | None = None) -> Prompt:
    """The candidate's fields as a prompt; the task's own text where it has none."""
    options = candidate.options
    template = candidate.prompt if candidate.prompt is not None else TASKS[candidate.task].prompt
    return Prompt(
        template=template,
        labels=candidate.labels if TASKS[candidate.task].output == "label" else (),
        descriptions=options.get("descriptions") or descriptions or {},
        shots=candidate.shots,
        schema=bool(options.get("schema", False)),
        reason=bool(options.get("reason", False)),
        many=bool(options.get("multi_label", multi_label or False)),
    )


def options_of(candidate: Candidate, prompt: Prompt, *, likely: int = 0) -> Options:
    """The candidate's settings for decoding."""
    options: Mapping[str, Any] = candidate.options
    return Options(
        temperature=options.get("temperature", 0.0),
        max_tokens=options.get("max_tokens"),
        schema=answer_schema(prompt) if prompt.schema else None,
        seed=options.get("seed"),
        likely=likely,
        stop=tuple(options.get("stop", ())),
        sample=int(options.get("sample", 0)),
    )


async def _read(model: EndpointModel, turns: Sequence[Message], options: Options) -> tuple[Response, tuple[Token, ...]]:
    """The whole answer, and its tokens, which a response does not carry."""
    parts: list[Part] = []
    tokens: tuple[Token, ...] = ()
    usage, last = Usage(), Chunk()
    async for last in model(turns, options):
        parts.extend(last.parts)
        usage = usage + last.usage if last.usage is not None else usage
        tokens = tokens + last.tokens
    text = "".join(part.text for part in parts if isinstance(part, Text))
    return Response(text, tuple(parts), usage=usage, model=last.model, finish=last.finish), tokens


def _answered(prompt: Prompt, written: Response, tokens: tuple[Token, ...]) -> Chunk:
    read = parse(prompt, written.text)
    scores, confidence = None, None
    if prompt.labels and not prompt.many and read.known:
        scores = label_scores(prompt.labels, read.text, tokens)
        confidence = scores.values[prompt.labels.index(read.text)] if scores is not None else None
    elif tokens:
        confidence = math.exp(sum(token.logprob for token in tokens) / len(tokens))
    return Chunk(
        (Text(read.text),) if read.text else (),
        scores=scores,
        confidence=confidence,
        usage=written.usage,
        model=written.model,
        finish=written.finish if read.known else "out_of_vocabulary" if written.finish == "stop" else written.finish,
    )
