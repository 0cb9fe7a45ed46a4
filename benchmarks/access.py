"""What it costs to know who asks, and to keep within limits: microseconds of CPU for a request.

Bearer keys and signatures against a project with 1,000 keys; the peer of the signature check is botocore's own signer, which does
the same sums once. Reservations with and without limits, the store's transactions included; lines of the audit log verified in a
second. Medians of five interleaved runs.
Run: python -m benchmarks.access
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rungwise.data.audit import Audit
from rungwise.data.dialect import write_first
from rungwise.data.keys import Keys, NewKey
from rungwise.data.master import MasterKey
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.serve.access import Access
from rungwise.serve.ask import Caller
from rungwise.serve.limits import Limits

KEYS, RUNS, TIMES, LINES = 1000, 5, 20_000, 50_000
BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "x" * 900}]}]}).encode()


def cpu_us(act: Callable[[], object], times: int) -> float:
    """Microseconds of CPU for one call."""
    began = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - began) / times * 1e6


def signed(made: NewKey) -> tuple[Callable[[], object], tuple[bytes, bytes, bytes, list[tuple[bytes, bytes]]]]:
    """botocore signing a request, and what it made of it."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    auth = SigV4Auth(Credentials(made.kept.id, made.key), "bedrock", "eu-central-1")
    url = "http://127.0.0.1:8000/model/support%3Afast/converse"

    def sign() -> AWSRequest:
        request = AWSRequest("POST", url, headers={"content-type": "application/json"}, data=BODY)
        auth.add_auth(request)
        return request

    request = sign()
    headers = [(b"host", b"127.0.0.1:8000"), *((k.lower().encode(), v.encode()) for k, v in request.headers.items())]
    return sign, (b"/model/support%3Afast/converse", b"", BODY, headers)


async def reserve(store: Store, limits: dict[str, float], at_once: int) -> float:
    """Microseconds of CPU for a reservation that is settled, with so many at once."""
    keeper = Limits(store, clock=store.clock)
    caller = Caller(key=f"k{at_once}", scopes=frozenset(), limits=limits)

    async def many() -> None:
        for _ in range(TIMES // at_once):
            if keeper.bind(caller):
                await (await keeper.reserve(caller, "ann", 500, 0.001)).settle(300, 0.0005)

    began = time.process_time()
    await asyncio.gather(*(many() for _ in range(at_once)))
    took = time.process_time() - began
    await keeper.close()
    return took / TIMES * 1e6


def audit_lines(store: Store) -> float:
    """Lines of an audit log that are verified in a second."""
    audit = Audit(store)
    with store.write() as connection:
        write_first(connection)
        for n in range(LINES):
            entry = audit.append(connection, "ann", "key.create", str(n), {"scopes": ["infer"], "tenant": "acme"})
    audit.publish(entry)
    began = time.perf_counter()
    found = audit.verify()
    assert found.problem is None
    return found.lines / (time.perf_counter() - began)


def measure(folder: Path) -> dict[str, float]:
    """Every figure."""
    store = Store.open(folder, clock=SystemClock())
    keys = Keys(store, MasterKey.open(folder, {}))
    made = [keys.create(["infer"], actor="benchmark") for _ in range(KEYS)][KEYS // 2]
    access, header = Access.load(store), f"Bearer {made.key}".encode()
    sign, (path, query, body, headers) = signed(made)
    now = time.time()
    acts: dict[str, tuple[Callable[[], object], int]] = {
        "bearer key": (lambda: access.by_bearer(header, "203.0.113.9"), TIMES),
        "sha-256 of the key alone": (lambda: hashlib.sha256(header[7:]).digest(), TIMES),
        "signature checked": (lambda: access.by_signature("POST", path, query, headers, body, now), TIMES // 10),
        "signature made by botocore": (sign, TIMES // 10),
    }
    four = {"requests_per_minute": 1e8, "tokens_per_minute": 1e9, "usd_per_day": 1e6, "usd_per_month": 1e7}
    taken: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for name, (act, times) in acts.items():
            taken.setdefault(name, []).append(cpu_us(act, times))
        taken.setdefault("reservation without limits", []).append(asyncio.run(reserve(store, {}, 16)))
        taken.setdefault("reservation of one limit", []).append(asyncio.run(reserve(store, {"requests_per_minute": 1e8}, 16)))
        taken.setdefault("reservation of four limits", []).append(asyncio.run(reserve(store, four, 16)))
    figures = {name: median(times) for name, times in taken.items()}
    figures["audit lines a second"] = audit_lines(store)
    store.close()
    return figures


def main() -> None:
    """Print the table and a JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    for name, value in figures.items():
        print(f"{name:<28} {value:>12,.2f}{' us' if 'second' not in name else ''}")
    print(json.dumps({name.replace(" ", "_"): round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
