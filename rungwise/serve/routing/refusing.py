"""What a client is told when an engine failed: what happened, without the engine's key or address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rungwise.engines.resilience import Failure
from rungwise.engines.wire import WireError, read_json
from rungwise.serve.failure import BadRequest, EngineDown, Limited, NotThere, Refused, TooLarge

SHOWN_CHARACTERS = 2_000
# about the engine's account or its state, not about the request
_NOT_THE_REQUEST = frozenset({401, 402, 403, 407, 408, 425, 429})


def about_the_request(status: int | None) -> bool:
    """Whether a status says that the request itself is wrong: then no other engine is asked."""
    return status is not None and 400 <= status < 500 and status not in _NOT_THE_REQUEST


def refusal(engine: str, failure: Failure) -> Refused:
    """The end of a request whose last attempt failed like this. Texts of the failure are redacted already."""
    status = failure.status
    if about_the_request(status):
        return _passed_on(engine, status or 400, failure.body)
    if status == 429 and failure.retry:
        return Limited(
            f"the engine '{engine}' takes no more requests now. Try again later",
            code="engine_rate_limited",
            retry_after_s=failure.retry_after_s,
        )
    what = "has no quota left" if status == 429 else failure.what
    return EngineDown(f"the engine '{engine}' {what}")


def resting(engine: str, rests_s: float) -> EngineDown:
    """No engine is asked, since all that could answer have failed again and again."""
    return EngineDown(
        f"the engine '{engine}' rests after failures, and no other can answer. Try again later",
        code="engine_unavailable",
        status=503,
        retry_after_s=rests_s,
    )


def _passed_on(engine: str, status: int, body: str) -> Refused:
    error = complaint(body)
    message = str(error.get("message") or "").strip()[:SHOWN_CHARACTERS] or f"the engine '{engine}' refused the request ({status})"
    param, code = error.get("param"), error.get("code")
    kind: type[Refused] = {404: NotThere, 413: TooLarge}.get(status, BadRequest)
    return kind(
        message,
        status=status,
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) and code else None,
    )


def complaint(body: str) -> Mapping[str, Any]:
    """The error object of an error body, whichever of the usual shapes it has."""
    try:
        said = read_json(body)
    except WireError:
        return {"message": body}
    error = said.get("error", said.get("detail", said)) if isinstance(said, Mapping) else said
    return error if isinstance(error, Mapping) else {"message": error if isinstance(error, str) else body}
