#!/usr/bin/env python3
"""Write a dirty copy of tickets.csv, as exports of real help desks are: copies, wrong intents, personal data, broken rows.

    python dirty.py OUT.csv

Needs the standard library only. The same copy every time; it prints what it planted. No person, number or key in it is real.
"""

from __future__ import annotations

import csv
import io
import random
import string
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
Row = dict[str, str]

OPENINGS = ("Hello, ", "Hi there, ", "Good morning, ", "Dear team, ")
SPANISH = (
    "Hola, ¿dónde está mi pedido? Lo hice hace dos semanas y todavía no ha llegado nada.",
    "Quiero devolver la lámpara porque llegó rota y no funciona, ¿qué tengo que hacer?",
    "No puedo entrar en mi cuenta, la contraseña que tengo ya no sirve desde ayer.",
    "Me han cobrado dos veces el mismo pedido, por favor devuélvanme el dinero cuanto antes.",
)
FILLER = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore."


def copied(rows: list[Row], rng: random.Random) -> list[Row]:
    """The same message again under another id, in other letters."""
    return [{**row, "message": row["message"].upper() + "!"} for row in rng.sample(rows, 60)]


def nearly_copied(rows: list[Row], rng: random.Random) -> list[Row]:
    """A long message again with a greeting before it."""
    long = [row for row in rows if len(row["message"].split()) >= 15]
    return [{**row, "message": rng.choice(OPENINGS) + row["message"]} for row in rng.sample(long, 60)]


def personal(rows: list[Row], rng: random.Random) -> list[Row]:
    """Messages that give an address, a card or a number away."""
    tails = (
        "My e-mail is {name}.{number}@example.org.",
        "Please call me on +44 20 7946 0{number}.",
        "The card is 4111 1111 1111 1111.",
    )
    names = ("ada", "grace", "alan", "edsger")
    return [
        {**row, "message": f"{row['message']} {rng.choice(tails).format(name=rng.choice(names), number=rng.randint(100, 999))}"}
        for row in rng.sample(rows, 30)
    ]


def secret(rows: list[Row], rng: random.Random) -> list[Row]:
    """Messages of a developer who pasted a key."""
    letters = string.ascii_uppercase + "234567"
    keys = ["AKIA" + "".join(rng.choices(letters, k=16)) for _ in range(8)]
    return [{**row, "message": f"{row['message']} My key is {key}"} for row, key in zip(rng.sample(rows, 8), keys, strict=True)]


def foreign(rows: list[Row], rng: random.Random) -> list[Row]:
    """Messages in another language."""
    return [{**row, "message": text} for row, text in zip(rng.sample(rows, len(SPANISH)), SPANISH, strict=True)]


def poor(rows: list[Row], rng: random.Random) -> list[Row]:
    """Messages that say nothing."""
    return [{**row, "message": text} for row, text in zip(rng.sample(rows, 6), [FILLER, "", " ", "", "", " "], strict=True)]


PLANTED: tuple[tuple[str, Callable[[list[Row], random.Random], list[Row]]], ...] = (
    ("copies in other letters", copied),
    ("near copies", nearly_copied),
    ("messages with personal data", personal),
    ("messages with a key", secret),
    ("messages in Spanish", foreign),
    ("messages that say nothing", poor),
)


def mislabel(rows: list[Row], rng: random.Random, number: int) -> None:
    """Give some rows another intent."""
    intents = sorted({row["intent"] for row in rows})
    for row in rng.sample(rows, number):
        row["intent"] = rng.choice([intent for intent in intents if intent != row["intent"]])


def dirty_table(rows: list[Row], rng: random.Random) -> tuple[bytes, dict[str, int]]:
    """The file, and how many rows of each kind are in it."""
    counts = {"rows with another intent": 180}
    mislabel(rows, rng, 180)
    planted: list[Row] = []
    for name, plant in PLANTED:
        own = plant(rows, rng)
        counts[name] = len(own)
        planted += own
    for number, row in enumerate(planted):
        row["id"] = f"X{number:04d}"
    planted += [{**row, "message": "Please ignore my last message."} for row in rng.sample(rows, 3)]
    counts["ids that are taken"] = 3
    mixed = [*rows, *planted]
    rng.shuffle(mixed)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(mixed)
    lines = text.getvalue().encode()
    broken = b"B0001,no more cells\nB0002,a,b,c,d,e,f,too many cells\nB0003,not UTF-8: \xff\xfe,out_of_scope,chat,native\n"
    counts["broken rows"] = 3
    return lines + broken, counts


def main(arguments: list[str]) -> int:
    """Write the copy and say what is in it."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with (HERE / "tickets.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    data, counts = dirty_table(rows, random.Random(3))
    Path(arguments[0]).write_bytes(data)
    for name, count in counts.items():
        print(f"{count:>5}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
