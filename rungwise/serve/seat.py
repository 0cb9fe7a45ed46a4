"""What a worker process is told before it starts, and what it hands to the application that it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rungwise.serve.metrics import Metrics

DRAIN_S = 30.0
"""Seconds in which running answers may end after SIGTERM. A little under what container platforms wait by default."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a client may take, in seconds, before its connection is closed.

    `header_s`: for the whole head of a request. `body_s`: for its body, and one second more for every `bytes_per_s` that
    have come (the rule of Apache's mod_reqtimeout). `idle_s`: between two requests. `stalled_s`: without reading any of an
    answer that waits for it. `leaving_s`: between two requests when the worker is about to end. `head_bytes`: how long the
    head of a request may be.
    """

    header_s: float = 10.0
    body_s: float = 20.0
    bytes_per_s: float = 500.0
    idle_s: float = 75.0
    stalled_s: float = 60.0
    leaving_s: float = 2.0
    head_bytes: int = 65_536


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to serve, as plain data: it travels to each worker process as JSON.

    `factory` is 'module:function'; it is called as `function(seat, **arguments)` and gives an ASGI application. What it
    raises as RungwiseError is told to whoever started the server. `scratch` is a folder for as long as the server runs.
    `certificate` and `private_key` are PEM files, both or neither.
    """

    factory: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    scratch: str = ""
    certificate: str | None = None
    private_key: str | None = None
    drain_s: float = DRAIN_S
    patience: Patience = field(default_factory=Patience)

    def to_json(self) -> str:
        """On one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """What `to_json` wrote."""
        plain = json.loads(text)
        return cls(**{**plain, "patience": Patience(**plain["patience"])})


@dataclass(slots=True)
class Seat:
    """One worker's place. `number` is free of every other live worker's, and small: a worker that ends leaves it to the next.

    So whatever is kept per worker (a file of traces, a file of counts) is kept under the number, and there are few of them.
    `draining` becomes true when the worker is about to end: it takes no new connections, and says so at /readyz.
    """

    number: int
    workers: int
    scratch: Path
    metrics: Metrics
    draining: bool = False
