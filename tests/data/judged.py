"""Judged answers for tests: traces that are written as a server writes them, and judgements on them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from rungwise.core.feedback import Feedback
from rungwise.core.trace import Trace, new_trace_id
from rungwise.data.feedback import About, Judgements, Kept
from rungwise.data.judging import about
from rungwise.data.store import Store
from rungwise.data.traces.door import open_traces

BEGIN = 1_699_000_000.0


def answered(number: int, question: str, answer: str, *, before: Iterable[tuple[str, str]] = (), **more: Any) -> Trace:
    """A trace of a question and its answer; `before` are earlier turns as (role, text)."""
    at = BEGIN + number
    messages = [{"role": role, "content": text} for role, text in (*before, ("user", question))]
    fields: dict[str, Any] = {
        "id": new_trace_id(at, number.to_bytes(10, "big")),
        "at": at,
        "seconds": 0.1,
        "asked": "support",
        "release": "r1",
        "variant": "plain",
        "response_id": f"chatcmpl-{number}",
        "user": f"user{number}",
        "request": json.dumps({"model": "support", "messages": messages}),
        "response": json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}}]}),
    }
    return Trace(**{**fields, **more})


def write(store: Store, traces: Iterable[Trace]) -> None:
    """Commit traces."""

    async def add() -> None:
        writer = open_traces(store, worker=0, disk_full="refuse")
        await asyncio.gather(*map(writer.add, traces))
        await writer.close()

    asyncio.run(add())


def judgement(trace: Trace | str, *, at: float = BEGIN, source: str = "user", **said: Any) -> Feedback:
    """A judgement."""
    return Feedback(trace=trace if isinstance(trace, str) else trace.id, source=source, at=at, **said)


def judge(store: Store, trace: Trace, **said: Any) -> Kept:
    """Keep a judgement on a trace, and give it as it is kept."""
    one = judgement(trace, **said)
    Judgements(store).add([(one, about(trace, one))])
    return Judgements(store).of([trace.id])[-1]


def unrelated(**more: Any) -> About:
    """What is kept beside a judgement on a trace that nobody wrote."""
    return About(**{"release": "r1", "variant": "plain", "unit": "u", **more})
