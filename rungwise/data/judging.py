"""A judgement as people send it becomes a Feedback, and is held against the trace that it is about."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.feedback import SOURCES, Feedback
from rungwise.core.trace import Trace
from rungwise.curate.shingles import normalise
from rungwise.data.feedback import About
from rungwise.data.said import said
from rungwise.data.store import Store

JUDGEMENTS = ("thumb", "score", "label", "correction", "comment", "outcome", "value_usd")
"""The fields of which a judgement has at least one."""

KNOWN = ("trace", "response_id", *(field.name for field in fields(Feedback) if field.name != "trace"))
"""What a judgement may hold: the fields of Feedback, and `response_id` (the id of the answer) in place of the trace's."""

_LONGEST = {"label": 1_000, "correction": 100_000, "comment": 10_000, "outcome": 200, "by": 200, "source": 50}
_THUMBS = {"up": True, "down": False, True: True, False: False}
_AHEAD_S = 300.0
_DATE_DIGITS = 8  # 20260331 is a day; more digits are seconds


class BadJudgement(UsageError):
    """A judgement that makes no sense; `field` names what is wrong with it."""

    def __init__(self, message: str, field: str) -> None:
        self.field = field
        super().__init__(message)


def named_trace(data: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The trace id and the answer's id that a judgement names, one of them. Raises BadJudgement when it names neither."""
    found = []
    for name in ("trace", "response_id"):
        value = data.get(name)
        if value is not None and not (isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()):
            raise BadJudgement(f"{name} must be plain text of at most 200 characters", name)
        found.append(value)
    if found == [None, None]:
        raise BadJudgement(
            "the judgement names no trace. Give trace (the header x-request-id of the answer) or response_id (its id)", "trace"
        )
    return found[0], found[1]


def judged_trace(
    store: Store, trace: str | None, response: str | None, *, tenant: str | None = None, user: str | None = None
) -> Trace | None:
    """The trace with an id, else the newest whose answer had the id `response`; None where there is none.

    With `tenant` or `user` only theirs are looked at: engines may give one id to answers of several, and so does the cache.
    """
    from rungwise.data.traces.door import archive_of
    from rungwise.data.traces.query import Query

    traces = archive_of(store)
    if trace is not None:
        found = traces.get(trace)
        theirs = found is not None and tenant in (None, found.tenant) and user in (None, found.user)
        return found if theirs else None
    if response is None:
        return None
    query = Query().where("response_id", "=", response)
    for name, value in (("tenant", tenant), ("user", user)):
        query = query if value is None else query.where(name, "=", value)
    with closing(traces.search(query, limit=1)) as newest:
        return next(newest, None)


def traces_by_id(store: Store, ids: Iterable[str]) -> dict[str, Trace]:
    """Those of these traces that are still kept."""
    from rungwise.data.traces.door import archive_of
    from rungwise.data.traces.query import Query

    wanted = frozenset(ids)
    return {trace.id: trace for trace in archive_of(store).search(Query(ids=wanted))} if wanted else {}


def shadow_traces(store: Store, release: str) -> Iterator[Trace]:
    """What shadows answered beside a release, newest first."""
    from rungwise.data.traces.door import archive_of
    from rungwise.data.traces.query import Query

    return archive_of(store).search(Query().where("release", "=", release).where("shadow", "=", True))


def read_judgement(data: Mapping[str, Any], *, trace: str, now: float) -> Feedback:
    """A judgement from plain data, `at` being `now` where it does not say when it was made.

    Raises BadJudgement for a value that cannot be or where nothing is judged, UnknownName for a field that does not exist.
    """
    for name in data:
        if name not in KNOWN:
            raise UnknownName("field of a judgement", str(name), KNOWN)
    source = data.get("source", "user")
    if source not in SOURCES:
        raise BadJudgement(f"source must be one of {', '.join(SOURCES)}", "source")
    texts = {name: _text(data, name) for name in ("label", "correction", "comment", "outcome", "by")}
    found = Feedback(
        trace=trace,
        source=source,
        at=_when(data, now),
        thumb=_thumb(data),
        score=_number(data, "score", 0.0, 1.0),
        value_usd=_number(data, "value_usd", -1e12, 1e12),
        **texts,
    )
    if all(getattr(found, name) is None for name in JUDGEMENTS):
        raise BadJudgement(f"nothing is judged. Give at least one of {', '.join(JUDGEMENTS)}", "thumb")
    return found


def about(trace: Trace, feedback: Feedback) -> About:
    """What has to be kept of the trace beside a judgement on it.

    Whoever asked for a variant by its name was given it by choice and not by chance, so that nothing can be compared by it.
    """
    return About(
        tenant=trace.tenant,
        release=trace.release,
        variant=None if ":" in trace.asked else trace.variant,
        unit=trace.conversation or trace.user or trace.id,
        correct=agreement(feedback, said(trace).answer),
    )


def agreement(feedback: Feedback, answer: str) -> float | None:
    """1 where the answer is what the label or else the correction says, but for case, spacing and signs; 0 where it is not.

    None where there is neither, or the trace keeps no answer.
    """
    wanted = feedback.label if feedback.label is not None else feedback.correction
    if wanted is None or not answer.strip():
        return None
    return float(normalise(wanted) == normalise(answer))


def _text(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise BadJudgement(f"{name} must be text that is not empty", name)
    if len(value) > _LONGEST[name]:
        raise BadJudgement(f"{name} may have at most {_LONGEST[name]:,} characters, not {len(value):,}", name)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise BadJudgement(f"{name} holds half a character, which cannot be kept", name) from None
    return value


def _thumb(data: Mapping[str, Any]) -> bool | None:
    value = data.get("thumb")
    if value is None:
        return None
    if not isinstance(value, (str, bool)) or value not in _THUMBS:
        raise BadJudgement("thumb must be up or down", "thumb")
    return _THUMBS[value]


def _number(data: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:  # NaN is in no range
        raise BadJudgement(f"{name} must be a number from {low:g} to {high:g}", name)
    return float(value)


def _when(data: Mapping[str, Any], now: float) -> float:
    """When it was judged: the field `at`, in seconds since 1970 or as ISO 8601, in UTC where it names no other."""
    value = data.get("at")
    if value is None:
        return now
    if isinstance(value, str):
        value = _moment(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise BadJudgement("at must be a time: seconds since 1970, or 2026-03-31T12:00:00Z", "at")
    if value > now + _AHEAD_S:
        raise BadJudgement("at lies in the future. Give seconds since 1970, not milliseconds", "at")
    return float(value)


def _moment(text: str) -> float | None:
    try:
        if text.replace(".", "", 1).isdecimal() and len(text) > _DATE_DIGITS:
            return float(text)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
