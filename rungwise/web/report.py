"""The one-file report: one HTML page that opens from disk, without network and without script."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from rungwise.core.decision import CANNOT_TELL, MET, NOT_MET, PROMISE, GroupVerdict, RungResult
from rungwise.core.evaluation import Estimate, Evaluation
from rungwise.core.record import short
from rungwise.data.versions.card import by_count
from rungwise.web import charts, mistakes, words
from rungwise.web.costs import VOLUMES, Cost, costs, crossings
from rungwise.web.page import render_page
from rungwise.web.value import money_section
from rungwise.web.view import ReportView

MOST_REASONS = 5  # for which rows were set aside that are named


@dataclass(frozen=True, kw_only=True)
class LadderRow:
    """One rung as the ladder table shows it; every figure is already words."""

    rung: str
    state: str
    state_words: str
    sign: str
    why: str
    chosen: bool
    recipe: str
    candidate: str
    quality: str
    interval: str
    whisker: Markup
    sealed: str
    p95: str
    price: str
    development: str
    calls: int


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """One group: how it does on dev, and the verdict of the sealed rows."""

    group: str
    dev_n: int | None
    dev: str
    verdict: str
    sealed_n: int | None


def render_report(view: ReportView) -> str:
    """The report as one HTML page. Equal views give equal bytes."""
    return render_page("report.html.jinja2", ("report.css", *(("value.css",) if view.money else ())), _context(view))


def _context(view: ReportView) -> dict[str, Any]:
    decision, metric = view.decision, view.decision.target.metric
    focus = _focus(view)
    rows = mistakes.answered(focus[1], view.examples, metric) if focus else ()
    single = view.use_case.task == "classify" and not view.use_case.multi_label
    table = mistakes.confusion(rows) if rows and single else None
    return {
        "view": view,
        "decision": decision,
        "generated": datetime.fromtimestamp(view.generated_at, UTC).strftime("%-d %B %Y, %H:%M UTC"),
        "promise": decision.promise or PROMISE.format(alpha=decision.alpha_total),
        "verdict_sign": words.STATE_SIGNS[decision.verdict],
        "ladder": _ladder(view),
        "charts": _charts(view),
        "points": [rung for rung in decision.rungs if rung.dev is not None],
        "focus": focus[0] if focus else None,
        "focus_n": len(rows),
        "confusion": table,
        "shades": _shades(table) if table else (),
        "worst": mistakes.worst(rows),
        "groups": _groups(view, rows),
        "row_metric": words.metric_name(mistakes.row_metric(focus[1], metric)) if focus else "",
        "costs": (table_of_costs := costs(decision, view.use_case, view.evaluations)),
        "volumes": VOLUMES,
        "cheapest": _cheapest_met(table_of_costs, view),
        "crossings": crossings(table_of_costs),
        "commands": _commands(view),
        "data_reasons": by_count(view.data.version.quarantined)[:MOST_REASONS] if view.data.version else [],
        "data_card": _data_card(view),
        "money": money_section(view.money) if view.money is not None else None,
    }


def _focus(view: ReportView) -> tuple[str, Evaluation] | None:
    """The rung whose mistakes are shown: the chosen one, else the best on dev that has its evaluation here."""
    decision = view.decision
    if decision.chosen_rung is not None and decision.chosen_rung in view.evaluations:
        return decision.chosen_rung, view.evaluations[decision.chosen_rung]
    at_hand = [(rung.dev.mean, rung.rung) for rung in decision.rungs if rung.dev is not None and rung.rung in view.evaluations]
    if not at_hand:
        return None
    best = max(at_hand, key=lambda pair: pair[0])[1]
    return best, view.evaluations[best]


def _ladder(view: ReportView) -> list[LadderRow]:
    decision = view.decision
    measured = [rung.dev for rung in decision.rungs if rung.dev is not None]
    span = charts.quality_range(measured, decision.target.value)
    return [_ladder_row(view, rung, span) for rung in decision.rungs]


def _ladder_row(view: ReportView, rung: RungResult, span: tuple[float, float]) -> LadderRow:
    target, dev = view.decision.target, rung.dev
    drawing = Markup("")
    if dev is not None:
        said = f"{words.quality(dev.mean, target.metric, n=dev.n)}, interval {words.interval(dev, target.metric)}, "
        said += f"target {words.target_value(target)}"
        drawing = charts.whisker(dev, target=target.value, span=span, state=rung.state, label=said)
    return LadderRow(
        rung=rung.rung,
        state=rung.state,
        state_words=words.STATE_WORDS[rung.state],
        sign=words.STATE_SIGNS[rung.state],
        why=rung.why,
        chosen=rung.rung == view.decision.chosen_rung,
        recipe=_recipe(view, rung),
        candidate=short(rung.candidate) if rung.candidate else "",
        quality=words.quality(dev.mean, target.metric, n=dev.n) if dev else words.NOTHING,
        interval=words.interval(dev, target.metric) if dev else "",
        whisker=drawing,
        sealed=words.sealed_bound(rung, target),
        p95=words.seconds(rung.p95_s),
        price=words.usd(rung.usd_per_1k),
        development=words.development(rung),
        calls=rung.calls,
    )


def _recipe(view: ReportView, rung: RungResult) -> str:
    """Who stood for the rung, in words: the model and its settings, and out of how many."""
    candidate = view.candidates.get(rung.candidate or "")
    parts = []
    if candidate is not None:
        settings = [f"{name} {value}" for name, value in sorted(candidate.options.items()) if isinstance(value, (str, int, float))]
        parts.append(words.shortened(", ".join([candidate.model, *settings]), 80))
    if rung.tried > 1:
        parts.append(f"of {rung.tried} tried")
    return ", ".join(parts)


def _charts(view: ReportView) -> list[tuple[str, Markup]]:
    """Quality against price and against latency, where at least one rung has both figures."""
    target = view.decision.target
    share = words.target_value(target).endswith("%")

    def write_y(value: float) -> str:
        return f"{value * 100:.4g} %" if share else f"{value:.4g}"

    y_label = f"{words.metric_name(target.metric)} on dev"
    measured = [(rung, rung.dev) for rung in view.decision.rungs if rung.dev is not None]
    prices = [_mark(rung, dev, rung.usd_per_1k) for rung, dev in measured if rung.usd_per_1k is not None]
    latencies = [_mark(rung, dev, rung.p95_s) for rung, dev in measured if rung.p95_s is not None]
    drawings = []
    for title, x_label, write_x, marks in (
        ("Quality against price", "US dollars per 1,000 answers", words.usd_tick, prices),
        ("Quality against latency", "p95 latency of one answer", words.seconds_tick, latencies),
    ):
        if marks:
            axis = charts.Axis(title=title, x_label=x_label, y_label=y_label, write_x=write_x, write_y=write_y)
            drawings.append((title, charts.scatter(marks, axis, target=target.value)))
    return drawings


def _mark(rung: RungResult, dev: Estimate, x: float) -> charts.Mark:
    return charts.Mark(name=rung.rung, x=x, quality=dev, state=rung.state)


def _shades(table: mistakes.Confusion) -> tuple[tuple[str, ...], ...]:
    """A class name for the shade of each cell: `hit-0..4` on the diagonal, `miss-0..4` beside it, by share of the row."""
    shades = []
    for number, (line, other) in enumerate(zip(table.cells, table.other, strict=True)):
        total = sum(line) + other or 1
        shades.append(tuple(_shade(cell / total, hit=number == column) for column, cell in enumerate(line)))
    return tuple(shades)


def _shade(share: float, *, hit: bool) -> str:
    steps = (0.0, 0.5, 0.75, 0.9) if hit else (0.0, 0.05, 0.15, 0.3)
    return f"{'hit' if hit else 'miss'}-{sum(share > step for step in steps)}"


def _groups(view: ReportView, rows: tuple[mistakes.Answered, ...]) -> list[GroupRow]:
    wanted = view.use_case.groups
    focus = _focus(view)
    if wanted is None or focus is None:
        return []
    metric = mistakes.row_metric(focus[1], view.decision.target.metric)
    dev = {score.group: score for score in mistakes.by_group(rows, wanted.field)}
    sealed: Mapping[str, GroupVerdict] = {
        verdict.group: verdict for rung in view.decision.rungs if rung.rung == focus[0] for verdict in rung.groups
    }
    return [
        GroupRow(
            group=group,
            dev_n=dev[group].n if group in dev else None,
            dev=words.quality(dev[group].mean, metric, n=dev[group].n) if group in dev else words.NOTHING,
            verdict=words.GROUP_WORDS.get(sealed[group].verdict, sealed[group].verdict) if group in sealed else words.NOTHING,
            sealed_n=sealed[group].n if group in sealed else None,
        )
        for group in sorted({*dev, *sealed})
    ]


def _cheapest_met(table: list[Cost], view: ReportView) -> list[str | None]:
    """For each volume, the rung with the lowest total among those shown to meet the target."""
    met = [cost for cost in table if cost.state == MET]
    return [min(met, key=lambda cost: cost.total_usd(volume)).rung if met else None for volume in VOLUMES]


def _data_card(view: ReportView) -> str:
    """The command that says all about the version of the data."""
    version = view.data.version
    return f"rungwise data card {shlex.quote(view.project)} --version {short(version.id)}" if version else ""


def _commands(view: ReportView) -> list[tuple[str, str]]:
    name = shlex.quote(view.project)
    listed = [(f"rungwise replay {name}", "recompute this decision from the stored scores; it must agree")]
    if view.decision.verdict == MET:
        listed.append((f'rungwise ask {name} "your text"', "let the chosen candidate answer"))
    if view.decision.verdict in (NOT_MET, CANNOT_TELL):
        listed.append(words.next_command(view.decision, view.project))
    return listed
