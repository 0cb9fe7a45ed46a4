"""/v1/reviews: the review queue for a page of one's own; the same desk as `rungwise review`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from rungwise.core.errors import StoreError, UsageError
from rungwise.core.record import to_plain
from rungwise.data.desk import Desk, NotWaiting, Task, close
from rungwise.data.keys import REVIEW
from rungwise.data.reviews import BOTH, CORRECTION, FLAG, LABEL, OTHER, REASONS, RIGHT, SKIP, WRONG, Item, Reviews, Verdict
from rungwise.data.said import said
from rungwise.evaluate.reviewers import agreed
from rungwise.serve.ask import Caller
from rungwise.serve.exchange import Exchange
from rungwise.serve.failure import BadRequest, NotThere, Refused

if TYPE_CHECKING:
    from rungwise.data.store import Store
    from rungwise.serve.gateway import Gateway

VERDICTS = (RIGHT, WRONG, LABEL, CORRECTION, "first", "second", BOTH, "neither", SKIP, FLAG)
"""Verdicts: of one answer right, wrong, label or correction; of two first, second, both or neither; of any skip and flag."""
_OF_PAIRS = ("first", "second", BOTH, "neither")
_FIELDS = ("id", "verdict", "reviewer", "wanted", "comment", "seconds")
_LONGEST_NAME = 200
_LONGEST_S = 86_400.0
_encode = msgspec.json.Encoder().encode


async def reviewing(exchange: Exchange, gateway: Gateway) -> None:
    """GET, POST and DELETE of /v1/reviews, and GET /v1/reviews/agreement; each needs the scope `review`."""
    served, caller = await gateway.enter(exchange, REVIEW)
    query = {name: values[-1] for name, values in parse_qs(exchange.scope.get("query_string", b"").decode("latin-1")).items()}
    body = await exchange.body(served.body_limit_bytes) if exchange.method == "POST" else b""
    if exchange.path.endswith("/agreement"):
        found = await asyncio.to_thread(agreement, served.store, caller)
    elif exchange.method == "POST":
        found = await asyncio.to_thread(judge, served.store, caller, body)
    else:
        work = next_item if exchange.method == "GET" else undo
        found = await asyncio.to_thread(work, served.store, caller, query)
    await exchange.answer(200, _encode(found))


def next_item(store: Store, caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    """The item that this reviewer judges next, kept for them for half an hour; `review` is null where nothing waits.

    Raises BadRequest without a reviewer, or for a reason that does not exist.
    """
    reason = query.get("reason")
    if reason is not None and reason not in REASONS:
        raise BadRequest(f"reason must be one of {', '.join(REASONS)}", param="reason")
    desk = _desk(store, caller, query.get("reviewer"))
    return _told(desk, desk.next(reason=reason))


def judge(store: Store, caller: Caller, body: bytes) -> dict[str, Any]:
    """Keep a verdict, committed when this returns. The same sent twice is one.

    Raises BadRequest for one that makes no sense, NotThere for an item that does not exist or is another tenant's, Refused with
    status 409 for one that does not wait for this reviewer, and with 507 where the disk takes nothing.
    """
    data = _read(body)
    desk = _desk(store, caller, data.get("reviewer"))
    item = Reviews(store, tenant=caller.tenant).get(str(data["id"]))
    if item is None:
        raise NotThere(f"there is no item '{data['id']}' in the review queue", code="review_not_found", param="id")
    try:
        done = desk.judge(item.id, _verdict(data, item), seconds=data.get("seconds", 0.0))
        close(store)
    except NotWaiting as error:
        raise Refused(str(error), code="not_waiting", status=409) from error
    except UsageError as error:
        raise BadRequest(str(error), param="verdict") from error
    except StoreError as error:
        raise Refused("the verdict could not be kept; send it again later", code="cannot_keep", status=507) from error
    return {"object": "review.verdict", "id": done.id, "state": done.state}


def undo(store: Store, caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    """Take this reviewer's last verdict back and give its item again. Raises Refused with status 409 where it is too late."""
    desk = _desk(store, caller, query.get("reviewer"))
    try:
        item = desk.undo()
    except NotWaiting as error:
        raise Refused(str(error), code="not_waiting", status=409) from error
    return _told(desk, desk.next(first=item.id) if item is not None else None)


def agreement(store: Store, caller: Caller) -> dict[str, Any]:
    """How far reviewers agree, of what belongs to the caller's tenant."""

    found = to_plain(agreed(Reviews(store, tenant=caller.tenant).given()))
    return {"object": "review.agreement", **found}


def _told(desk: Desk, task: Task | None) -> dict[str, Any]:
    return {"object": "review.next", "waiting": desk.waiting(), "review": None if task is None else _plain(task)}


def _plain(task: Task) -> dict[str, Any]:
    """An item as a reviewer may see it: of a blind pair nothing tells which answer is whose."""
    own, blind = said(task.trace), task.other is not None
    answers = [own.answer] + ([said(task.other).answer] if task.other is not None else [])
    return {
        "id": task.item.id,
        "trace": None if blind else task.trace.id,
        "question": own.question,
        "messages": list(own.messages),
        "answers": answers[::-1] if task.item.swapped else answers,
        "labels": task.item.labels,
        "reasons": [] if blind else list(task.item.reasons),
        "others_said": [one.wanted or one.kind for one in task.differ],
    }


def _desk(store: Store, caller: Caller, reviewer: object) -> Desk:
    """The desk of whoever asks. A key that belongs to a user speaks for nobody else."""
    name = caller.user if reviewer is None else reviewer
    if not (isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.strip() and name.isprintable()):
        raise BadRequest("say who judges: reviewer must be a name of at most 200 characters", param="reviewer")
    if caller.user is not None and name != caller.user:
        raise BadRequest(f"this key belongs to the user '{caller.user}', so that nobody else judges with it", param="reviewer")
    return Desk(store, name, tenant=caller.tenant)


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise BadRequest('the body must be a JSON object such as {"id": "...", "verdict": "right"}')
    unknown = [name for name in data if name not in _FIELDS]
    if unknown:
        raise BadRequest(f"there is no field '{unknown[0]}'. Give {', '.join(_FIELDS)}", param=unknown[0])
    if not (isinstance(data.get("id"), str) and data["id"].isprintable()):
        raise BadRequest("id must be that of an item: GET /v1/reviews gives it", param="id")
    if data.get("verdict") not in VERDICTS:
        raise BadRequest(f"verdict must be one of {', '.join(VERDICTS)}", param="verdict")
    for name in ("wanted", "comment"):
        if not isinstance(data.get(name), (str, type(None))):
            raise BadRequest(f"{name} must be text", param=name)
    seconds = data.get("seconds", 0.0)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _LONGEST_S:
        raise BadRequest("seconds must be a number from 0 to 86400", param="seconds")
    return data


def _verdict(data: Mapping[str, Any], item: Item) -> Verdict:
    kind, pair = data["verdict"], item.other is not None
    if (kind in _OF_PAIRS) != pair and kind not in (SKIP, FLAG, LABEL, CORRECTION):
        said_of = "two answers: first, second, both or neither" if pair else "one answer: right, wrong, label or correction"
        raise BadRequest(f"'{kind}' cannot be said of {said_of}", param="verdict")
    if kind in ("first", "second"):
        kind = OTHER if (kind == "first") == item.swapped else RIGHT
    kind = WRONG if kind == "neither" else kind
    return Verdict(kind=kind, wanted=data.get("wanted"), comment=data.get("comment"))
