"""Feedback becomes data: rows with labels or answers, and pairs of a better and a worse answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rungwise.core.feedback import SOURCES, Feedback
from rungwise.core.trace import Trace
from rungwise.curate.shingles import normalise
from rungwise.data.feedback import Kept
from rungwise.data.said import Said, said, text_of

Mask = Callable[[Sequence[str]], Sequence[str]]
"""Takes personal data out of texts."""

Find = Callable[[Collection[str]], Mapping[str, Trace]]
"""Gives those of these traces that are kept."""

_AT_ONCE = 1_000  # traces in memory at a time

# Whose word counts more on the same trace; of equals the last one's does.
_WEIGHT = {"judge": 0, "user": 1, "business": 2, "reviewer": 3}
assert set(_WEIGHT) == set(SOURCES)

NO_TRACE = "the trace is gone"
NO_TEXT = "the trace keeps no text"
NOT_SAID = "nobody said what would have been right"
FOLLOW_UP = "the question needs the conversation before it"
NOT_PLAIN = "the conversation holds more than text"
KNOWN = "the question stands in the data already"
OVERRULED = "a later judgement on the same question says otherwise"
AGAIN = "the same question and answer again"
ALONE = "there is no better and no worse answer"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A question with what should be said to it. `traces` are those that it comes from, the one that decided first. `random`:
    every judged answer to the question was drawn by chance."""

    text: str
    reference: str
    traces: tuple[str, ...]
    random: bool = False


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A conversation up to a question, and two answers to it of which one was preferred."""

    messages: tuple[Mapping[str, str], ...]
    chosen: str
    rejected: str
    traces: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Harvest:
    """What was made of feedback. `judged` counts the traces that had any, `left_out` those of no use here by the reason; `gone`
    are those that are no longer kept."""

    judged: int
    rows: tuple[Row, ...] = ()
    pairs: tuple[Pair, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Judged:
    """A trace with what counts of the judgements on it, the weightiest for each."""

    trace: str
    said: Said
    at: int
    wanted: str | None
    thumb: bool | None


def harvest_rows(
    judgements: Iterable[Kept],
    find: Find,
    *,
    mask: Mask,
    known: Collection[str] = (),
    labels: bool,
    approved: bool = False,
    random: Collection[str] = (),
) -> Harvest:
    """Rows to learn from: each question once, with its label (`labels`) or its right answer.

    A reviewer's word counts more than a business outcome's, that more than a user's, that more than a judge's; of equals the
    last one's. With `approved`, an answer with a thumb up counts as right. `known` are questions of the data, as `normalise`
    gives them; `random` are traces that were drawn by chance. Follow-up questions are left out: alone they mean something else.
    """
    found, left_out, gone = _judged(judgements, find, labels=labels, talks=False)
    questions, seen = mask([one.said.question for one in found]), frozenset(known)
    usable: dict[str, list[tuple[_Judged, str, str]]] = defaultdict(list)
    for one, question in zip(found, questions, strict=True):
        reference = one.wanted or (one.said.answer.strip() if approved and one.thumb else "")
        key = normalise(question)
        old = key in seen or normalise(one.said.question) in seen  # the data may be masked, or not
        reason = NOT_SAID if not reference else FOLLOW_UP if one.said.questions > 1 else KNOWN if old else ""
        if reason:
            left_out[reason] += 1
        else:
            usable[key].append((one, question, reference))
    rows = []
    for several in usable.values():
        decided, question, reference = max(several, key=lambda one: one[0].at)
        agreeing = [one.trace for one, _, other in several if normalise(other) == normalise(reference) and one is not decided]
        left_out[AGAIN] += len(agreeing)
        left_out[OVERRULED] += len(several) - len(agreeing) - 1
        fair = all(one.trace in random for one, _, _ in several)
        rows.append(Row(text=question, reference=reference, traces=(decided.trace, *agreeing), random=fair))
    references = mask([row.reference for row in rows])
    masked = tuple(replace(row, reference=reference) for row, reference in zip(rows, references, strict=True))
    return Harvest(judged=len(found) + left_out[NO_TRACE] + left_out[NO_TEXT], rows=masked, left_out=_counted(left_out), gone=gone)


def harvest_pairs(judgements: Iterable[Kept], find: Find, *, mask: Mask) -> Harvest:
    """Pairs for preference training: to the same conversation, an answer that was corrected or got a thumb down is rejected,
    and the correction, else an answer with a thumb up, is chosen."""
    found, left_out, gone = _judged(judgements, find, labels=False, talks=True)
    asked: dict[tuple[tuple[str, str], ...], list[_Judged]] = defaultdict(list)
    plain: dict[tuple[tuple[str, str], ...], tuple[Mapping[str, str], ...]] = {}
    for one in found:
        messages = _plain(one.said.messages)
        if messages is None:
            left_out[NOT_PLAIN] += 1
            continue
        key = tuple((message["role"], normalise(message["content"])) for message in messages)
        plain.setdefault(key, messages)
        asked[key].append(one)
    pairs = []
    for key, several in asked.items():
        made = _pairs(plain[key], sorted(several, key=lambda one: one.at))
        used = {id for pair in made for id in pair.traces}
        left_out[ALONE] += sum(one.trace not in used for one in several)
        pairs += made
    return Harvest(
        judged=len(found) + left_out[NO_TRACE] + left_out[NO_TEXT],
        pairs=_masked_pairs(pairs, mask),
        left_out=_counted(left_out),
        gone=gone,
    )


def _judged(
    judgements: Iterable[Kept], find: Find, *, labels: bool, talks: bool
) -> tuple[list[_Judged], Counter[str], frozenset[str]]:
    """The traces with their judgements weighed, in the order of the last judgement on each; how many were of no use and why;
    and those that are gone. Whole conversations are kept with `talks` only: they are long."""
    by_trace: dict[str, list[Kept]] = defaultdict(list)
    for one in judgements:
        by_trace[one.feedback.trace].append(one)
    found: list[_Judged] = []
    gone: set[str] = set()
    ids, silent = list(by_trace), 0
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        traces = find(part)
        gone.update(id for id in part if id not in traces)
        for id, trace in traces.items():
            spoken = said(trace) if talks else replace(said(trace), messages=())
            if spoken.question.strip():
                found.append(_weighed(id, spoken, by_trace[id], labels=labels))
            else:
                silent += 1
    left_out = Counter({NO_TRACE: len(gone), NO_TEXT: silent})
    return sorted(found, key=lambda one: one.at), left_out, frozenset(gone)


def _weighed(trace: str, spoken: Said, own: Sequence[Kept], *, labels: bool) -> _Judged:
    own = sorted(own, key=lambda one: (_WEIGHT[one.feedback.source], one.n))
    wanted = [_wanted(one.feedback, labels=labels) for one in own]
    thumbs = [one.feedback.thumb for one in own if one.feedback.thumb is not None]
    last = max(one.n for one in own)
    return _Judged(trace, spoken, last, next(filter(None, reversed(wanted)), None), thumbs[-1] if thumbs else None)


def _wanted(feedback: Feedback, *, labels: bool) -> str | None:
    """What should have been said: for rows with labels the label comes first, else the correction."""
    first, second = (feedback.label, feedback.correction) if labels else (feedback.correction, feedback.label)
    return (first or second or "").strip() or None


def _plain(messages: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, str], ...] | None:
    """The messages as role and text; None where they hold anything else, such as an image or the result of a tool."""
    found = []
    for message in messages:
        content, role = message.get("content"), message.get("role")
        parts = content if isinstance(content, list) else []
        texts = sum(isinstance(part, Mapping) and part.get("type") == "text" for part in parts)
        if role not in ("system", "developer", "user", "assistant") or message.get("tool_calls") or texts < len(parts):
            return None
        found.append({"role": str(role), "content": text_of(content)})
    return tuple(found) or None


def _pairs(messages: tuple[Mapping[str, str], ...], several: Sequence[_Judged]) -> list[Pair]:
    """The pairs of one conversation, judged in this order."""
    corrected = [(one, one.wanted) for one in several if one.wanted]
    liked = [(one, one.said.answer.strip()) for one in several if one.thumb and one.said.answer.strip()]
    if not corrected and not liked:
        return []
    best, chosen = (corrected or liked)[-1]
    worse: dict[str, tuple[_Judged, str]] = {}
    for one in several:
        answer = one.said.answer.strip()
        bad = one.thumb is False or (one.wanted is not None and normalise(one.wanted) != normalise(answer))
        if answer and bad and normalise(answer) != normalise(chosen):
            worse.setdefault(normalise(answer), (one, answer))
    return [
        Pair(messages=messages, chosen=chosen, rejected=answer, traces=tuple(dict.fromkeys((best.trace, one.trace))))
        for one, answer in worse.values()
    ]


def _masked_pairs(pairs: Sequence[Pair], mask: Mask) -> tuple[Pair, ...]:
    texts = iter(mask([text for pair in pairs for text in (pair.chosen, pair.rejected, *(m["content"] for m in pair.messages))]))
    found = []
    for pair in pairs:
        chosen, rejected = next(texts), next(texts)
        messages = tuple({"role": message["role"], "content": next(texts)} for message in pair.messages)
        found.append(Pair(messages=messages, chosen=chosen, rejected=rejected, traces=pair.traces))
    return tuple(found)


def _counted(left_out: Counter[str]) -> Mapping[str, int]:
    return {reason: count for reason, count in left_out.most_common() if count}
