"""How a decision shows itself in a notebook: a compact table, without script and in the notebook's own colours."""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape

from rungwise.core.dataset import DEV, SEALED
from rungwise.core.decision import Decision, RungResult
from rungwise.core.progress import Progress
from rungwise.web import words

_SIGN_COLOURS = {"met": "#2b8a63", "not_met": "#c0503f", "failed": "#c0503f", "cannot_tell": "#b07a12", "over_limit": "#b07a12"}
_CELL = "padding:3px 14px 3px 0;border:0;vertical-align:baseline;white-space:nowrap;background:none"
_LEFT, _RIGHT = f"{_CELL};text-align:left", f"{_CELL};text-align:right"
_STEP_WORDS = {"rung": "next", "fit": "fitting", DEV: "measuring on dev", SEALED: "answering the sealed rows"}
_HEADINGS = (
    ("rung", _LEFT),
    ("quality on dev", _LEFT),
    ("sealed", _RIGHT),
    ("p95", _RIGHT),
    ("per 1,000", _RIGHT),
    ("development", _RIGHT),
    ("state", _LEFT),
)


def decision_html(decision: Decision) -> str:
    """The ladder as an HTML fragment for `_repr_html_`. Colours are inherited, so that dark notebooks stay dark."""
    head = "".join(f'<th scope="col" style="{style};font-weight:500;opacity:.7">{name}</th>' for name, style in _HEADINGS)
    body = "".join(_row(rung, decision) for rung in decision.rungs)
    return words.printable(
        '<div style="font-family:system-ui,sans-serif;line-height:1.45">'
        f'<p style="margin:0 0 6px"><strong>{_text(words.verdict_sentence(decision))}</strong></p>'
        '<table style="color:inherit;border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;margin:0">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f'<p style="margin:6px 0 0;font-size:13px;opacity:.8">{_text(words.stop_sentence(decision))} '
        f"{_text(words.savings_sentence(decision))}</p></div>"
    )


def _row(rung: RungResult, decision: Decision) -> str:
    target, dev = decision.target, rung.dev
    quality = f"{words.quality(dev.mean, target.metric, n=dev.n)} {words.interval(dev, target.metric)}" if dev else words.NOTHING
    colour = _SIGN_COLOURS.get(rung.state, "inherit")
    weight = 600 if rung.rung == decision.chosen_rung else 400
    sign = f'<span aria-hidden="true" style="color:{colour}">{words.STATE_SIGNS[rung.state]}</span> '
    figures = (
        (quality, _LEFT),
        (words.sealed_bound(rung, target), _RIGHT),
        (words.seconds(rung.p95_s), _RIGHT),
        (words.usd(rung.usd_per_1k), _RIGHT),
        (words.development(rung), _RIGHT),
        (
            f"{words.STATE_WORDS[rung.state]} · {rung.why}" if rung.why else words.STATE_WORDS[rung.state],
            f"{_LEFT};white-space:normal",
        ),
    )
    cells = "".join(f'<td style="{style}">{_text(figure)}</td>' for figure, style in figures)
    name = f'<th scope="row" style="{_LEFT};font-weight:{weight}">{sign}{_text(rung.rung)}</th>'
    return f'<tr style="background:none">{name}{cells}</tr>'


def _text(text: str) -> str:
    return escape(text)


def notebook_progress() -> Callable[[Progress], None]:
    """A listener that keeps one line of a notebook's output up to date; outside a notebook it says nothing."""
    shell = sys.modules.get("IPython")
    if shell is None or shell.get_ipython() is None:
        return lambda event: None
    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)

    def listen(event: Progress) -> None:
        handle.update(HTML(f'<span style="font-family:system-ui;font-size:13px;opacity:.8">{_text(progress_line(event))}</span>'))

    return listen


def progress_line(event: Progress) -> str:
    """One piece of news in words."""
    doing = words.STATE_WORDS.get(event.step, _STEP_WORDS.get(event.step, event.step))
    count = f" {event.done:,} of {event.total:,}" if event.total and event.step in (DEV, SEALED) else ""
    left = f", about {words.seconds(event.eta_s)} left" if event.eta_s else ""
    return f"{words.one_line(event.rung)}: {doing}{count}{left}"
