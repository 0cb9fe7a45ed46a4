"""What a chat model wrote, read back: the label, the labels or the short answer, and how sure the tokens were."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rungwise.core.content import Scores, Token
from rungwise.engines.prompts import Prompt

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[a-z]*\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_PREFIX = re.compile(r"^[\s>*#_-]*(?:final\s+)?(?:answer|labels?|category|class|intent)\s*(?:is)?\s*[:=]\s*", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_EDGES = " \t\r\n\"'`*_.,;:!()[]{}<>“”‘’«»"
_SPACES = re.compile(r"[\s_-]+")
NO_ANSWER = "(no answer)"
_NONE = {"none", "none of them", "no label", "[]", ""}


@dataclass(frozen=True, slots=True)
class Parsed:
    """The answer as read. `known` is False for text out of the vocabulary, which is kept raw and scored as wrong."""

    text: str
    known: bool = True


def parse(prompt: Prompt, written: str) -> Parsed:
    """Read an answer by what the prompt asked for. Several labels come back one a line, in the order of the label set."""
    written = strip_thinking(written)
    if not prompt.labels:
        return Parsed(_short_answer(prompt, written))
    return _many_labels(prompt, written) if prompt.many else _one_label(prompt, written)


def strip_thinking(written: str) -> str:
    """What was written, less the thinking that some models show before it."""
    return _THINKING.sub("", written).strip()


def _one_label(prompt: Prompt, written: str) -> Parsed:
    value = _json_field(written, prompt.answer_name)
    if isinstance(value, str):
        written = value
    known = _matcher(prompt.labels)
    found = known.exactly(written) or known.loosely(written)
    if found is None and written:
        last = written.rstrip().rsplit("\n", 1)[-1]
        found = known.loosely(_PREFIX.sub("", last)) or known.longest_within(last) or known.longest_within(written)
    return Parsed(found) if found is not None else Parsed(written.strip(), known=False)


def _many_labels(prompt: Prompt, written: str) -> Parsed:
    value = _json_field(written, prompt.answer_name)
    known = _matcher(prompt.labels)
    if isinstance(value, list):
        pieces = [str(piece) for piece in value]
    else:
        answer = value if isinstance(value, str) else _after_reasoning(prompt, written)
        pieces = []
        for line in answer.split("\n"):
            line = _BULLET.sub("", _PREFIX.sub("", line))
            # a label may itself hold a comma: the whole line is tried first
            pieces += [line] if known.loosely(line) else re.split(r"[,;|]", line)
    found, unknown = set(), []
    for piece in pieces:
        label = known.exactly(piece) or known.loosely(piece) or known.longest_within(piece)
        if label is not None:
            found.add(label)
        elif piece.strip(_EDGES).casefold() not in _NONE:
            unknown.append(" ".join(piece.split()))
    if not found and (unknown or (not written and not isinstance(value, list))):
        # silence is not the answer "none of them": something must stand there, so that it is scored as wrong
        return Parsed(" ".join(unknown) or NO_ANSWER, known=False)
    return Parsed("\n".join(label for label in prompt.labels if label in found))


def _after_reasoning(prompt: Prompt, written: str) -> str:
    """The part from the last line that begins with 'Labels:' on; all of it where there is none."""
    if not prompt.reason:
        return written
    lines = written.split("\n")
    starts = [number for number, line in enumerate(lines) if _PREFIX.match(line)]
    return "\n".join(lines[starts[-1] :]) if starts else lines[-1]


def _short_answer(prompt: Prompt, written: str) -> str:
    value = _json_field(written, prompt.answer_name)
    if isinstance(value, str):
        return value.strip()
    if prompt.reason:
        lines = [line for line in written.split("\n") if line.strip()]
        named = [line for line in lines if _PREFIX.match(line)]
        written = named[-1] if named else (lines[-1] if lines else "")
    written = _PREFIX.sub("", written, count=1).strip()
    if len(written) > 1 and written[0] in "\"'“`" and written[-1] in "\"'”`":
        written = written[1:-1].strip()
    return written


def _json_field(written: str, name: str) -> Any:
    """The answer inside a JSON object or list, alone, fenced, or after other words; None where there is none."""
    fenced = _FENCE.search(written)
    for text in (written, fenced[1] if fenced else "", *_objects(written)):
        text = text.strip()
        if not text.startswith(("{", "[", '"')):
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, Mapping):
            for key in (name, "label", "labels", "answer", "category", "class"):
                if key in value:
                    return value[key]
            continue
        return value
    return None


def _objects(written: str) -> list[str]:
    """The last run from a `{` to the last `}`, for answers that say something before their JSON."""
    end, start = written.rfind("}"), written.rfind("{")
    return [written[start : end + 1]] if 0 <= start < end else []


class _Matcher:
    """Finds one of some labels in a text. Loose forms that two labels share match neither."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = frozenset(labels)
        self._folded = _unambiguous((label.casefold().strip(), label) for label in labels)
        self._plain = _unambiguous((_plain(label), label) for label in labels)
        longest_first = sorted(self._plain, key=len, reverse=True)
        # words of a label may be joined by spaces, hyphens or underscores; 'card_lost' does not stand in 'card_lost_and_found'
        forms = [r"[\s_-]+".join(map(re.escape, form.split(" "))) for form in longest_first]
        self._within = re.compile("|".join(rf"(?<!\w)(?<!\w-){form}(?!-?\w)" for form in forms) or r"(?!)")

    def exactly(self, text: str) -> str | None:
        text = text.strip()
        return text if text in self._labels else None

    def loosely(self, text: str) -> str | None:
        """Without case, quotes and edge punctuation; then with spaces, hyphens and underscores taken as equal."""
        bare = text.strip(_EDGES)
        if (found := self.exactly(bare)) is not None:
            return found
        return self._folded.get(bare.casefold()) or self._plain.get(_plain(bare))

    def longest_within(self, text: str) -> str | None:
        """The longest label that stands in the text as whole words; None when two equally long ones do."""
        found = {_plain(match[0]) for match in self._within.finditer(text.casefold())}
        longest = [form for form in found if len(form) == max(map(len, found))]
        return self._plain.get(longest[0]) if len(longest) == 1 else None


