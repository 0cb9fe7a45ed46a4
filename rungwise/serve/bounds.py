"""The most tokens and money that a request can take, so that it is reserved before it is spent.

What a request says is counted in bytes, since no tokenizer makes more tokens than that; what is answered, by the limit that it
names, else by the engine's. Where an engine goes beyond, the difference is counted afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rungwise.engines.prices import token_bound
from rungwise.serve.ask import COMPLETION, EMBEDDINGS, Ask
from rungwise.serve.failure import BadRequest
from rungwise.serve.shapes import encode

if TYPE_CHECKING:
    from rungwise.core.candidate import Candidate
    from rungwise.core.usecase import Endpoint
    from rungwise.engines.prices import Price
    from rungwise.serve.targets import Target

_MOST_TOKENS, _MOST_ANSWERS = 10_000_000, 1024
_PASSAGE_TOKENS = 512
"""What a passage takes at most in a prompt; ours are cut shorter."""


class Bounds:
    """Bounds for the engines of a project. `fallback` names, for an engine, those that may answer in its place."""

    def __init__(self, endpoints: Sequence[Endpoint], prices: Mapping[str, Price], fallback: Mapping[str, tuple[str, ...]]) -> None:
        engines = {one.name: one for one in endpoints}
        self._asked = {
            name: [(engines[one], prices[one]) for one in (name, *fallback.get(name, ())) if one in engines] for name in engines
        }
        self._wrapped: dict[str, int] = {}

    def __call__(self, ask: Ask, target: Target) -> tuple[int, float]:
        """Tokens and US dollars. Raises BadRequest where the request limits its answer by what is no number."""
        said = token_bound([encode(ask.body).decode()])
        if target.candidate is not None:
            said += self._around(target.name, target.candidate)
        if target.engine is None:
            return said, 0.0
        tokens, usd = said, 0.0
        for engine, price in self._asked[target.engine.name]:
            answered = _answered(ask, engine.max_tokens)
            tokens = max(tokens, said + answered)
            usd = max(usd, price.at_most(input_tokens=said, output_tokens=answered, seconds=engine.total_s))
        return tokens, usd

    def _around(self, id: str, candidate: Candidate) -> int:
        """The tokens that a candidate puts around what it is asked: its instructions, shots and passages."""
        found = self._wrapped.get(id)  # told, not computed: it is a digest of everything in the candidate
        if found is None:
            shots = [text for shot in candidate.shots for text in (shot.text, shot.answer, shot.passage or "")]
            passages = candidate.options.get("passages")
            found = token_bound([candidate.prompt or "", *candidate.labels, *shots])
            found += _PASSAGE_TOKENS * passages if isinstance(passages, int) else 0
            self._wrapped[id] = found
        return found


def _answered(ask: Ask, usual: int) -> int:
    """The most tokens that are answered."""
    if ask.operation == EMBEDDINGS:
        return 0
    named = [_whole(ask.body, name, _MOST_TOKENS) for name in ("max_completion_tokens", "max_tokens")]
    most = next((value for value in named if value is not None), usual)
    answers = max(_whole(ask.body, name, _MOST_ANSWERS) or 1 for name in ("n", "best_of"))
    return most * answers * (_prompts(ask.body.get("prompt")) if ask.operation == COMPLETION else 1)


def _prompts(prompt: Any) -> int:
    """How many prompts a completion has: a text, tokens, or a list of either."""
    several = isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
    return len(prompt) if several else 1


def _whole(body: Mapping[str, Any], name: str, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most or value != int(value):
        raise BadRequest(f"{name} must be a whole number from 0 to {most:,}", param=name)
    return int(value)
