"""The data card in the terminal: plain lines when piped, a little weight on the names where a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from rungwise.core.record import short
from rungwise.data.versions.card import Card, Lengths, by_count
from rungwise.web import data_words as told
from rungwise.web.words import one_line, shortened

_NAME = 14  # columns of the names at the left
_MOST_REASONS = 12
_MOST_RULES = 12
_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class CardView:
    """A card that rich can print at any width."""

    card: Card
    project: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines(console, max(40, min(options.max_width, 120)), ascii_only=options.ascii_only):
            line.plain = line.plain.rstrip()
            yield line

    def _lines(self, console: Console, width: int, *, ascii_only: bool) -> Iterator[Text]:
        card = self.card
        yield Text(f"{one_line(self.project)}: {told.headline(card)}, version {short(card.dataset)} ({card.kind})", style="bold")
        yield from _wrapped(console, told.curation_sentence(card), width, indent=0)
        yield Text()
        for name, text in self._facts():
            first, *rest = _wrapped(console, text, width, indent=_NAME + 2)
            yield Text().append(f"{name:<{_NAME}}  ", style="dim").append_text(first[_NAME + 2 :])
            yield from rest
        yield Text()
        yield from _lengths(card, ascii_only=ascii_only)
        yield from _table("set aside", ("reason", "rows"), _reasons(card), width)
        yield from _table("quality rules, rows that each alone would set aside", _RULES, _rules(card), width)
        for note in card.notes:
            yield from _wrapped(console, f"note: {note}", width, indent=0)
        # Something to copy is never broken by us.
        yield Text(f"next  {told.next_commands(card, self.project)[0][0]}", no_wrap=True, overflow="ignore")

    def _facts(self) -> Iterator[tuple[str, str]]:
        card = self.card
        for number, source in enumerate(card.sources):
            yield "sources" if number == 0 else "", f"{one_line(source.location)}: {told.source_sentence(source)}"
        yield "languages", told.languages_sentence(card)
        if card.labels is not None:
            yield "labels", told.labels_sentence(card.labels)
        yield "splits", told.splits_sentence(card)
        if card.groups is not None:
            yield "groups", told.labels_sentence(card.groups)
        yield "same text", f"{card.repeated_texts:,} rows have a text that stands in an earlier row too"
        yield "duplicates", told.found_sentence(card.duplicates)
        if card.labels is not None:
            yield "wrong labels", told.found_sentence(card.wrong_labels)
        yield "leaks", told.found_sentence(card.leaks)
        yield "personal data", told.pii_sentence(card)
        if card.erased:
            yield "erased", f"{card.erased:,} rows"


def _wrapped(console: Console, text: str, width: int, *, indent: int) -> list[Text]:
    lines = Text(one_line(text)).wrap(console, max(20, width - indent))
    return [Text(" " * indent, no_wrap=True).append_text(line) for line in lines] or [Text(" " * indent)]


def _lengths(card: Card, *, ascii_only: bool) -> Iterator[Text]:
    rows = []
    for name, lengths in (("characters", card.characters), ("words", card.words)):
        if lengths.counts:
            figures = told.quantile_figures(lengths)
            rows.append((name, *(value for _, value in figures), f"{lengths.mean:,.1f}", _spark(lengths, ascii_only=ascii_only)))
    if rows:
        headings = ("a text", *(name for name, _ in told.quantile_figures(card.characters)), "mean", "")
        yield from _columns(headings, rows)
        yield Text()


def _spark(lengths: Lengths, *, ascii_only: bool) -> str:
    """The histogram as a line of blocks."""
    top = max(lengths.counts) or 1
    if ascii_only:
        return ""
    return "".join(_BLOCKS[min(7, count * 8 // top)] if count else " " for count in lengths.counts)


def _reasons(card: Card) -> list[tuple[str, ...]]:
    entries = by_count(card.quarantined)
    rows = [(told.reason_words(one_line(reason)), f"{rows:,}") for reason, rows in entries[:_MOST_REASONS]]
    more = entries[_MOST_REASONS:]
    return [*rows, *([(f"{len(more)} more", f"{sum(rows for _, rows in more):,}")] if more else [])]


_RULES = ("rule", "as published", "calibrated", "made for")


def _rules(card: Card) -> list[tuple[str, ...]]:
    return [
        (rule.code, f"{rule.published_fails:,}", f"{rule.fails:,}", f"{rule.rows:,}")
        for rule in told.rules_at_work(card)[:_MOST_RULES]
    ]


def _table(title: str, headings: Sequence[str], rows: list[tuple[str, ...]], width: int) -> Iterator[Text]:
    if not rows:
        return
    yield Text(title, style="dim")
    yield from _columns(("  " + headings[0], *headings[1:]), [("  " + row[0], *row[1:]) for row in rows], most=width // 2)
    yield Text()


def _columns(headings: Sequence[str], rows: Sequence[Sequence[str]], *, most: int = 60) -> Iterator[Text]:
    """Names to the left, figures to the right."""
    rows = [(shortened(row[0], most), *row[1:]) for row in rows]
    sizes = [max(cell_len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    for number, row in enumerate([headings, *rows]):
        cells = [
            cell + " " * (size - cell_len(cell)) if column == 0 else " " * (size - cell_len(cell)) + cell
            for column, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ]
        yield Text("  ".join(cells), style="dim" if number == 0 else "", no_wrap=True, overflow="ignore")
