#!/usr/bin/env python3
"""Write preferences.jsonl: to 350 + 150 tickets, an answer that is liked and one that is not, by a rule that is said here.

    python preferences.py            (renews preferences.jsonl)
    python preferences.py OUT.jsonl  (writes what agents answered to the other tickets: rows of prompt and answer)

Needs the standard library only; the same rows every time. The liked answer thanks, names the step that the article of the
ticket's intent names (steps.json, word for word as in the article) and closes politely. The other one, in turn: names the
step and nothing more (curt), is polite and names another intent's step (wrong), or is polite and names none (vague).
The rule is a stand-in for people's judgement, which it is not. Rows with the split "held_out" are never learned from.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LEARNED, HELD_OUT = 350, 150
SEED = 20_261_122

THANKS = ("Thank you for your message.", "Thanks for writing to us.")
CLOSING = "Kind regards, Huxlow Home"
OFFERS = ("Please write again if anything is unclear.", "We are glad to help.")
VAGUE = ("Please have a look at our help centre.", "A colleague will look into it.")
CURT, WRONG, VAGUE_STYLE, LIKED = "curt", "wrong", "vague", "liked"
HABITS = (CURT, CURT, LIKED)
"""What agents used to answer: two in three curt, one as it is liked."""

Row = dict[str, str]


def steps() -> dict[str, dict[str, str]]:
    """The article and the step of every intent."""
    found: dict[str, dict[str, str]] = json.loads((HERE / "steps.json").read_text(encoding="utf-8"))
    return found


def tickets() -> list[Row]:
    """The tickets of the twelve intents that have a step, shuffled with a fixed seed."""
    with (HERE / "tickets.csv").open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["intent"] in steps()]
    random.Random(SEED).shuffle(rows)
    return rows


def answer(intent: str, style: str, rng: random.Random) -> str:
    """An answer to a ticket of this intent, in a style."""
    known = steps()
    own = rng.choice([one for one in known if one != intent]) if style == WRONG else intent
    step = f"{known[own]['step']}."
    if style == CURT:
        return step
    middle = rng.choice(VAGUE) if style == VAGUE_STYLE else f"{step} {rng.choice(OFFERS)}"
    return f"{rng.choice(THANKS)} {middle} {CLOSING}"


def preferences() -> list[Row]:
    """The pairs, one for each of the first tickets."""
    rng, found = random.Random(SEED + 1), []
    for place, ticket in enumerate(tickets()[: LEARNED + HELD_OUT]):
        style = (CURT, WRONG, VAGUE_STYLE)[place % 3]
        row = {
            "id": f"P{place + 1:04}",
            "ticket": ticket["id"],
            "split": "learned" if place < LEARNED else "held_out",
            "prompt": ticket["message"],
            "chosen": answer(ticket["intent"], LIKED, rng),
            "rejected": answer(ticket["intent"], style, rng),
            "fault": style,
        }
        found.append(row)
    return found


def history() -> list[Row]:
    """What agents answered to all other tickets."""
    rng = random.Random(SEED + 2)
    return [
        {
            "id": f"A{place + 1:04}",
            "ticket": one["id"],
            "prompt": one["message"],
            "answer": answer(one["intent"], rng.choice(HABITS), rng),
        }
        for place, one in enumerate(tickets()[LEARNED + HELD_OUT :])
    ]


def write(path: Path, rows: list[Row]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{path.name}: {len(rows)} rows")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(Path(sys.argv[1]), history())
    else:
        write(HERE / "preferences.jsonl", preferences())
