"""The gateways that `gateway` and `streaming` measure: Rungwise and its peers, each a process tree pinned to one core.

Each is started in the set-up that is fastest for it: LiteLLM with LITELLM_MODE=PRODUCTION, no callbacks, no spend and no error
logs, its prices from the package and the OpenTelemetry it looks for installed; MLflow's gateway with one worker; SGLang's router
without retries and logs. All have httptools and compiled bytecode. Rungwise runs with everything on: a key, two variants in a
release, a guard on input and output, prices, and a trace with its content committed to disk before the answer ends.

The peers live in environments of their own under `GATEWAY_PEERS` (else in the folder of temporary files, gateway-peers):
    python -m venv P/litellm; P/litellm/bin/pip install --compile 'litellm[proxy]' opentelemetry-sdk httptools uvloop
    python -m venv P/mlflow; P/mlflow/bin/pip install --compile 'mlflow[gateway]' httptools uvloop
    python -m venv P/sglang; P/sglang/bin/pip install --compile sglang-router
What is not there is left out, with a line that says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from benchmarks.load import Target, check
from benchmarks.upstream_server import MODEL
from rungwise.project import STATE

PEERS = Path(os.environ.get("GATEWAY_PEERS") or Path(tempfile.gettempdir()) / "gateway-peers")
GATEWAY_CORE, LOAD_CORE = 0, (os.cpu_count() or 1) - 1
DIRECT, OURS, ASKED = "no gateway", "Rungwise", "Rungwise, question guarded"
LITELLM, MLFLOW, SGLANG = "LiteLLM", "MLflow gateway", "sglang-router"
DISTRIBUTIONS = {LITELLM: ("litellm", "litellm"), MLFLOW: ("mlflow", "mlflow"), SGLANG: ("sglang", "sglang-router")}
ENGINES = ("first", "second")
BOTH = ("input", "output")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


Starter: TypeAlias = Callable[[str, Path], AbstractContextManager["System"]]
"""Starts a system before an upstream, in a folder; it answers until the block ends."""


@dataclass(frozen=True, kw_only=True)
class System:
    """A gateway that runs: where it answers, whole and streamed, and the process at the root of its tree."""

    name: str
    version: str
    target: Target
    root: int | None

    def cpu_s(self) -> float:
        """CPU seconds that the tree has used, in user and kernel mode, children that have ended included."""
        if self.root is None:
            return 0.0
        return sum(sum(map(int, _stat(pid)[11:15])) for pid in tree(self.root)) * TICK_S

    def memory_mb(self) -> float:
        """The tree's proportional share of memory."""
        if self.root is None:
            return 0.0
        return sum(_pss_kb(pid) for pid in tree(self.root)) / 1024


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; nothing used where the process has just ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ["Z", "0", *["0"] * 20]


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {int(path.name): int(_stat(int(path.name))[1]) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pin(core: int) -> None:
    """Keep this process, and what it starts, on one core."""
    os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def process(
    command: Sequence[str], *, core: int, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on one core in a session of its own, with what it prints in `log`; ended with all its children at the end."""
    with log.open("wb") as out:
        started = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=log.parent,
            start_new_session=True,
            preexec_fn=lambda: pin(core),
        )
        try:
            yield started
        finally:
            family = tree(started.pid)
            started.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(10)
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            started.wait()


def wait_for(target: Target, running: subprocess.Popen[bytes], log: Path, *, seconds: float = 120.0) -> None:
    """Until `target` gives the right answer. Raises RuntimeError with the end of the log when it does not."""
    until, why = time.monotonic() + seconds, ""
    while time.monotonic() < until and running.poll() is None:
        try:
            check(target, stream=False)
            check(target, stream=True)
            return
        except (OSError, AssertionError, ValueError) as error:
            why = str(error)
            time.sleep(0.3)
    raise RuntimeError(f"{' '.join(map(str, running.args))[:200]} did not answer: {why}\n{log.read_text(errors='replace')[-3000:]}")  # type: ignore[arg-type]


@contextlib.contextmanager
def upstream(directory: Path) -> Iterator[str]:
    """The fixed upstream on the core of the load; its base URL."""
    port, log = free_port(), directory / "upstream.log"
    command = [sys.executable, "-m", "benchmarks.upstream_server", "--port", str(port)]
    root = str(Path(__file__).resolve().parents[1])
    with process(command, core=LOAD_CORE, log=log, env={"PYTHONPATH": root}) as running:
        wait_for(Target(url=f"http://127.0.0.1:{port}/v1/chat/completions"), running, log, seconds=20)
        yield f"http://127.0.0.1:{port}"


def peer_version(name: str) -> str | None:
    """The version of a peer that is installed, None where it is not."""
    folder, distribution = DISTRIBUTIONS[name]
    python = PEERS / folder / "bin" / "python"
    if not python.exists():
        return None
    code = f"import importlib.metadata as m; print(m.version('{distribution}'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


@contextlib.contextmanager
def litellm(upstream_url: str, directory: Path) -> Iterator[System]:
    """LiteLLM's proxy with one worker and a key."""
    port, config, log = free_port(), directory / "litellm.yaml", directory / "litellm.log"
    model = {"model": f"openai/{MODEL}", "api_base": f"{upstream_url}/v1", "api_key": "sk-upstream"}
    settings = {
        "model_list": [{"model_name": MODEL, "litellm_params": model}],
        "general_settings": {"master_key": "sk-bench", "disable_spend_logs": True, "disable_error_logs": True},
        "litellm_settings": {"callbacks": [], "telemetry": False},
    }
    config.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    env = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_DOCS": "True"}
    command = [str(PEERS / "litellm/bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with process([*command, "--num_workers", "1"], core=GATEWAY_CORE, log=log, env=env) as running:
        target = Target(url=f"http://127.0.0.1:{port}/v1/chat/completions", key="sk-bench")
        wait_for(target, running, log)
        yield System(name=LITELLM, version=peer_version(LITELLM) or "", target=target, root=running.pid)


@contextlib.contextmanager
def mlflow(upstream_url: str, directory: Path) -> Iterator[System]:
    """MLflow's gateway with one worker; it has no keys and keeps no traces."""
    port, config, log = free_port(), directory / "mlflow.yaml", directory / "mlflow.log"
    provider = {"openai_api_key": "sk-upstream", "openai_api_base": f"{upstream_url}/v1"}
    model = {"provider": "openai", "name": MODEL, "config": provider}
    endpoint = {"name": MODEL, "endpoint_type": "llm/v1/chat", "model": model}
    config.write_text(json.dumps({"endpoints": [endpoint]}), encoding="utf-8")
    command = [str(PEERS / "mlflow/bin/mlflow"), "gateway", "start", "--config-path", str(config), "--host", "127.0.0.1"]
    with process([*command, "--port", str(port), "--workers", "1"], core=GATEWAY_CORE, log=log) as running:
        target = Target(url=f"http://127.0.0.1:{port}/v1/chat/completions")
        wait_for(target, running, log)
        yield System(name=MLFLOW, version=peer_version(MLFLOW) or "", target=target, root=running.pid)


@contextlib.contextmanager
def sglang(upstream_url: str, directory: Path) -> Iterator[System]:
    """SGLang's router: it passes requests on, without keys, prices or traces."""
    port, log = free_port(), directory / "sglang.log"
    command = [str(PEERS / "sglang/bin/python"), "-m", "sglang_router.launch_router", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--worker-urls", upstream_url, "--policy", "round_robin", "--disable-retries", "--disable-circuit-breaker"]
    command += ["--log-level", "error", "--prometheus-port", str(free_port()), "--max-concurrent-requests", "4096"]
    with process(command, core=GATEWAY_CORE, log=log) as running:
        target = Target(url=f"http://127.0.0.1:{port}/v1/chat/completions")
        wait_for(target, running, log)
        yield System(name=SGLANG, version=peer_version(SGLANG) or "", target=target, root=running.pid)


@contextlib.contextmanager
def direct(upstream_url: str, directory: Path) -> Iterator[System]:
    """Nothing between the load and the upstream: what the harness itself can do."""
    yield System(name=DIRECT, version="", target=Target(url=f"{upstream_url}/v1/chat/completions"), root=None)


def make_project(directory: Path, upstream_url: str, *, guarded: tuple[str, ...]) -> str:
    """A project whose live release shares its traffic between two engines; the secret key that opens it."""
    from rungwise.data.keys import INFER, Keys
    from rungwise.data.master import MasterKey
    from rungwise.data.store import Store
    from rungwise.engines.clock import SystemClock
    from rungwise.project.releases import ProjectReleases
    from rungwise.release.plan import Wishes

    directory.mkdir()
    prices = {"usd_per_m_input": 0.15, "usd_per_m_output": 0.6}
    endpoints = [{"name": name, "base_url": f"{upstream_url}/v1", "model": MODEL, "concurrency": 512, **prices} for name in ENGINES]
    words = ["ignore all previous instructions", "system prompt", "jailbreak", "credit card number", "project nightingale"]
    guard = {"guard": "phrases", "where": list(guarded), "settings": {"words": words}}
    case = {"name": "bench", "task": "answer", "endpoints": endpoints, "serve": {"capture": "full", "guards": [guard]}}
    (directory / "rungwise.yaml").write_text(json.dumps(case), encoding="utf-8")  # JSON is YAML
    state, clock = directory / STATE, SystemClock()
    wishes = Wishes(relays=ENGINES, traffic=dict.fromkeys(ENGINES, 0.5))
    done = ProjectReleases(directory, clock, state).release(wishes, approved_by="benchmark", despite="the upstream is fixed")
    assert done.passed, done.gates
    store = Store.open(state, clock=clock)
    try:
        return Keys(store, MasterKey.open(state)).create(scopes=(INFER,), actor="benchmark").key
    finally:
        store.close()


@contextlib.contextmanager
def rungwise(upstream_url: str, directory: Path, *, name: str = OURS, guarded: tuple[str, ...] = BOTH) -> Iterator[System]:
    """`rungwise serve` with one worker and everything on."""
    from importlib.metadata import version

    port, place = free_port(), directory / name.replace(", ", "-").replace(" ", "-")
    key, log = make_project(place, upstream_url, guarded=guarded), directory / f"{place.name}.log"
    command = [str(Path(sys.executable).with_name("rungwise")), "serve", str(place), "--port", str(port), "--workers", "1"]
    with process(command, core=GATEWAY_CORE, log=log) as running:
        target = Target(url=f"http://127.0.0.1:{port}/v1/chat/completions", model="bench", key=key)
        wait_for(target, running, log)
        yield System(name=name, version=version("rungwise"), target=target, root=running.pid)


STARTERS: Mapping[str, Starter] = {
    DIRECT: direct,
    OURS: rungwise,
    ASKED: partial(rungwise, name=ASKED, guarded=("input",)),
    SGLANG: sglang,
    MLFLOW: mlflow,
    LITELLM: litellm,
}


@contextlib.contextmanager
def start_all(names: Sequence[str], upstream_url: str, directory: Path) -> Iterator[list[System]]:
    """Those of the named systems that can be started, each ready to answer. Raises KeyError for a name that none has."""
    with contextlib.ExitStack() as stack:
        systems = []
        for name in names:
            start = STARTERS[name]
            if name in DISTRIBUTIONS and peer_version(name) is None:
                print(f"left out: {name} is not installed under {PEERS / DISTRIBUTIONS[name][0]}")
                continue
            systems.append(stack.enter_context(start(upstream_url, directory)))
        yield systems
