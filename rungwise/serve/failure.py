"""What a client is told when a request cannot be answered, whichever protocol it speaks.

Served                             status  code
└── Refused
    ├── BadRequest                    400  invalid_request
    ├── NotAllowed                    401  invalid_api_key, or 403 not_allowed
    ├── NotThere                      404  model_not_found
    ├── WrongMethod                   405  method_not_allowed
    ├── TooLarge                      413  request_too_large
    ├── Limited                       429  rate_limit_exceeded, budget_exceeded, engine_rate_limited
    ├── Blocked                       400  content_filter
    ├── EngineDown                    502  engine_failed, or 503 engine_unavailable
    ├── TimedOut                      504  timeout
    └── CannotTrace                   507  cannot_trace
"""

from __future__ import annotations


class Refused(Exception):
    """A request that is not answered. `message` may be shown to the client: it holds no key and no address of an engine."""

    status, code, kind = 500, "internal_error", "server_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        self.message, self.param, self.retry_after_s = message, param, retry_after_s
        self.code = code or type(self).code
        self.status = status or type(self).status
        super().__init__(message)


class BadRequest(Refused):
    """The request makes no sense as it is; `param` names the field."""

    status, code, kind = 400, "invalid_request", "invalid_request_error"


class NotAllowed(Refused):
    """No key, a wrong one, one that has expired (401), or one without the scope (403)."""

    status, code, kind = 401, "invalid_api_key", "authentication_error"


class NotThere(Refused):
    """No such model, route or thing; what belongs to another tenant is not there either."""

    status, code, kind = 404, "model_not_found", "invalid_request_error"


class WrongMethod(Refused):
    """The path is asked with another method: `allow`."""

    status, code, kind = 405, "method_not_allowed", "invalid_request_error"

    def __init__(self, path: str, allow: str) -> None:
        self.allow = allow
        super().__init__(f"{path} is asked with {allow}")


class TooLarge(Refused):
    """A body over the limit, or nested too deeply."""

    status, code, kind = 413, "request_too_large", "invalid_request_error"


class Limited(Refused):
    """A rate limit or a budget of the key, the user or the tenant is used up."""

    status, code, kind = 429, "rate_limit_exceeded", "rate_limit_error"


class Blocked(Refused):
    """A guard refused what was asked or answered."""

    status, code, kind = 400, "content_filter", "invalid_request_error"


class EngineDown(Refused):
    """Every engine that could answer failed (502), or rests after failures (503)."""

    status, code, kind = 502, "engine_failed", "server_error"


class TimedOut(Refused):
    """`which` of the timeouts ran out (first_token, between_chunks, total) and at which `level` (engine, candidate, release)."""

    status, code, kind = 504, "timeout", "server_error"

    def __init__(self, which: str, level: str, seconds: float) -> None:
        self.which, self.level = which, level
        super().__init__(f"no answer in time: the {which} timeout of the {level} ({seconds:g} s) ran out")


class CannotTrace(Refused):
    """The answer could not be written down, and the project says that untraced answers are not given."""

    status, code, kind = 507, "cannot_trace", "server_error"


def told(error: Exception) -> Refused:
    """What a client is told of an error that nobody foresaw: nothing of its inside."""
    return error if isinstance(error, Refused) else Refused("something went wrong here. The operator's log says what")
