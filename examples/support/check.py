#!/usr/bin/env python3
"""Validate the support example data and print its counts.

Run it from anywhere: ``python check.py``. It needs the standard library only,
prints one line per violation and exits with status 1 if there is any.
``python check.py --write`` also rewrites the table of counts in README.md.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parent
TICKET_COLUMNS = ["id", "message", "intent", "channel", "language_level"]
QUESTION_KEYS = ["id", "question", "answer", "passage_id", "passage"]
CHANNELS = {"chat", "email", "app"}
LEVELS = {"native", "learner"}
OUT_OF_SCOPE = "out_of_scope"
START, END = "<!-- counts: start -->", "<!-- counts: end -->"
TABLE_COLUMNS = 3


def words(text: str) -> int:
    """Return the number of whitespace-separated words."""
    return len(text.split())


def normalized(text: str) -> str:
    """Return the text in the form in which duplicates are compared."""
    return re.sub(r"\W+", " ", text.casefold()).strip() or text


def repeated(values: list[str]) -> list[str]:
    """Return the values that occur more than once."""
    return [value for value, count in Counter(values).items() if count > 1]


def read_labels() -> dict[str, str]:
    """Read labels.yaml; its layout is fixed, so no YAML library is needed."""
    text = (HERE / "labels.yaml").read_text(encoding="utf-8")
    return dict(re.findall(r'^  (\w+): "(.+)"$', text, flags=re.MULTILINE))


def read_articles() -> dict[str, str]:
    """Read all help-centre articles, keyed by file stem."""
    paths = sorted((HERE / "articles").glob("*.md"))
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def read_tickets() -> list[dict[str, str]]:
    """Read tickets.csv."""
    with (HERE / "tickets.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def read_questions() -> list[dict[str, str]]:
    """Read questions.jsonl."""
    text = (HERE / "questions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def check_labels(labels: dict[str, str]) -> list[str]:
    """Check the number of intents and that each has one sentence."""
    problems = []
    if OUT_OF_SCOPE not in labels or not 24 <= len(labels) - 1 <= 28:
        problems.append(f"labels.yaml: {len(labels)} intents, or no {OUT_OF_SCOPE}")
    problems += [
        f"labels.yaml: {name}: not one sentence" for name, text in labels.items() if not text.endswith(".") or ". " in text
    ]
    return problems


def check_articles(articles: dict[str, str]) -> list[str]:
    """Check the number, names, titles and lengths of the articles."""
    problems = []
    if len(articles) < 42:
        problems.append(f"articles: only {len(articles)}")
    for stem, text in articles.items():
        if not re.fullmatch(r"\d\d-[a-z0-9-]+", stem):
            problems.append(f"articles: {stem}: bad file name")
        if not text.startswith("# ") or "\n## " not in text:
            problems.append(f"articles: {stem}: no title or no section")
        if not 120 <= words(text) <= 350:
            problems.append(f"articles: {stem}: {words(text)} words")
    return problems


def check_ticket_file() -> list[str]:
    """Check the header and the line ends of tickets.csv."""
    raw = (HERE / "tickets.csv").read_bytes()
    problems = []
    if b"\r" in raw or not raw.endswith(b"\n"):
        problems.append("tickets.csv: line ends must be LF")
    if raw.split(b"\n", 1)[0].decode("utf-8").split(",") != TICKET_COLUMNS:
        problems.append("tickets.csv: wrong columns")
    return problems


def check_ticket(row: dict[str, str], labels: dict[str, str]) -> list[str]:
    """Check the fields of one ticket."""
    problems = []
    if row["intent"] not in labels:
        problems.append(f"unknown intent {row['intent']!r}")
    if row["channel"] not in CHANNELS:
        problems.append(f"unknown channel {row['channel']!r}")
    if row["language_level"] not in LEVELS:
        problems.append(f"unknown language level {row['language_level']!r}")
    shortest = 1 if row["intent"] == OUT_OF_SCOPE else 2
    if not shortest <= words(row["message"]) <= 60:
        problems.append(f"{words(row['message'])} words")
    return [f"tickets.csv: {row['id']}: {problem}" for problem in problems]


def check_tickets(rows: list[dict[str, str]], labels: dict[str, str]) -> list[str]:
    """Check all tickets, their number, shares, order and uniqueness."""
    problems = [text for row in rows for text in check_ticket(row, labels)]
    intents = [row["intent"] for row in rows]
    learners = sum(row["language_level"] == "learner" for row in rows)
    if len(rows) < 1600:
        problems.append(f"tickets.csv: only {len(rows)} rows")
    if intents.count(OUT_OF_SCOPE) < 0.08 * len(rows):
        problems.append(f"tickets.csv: less than 8 % {OUT_OF_SCOPE}")
    if not 0.2 <= learners / max(len(rows), 1) <= 0.3:
        problems.append(f"tickets.csv: {learners} learner rows")
    if sum(a == b for a, b in pairwise(intents)) > len(rows) / 5:
        problems.append("tickets.csv: rows are not shuffled")
    for name in sorted(set(labels) - set(intents)):
        problems.append(f"tickets.csv: no row for {name}")
    for value in repeated([row["id"] for row in rows]):
        problems.append(f"tickets.csv: id {value} repeated")
    for value in repeated([normalized(row["message"]) for row in rows]):
        problems.append(f"tickets.csv: message repeated: {value!r}")
    return problems


def check_question(row: dict[str, str], articles: dict[str, str]) -> list[str]:
    """Check the fields of one question and that its spans are verbatim."""
    if list(row) != QUESTION_KEYS:
        return [f"questions.jsonl: wrong keys {list(row)}"]
    problems = []
    if not 3 <= words(row["answer"]) <= 20:
        problems.append(f"answer has {words(row['answer'])} words")
    if not 40 <= words(row["passage"]) <= 150:
        problems.append(f"passage has {words(row['passage'])} words")
    if row["answer"] not in row["passage"]:
        problems.append("answer is not in the passage")
    if row["passage"] not in articles.get(row["passage_id"], ""):
        problems.append(f"passage is not in article {row['passage_id']}")
    return [f"questions.jsonl: {row['id']}: {problem}" for problem in problems]


def check_questions(rows: list[dict[str, str]], articles: dict[str, str]) -> list[str]:
    """Check all questions, their number, coverage and uniqueness."""
    problems = [text for row in rows for text in check_question(row, articles)]
    if len(rows) < 170:
        problems.append(f"questions.jsonl: only {len(rows)} rows")
    for stem in sorted(set(articles) - {row.get("passage_id", "") for row in rows}):
        problems.append(f"questions.jsonl: no question for article {stem}")
    for key in ("id", "question"):
        for value in repeated([normalized(row.get(key, "")) for row in rows]):
            problems.append(f"questions.jsonl: {key} repeated: {value!r}")
    return problems


def check_preferences(tickets: dict[str, str], articles: dict[str, str]) -> list[str]:
    """Check that steps stand in their articles, and that every pair has two answers and a ticket that no other pair has."""
    steps = json.loads((HERE / "steps.json").read_text(encoding="utf-8"))
    problems = [
        f"steps.json: {intent}: not in {one['article']}"
        for intent, one in steps.items()
        if one["step"] not in articles.get(one["article"], "")
    ]
    rows = [json.loads(line) for line in (HERE / "preferences.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        known = tickets.get(row["ticket"]) == row["prompt"]
        if not known or not row["chosen"] or not row["rejected"] or row["chosen"] == row["rejected"]:
            problems.append(f"preferences.jsonl: {row['id']}: not a pair on a ticket")
    for key in ("id", "ticket"):
        for value in repeated([row[key] for row in rows]):
            problems.append(f"preferences.jsonl: {key} repeated: {value!r}")
    return problems


def counts_table(rows: list[dict[str, str]]) -> str:
    """Return the counts per intent as a Markdown table, largest first."""
    counts = Counter(row["intent"] for row in rows)
    cells = [f"{name} | {n}" for name, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))]
    height = -(-len(cells) // TABLE_COLUMNS)
    lines = ["| intent | rows " * TABLE_COLUMNS + "|", "|---|--:" * TABLE_COLUMNS + "|"]
    for i in range(height):
        line = [*cells[i::height], *[" | "] * TABLE_COLUMNS][:TABLE_COLUMNS]
        lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines)


def check_readme(table: str, write: bool) -> list[str]:
    """Check, or rewrite, the table of counts in README.md."""
    path = HERE / "README.md"
    text = path.read_text(encoding="utf-8")
    if START not in text or END not in text:
        return ["README.md: the marks around the table of counts are missing"]
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    wanted = f"{before}{START}\n{table}\n{END}{after}"
    if write:
        path.write_text(wanted, encoding="utf-8", newline="\n")
    elif wanted != text:
        return ["README.md: the table of counts is out of date (run with --write)"]
    return []


def main(arguments: list[str]) -> int:
    """Run every check, print the counts and return the exit status."""
    labels, articles = read_labels(), read_articles()
    tickets, questions = read_tickets(), read_questions()
    table = counts_table(tickets)
    problems = [
        *check_labels(labels),
        *check_articles(articles),
        *check_ticket_file(),
        *check_tickets(tickets, labels),
        *check_questions(questions, articles),
        *check_preferences({row["id"]: row["message"] for row in tickets}, articles),
        *check_readme(table, "--write" in arguments),
    ]
    print(f"articles: {len(articles)}, questions: {len(questions)}, tickets: {len(tickets)}")
    for column in ("channel", "language_level"):
        counts = Counter(row[column] for row in tickets)
        print(f"{column}: {', '.join(f'{k} {v}' for k, v in counts.most_common())}")
    print(table)
    for problem in problems:
        print(f"VIOLATION {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
