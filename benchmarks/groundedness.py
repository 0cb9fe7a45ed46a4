"""Checks of groundedness on real sentences with one fact changed and on rewordings, beside two baselines.

Corruptions and rewordings are rule-made (`benchmarks/corruptions.py`, `benchmarks/paraphrases.py`, both older than the checks);
the figures are those of the held-out sources, whose errors were not looked at. `verbatim only` calls wrong what does not stand
word for word in the passages; `length only` calls wrong what differs in words from its source sentence by more than a share
chosen, with the sources open to study, for at most 2 % false alarms: so it shows what length alone gives away. Intervals are 95 %
by Wilson. Then: rewordings whose sentence is taken away, and claims that people wrote, SciFact's, against the abstracts that
support or contradict them: a claim sums up in its own words, which checks word by word cannot follow ('a fact is wrong' leaves out
those that share too few words with the source).

    python -m benchmarks.groundedness           the held-out part
    python -m benchmarks.groundedness --open    the part that may be looked at
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.corruptions import Case, cases
from benchmarks.grounded_sentences import DATA
from benchmarks.publish import machine
from rungwise.evaluate.groundedness import is_grounded, supported

Suspect = Callable[[Case], bool]
WRONG = ("number", "unit", "date", "entity", "negation")


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval. Source: E. B. Wilson, JASA 22 (1927)."""
    if not n:
        return 0.0, 1.0
    z, p = 1.959964, hits / n
    centre, shrink = p + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - half) / shrink), min(1.0, (centre + half) / shrink)


def by_checks(case: Case) -> bool:
    """Whether the checks find anything."""
    return not is_grounded(case.statement, case.passages).grounded


def by_verbatim(case: Case) -> bool:
    """Whether the statement stands nowhere in the passages."""
    return not any(case.statement in passage for passage in case.passages)


def length_off(case: Case) -> float:
    """How far the statement's length in words is from that of its source sentence, as a share."""
    source = len(case.original.split())
    return abs(len(case.statement.split()) - source) / source


def unsupported(found: Sequence[Case]) -> dict[str, tuple[int, int]]:
    """Rewordings beside passages that lack their sentence: another document alone, and their own without the sentence."""
    chosen = [case for case in found if case.kind == "paraphrase" and case.way not in ("fused",)][::3]
    other = [not is_grounded(case.statement, [one for one in case.passages if one != case.source.text]).grounded for case in chosen]
    own = [not is_grounded(case.statement, [case.source.text.replace(case.original, "")]).grounded for case in chosen]
    return {
        "rewording, another document": (sum(other), len(other)),
        "rewording, own document less its sentence": (sum(own), len(own)),
    }


def by_length(open_cases: Sequence[Case]) -> Suspect:
    """Length with the threshold that calls at most 2 % of the open rewordings wrong."""
    off = sorted(length_off(case) for case in open_cases if case.kind == "paraphrase")
    threshold = off[min(len(off) - 1, math.ceil(0.98 * len(off)))]
    return lambda case: length_off(case) > threshold


def measure(found: Sequence[Case], suspects: dict[str, Suspect]) -> dict[str, dict[str, tuple[int, int]]]:
    """How many were called wrong, of how many: by suspect, then by kind and by 'kind: way'."""
    counted: dict[str, dict[str, tuple[int, int]]] = {}
    for name, suspect in suspects.items():
        groups: dict[str, list[bool]] = defaultdict(list)
        for case in found:
            called = suspect(case)
            groups[case.kind].append(called)
            groups[f"{case.kind}: {case.way}"].append(called)
            if case.kind in WRONG:
                groups["all corruptions"].append(called)
        counted[name] = {group: (sum(called), len(called)) for group, called in groups.items()}
    return counted


def _line(group: str, counts: Sequence[tuple[int, int]]) -> str:
    hits, n = counts[0]
    low, high = wilson(hits, n)
    rest = "".join(f"{100 * other / total:>12.1f}" for other, total in counts[1:])
    return f"{group:<44}{n:>6}{100 * hits / max(1, n):>8.1f}  [{100 * low:5.1f}, {100 * high:5.1f}]{rest}"


def _lines(name: str) -> list[dict[str, Any]]:
    path = DATA / name
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def claims() -> dict[str, tuple[int, int]]:
    """SciFact claims with evidence: how many are called wrong, against the whole abstract and against the evidence sentences."""
    abstracts = {row["doc_id"]: row["abstract"] for row in _lines("scifact/corpus.jsonl.gz")}
    counted: dict[str, list[bool]] = defaultdict(list)
    for row in _lines("scifact/claims_train.jsonl.gz"):
        sentences = abstracts.get(row["evidence_doc_id"])
        if sentences and row["evidence_label"]:
            for name, text in (
                ("abstract", " ".join(sentences)),
                ("evidence sentences", " ".join(sentences[place] for place in row["evidence_sentences"])),
            ):
                result = is_grounded(row["claim"], (text,))
                counted[f"{row['evidence_label']}, {name}"].append(not result.grounded)
                facts = [one for one in result.findings if one.kind in WRONG]
                counted[f"{row['evidence_label']}, {name}, a fact is wrong"].append(bool(facts))
    return {name: (sum(called), len(called)) for name, called in sorted(counted.items())}


def speed(found: Sequence[Case]) -> dict[str, float]:
    """Microseconds of `supported`: a passage seen for the first time, and one that was seen before."""
    chosen = found[:: max(1, len(found) // 400)]
    first, again = [], []
    for number, case in enumerate(chosen):
        passage = f"{case.source.text} ({number}.)"
        for times, sentence in ((first, case.statement), (again, f"{case.statement} ")):
            started = time.perf_counter()
            supported(sentence, passage)
            times.append(1e6 * (time.perf_counter() - started))
    return {
        "first_us": statistics.median(first),
        "again_us": statistics.median(again),
        "passage_characters": statistics.median(len(case.source.text) for case in chosen),
    }


def main() -> None:
    """Print both tables, the speed, and one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--open", action="store_true")
    held_out = not parser.parse_args().open
    found = cases(held_out=held_out)
    suspects = {"checks": by_checks, "verbatim only": by_verbatim, "length only": by_length(cases(held_out=False))}
    counted = measure(found, suspects)
    print(f"{machine()}; {'held-out' if held_out else 'open'} sources; called wrong, in percent")
    print(f"{'':<44}{'cases':>6}{'checks':>8}  {'95 %':<14}{'verbatim':>14}{'length':>12}")
    ordered = ["all corruptions", *WRONG, "paraphrase", "verbatim"]
    for group in [*ordered, *sorted(one for one in counted["checks"] if ":" in one and not one.startswith("verbatim"))]:
        print(_line(group, [counted[name][group] for name in suspects]))
    lacking = unsupported(found)
    print("\nThe sentence is not in the passages, called wrong, in percent")
    for name, (hits, n) in lacking.items():
        print(_line(name, [(hits, n)]))
    print("\nClaims written by people (SciFact), called wrong, in percent")
    human = claims()
    for name, (hits, n) in human.items():
        print(_line(name, [(hits, n)]))
    took = speed(found)
    print(
        f"\nOne sentence against one passage of {took['passage_characters']:.0f} characters (median): "
        f"{took['first_us']:.0f} us, {took['again_us']:.0f} us when the passage was seen before"
    )
    print(
        json.dumps(
            {
                "benchmark": "groundedness",
                "held_out": held_out,
                "called_wrong": counted,
                "unsupported": lacking,
                "claims": human,
                "speed": took,
            }
        )
    )


if __name__ == "__main__":
    main()
