"""What went wrong with a call, whether to try again, and when."""

from __future__ import annotations

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import ClientError

TRIED_AGAIN = frozenset({408, 429, 500, 502, 503, 504, 529})  # 529: overloaded, as some hosts say it
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed attempt. `agreed` is False where the server answered outside the protocol.

    `sent` and `worked` say what it can have cost: nothing when it never left, the call alone when
    the server refused it, tokens when the model may have been at work.
    """

    what: str
    retry: bool
    agreed: bool = True
    sent: bool = True
    worked: bool = False
    status: int | None = None
    body: str = ""
    retry_after_s: float | None = None


class Failed(Exception):
    """Carries a Failure out of an exchange; never leaves the call layer."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.what)


def delay_s(attempt: int, rng: random.Random, *, asked_s: float | None = None) -> float:
    """Seconds to wait before attempt `attempt` + 1, counted from 0.

    Full jitter: uniform between 0 and the exponential bound (M. Brooker, "Exponential Backoff
    and Jitter", AWS Architecture Blog, 2015). What the server asked for is a floor, plus a little
    jitter so that waiting callers do not come back at the same instant.
    """
    bound = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempt, 16))
    if asked_s is None:
        return rng.uniform(0.0, bound)
    return asked_s + rng.uniform(0.0, 0.1 * max(asked_s, FIRST_DELAY_S))


def retry_after_s(value: str | None, *, now: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number or an HTTP date. None when there is none that can be read."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if seconds == seconds else None


def http_failure(status: int, body: str, *, retry_after: float | None) -> Failure:
    """A status other than 200 as a failure. An exhausted quota is a 429 that no retry mends."""
    if status == 429 and "insufficient_quota" in body:
        return Failure(what="the account has no quota left (429)", retry=False, status=status, body=body)
    if status in (401, 403):
        return Failure(what=f"refused the key ({status})", retry=False, status=status, body=body)
    if 300 <= status < 400:
        return Failure(what=f"redirected ({status}); set base_url to the final address", retry=False, status=status, body=body)
    what = "rate-limited the call (429)" if status == 429 else f"answered with status {status}"
    return Failure(what=what, retry=status in TRIED_AGAIN, status=status, body=body, retry_after_s=retry_after)


def unreached(error: ClientError) -> Failure:
    """Why aiohttp could not connect, as a failure: nothing was sent."""
    import aiohttp

    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Failure(what="did not accept the connection in time", retry=True, sent=False)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure(what="has a host name that cannot be found", retry=True, sent=False)
    if isinstance(error, aiohttp.ClientSSLError):
        return Failure(what="has a certificate that is not trusted", retry=False, sent=False)
    why = getattr(error, "strerror", None) or "connection error"
    return Failure(what=f"refused the connection ({why})", retry=True, sent=False)
