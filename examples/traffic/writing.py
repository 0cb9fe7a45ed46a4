"""Simulated days as real traces and real feedback in a project's store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from examples.traffic.world import SimulatedDay
from rungwise.core.content import Usage
from rungwise.core.feedback import Feedback
from rungwise.core.reading import DAY_S
from rungwise.core.serving import REFUSE
from rungwise.core.trace import Trace
from rungwise.data.feedback import Judgements
from rungwise.data.judging import about, traces_by_id
from rungwise.data.store import Store
from rungwise.data.traces.door import open_traces
from rungwise.watch.traffic import Traffic


def write_day(
    store: Store,
    simulated: SimulatedDay,
    *,
    release: str | None = None,
    candidate: str | None = None,
    variant: str | None = None,
    waiting: Sequence[Feedback] = (),
) -> tuple[Feedback, ...]:
    """Write a day's traces as a server would have, and the feedback that came on that day; what comes later is given back.

    `release`, `candidate` and `variant` take the place of those that the arms name. `waiting` is what earlier days gave back.
    Feedback on traces that are no longer kept is dropped, as a server refuses it.
    """
    named = {"release": release, "candidate": candidate, "variant": variant}
    given = {name: value for name, value in named.items() if value is not None}
    live = [replace(trace, **given) for trace in traces_of(simulated)]  # type: ignore[arg-type]
    beside = [trace for shadow in simulated.shadows for trace in traces_of(simulated, shadow)]
    asyncio.run(_write(store, [*live, *beside]))
    ends = float((simulated.number + 1) * DAY_S)
    said = sorted((*waiting, *simulated.feedback), key=lambda one: (one.at, one.trace, one.source))
    _note(store, [one for one in said if one.at < ends], live)
    return tuple(one for one in said if one.at >= ends)


def traces_of(simulated: SimulatedDay, shadow: Traffic | None = None) -> list[Trace]:
    """The traces of a day, in the shape that a server records; those of a shadow beside them where it is given."""
    traffic, live = simulated.traffic if shadow is None else shadow, simulated.traffic
    return [_trace(simulated, traffic, n, None if shadow is None else live.ids[n]) for n in range(len(traffic))]


def _trace(simulated: SimulatedDay, traffic: Traffic, n: int, shadow_of: str | None) -> Trace:
    failed, at = bool(traffic.failed[n]), float(traffic.at[n])
    tags = {"channel": simulated.channel[n], simulated.group_tag or "": traffic.group[n]}
    id, tokens = traffic.ids[n], (int(traffic.input_tokens[n]), int(traffic.output_tokens[n]))
    return Trace(
        id=id,
        at=at,
        seconds=float(traffic.seconds[n]),
        asked=simulated.model,
        release=traffic.release[n],
        variant=traffic.variant[n],
        candidate=traffic.candidate[n],
        model="simulated",
        response_id=None if failed else f"chatcmpl-{id}",
        tenant=traffic.tenant[n],
        user=traffic.user[n],
        conversation=traffic.unit[n],
        tags={name: value for name, value in tags.items() if name and value is not None},
        request=json.dumps(
            {"model": simulated.model, "messages": [{"role": "user", "content": traffic.text[n]}]}, ensure_ascii=False
        ),
        response=None if failed else _response(simulated.model, traffic, n),
        usage=Usage() if failed else Usage(*tokens, usd=float(traffic.usd[n]), estimated=True, seconds=float(traffic.seconds[n])),
        status=503 if failed else 200,
        finish=None if failed else "stop",
        error="the engine did not answer" if failed else None,
        shadow_of=shadow_of,
    )


def _response(model: str, traffic: Traffic, n: int) -> str:
    """The body of an answer, as serve writes it."""
    told: dict[str, object] = {"candidate": traffic.candidate[n], "variant": traffic.variant[n]}
    told["confidence"] = round(float(traffic.confidence[n]), 6)
    if traffic.abstained[n]:
        told["abstained"] = True
    message = {"role": "assistant", "content": traffic.answer[n], "refusal": None}
    tokens = int(traffic.input_tokens[n]), int(traffic.output_tokens[n])
    body = {
        "id": f"chatcmpl-{traffic.ids[n]}",
        "object": "chat.completion",
        "created": int(traffic.at[n]),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
        "rungwise": told,
    }
    return json.dumps(body, ensure_ascii=False)


async def _write(store: Store, traces: Iterable[Trace]) -> None:
    writer = open_traces(store, worker=0, disk_full=REFUSE)
    try:
        await asyncio.gather(*(writer.add(trace) for trace in traces))
    finally:
        await writer.close()


def _note(store: Store, said: Sequence[Feedback], today: Sequence[Trace]) -> None:
    known = {trace.id: trace for trace in today}
    known |= traces_by_id(store, {one.trace for one in said} - set(known))
    Judgements(store).add([(one, about(known[one.trace], one)) for one in said if one.trace in known])
