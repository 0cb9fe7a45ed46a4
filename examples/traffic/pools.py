"""Texts with their right labels, from which simulated users draw what they ask."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.watch.traffic import Names

HERE = Path(__file__).resolve().parent
TICKETS = HERE.parent / "support" / "tickets.csv"
PORTUGUESE = HERE / "portuguese.csv"
SHARED = HERE.parents[2] / "shared" / "data"
"""Public data sets beside the repository, where they are present."""

FEW_INTENTS = (
    "track_order",
    "return_item",
    "invoice_request",
    "login_problem",
    "payment_failed",
    "cancel_subscription",
    "app_problem",
    "delivery_damaged",
)
"""A small world: what a few hundred rows can teach."""
FEW_FRESH = ("loyalty_points", "warranty_repair")
"""What is new in it when intents drift."""
FRESH_INTENTS = ("loyalty_points", "product_availability", "warranty_repair", "promo_code_problem")


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool:
    """n texts as columns (n,). `group` and `channel` are those that the text was written in, None where there is none.

    `fresh` are the labels that nobody asks about until a drift brings them. `foreign` gives texts of another language by their
    label. `group_tag` and `label_field` are how the group and the label are called in a table.
    """

    name: str
    text: Names
    label: Names
    group: Names
    channel: Names
    fresh: tuple[str, ...] = ()
    foreign: Mapping[str, Sequence[str]] = field(default_factory=dict)
    group_tag: str | None = None
    text_field: str = "message"
    label_field: str = "intent"

    def only(self, labels: Sequence[str], *, fresh: Sequence[str] = ()) -> Pool:
        """The texts of these labels alone, of which some are fresh: a smaller world that is learned from fewer rows."""
        which = np.isin(self.label.astype(str), [*labels, *fresh])
        columns = {name: getattr(self, name)[which] for name in ("text", "label", "group", "channel")}
        return replace(self, **columns, fresh=tuple(fresh))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels that people ask about from the first day on, in order."""
        return tuple(sorted(set(self.label) - set(self.fresh)))

    @cached_property
    def groups(self) -> tuple[str | None, ...]:
        """The groups, in order."""
        return tuple(sorted(set(self.group), key=str))

    @cached_property
    def past(self) -> NDArray[np.bool_]:
        """(n,) the half of the texts that stand in the history; the other half is asked live, so that no row is known already."""
        return np.array([zlib.crc32(text.encode()) % 2 == 0 for text in self.text], np.bool_)

    @cached_property
    def live(self) -> Mapping[tuple[str, str | None], NDArray[np.int64]]:
        """Positions of the texts that are asked live, by label and group; of the label alone where a group has none."""
        return self._places(~self.past)

    @cached_property
    def before(self) -> Mapping[tuple[str, str | None], NDArray[np.int64]]:
        """Positions of the texts that stand in the history, the same way."""
        return self._places(self.past)

    def _places(self, which: NDArray[np.bool_]) -> Mapping[tuple[str, str | None], NDArray[np.int64]]:
        found: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        whole: dict[str, list[int]] = defaultdict(list)
        for n in np.flatnonzero(which):
            found[self.label[n], self.group[n]].append(int(n))
            whole[self.label[n]].append(int(n))
        return {
            (label, one): np.array(found.get((label, one)) or of, np.int64) for label, of in whole.items() for one in self.groups
        }


def pool_of(name: str, rows: Iterable[tuple[str, str, str | None, str | None]], **more: object) -> Pool:
    """A pool of rows (text, label, group, channel), each text once."""
    once = {text: (text, label, group, channel) for text, label, group, channel in rows}
    columns = [names(column) for column in zip(*once.values(), strict=True)]
    text, label, group, channel = columns
    return Pool(name=name, text=text, label=label, group=group, channel=channel, **more)  # type: ignore[arg-type]


@cache
def support_pool() -> Pool:
    """The support tickets of this repository: 27 intents, learners and native speakers, three channels."""
    with TICKETS.open(encoding="utf-8", newline="") as lines:
        rows = [(row["message"], row["intent"], row["language_level"], row["channel"]) for row in csv.DictReader(lines)]
    foreign: dict[str, list[str]] = defaultdict(list)
    with PORTUGUESE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            foreign[row["intent"]].append(row["message"])
    return pool_of("support", rows, fresh=FRESH_INTENTS, foreign=foreign, group_tag="language_level")


@cache
def clinc_pool() -> Pool:
    """CLINC150: short requests to an assistant, by their ten domains. Raises FileNotFoundError where the data is absent."""
    rows = [(one["text"], one["domain"], None, None) for name in ("train", "validation") for one in _lines(f"clinc150/{name}")]
    return pool_of("clinc150", rows, fresh=("work", "meta"), text_field="text", label_field="domain")


@cache
def dialogue_pool() -> Pool:
    """SGD: what users say to booking agents, by the service. Raises FileNotFoundError where the data is absent."""
    rows = []
    for one in _lines("sgd_dialogues/train_sample"):
        for turn in one["turns"]:
            if turn["speaker"] == "USER" and turn["frames"]:
                rows.append((turn["text"], turn["frames"][0]["service"].split("_")[0], None, None))
    return pool_of("sgd", rows, fresh=("Hotels", "Movies"), text_field="text", label_field="service")


@cache
def speech_pool() -> Pool:
    """Paragraphs of dated speeches, by periods of twenty years: those of 1980 on are new. Raises FileNotFoundError as above."""
    rows = []
    for one in _lines("dated_speeches/speeches"):
        label = f"{one['year'] // 20 * 20}"
        parts = [" ".join(part.split()) for part in one["text"].split("\n")]
        rows += [(part[:600], label, None, None) for part in parts if len(part) >= 60]
    return pool_of("speeches", rows, fresh=("1980",), text_field="text", label_field="period")


def _lines(name: str) -> Iterable[dict[str, Any]]:
    with gzip.open(SHARED / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def names(values: Sequence[object]) -> Names:
    """A column of names, (n,)."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