@lru_cache(maxsize=64)
def _matcher(labels: tuple[str, ...]) -> _Matcher:
    return _Matcher(labels)


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text.casefold()).strip(_EDGES)


def _unambiguous(pairs: Any) -> dict[str, str]:
    forms: dict[str, str | None] = {}
    for form, label in pairs:
        forms[form] = None if form in forms and forms[form] != label else label
    return {form: label for form, label in forms.items() if label is not None and form}


def label_scores(labels: tuple[str, ...], label: str, tokens: Sequence[Token]) -> Scores | None:
    """A probability for each label from the log-probabilities of the tokens that spell the answer; None without them.

    The given label gets the product of the probabilities of its tokens. At its first
    token the alternatives share theirs among the labels that begin that way; what is
    left is spread evenly over the labels that were not seen. The values add up to 1.
    This reads the model's own belief in what it wrote, not a calibrated probability.
    """
    span = _span(tokens, label)
    if label not in labels or span is None:
        return None
    start, end, lead = span
    own = math.exp(sum(token.logprob for token in tokens[start:end]))
    seen = _alternatives(labels, label, tokens[start], lead)
    rest = 1.0 - own
    scale = min(1.0, rest / total) if (total := sum(seen.values())) > 0 else 0.0
    shares = {other: value * scale for other, value in seen.items()}
    unseen = [other for other in labels if other != label and other not in shares]
    left = max(0.0, rest - sum(shares.values()))
    if unseen:
        shares |= dict.fromkeys(unseen, left / len(unseen))
    elif shares and left > 0:
        shares = {other: value + left / len(shares) for other, value in shares.items()}
    shares[label] = own if len(labels) > 1 else 1.0
    return Scores(labels, tuple(shares[other] for other in labels))


def _span(tokens: Sequence[Token], label: str) -> tuple[int, int, str] | None:
    """Where the last mention of the label stands: first token, token after the last, and what the first holds before it."""
    text = "".join(token.text for token in tokens)
    at = text.rfind(label)
    if at < 0:
        at = text.casefold().rfind(label.casefold())
    if at < 0 or not label:
        return None
    start, offset, lead = None, 0, ""
    for number, token in enumerate(tokens):
        after = offset + len(token.text)
        if start is None and after > at:
            start, lead = number, token.text[: at - offset]
        if start is not None and after >= at + len(label):
            return start, number + 1, lead
        offset = after
    return None


def _alternatives(labels: Sequence[str], label: str, first: Token, lead: str) -> dict[str, float]:
    """Probability that each other label had at the first token of the one that was given."""
    seen: dict[str, float] = {}
    for text, logprob in first.likely:
        begin = text[len(lead) :] if text.startswith(lead) else text.lstrip()
        if not begin or text == first.text:
            continue
        fitting = [other for other in labels if other != label and (other.startswith(begin) or begin.startswith(other))]
        for other in fitting:
            seen[other] = seen.get(other, 0.0) + math.exp(logprob) / len(fitting)
    return seen
