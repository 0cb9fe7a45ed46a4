"""The ladder in the terminal: each rung with its figures and its why, the sealed verdict, and what to type next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from rungwise.core.decision import CANNOT_TELL, FAILED, MET, NOT_INSTALLED, NOT_MET, NOT_RUN, OVER_LIMIT, Decision, RungResult
from rungwise.web import words

STYLES = {
    MET: "bold green",
    NOT_MET: "red",
    CANNOT_TELL: "yellow",
    OVER_LIMIT: "yellow",
    FAILED: "red",
    NOT_RUN: "dim",
    NOT_INSTALLED: "dim",
}
WIDE = 132  # columns from which the why stands beside the figures instead of under them
_LONGEST_NAME = 24
_HEADINGS = ("rung", "quality on dev", "sealed", "p95", "per 1,000", "development")
_GAP = 2
_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|h|d)(?!\w))")  # a figure is not torn from its unit,
_GLUE = "\ue000"  # so while lines are broken, this private character stands for the space
_SHORTEST_NAME = 8  # with less room for names, each rung becomes a paragraph
_ASCII = str.maketrans("✓✗•·○–…µ─≥≤\u00a0", "+x*-o-~u-><" + " ")  # one for one, so that columns stay aligned


@dataclass(frozen=True, kw_only=True)
class LadderTable:
    """A decision that rich can print at any width. Long or foreign text is cut and cleaned here, so that no row breaks its line."""

    decision: Decision
    project: str
    report: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines(_Wrap(console, options.max_width)):
            if options.ascii_only:
                plain = line.plain.replace("≥ ", ">=").replace("≤ ", "<=").translate(_ASCII)
                line.plain = plain.encode(options.encoding, "replace").decode(options.encoding)
            yield line

    def _lines(self, wrap: _Wrap) -> Iterator[Text]:
        decision = self.decision
        yield from wrap(f"{words.one_line(self.project)} · {words.target_short(decision.target)}", style="bold")
        yield Text()
        yield from _table(decision, wrap)
        yield Text()
        yield from wrap(words.verdict_sentence(decision), style=STYLES[decision.verdict])
        yield from wrap(words.meaning(decision))
        yield from wrap(words.openings_sentence(decision), style="dim")
        yield Text()
        yield from wrap(f"Why here: {words.stop_sentence(decision)}")
        yield from wrap(words.savings_sentence(decision))
        yield Text()
        if self.report is not None:
            yield _pair("report", words.one_line(self.report))
        command, what = map(words.one_line, words.next_command(decision, self.project))
        yield _pair("next", command, note=f"  {what}" if cell_len(command + what) + 10 < wrap.width else "")


@dataclass(frozen=True)
class _Wrap:
    """Breaks text into lines of at most `width` cells, and no wider than can be read with ease."""

    console: Console
    width: int

    def __call__(self, text: str | Text, *, indent: int = 0, style: str = "") -> list[Text]:
        whole = Text(words.one_line(text), style=style) if isinstance(text, str) else text
        whole.plain = _UNIT.sub(_GLUE, whole.plain)
        lines = whole.wrap(self.console, max(20, min(self.width, 100 + indent) - indent))
        for line in lines:
            line.plain = line.plain.replace(_GLUE, " ")
            line.rstrip()
        return [Text(" " * indent, no_wrap=True).append_text(line) for line in lines]


def ladder_table(decision: Decision, *, project: str, report: str | None = None) -> LadderTable:
    """What the terminal shows at the end of a climb. `report` is the path of the HTML report, if one was written."""
    return LadderTable(decision=decision, project=project, report=report)


def print_ladder(console: Console, decision: Decision, *, project: str, report: str | None = None) -> None:
    """Print it without cutting a long path or command at the edge of the terminal."""
    console.print(ladder_table(decision, project=project, report=report), crop=False, highlight=False)


def _table(decision: Decision, wrap: _Wrap) -> Iterator[Text]:
    """One line of figures per rung; its state and why stand under it, or beside it where the terminal is wide."""
    rows = [_figures(rung, decision) for rung in decision.rungs]
    sizes = [max(cell_len(row[column]) for row in [_HEADINGS, *rows]) for column in range(len(_HEADINGS))]
    spare = wrap.width - 2 - _GAP * (len(sizes) - 1) - sum(sizes[1:])
    if spare < _SHORTEST_NAME:
        yield from _paragraphs(decision, wrap)
        return
    sizes[0] = min(sizes[0], _LONGEST_NAME, spare)
    yield Text("  " + _aligned(_HEADINGS, sizes), style="dim", no_wrap=True)
    for rung, row in zip(decision.rungs, rows, strict=True):
        without_figures = all(figure == words.NOTHING for figure in row[1:])
        shown = _aligned(row[:1], sizes[:1]) if without_figures else _aligned(row, sizes)
        line = _sign(rung).append(shown, style=_row_style(rung, decision))
        if without_figures or wrap.width >= WIDE:
            yield from _beside(line, rung, wrap)
        else:
            yield line
            yield from wrap(_why(rung), indent=4)


def _sign(rung: RungResult) -> Text:
    return Text(no_wrap=True).append(words.STATE_SIGNS[rung.state] + " ", style=STYLES.get(rung.state, ""))


def _figures(rung: RungResult, decision: Decision) -> tuple[str, ...]:
    target, dev = decision.target, rung.dev
    return (
        words.one_line(rung.rung),
        f"{words.quality(dev.mean, target.metric, n=dev.n):>6} {words.interval(dev, target.metric)}" if dev else words.NOTHING,
        words.sealed_bound(rung, target),
        words.seconds(rung.p95_s),
        words.usd(rung.usd_per_1k),
        words.development(rung),
    )


def _aligned(cells: tuple[str, ...], sizes: list[int]) -> str:
    """Names and quality to the left, figures to the right; measured in terminal cells, since a letter may take two."""
    parts = []
    for column, (cell, size) in enumerate(zip(cells, sizes, strict=True)):
        if cell_len(cell) > size:  # only a name can be
            cell = set_cell_size(cell, size - 1).rstrip() + "…"
        space = " " * (size - cell_len(cell))
        parts.append(cell + space if column < 2 else space + cell)
    return (" " * _GAP).join(parts)


def _why(rung: RungResult) -> Text:
    """State, calls and why in one line of text."""
    calls = f" · {words.count(rung.calls, 'call')}" if rung.calls else ""
    text = Text(words.STATE_WORDS[rung.state], style=STYLES.get(rung.state, ""))
    return text.append(f"{calls} · {words.one_line(rung.why)}" if rung.why else calls, style="not bold dim")


def _beside(line: Text, rung: RungResult, wrap: _Wrap) -> Iterator[Text]:
    """The figures, and the why wrapped in a column of its own at their right."""
    indent = line.cell_len + _GAP
    first, *rest = wrap(_why(rung), indent=indent)
    yield line.append(" " * _GAP).append_text(first[indent:])
    yield from rest


def _paragraphs(decision: Decision, wrap: _Wrap) -> Iterator[Text]:
    """For narrow terminals: each rung as a name and its figures in running text."""
    for rung in decision.rungs:
        name = words.shortened(words.one_line(rung.rung), max(8, wrap.width - 2))
        yield _sign(rung).append(name, style=_row_style(rung, decision))
        figures = zip(_HEADINGS[1:], _figures(rung, decision)[1:], strict=True)
        shown = " · ".join(f"{heading} {figure.strip()}" for heading, figure in figures if figure != words.NOTHING)
        yield from wrap(shown, indent=4) if shown else ()
        yield from wrap(_why(rung), indent=4)


def _row_style(rung: RungResult, decision: Decision) -> str:
    if rung.rung == decision.chosen_rung:
        return "bold"
    return "dim" if rung.state in (NOT_RUN, NOT_INSTALLED) else ""


def _pair(name: str, value: str, *, note: str = "") -> Text:
    """A name and something to copy, which therefore is never broken by us."""
    text = Text(f"{name:<7}", style="dim", no_wrap=True, overflow="ignore")
    return text.append(value, style="bold not dim").append(note, style="dim")
