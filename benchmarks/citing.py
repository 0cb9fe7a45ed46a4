"""What becomes of an answer's statements and citations when they are verified; prints a table and a JSON line.

Statements are real sentences of the held-out sources of `benchmarks/corruptions.py`: word for word, reworded, or with one fact
changed, made before the checks. Each is an answer of one sentence that cites its passage among four in one of the ways in which
models get it right or wrong. `kept` is the share that stays in the answer (of changed ones that is an error), `right` the share of
citations that name the document of the original sentence, `sentence` the share that quote that sentence, `verbatim` the share
whose quote is exactly what stands at its place.
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from benchmarks.corruptions import Case, cases
from benchmarks.publish import machine
from rungwise.core.content import Passage, Response, Text
from rungwise.inference.grounding import Citing, ground

SAMPLED, SEED = 1_500, 7
WAYS = {
    "[n]": lambda own, rng: f" [{own}].",
    "after the stop": lambda own, rng: f". [{own}]",
    "with another": lambda own, rng: f" [{own}][{rng.choice([n for n in range(1, 5) if n != own])}].",
    "(passage n)": lambda own, rng: f" (passage {own}).",
    "not closed": lambda own, rng: f" [{own}",
    "[1-4]": lambda own, rng: " [1-4].",
    "missing": lambda own, rng: ".",
    "of none": lambda own, rng: " [9].",
    "of another": lambda own, rng: f" [{rng.choice([n for n in range(1, 5) if n != own])}].",
}
"""How the statement's passage `own` of four is cited."""


def answer_of(case: Case, foreign: Sequence[str], marker: Any, rng: random.Random) -> tuple[Response, list[Passage], int]:
    """The written answer, its four passages, and the number of the right one."""
    texts = [*case.passages, *foreign]
    rng.shuffle(texts)
    passages = [Passage(f"{text}", f"{number}", 11, 11 + len(text)) for number, text in enumerate(texts, 1)]
    own = 1 + texts.index(case.source.text)
    written = case.statement.rstrip(".") + marker(own, rng)
    return Response(written, (Text(written),)), passages, own


def measure(how: Citing, set_of: Sequence[Case]) -> dict[tuple[str, str], dict[str, float]]:
    """Counts by way of citing and by what was done to the statement."""
    rng = random.Random(SEED)
    counts: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for number, case in enumerate(set_of):
        name = list(WAYS)[number % len(WAYS)]
        foreign = [other.source.text for other in rng.sample(set_of, 8) if other.source.text not in case.passages][:2]
        written, passages, own = answer_of(case, foreign, WAYS[name], rng)
        begin = time.perf_counter()
        found = ground(written, passages, how)
        seconds = time.perf_counter() - begin
        group = case.kind if case.kind in ("verbatim", "paraphrase") else "changed"
        original = passages[own - 1].text.find(case.original) + 11
        for key in ((name, group), ("any", group)):
            line = counts[key]
            line["n"] += 1
            line["kept"] += bool(found.text)
            line["seconds"] += seconds
            for one in found.citations:
                text = passages[int(one.document) - 1].text
                line["citations"] += 1
                line["right"] += one.document == str(own)
                line["sentence"] += one.document == str(own) and one.start < original + len(case.original) and original < one.end
                line["verbatim"] += text[one.start - 11 : one.end - 11] == one.quote != ""
    return counts


def main() -> None:
    """With repair of wrong citations and without."""
    every = cases(held_out=True)
    set_of = random.Random(SEED).sample(every, min(SAMPLED, len(every)))
    lines: list[dict[str, Any]] = []
    for name, how in (("repaired", Citing()), ("as cited", Citing(repair=False))):
        for (way, group), line in sorted(measure(how, set_of).items()):
            cited = max(1.0, line["citations"])
            shares = {key: line[key] / cited for key in ("right", "sentence", "verbatim")}
            told = {"n": int(line["n"]), "kept": line["kept"] / line["n"], "citations": int(line["citations"]), **shares}
            lines.append({"citations_are": name, "way": way, "statement": group, **told, "ms": 1_000 * line["seconds"] / line["n"]})
    print(f"{machine()}; {len(set_of)} statements of {len(every)}, four passages each")
    for line in (line for line in lines if line["citations_are"] == "repaired" or line["way"] == "any"):
        print("  ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in line.items()))
    print(json.dumps({"benchmark": "citing", "results": lines}))


if __name__ == "__main__":
    main()
