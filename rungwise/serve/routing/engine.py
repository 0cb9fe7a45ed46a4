"""One engine as the router knows it: its connections, its key, its price, its breaker, and what it has done so far."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from rungwise.core.errors import UsageError
from rungwise.core.serving import Serving, Timeouts
from rungwise.core.types import Clock
from rungwise.core.usecase import Endpoint
from rungwise.engines.address import chat_url
from rungwise.engines.prices import Listed, Price, SharedSeconds, price_of
from rungwise.engines.resilience import Failed, Failure
from rungwise.engines.secrets import SHORTEST_SECRET, read_key
from rungwise.engines.upstream.opening import open_upstream
from rungwise.engines.upstream.reply import Headers
from rungwise.serve.routing.breaker import Circuit

PRICES_KEPT = 256  # of models by their name; clients may ask for any
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """How an engine does, for /readyz and metrics. `circuit` is closed, open or trying."""

    name: str
    circuit: str
    rests_s: float
    in_flight: int
    attempts: int
    failures: int


class Engine:
    """An endpoint and the state of the connection to it. Raises UsageError for an address that cannot be one."""

    def __init__(
        self,
        endpoint: Endpoint,
        serving: Serving,
        *,
        clock: Clock,
        environ: Mapping[str, str],
        prices: Sequence[Sequence[Listed]],
    ) -> None:
        chat_url(endpoint)
        self.target = Target(self, endpoint.model)
        self.endpoint, self.name = endpoint, endpoint.name
        self.place = urlsplit(endpoint.base_url).netloc  # to keep it out of what clients are told
        self.upstream = open_upstream(endpoint.base_url)
        self.circuit = Circuit(serving.breaker, clock)
        self.timeouts = Timeouts(
            first_token_s=endpoint.first_token_s, between_chunks_s=endpoint.between_chunks_s, total_s=endpoint.total_s
        )
        self.machine = SharedSeconds(clock) if endpoint.usd_per_hour else None
        self.in_flight = self.attempts = self.failures = 0
        self.rest_until = 0.0  # on the clock's tick: until then the engine asked not to be called, others go first
        self.without_usage = False  # it refuses `stream_options`
        self._environ, self._tables = environ, prices
        self._prices: dict[str, Price] = {}
        self.secret: str | None = None  # the key, to keep it out of what is shown
        self.secret_bytes = b""  # the same, or nothing where it is too short to be one
        self._headers: Headers | None = None

    def headers(self) -> Headers:
        """The headers of a request. Raises Failed when the key is not in the environment."""
        if self._headers is None:
            try:
                key = read_key(self.endpoint.key_env, self._environ, endpoint=self.name)
            except UsageError as error:
                _log.error("%s", error)
                problem = Failure(what="has no key on this server", retry=False, sent=False)
            else:
                headers: Headers = (("content-type", "application/json"), ("accept", "application/json, text/event-stream"))
                if key is not None:
                    headers = (*headers, ("authorization", f"Bearer {key}"))
                    self.secret_bytes = key.encode() if len(key) >= SHORTEST_SECRET else b""
                self.secret, self._headers = key, headers
                return self._headers
            raise Failed(problem)
        return self._headers

    def price(self, model: str) -> Price:
        """What it charges for a model."""
        price = self._prices.get(model)
        if price is None:
            if len(self._prices) >= PRICES_KEPT:
                self._prices.clear()
            price = self._prices[model] = price_of(replace(self.endpoint, model=model), self._tables)
        return price

    def judge(self, *, good: bool | None, why: str = "") -> None:
        """An attempt has ended: it speaks for the engine, against it, or (None) for neither."""
        if good:
            if self.circuit.succeeded():
                _log.warning("the engine '%s' is back", self.name)
        elif good is None:
            self.circuit.left()
        else:
            self.failures += 1
            if self.circuit.failed():
                _log.warning("the engine '%s' rests for %g s: it %s", self.name, self.circuit.rests_s, why)

    def state(self) -> EngineState:
        """How it does."""
        return EngineState(
            name=self.name,
            circuit=self.circuit.state,
            rests_s=self.circuit.rests_s,
            in_flight=self.in_flight,
            attempts=self.attempts,
            failures=self.failures,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """An engine and the model that it is asked for."""

    engine: Engine
    model: str
