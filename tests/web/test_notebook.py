"""In a notebook a decision is a small table without script."""

from __future__ import annotations

import dataclasses

from rungwise.core.decision import Decision
from rungwise.web.notebook import decision_html


def test_shows_verdict_ladder_and_savings(met: Decision) -> None:
    html = decision_html(met)
    assert "Met: the classical rung is shown to reach accuracy of at least 90 %." in html
    assert html.count("<tr") == 1 + len(met.rungs)
    assert "≥ 91.1 %" in html
    assert "That saved about 40 s" in html


def test_escapes_text_and_holds_no_script(met: Decision) -> None:
    rungs = tuple(dataclasses.replace(rung, rung='<script>"', why='" onmouseover="x') for rung in met.rungs)
    html = decision_html(dataclasses.replace(met, rungs=rungs, reason="<script>", chosen_rung="<script>"))
    assert "<script" not in html
    assert "&quot; onmouseover=&quot;x" in html


def test_takes_its_colours_from_the_notebook(met: Decision) -> None:
    html = decision_html(met)
    assert "background:none" in html
    assert "background:#" not in html
