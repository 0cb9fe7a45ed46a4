"""The files that feedback becomes: rows, and pairs of answers, as JSONL."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.dataset import TRAIN, Example
from rungwise.core.errors import BadData
from rungwise.curate.shingles import normalise
from rungwise.data.blobs import write_durably
from rungwise.data.splits import DRAWN, FRESH_SHARES, FROM_TRACE, RANDOM, draw_split, unit_of

MOST_UNNAMED = 0.05
"""The share of wrong answers without a label up to which reviewed rows may prove something: at an error rate of 20 % it flatters
a candidate by at most one point."""
UNNAMED = "it waits for the labels of answers that were called wrong: rungwise review"

if TYPE_CHECKING:
    from rungwise.watch.harvest import Pair, Row


def row_line(row: Row, *, salt: str = "", standing: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """A row as it is written. It is for training: people judge what went wrong, so that it would be no fair measure.

    A row whose answers were all drawn by chance is a fair one: `salt` draws its split, half of such rows being sealed. `standing`
    are the rows made before, by what `normalise` gives of their text: a question keeps the part that it had, so that none that
    was learned from is ever sealed.
    """
    first = row.traces[0]
    line = {"id": first, "text": row.text, "label": row.reference, "split": TRAIN, FROM_TRACE: first}
    before = (standing or {}).get(normalise(row.text))
    if before is not None:
        kept = {"split": before.get("split") or TRAIN}
        return {**line, **kept, DRAWN: RANDOM} if before.get(DRAWN) == RANDOM else line
    if not row.random:
        return line
    return {**line, "split": draw_split(unit_of(Example(text=row.text)), salt, FRESH_SHARES), DRAWN: RANDOM}


def fair_lines(
    lines: Sequence[dict[str, Any]], *, standing: Mapping[str, Mapping[str, Any]], unnamed: float
) -> list[dict[str, Any]]:
    """The lines without those that would be proof, where too many wrong answers wait for their labels: what is left of a random
    sample without its hard questions is no fair one. Rows that stand already stay, and none is learned from meanwhile."""
    if unnamed <= MOST_UNNAMED:
        return list(lines)
    return [line for line in lines if line["split"] == TRAIN or normalise(line["text"]) in standing]


def pair_line(pair: Pair) -> dict[str, Any]:
    """A pair in the conversational form that preference trainers read: prompt, chosen and rejected are lists of messages."""
    return {
        "prompt": list(pair.messages),
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
        "traces": list(pair.traces),
    }


def earlier_rows(path: Path, lines: Sequence[Mapping[str, Any]], gone: Collection[str]) -> list[dict[str, Any]]:
    """The rows that a file holds of these traces, which are gone, so that they cannot be made again.

    A question that stands in the new `lines` is not among them. Raises BadData where the file is none of ours.
    """
    found = written_rows(path)
    texts = {line["text"] for line in lines}
    return [one for one in found if one[FROM_TRACE] in gone and one.get("text") not in texts]


def written_rows(path: Path) -> list[dict[str, Any]]:
    """The rows that a file of ours holds; none where there is no file. Raises BadData where the file is none of ours."""
    if not path.is_file():
        return []
    try:
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except ValueError as error:
        raise BadData(f"it is not JSONL ({error}).", where=str(path), hint="Choose another --output") from error
    if not all(isinstance(one, dict) and FROM_TRACE in one for one in found):
        raise BadData("it was not made from feedback.", where=str(path), hint="Choose another --output")
    return found


def write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write JSONL as a whole or not at all; no file is made for nothing."""
    if lines or path.exists():
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        write_durably(path, text.encode("utf-8", "surrogatepass"))
