"""Conversations: a question that leans on what was said before is put into words that stand alone, then answered."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace

from rungwise.core.content import Chunk, Request, Text, ToolCall, Turn
from rungwise.core.errors import UsageError
from rungwise.core.types import Responder
from rungwise.engines.answers import strip_thinking
from rungwise.engines.dialect import Options
from rungwise.engines.prices import guess_tokens
from rungwise.engines.prompts import standalone_messages
from rungwise.engines.search.languages import light_stem, stop_words
from rungwise.inference.calling import Model, ask, metered

Standalone = Callable[[str, Sequence[Turn]], Awaitable[str]]
"""A question, and the turns before it, oldest first, to a question that can be understood without them."""

CARRIED = 3
"""How many words of the earlier question a rule adds to one that leans on it; 2 to 8 do alike: benchmarks/follow_ups.py."""

FEW = 2
"""A question without a verb and with at most that many words of its own says too little to be searched for alone."""

_REFERS = re.compile(
    r"\b(?:it|its|they|them|their|theirs|these|those|he|him|his|she|her|hers|then|former|latter|ones|instead|"
    r"this(?!\s+(?:week|month|year|morning|evening))|"
    # 'the plan that I bought' and 'is there a fee' refer to nothing before them
    r"(?<!is )(?<!are )(?<!was )(?<!be )there|(?:(?:about|of|with|for|like|after|before|does|do|did|is|was|can)\s+)that|"
    r"that(?=\s*(?:[?.!,]|$))|(?:an?other|which|that|this|first|second|last|other) one)\b",
    re.IGNORECASE,
)
_CONTINUES = re.compile(r"\s*(?:and|or|but|so|also|what about|how about|what if|why not|then)\b", re.IGNORECASE)
_STOP = stop_words("en")
_WORD = re.compile(r"\w+(?:[-'’]\w+)*")
_VERB = re.compile(
    r"\b(?:is|are|was|were|am|be|do|does|did|can|could|may|might|must|should|would|will|has|have|had)\b", re.IGNORECASE
)
_LITTLE = (
    "what which who whom whose when where why how do does did can could may might must should would "
    "i you we me my our us your am have has had get got about from any some more much many long"
)
_SAYS_LITTLE = frozenset(_LITTLE.split())


def with_memory(
    answer: Responder, rewrite: Standalone, *, budget: int = 1_000, count: Callable[[str], int] | None = None
) -> Responder:
    """Wrap `answer` so that it is asked a question that stands alone, and is given the last turns, at most `budget` tokens of them.

    Without turns the request goes through as it is. `count` gives the tokens of a text, a guess by characters unless told. What the
    rewriting cost is part of the answer's usage.
    """
    if budget < 0:
        raise UsageError(f"the budget of a conversation is a number of tokens, not {budget}")
    size = count or (lambda text: guess_tokens([text]))

    async def answer_with_memory(request: Request) -> AsyncIterator[Chunk]:
        turns = last_turns(request.turns, budget, size)
        if not turns:
            async for chunk in answer(replace(request, turns=())):
                yield chunk
            return
        question, usage = await metered(rewrite(request.text, turns))
        others = tuple(part for part in request.parts if isinstance(part, ToolCall))
        async for chunk in answer(replace(request, parts=(Text(question.strip() or request.text), *others), turns=turns)):
            yield chunk
        yield Chunk(usage=usage)

    return answer_with_memory


def last_turns(turns: Sequence[Turn], budget: int, count: Callable[[str], int]) -> tuple[Turn, ...]:
    """The last turns that have room, whole, oldest first; of a last one that has none only the question, if that does."""
    kept: list[Turn] = []
    left = budget
    for turn in reversed(turns):
        size = count(turn.question) + count(turn.answer)
        if size > left:
            if not kept and count(turn.question) <= left:
                kept.append(Turn(turn.question, ""))
            break
        kept.append(turn)
        left -= size
    return tuple(reversed(kept))


def asking_for_standalone(model: Model, options: Options | None = None) -> Standalone:
    """Rewriting by a language model; the first line of what it writes, or the question as it was where it writes nothing."""

    async def rewrite(question: str, turns: Sequence[Turn]) -> str:
        if not turns:
            return question
        written = strip_thinking((await ask(model, standalone_messages(question, turns), options)).text)
        lines = (line.strip().strip("\"'“”`").strip() for line in written.split("\n"))
        return next((line for line in lines if line), question)

    return rewrite


def by_rule(rarity: Callable[[str], float] | None = None, *, carried: int = CARRIED) -> Standalone:
    """Rewriting without a model, for English: a question that leans on the one before it (`leans`) gets the `carried` rarest words
    of that one that it lacks, behind it.

    `rarity` is that of a lower-case word in what is searched; without it long words count as rare. A question that itself leaned
    on an earlier one is completed first. What was answered is not used: its words belong to one answer and pull the search there.
    """
    rare = rarity or (lambda word: float(len(word)))

    async def rewrite(question: str, turns: Sequence[Turn]) -> str:
        before = ""
        for asked in (*(turn.question for turn in turns), question):
            before = _completed(asked, before, rare, carried)
        return before

    return rewrite


def leans(question: str) -> bool:
    """Whether a question refers to something before it, or says too little alone."""
    if _REFERS.search(question) or _CONTINUES.match(question):
        return True
    own = len(_own_words(question))
    return own == 0 or (own <= FEW and not _VERB.search(question))


def _completed(question: str, before: str, rare: Callable[[str], float], carried: int) -> str:
    if not before or not leans(question):
        return question
    held = {light_stem(word.casefold()) for word in _WORD.findall(question)}
    words = [word for word in _own_words(before) if light_stem(word.casefold()) not in held]
    chosen = sorted(range(len(words)), key=lambda place: (-rare(words[place].casefold()), place))[:carried]
    return " ".join([question, *(words[place] for place in sorted(chosen))])


def _own_words(question: str) -> list[str]:
    """The words that say what it is about, each once, in order."""
    words = dict.fromkeys(_WORD.findall(question))
    return [word for word in words if not (word.casefold() in _STOP or word.casefold() in _SAYS_LITTLE or _REFERS.fullmatch(word))]
