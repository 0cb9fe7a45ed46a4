"""What Prometheus is told: counts that each worker keeps in a file of its own, and one page of all workers together.

A file is mapped into memory: counting costs an addition, every worker reads the others' counts as they are, and what was
counted outlives a worker that is killed. A new worker goes on with the file of its seat, so that counters never fall.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

SECONDS = (0.0025, 0.005, *(0.01 * 2**n for n in range(14)))
"""Upper bounds of the buckets for seconds: OpenTelemetry's for generative AI (0.01 x 2^n to 81.92), and two below them."""


@dataclass(frozen=True)
class Known:
    """A metric: what kind it is, what it says, and its labels. Never a user, a key, a tenant or a prompt among them."""

    kind: str
    help: str
    labels: tuple[str, ...] = ()


ANSWER = ("deployment", "variant", "route")
READING = ("deployment", "monitor", "days", "about")
KNOWN: Mapping[str, Known] = {
    "rungwise_requests_total": Known(COUNTER, "Requests that were answered, refused ones included.", (*ANSWER, "status")),
    "rungwise_request_seconds": Known(HISTOGRAM, "Seconds from a request to the end of its answer.", ANSWER),
    "rungwise_first_token_seconds": Known(HISTOGRAM, "Seconds from a request to the first content of a streamed answer.", ANSWER),
    "rungwise_requests_in_flight": Known(GAUGE, "Requests that are being answered."),
    "rungwise_tokens_total": Known(COUNTER, "Tokens that answers took, as the engines count them.", (*ANSWER, "direction")),
    "rungwise_cost_total": Known(COUNTER, "Money that answers cost, by the price list.", (*ANSWER, "currency")),
    "rungwise_cached_answers_total": Known(COUNTER, "Answers that were given again without asking an engine.", ("deployment",)),
    "rungwise_untraced_answers_total": Known(COUNTER, "Answers that could not be written down as traces.", ("deployment",)),
    "rungwise_skipped_shadows_total": Known(COUNTER, "Answers without their shadow: all were busy.", ("deployment",)),
    "rungwise_engine_attempts_total": Known(COUNTER, "Calls of an engine.", ("deployment", "engine")),
    "rungwise_engine_failures_total": Known(COUNTER, "Calls of an engine that it failed.", ("deployment", "engine")),
    "rungwise_engine_seconds": Known(HISTOGRAM, "Seconds that a call of an engine took.", ("deployment", "engine")),
    "rungwise_engine_resting": Known(GAUGE, "Workers whose circuit breaker keeps this engine at rest.", ("deployment", "engine")),
    "rungwise_refused_by_guards_total": Known(COUNTER, "Requests and answers that a guard refused.", ("deployment",)),
    "rungwise_feedback_total": Known(COUNTER, "Judgements that came in.", ("deployment",)),
    "rungwise_exported_traces_total": Known(
        COUNTER, "Traces for the OpenTelemetry receiver, by what became of them.", ("deployment", "outcome")
    ),
    "rungwise_alerts_open": Known(GAUGE, "Alerts that stand.", ("deployment", "rule", "severity", "state")),
    "rungwise_reading_alarm": Known(GAUGE, "Whether a monitor says that something is wrong: 1 or 0.", READING),
    "rungwise_reading_value": Known(GAUGE, "What a monitor read on the last day that was looked at.", READING),
    "rungwise_looked_until_seconds": Known(GAUGE, "Until when production was looked at, since 1970.", ("deployment",)),
    "rungwise_worker_starts_total": Known(COUNTER, "Worker processes that were started, by the reason.", ("reason",)),
    "rungwise_worker_memory_bytes": Known(GAUGE, "Resident memory of a worker process.", ("worker",)),
    "rungwise_build_info": Known(GAUGE, "Always 1; the label tells the version of Rungwise.", ("version",)),
}

ENDING = ".metrics"
CAPACITY_BYTES = 4 * 1024 * 1024
"""Room for some ten thousand series; the file takes only what is used of it."""

_HEADER = struct.Struct("<QQ")  # bytes used, process id
_RECORD = struct.Struct("<II")  # bytes of the key, number of values

log = logging.getLogger(__name__)

Series = tuple[str, tuple[str, ...]]


