"""What a call costs: prices per token from the use case, the project or the shipped table, or machine time."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rungwise.core.content import Usage
from rungwise.core.errors import BadData
from rungwise.core.types import Clock
from rungwise.core.usecase import Endpoint
from rungwise.engines.wire import TokenCount

SHIPPED = Path(__file__).with_name("prices.toml")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One line of a price table: US dollars per million tokens of a model at a host."""

    host: str
    model: str
    input: float
    output: float
    cached: float | None = None

    def fits(self, host: str, model: str) -> bool:
        """Whether this line speaks of that model at that host."""
        return host == self.host and (model == self.model or (self.model.endswith("*") and model.startswith(self.model[:-1])))


@dataclass(frozen=True, kw_only=True)
class Price:
    """What an endpoint charges: per million tokens, or per hour of its machine. `source` says who said so."""

    input: float = 0.0
    output: float = 0.0
    cached: float = 0.0
    usd_per_hour: float = 0.0
    source: str = "unknown"

    @property
    def known(self) -> bool:
        """False when nobody said what it costs: then it is counted as 0, and `doctor` says so."""
        return self.source != "unknown"

    def of(self, count: TokenCount, machine_s: float) -> float:
        """US dollars for these tokens and these seconds of the machine."""
        tokens = (count.input - count.cached) * self.input + count.cached * self.cached + count.output * self.output
        return tokens / 1e6 + self.usd_per_hour / 3600 * machine_s

    def at_most(self, *, input_tokens: int, output_tokens: int, seconds: float) -> float:
        """The most that one attempt can cost: nothing cached, every allowed token written, the whole time used."""
        dearest = max(self.input, self.cached)
        return (input_tokens * dearest + output_tokens * self.output) / 1e6 + self.usd_per_hour / 3600 * seconds


def read_prices(path: Path) -> tuple[Listed, ...]:
    """A price table in the form of `engines/prices.toml`. Raises BadData with the place of what is wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"cannot read the price table: {error}", where=str(path)) from error
    lines = raw.get("price")
    if not isinstance(lines, list):
        raise BadData("no [[price]] entries", where=str(path), hint="Each needs host, model, input and output.")
    return tuple(_listed(line, f"{path}, entry {number}") for number, line in enumerate(lines, 1))


@cache
def shipped_prices() -> tuple[Listed, ...]:
    """The table that comes with Rungwise."""
    return read_prices(SHIPPED)


def project_prices(directory: Path) -> tuple[tuple[Listed, ...], ...]:
    """The tables that users edit: `prices.toml` in a project's folder, if there is one."""
    path = directory / SHIPPED.name
    return (read_prices(path),) if path.is_file() else ()


def price_of(endpoint: Endpoint, tables: Sequence[Sequence[Listed]] = ()) -> Price:
    """The price of an endpoint: its own figures win, then `tables` in order, then the shipped table."""
    own = (endpoint.usd_per_m_input, endpoint.usd_per_m_output, endpoint.usd_per_m_cached)
    if any(price is not None for price in own):
        paid_in = own[0] or 0.0
        return Price(
            input=paid_in,
            output=own[1] or 0.0,
            cached=paid_in if own[2] is None else own[2],
            usd_per_hour=endpoint.usd_per_hour or 0.0,
            source="rungwise.yaml",
        )
    if endpoint.usd_per_hour is not None:
        return Price(usd_per_hour=endpoint.usd_per_hour, source="rungwise.yaml, machine time")
    host = urlsplit(endpoint.base_url).hostname or ""
    for table, source in [
        *((table, "the project's prices.toml") for table in tables),
        (shipped_prices(), "the shipped price table"),
    ]:
        fitting = [line for line in table if line.fits(host, endpoint.model)]
        if fitting:
            best = max(fitting, key=lambda line: (not line.model.endswith("*"), len(line.model)))
            cached = best.input if best.cached is None else best.cached
            return Price(input=best.input, output=best.output, cached=cached, source=source)
    return Price()


def price_warning(endpoint: Endpoint, price: Price) -> str | None:
    """What `doctor` says about a price that nobody gave, or None when it is known."""
    if price.known:
        return None
    return (
        f"endpoint '{endpoint.name}' ({endpoint.model}) has no known price: its calls count as 0 USD "
        "and no money budget can stop them. "
        "Set usd_per_m_input and usd_per_m_output, or usd_per_hour for a machine of your own, in rungwise.yaml"
    )


def usage_of(count: TokenCount, *, usd: float, calls: int, estimated: bool) -> Usage:
    """The wire's count as the core's noun."""
    return Usage(count.input, count.output, count.cached, count.reasoning, calls, usd, estimated)


def token_bound(texts: Sequence[str], *, per_message_tokens: int = 16) -> int:
    """At least as many tokens as any tokenizer makes of these messages.

    A byte-level tokenizer never makes more tokens than there are UTF-8 bytes; the
    constant covers what a chat template puts around each message.
    """
    return sum(len(text.encode("utf-8", "replace")) for text in texts) + per_message_tokens * len(texts)


def guess_tokens(texts: Sequence[str]) -> int:
    """A fair guess where the provider gave no count: 4 ASCII characters a token, else one character a token."""
    total = 0
    for text in texts:
        ascii_characters = len(text) if text.isascii() else sum(character < "\x80" for character in text)
        total += -(-ascii_characters // 4) + len(text) - ascii_characters
    return total


class SharedSeconds:
    """Machine seconds shared out among the calls that are in flight together.

    While n calls run, each is charged 1/n of every second, so that the charges of
    all calls add up to the time during which the machine was busy at all.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running = 0
        self._since = 0.0
        self._each_s = 0.0  # what a call that ran from the beginning would have been charged by now
        self._busy_s = 0.0

    def start(self) -> float:
        """A call begins; give the returned mark back to `stop`."""
        self._advance()
        self._running += 1
        return self._each_s

    def stop(self, mark: float) -> float:
        """A call ends: its share in seconds."""
        self._advance()
        self._running -= 1
        return self._each_s - mark

    @property
    def busy_s(self) -> float:
        """Seconds during which at least one call ran, those in flight included."""
        self._advance()
        return self._busy_s

    def _advance(self) -> None:
        now = self._clock.tick()
        if self._running:
            passed = max(0.0, now - self._since)
            self._each_s += passed / self._running
            self._busy_s += passed
        self._since = now


def _listed(line: Any, where: str) -> Listed:
    if not isinstance(line, Mapping):
        raise BadData("a price must be a table", where=where)
    unknown = set(line) - {"host", "model", "input", "output", "cached"}
    if unknown:
        raise BadData(f"unknown key '{sorted(unknown)[0]}'", where=where, hint="Known: host, model, input, output, cached.")
    for name in ("host", "model"):
        if not isinstance(line.get(name), str):
            raise BadData(f"'{name}' must be text", where=where)
    for name in ("input", "output", "cached"):
        value = line.get(name, 0.0 if name == "cached" else None)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6:
            raise BadData(f"'{name}' must be US dollars per million tokens", where=where)
    cached = line.get("cached")
    return Listed(
        host=line["host"],
        model=line["model"],
        input=float(line["input"]),
        output=float(line["output"]),
        cached=None if cached is None else float(cached),
    )
