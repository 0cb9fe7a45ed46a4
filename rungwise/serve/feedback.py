"""POST /v1/feedback: what somebody thinks of an answer is kept with the trace of that answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from rungwise.core.errors import StoreError, UsageError
from rungwise.core.types import Clock
from rungwise.data.feedback import Judgements
from rungwise.data.judging import BadJudgement, about, judged_trace, named_trace, read_judgement
from rungwise.data.store import Store
from rungwise.serve.ask import Caller
from rungwise.serve.failure import BadRequest, NotThere, Refused

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


class Desk(Protocol):
    """What judgements are handed in at: a project that is being served."""

    @property
    def store(self) -> Store: ...

    @property
    def clock(self) -> Clock: ...


async def post_feedback(served: Desk, caller: Caller, body: bytes) -> bytes:
    """Keep one judgement and say so: its id, its trace, and whether it is new; committed when this returns.

    The body names the trace (`trace`, which is the header x-request-id of the answer) or the answer (`response_id`), and judges:
    thumb, score, label, correction, comment, outcome, value_usd; further `source`, `by`, `at`. The same sent twice is kept once.
    Raises BadRequest for a body that makes no sense, NotThere for a trace that does not exist or is somebody else's, Refused
    with status 507 where the disk takes nothing.
    """
    data = _read(body)
    # Looking for the trace and waiting for the disk are work for a thread: answers go on meanwhile.
    return _encode(await asyncio.to_thread(_keep, served, caller, data))


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        data = _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise BadRequest('the body must be a JSON object such as {"trace": "...", "thumb": "up"}')
    return data


def _keep(served: Desk, caller: Caller, data: Mapping[str, Any]) -> dict[str, Any]:
    try:
        trace, response = named_trace(data)
        found = judged_trace(served.store, trace, response, tenant=caller.tenant, user=caller.user)
        if found is None:
            name, id = ("trace", trace) if trace is not None else ("response_id", response)
            raise NotThere(f"there is no answer with the {name} '{id}'", code="trace_not_found", param=name)
        feedback = read_judgement(data, trace=found.id, now=served.clock.now())
    except BadJudgement as error:
        raise BadRequest(str(error), param=error.field) from error
    except UsageError as error:
        raise BadRequest(str(error)) from error
    try:
        (kept,) = Judgements(served.store).add([(feedback, about(found, feedback))], dated=data.get("at") is not None)
    except StoreError as error:
        _log.error("a judgement could not be kept: %s", error)
        raise Refused("the judgement could not be kept; send it again later", code="cannot_keep", status=507) from error
    return {"object": "feedback", "id": kept.id, "trace": found.id, "new": kept.new}
