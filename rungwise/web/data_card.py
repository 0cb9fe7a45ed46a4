"""The data card as one HTML page: figures, pictures and what to type next."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, replace

from markupsafe import Markup

from rungwise.data.versions.card import Card, Lengths, ValueCard, by_count
from rungwise.web import bars
from rungwise.web import data_words as told
from rungwise.web.page import render_page

SHOWN, ALL = 25, 40
"""Of a list of more than 40 entries the first 25 are shown, the others folded away."""


@dataclass(frozen=True, kw_only=True)
class BarRow:
    """One entry of a list: its name, its rows, their share of all, and the bar beside them."""

    name: str
    rows: int
    share: str
    bar: Markup


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A list with bars, and the entries that are folded away."""

    title: str
    heading: str
    rows: tuple[BarRow, ...]
    folded: tuple[BarRow, ...] = ()
    unit: str = "Rows"
    note: str = ""


def render_data_card(card: Card, project: str) -> str:
    """The card as one HTML page that opens from disk. Equal cards give equal bytes."""
    context = {
        "card": card,
        "project": project,
        "told": told,
        "rungwise": importlib.metadata.version("rungwise"),
        "charts": [_chart("characters", card.characters), _chart("words", card.words)] if card.rows else [],
        "lists": [one for one in (_languages(card), _splits(card), _groups(card), _labels(card)) if one is not None],
        "aside": _aside(card),
        "pii": _pii(card),
        "rules": told.rules_at_work(card),
        "commands": told.next_commands(card, project),
    }
    return render_page("data_card.html.jinja2", ("report.css", "data_card.css"), context)


def _chart(unit: str, lengths: Lengths) -> tuple[str, Markup]:
    """The histogram of a length, with its title."""
    median = lengths.quantiles["0.5"]
    title = f"{unit.capitalize()} a text"
    said = f"{title}: median {median:,}, from {lengths.least:,} to {lengths.most:,}"
    drawing = bars.histogram(lengths.edges, lengths.counts, title=said, x_label=unit, mark=median, mark_label=f"median {median:,}")
    return title, drawing


def _bars(counts: Mapping[str, int], *, total: int, title: str, heading: str, kind: str = "plain", note: str = "") -> Bars:
    """A list with a bar for each entry, the longest one for the most frequent."""
    entries = by_count(counts)
    most = entries[0][1] if entries else 1
    rows = tuple(
        BarRow(name=name, rows=rows, share=told.share(rows, total), bar=bars.bar(rows / most, kind=kind)) for name, rows in entries
    )
    shown = len(rows) if len(rows) <= ALL else SHOWN
    return Bars(title=title, heading=heading, rows=rows[:shown], folded=rows[shown:], note=note)


def _languages(card: Card) -> Bars | None:
    if not card.languages:
        return None
    named = {"not sure" if code == told.UNSURE else code: rows for code, rows in card.languages.items()}
    note = "Codes of ISO 639-1. Texts that tell too little, such as numbers or a single name, count as not sure."
    return _bars(named, total=card.rows, title="Languages", heading="Language", note=note)


def _labels(card: Card) -> Bars | None:
    values = card.labels
    if values is None or values.more:
        return None
    return _bars(values.counts, total=card.rows, title="Labels", heading=values.column, note=_note(values))


def _groups(card: Card) -> Bars | None:
    values = card.groups
    if values is None:
        return None
    return _bars(values.counts, total=card.rows, title="Groups", heading=values.column, note=_note(values))


def _note(values: ValueCard) -> str:
    note = told.labels_sentence(values, most=0) if values.more else ""
    if values.imbalance is not None and values.distinct > 1:
        note = f"The most frequent label has {values.imbalance:.1f} times the rows of the rarest."
    if values.distinct > len(values.counts):
        note += f" The {len(values.counts)} most frequent of {values.distinct:,} are listed."
    if values.missing:
        note += f" {values.missing:,} rows have none."
    return note.strip()


def _splits(card: Card) -> Bars | None:
    if not card.splits:
        return None
    named = {name or "(not given)": rows for name, rows in card.splits.items()}
    note = "As a climb will draw them." if card.splits_drawn else ""
    return _bars(named, total=card.rows, title="Splits", heading="Split", note=note)


def _aside(card: Card) -> Bars | None:
    if not card.quarantined:
        return None
    named = {told.reason_words(reason): rows for reason, rows in card.quarantined.items()}
    total = sum(named.values())
    return _bars(named, total=total, title="Set aside, by reason", heading="Reason", kind="aside")


def _pii(card: Card) -> Bars | None:
    if card.pii is None or not card.pii.types:
        return None
    total = sum(card.pii.types.values())
    listed = _bars(card.pii.types, total=total, title="Personal data, by type", heading="Type", kind="aside")
    return replace(listed, unit="Times")
