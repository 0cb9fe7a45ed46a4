"""How Bedrock tells that a request is not answered: its exception classes, by name, over HTTP and inside a stream.

Source: the errors and their status in the service model `bedrock-runtime`.
"""

from __future__ import annotations

import math

from rungwise.serve import failure
from rungwise.serve.bedrock.events import exception
from rungwise.serve.exchange import JSON, Header
from rungwise.serve.failure import Refused
from rungwise.serve.shapes import encode

VALIDATION = "ValidationException", 400
QUOTA = "ServiceQuotaExceededException", 400
DENIED = "AccessDeniedException", 403
NOT_FOUND = "ResourceNotFoundException", 404
MODEL_TIMEOUT = "ModelTimeoutException", 408
MODEL = "ModelErrorException", 424
THROTTLING = "ThrottlingException", 429
INTERNAL = "InternalServerException", 500
UNAVAILABLE = "ServiceUnavailableException", 503

# Inside a stream there are fewer classes.
_STREAMED = {
    VALIDATION: "validationException",
    THROTTLING: "throttlingException",
    QUOTA: "throttlingException",
    MODEL: "modelStreamErrorException",
    MODEL_TIMEOUT: "modelStreamErrorException",
    UNAVAILABLE: "serviceUnavailableException",
}


def exception_of(refused: Refused) -> tuple[str, int]:
    """The class and the status. A budget that is used up is no throttling, which clients would try again and again."""
    if isinstance(refused, failure.NotAllowed):
        return DENIED
    if isinstance(refused, failure.NotThere):
        return NOT_FOUND
    if isinstance(refused, failure.Limited):
        return QUOTA if refused.code == "budget_exceeded" else THROTTLING
    if isinstance(refused, failure.TimedOut):
        return MODEL_TIMEOUT
    if isinstance(refused, failure.CannotTrace):
        return UNAVAILABLE
    if isinstance(refused, failure.EngineDown):
        return UNAVAILABLE if refused.status == 503 else MODEL
    return VALIDATION if 400 <= refused.status < 500 else INTERNAL


def answer_of(refused: Refused) -> tuple[int, bytes, tuple[Header, ...]]:
    """Status, body and headers of the answer."""
    name, status = exception_of(refused)
    headers: list[Header] = [JSON, (b"x-amzn-errortype", name.encode())]
    if refused.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(refused.retry_after_s))).encode()))
    return status, encode({"message": refused.message}), tuple(headers)


def frame_of(refused: Refused) -> bytes:
    """The frame that ends a stream which has begun."""
    kind = _STREAMED.get(exception_of(refused), "internalServerException")
    return exception(kind, encode({"message": refused.message}))
