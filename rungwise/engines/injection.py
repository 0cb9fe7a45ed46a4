"""Sentences of a document that talk to a language model and not to a reader: found by rules, in English."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rungwise.engines.sentences import Span, split_sentences

_VERBS = (
    "add|adjust|alter|anagram|append|augment|avoid|begin|change|combine|convert|embed|encode|end|enhance|finish|format|give|"
    "group|incorporate|include|inject|insert|integrate|introduce|jumble|make|mention|misspell|modify|place|print|provide|put|"
    "rearrange|remove|render|repeat|rephrase|replace|reply|respond|return|rewrite|say|scramble|send|shuffle|start|state|"
    "substitute|switch|translate|use|write"
)
# 'Write to us' and 'Describe the fault' are for readers: a verb counts alone only where manuals hardly begin with it.
_TASKS = r"(?:break down|elaborate on|explain|give me|paraphrase|recite|show me|solve|summari[sz]e|tell me|translate)"
_WRITE = r"(?:compose|craft|create|develop|draft|generate|make up|produce|provide|write)"
_GENRES = (
    r"(?:analys[ei]s|answer|article|code|dialogue|email|equivalent|essay|examples?|explanation|function|haiku|introduction|joke|letter|"
    r"lyrics|outline|paragraph|poem|program|report|review|script|song|speech|story|summary|translation|tutorial|verse)"
)
_TAKE_OVER = (
    "execute|run|incorporate|include|insert|embed|integrate|use|utilize|adopt|implement|append|add|merge|blend|fuse|inject|meld|"
    "employ|apply|consider"
)
_CODE = (
    r"(?:(?:following|subsequent|next|this) (?:\w+ )?code|code (?:snippet|block|section|excerpt|segment|fragment|below)|snippet|"
    r"script)"
)
_ANSWER = r"(?:answers?|responses?|reply|replies|outputs?|completions?|summary|solution)"
_TOLD = (
    r"(?:instructions?|prompts?|rules|guidelines|directions|commands?|orders|context|messages?|conversation|text|programming|"
    r"training)"
)
_PERSONA = r"(?:unrestricted|unfiltered|jailbroken|evil|dan\b|developer mode|(?:new\s+)?(?:ai|assistant|chatbot|language model))"

_POLITE = r"(?:please,?\s+|kindly\s+|now,?\s+|also,?\s+)?"

_KINDS: dict[str, tuple[str, ...]] = {
    "override": (
        r"\b(?:ignore|disregard|forget|override|overrule|bypass|discard|skip)\b[^.!?\n]{0,40}"
        r"\b(?:all|any|every|everything|previous|prior|above|earlier|preceding|foregoing|former|your|system|other)\b"
        rf"[^.!?\n]{{0,30}}\b{_TOLD}\b",
        r"\b(?:ignore|disregard|forget)\s+(?:everything|all)\b[^.!?\n]{0,30}\b(?:above|before|said|told|so far|previously)\b",
        r"\b(?:new|updated|real|actual|following)\s+(?:system\s+)?(?:instructions?|prompt)\s*(?::|are\b|is\b)",
        r"\b(?:reveal|print|show|repeat|output|leak|tell me)\b[^.!?\n]{0,30}\b(?:your|the)\s+"
        r"(?:(?:system|hidden|initial|original|secret)\s+)+(?:prompt|instructions?|message)",
        r"\b(?:you are|you're|you will be|act as|behave as|pretend (?:to be|you are)|role-?play as)\s+"
        rf"(?:now\s+)?(?:going to\s+)?(?:act as\s+)?(?:an?\s+)?{_PERSONA}",
        r"\bfrom now on,?\s+you(?:'ll|\s+(?:will|must|are|shall|only|answer|respond))\b|\byou are now\b",
        r"(?:\A|\n)\s*(?:<\|?)?(?:system|assistant|user)\s*(?:\|?>|:)\s|\[/?inst\]|<\|im_(?:start|end)\|>|<</?sys>>",
        r"\bdo not (?:answer|respond to|follow|obey)\b[^.!?\n]{0,40}\b(?:question|user|instructions?|prompt)",
    ),
    "answer": (
        rf"\b(?:{_VERBS})\b[^\n]{{0,120}}?\b(?:your|the)\s+(?:(?:final|next|whole|entire|main)\s+)?{_ANSWER}\b",
        rf"\A\W*in (?:your|the) {_ANSWER}\b",
        rf"\b(?:your|the) {_ANSWER}\b[^.!?\n]{{0,40}}\b(?:must|should|has to|needs to|shall)\b",
        r"\b(?:letters?|vowels?|words?) (?:of|in) (?:your|the) (?:answer|message|response|reply)",
    ),
    "code": (
        r"\b(?:code|script|snippet|program|algorithm|solution|implementation)\b[^.!?\n]{0,80}:?\s*```",
        rf"\b(?:{_TAKE_OVER})\b[^.!?\n]{{0,60}}\b{_CODE}\b[^.!?\n]{{0,40}}(?::|\byour\b)",
    ),
    "question": (r"\A\W*(?:can|could|would|will) you\b", r"\?[\"'”’)]*\s*\Z"),
    "task": (
        rf"\A\W*{_POLITE}{_TASKS}\b(?!\s*[:)])",
        rf"\A\W*{_POLITE}{_WRITE}\s+(?:me\s+)?(?:an?|the|some|your)\s+(?:[\w-]+\s+){{0,3}}?{_GENRES}\b",
        rf"\A\W*{_POLITE}(?:describe|discuss|list|name|outline)\s+(?:the|some|all|three|five|ten)\s+[\w-]+\s+(?:of|between|for)\b",
    ),
}
KINDS = tuple(_KINDS)
"""What a sentence may be marked as, the surest first.

'override' wants other instructions to count; 'answer' is about the shape or content of the answer; 'code' asks to take over code;
'question' and 'task' are what a reader might meet too: they ask, and so are evidence of nothing."""

STRICT = KINDS[:3]
"""The kinds that hardly stand in a text for readers: benchmarks/injection.py has the rates."""

_RULES = {kind: re.compile("|".join(f"(?:{rule})" for rule in rules), re.IGNORECASE) for kind, rules in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Marked:
    """A sentence of a text that looks like an instruction to the model: its span and why."""

    start: int
    end: int
    kind: str


def instruction_kind(sentence: str, *, kinds: tuple[str, ...] = STRICT) -> str | None:
    """The first of the `kinds` that a sentence is of, or None."""
    return next((kind for kind in kinds if _RULES[kind].search(sentence)), None)


def find_instructions(text: str, *, kinds: tuple[str, ...] = STRICT) -> tuple[Marked, ...]:
    """The sentences of a text that talk to the model, in order, with exact offsets. Fenced code goes with the one before it."""
    found = ((span, instruction_kind(text[slice(*span)], kinds=kinds)) for span in _pieces(text))
    return tuple(Marked(start, end, kind) for (start, end), kind in found if kind is not None)


_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


def _pieces(text: str) -> list[Span]:
    """The sentences, with each fenced block joined to the sentence that leads to it."""
    pieces: list[Span] = []
    at = 0
    for first, last in (match.span() for match in _FENCED.finditer(text)):
        pieces += [(at + start, at + end) for start, end in split_sentences(text[at:first])]
        pieces[-1:] = [(pieces[-1][0] if pieces else first, last)]
        at = last
    return pieces + [(at + start, at + end) for start, end in split_sentences(text[at:])]