class Count:
    """A number that is added to (a counter, a gauge) or set (a gauge)."""

    __slots__ = ("at", "values")

    def __init__(self, values: memoryview[float], at: int) -> None:
        self.values, self.at = values, at

    def add(self, amount: float = 1.0) -> None:
        """Add to it."""
        self.values[self.at] += amount

    def set(self, value: float) -> None:
        """Replace it."""
        self.values[self.at] = value


class Spread:
    """A histogram of seconds: how many were in each bucket, and their sum."""

    __slots__ = ("at", "values")

    def __init__(self, values: memoryview[float], at: int) -> None:
        self.values, self.at = values, at

    def see(self, seconds: float) -> None:
        """Count one."""
        values, at = self.values, self.at
        values[at + 1 + bisect_left(SECONDS, seconds)] += 1.0
        values[at] += seconds


class Metrics:
    """The counts of one process. Only its main thread may count."""

    def __init__(self, path: Path, mapped: mmap.mmap) -> None:
        self.path, self._map = path, mapped
        self._values = memoryview(mapped).cast("d")
        self._places: dict[Series, int] = {}
        self._lost = False

    @classmethod
    def open(cls, path: Path) -> Metrics:
        """Open or create the file of a seat. Counters go on where they were; gauges begin at 0."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b") as file:
            if os.fstat(file.fileno()).st_size < CAPACITY_BYTES:
                file.truncate(CAPACITY_BYTES)
            metrics = cls(path, mmap.mmap(file.fileno(), CAPACITY_BYTES))
        used, _ = _HEADER.unpack_from(metrics._map)
        _HEADER.pack_into(metrics._map, 0, max(used, _HEADER.size), os.getpid())
        for series, at, size in _records(metrics._map):
            metrics._places[series] = at // 8
            if KNOWN[series[0]].kind == GAUGE:
                metrics._values[at // 8 : at // 8 + size] = memoryview(bytes(8 * size)).cast("d")
        return metrics

    def count(self, name: str, *labels: str) -> Count:
        """The counter or gauge of this name with these values of its labels, in their order. Keep it: finding it costs more."""
        return Count(self._values, self._place(name, labels, 1))

    def spread(self, name: str, *labels: str) -> Spread:
        """The histogram of this name with these values of its labels."""
        return Spread(self._values, self._place(name, labels, len(SECONDS) + 2))

    def close(self) -> None:
        """Let go of the file; it stays for the next worker of the seat. Counting afterwards raises ValueError."""
        self._values.release()
        self._map.close()

    def _place(self, name: str, labels: tuple[str, ...], size: int) -> int:
        """Where the values are, in units of 8 bytes. When the file is full, what is counted is counted nowhere to be seen."""
        series = (name, labels)
        place = self._places.get(series)
        if place is not None:
            return place
        if len(labels) != len(KNOWN[name].labels):
            raise ValueError(f"{name} has the labels {', '.join(KNOWN[name].labels)}; {len(labels)} values were given")
        key = json.dumps(series).encode()
        key += b" " * (-len(key) % 8)
        used, process = _HEADER.unpack_from(self._map)
        end = used + _RECORD.size + len(key) + 8 * size
        if end > CAPACITY_BYTES - 8 * (len(SECONDS) + 2):
            if not self._lost:
                log.warning("too many series: the ones after these are not shown at /metrics")
            self._lost = True
            return CAPACITY_BYTES // 8 - len(SECONDS) - 2
        _RECORD.pack_into(self._map, used, len(key), size)
        at = used + _RECORD.size
        self._map[at : at + len(key)] = key
        self._places[series] = (at + len(key)) // 8
        _HEADER.pack_into(self._map, 0, end, process)  # last: a reader, or whoever opens it after a kill, sees whole records only
        return self._places[series]


class AnswerCounts:
    """What is counted of every answer of a deployment, in one call."""

    def __init__(self, metrics: Metrics, deployment: str) -> None:
        self._metrics, self._deployment = metrics, deployment
        self._counts: dict[tuple[str, str, int], Count] = {}
        self._costs: dict[tuple[str, str], tuple[Spread, Spread, Count, Count, Count]] = {}

    def answered(self, route: str, variant: str | None, status: int, seconds: float, first_token_s: float | None = None) -> None:
        """One request was answered or refused. `route` is the operation, one of a few."""
        name = variant or ""
        count = self._counts.get((route, name, status))
        if count is None:
            count = self._metrics.count("rungwise_requests_total", self._deployment, name, route, str(status))
            self._counts[route, name, status] = count
        count.add()
        spreads = self._measures(route, name)
        spreads[0].see(seconds)
        if first_token_s is not None:
            spreads[1].see(first_token_s)

    def used(self, route: str, variant: str | None, input_tokens: int, output_tokens: int, usd: float) -> None:
        """What one answer used."""
        _, _, read, written, cost = self._measures(route, variant or "")
        read.add(input_tokens)
        written.add(output_tokens)
        if usd:
            cost.add(usd)

    def _measures(self, route: str, variant: str) -> tuple[Spread, Spread, Count, Count, Count]:
        found = self._costs.get((route, variant))
        if found is None:
            labels = (self._deployment, variant, route)
            found = self._costs[route, variant] = (
                self._metrics.spread("rungwise_request_seconds", *labels),
                self._metrics.spread("rungwise_first_token_seconds", *labels),
                self._metrics.count("rungwise_tokens_total", *labels, "input"),
                self._metrics.count("rungwise_tokens_total", *labels, "output"),
                self._metrics.count("rungwise_cost_total", *labels, "USD"),
            )
        return found


def page(directory: Path, deployments: Collection[str] | None = None, more: Iterable[tuple[Series, list[float]]] = ()) -> bytes:
    """The counts of all workers that keep their files in a directory, in Prometheus' text format 0.0.4.

    `deployments` are those that may be seen, None for all; what belongs to no deployment is always seen. `more` are series that
    no worker counts.
    """
    totals: dict[str, dict[tuple[str, ...], list[float]]] = {}
    for (name, labels), values in more:
        totals.setdefault(name, {})[labels] = values
    for path in sorted(directory.glob(f"*{ENDING}")):
        for (name, labels), values in _read(path):
            if deployments is not None and "deployment" in KNOWN[name].labels and labels[0] not in deployments:
                continue
            known = totals.setdefault(name, {}).get(labels)
            totals[name][labels] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
    lines = [line for name in KNOWN if name in totals for line in _lines(name, totals[name])]
    return "".join(f"{line}\n" for line in lines).encode()


def resident_bytes(process: int) -> float | None:
    """Resident memory of a process; None where the system does not tell."""
    try:
        return float(int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, IndexError, ValueError):
        return None


def _read(path: Path) -> Iterator[tuple[Series, list[float]]]:
    """The series of one file; of a process that has ended no gauges."""
    data = path.read_bytes()
    if len(data) < _HEADER.size:
        return
    process = _HEADER.unpack_from(data)[1]
    memory = resident_bytes(process) if process else None
    alive = memory is not None or _lives(process)
    for series, at, size in _records(data):
        if alive or KNOWN[series[0]].kind != GAUGE:
            yield series, list(struct.unpack_from(f"<{size}d", data, at))
    if memory is not None and path.stem.startswith("worker-"):
        yield ("rungwise_worker_memory_bytes", (path.stem.removeprefix("worker-"),)), [memory]


def _records(data: bytes | mmap.mmap) -> Iterator[tuple[Series, int, int]]:
    """Each series with where its values begin, in bytes, and how many they are."""
    used, _ = _HEADER.unpack_from(data)
    at = _HEADER.size
    while at < used:
        key_bytes, size = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        name, labels = json.loads(data[at : at + key_bytes])
        at += key_bytes
        if name in KNOWN:
            yield (name, tuple(labels)), at, size
        at += 8 * size


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != 0


def _lines(name: str, series: Mapping[tuple[str, ...], Sequence[float]]) -> Iterator[str]:
    known = KNOWN[name]
    yield f"# HELP {name} {known.help}"
    yield f"# TYPE {name} {known.kind}"
    for labels, values in sorted(series.items()):
        pairs = [f'{label}="{_escaped(value)}"' for label, value in zip(known.labels, labels, strict=True)]
        if known.kind == HISTOGRAM:
            yield from _histogram(name, pairs, values)
        else:
            yield f"{name}{_braces(pairs)} {_number(values[0])}"


def _histogram(name: str, pairs: list[str], values: Sequence[float]) -> Iterator[str]:
    total = 0.0
    for bound, inside in zip((*(f"{one:g}" for one in SECONDS), "+Inf"), values[1:], strict=True):
        total += inside
        within = f'le="{bound}"'
        yield f"{name}_bucket{_braces([*pairs, within])} {_number(total)}"
    yield f"{name}_sum{_braces(pairs)} {_number(values[0])}"
    yield f"{name}_count{_braces(pairs)} {_number(total)}"


def _braces(pairs: Sequence[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
