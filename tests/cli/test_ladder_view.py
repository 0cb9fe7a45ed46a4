"""The ladder fits its terminal, stays aligned, and says what was found, what was not run and what to type next."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from rungwise.cli.ladder_view import print_ladder
from rungwise.core.decision import Decision, Opening, RungResult, Spend
from rungwise.core.evaluation import Estimate
from rungwise.core.usecase import Target

RUNGS = (
    RungResult(
        rung="floor",
        state="not_met",
        why="even the upper bound on dev, 0.108, is below 0.9",
        dev=Estimate(mean=0.083, low=0.0632, high=0.1079, n=600),
        p95_s=0.00002,
        usd_per_1k=0.0,
        fit_s=0.01,
    ),
    RungResult(
        rung="classical",
        state="met",
        why="shown on 1000 sealed rows: accuracy is at least 0.9114",
        dev=Estimate(mean=0.94, low=0.9182, high=0.9564, n=600),
        test=Opening(k=1, alpha=0.0304, low=0.91149, high=0.94777, n=1000),
        p95_s=0.0012,
        usd_per_1k=0.0042,
        fit_s=12.4,
    ),
    RungResult(
        rung="acme-model-of-2026-with-a-very-long-name",
        state="over_limit",
        why="4.2 USD per 1,000 answers is over the limit of 1",
        dev=Estimate(mean=0.95, low=0.929, high=0.9645, n=600),
        p95_s=1.9,
        usd_per_1k=4.2,
        fit_s=0.0,
        calls=1200,
        usd=2.52,
    ),
    RungResult(rung="few-shot", state="not_run", why="a cheaper rung meets the target"),
    RungResult(rung="head", state="not_installed", why="it needs an optional package. Run: pip install 'rungwise[local]'"),
)
DECISION = Decision(
    use_case="u" * 64,
    dataset="d" * 64,
    target=Target(metric="accuracy", value=0.9),
    verdict="met",
    control="exact",
    reason="classical is the cheapest rung that is shown to meet accuracy=0.9",
    ladder=tuple(rung.rung for rung in RUNGS),
    rungs=RUNGS,
    alpha_total=0.05,
    alpha_spent_before=0.0,
    alpha_spent=0.0304,
    chosen_rung="classical",
    chosen="c" * 64,
    saved=Spend(seconds=20.0),
)
AT_100 = """\
tickets · accuracy ≥ 90 %

  rung                      quality on dev         sealed     p95  per 1,000  development
✗ floor                      8.3 % [6.3, 10.8]          –   <1 ms         $0        10 ms
    not met · even the upper bound on dev, 0.108, is below 0.9
✓ classical                 94.0 % [91.8, 95.7]  ≥ 91.1 %  1.2 ms    $0.0042         12 s
    met · shown on 1000 sealed rows: accuracy is at least 0.9114
! acme-model-of-2026-with…  95.0 % [92.9, 96.5]         –   1.9 s      $4.20  0 s + $2.52
    over limit · 1,200 calls · 4.2 USD per 1,000 answers is over the limit of 1
· few-shot                  not run · a cheaper rung meets the target
○ head                      not installed · it needs an optional package. Run: pip install
                            'rungwise[local]'

Met: the classical rung is shown to reach accuracy of at least 90 %.
On 1,000 sealed rows that no candidate had seen, its accuracy is at least 91.1 %. It is the cheapest
technique, in the order of this ladder, that is shown to be good enough.
The sealed rows were opened once (k = 1). Error level spent: 0.03 by this climb, of 0.05 for all
climbs.

Why here: Classical is the cheapest rung that is shown to meet accuracy=0.9.
Not run: few-shot. That saved about 20 s. Could not run: head.

report tickets/report.html
next   rungwise ask tickets "your text"  classical answers
"""


def printed(decision: Decision = DECISION, *, width: int = 100, report: str = "tickets/report.html", **settings: object) -> str:
    """What lands in a file of that width."""
    file = io.StringIO()
    print_ladder(Console(file=file, width=width, **settings), decision, project="tickets", report=report)  # type: ignore[arg-type]
    return file.getvalue()


def test_reads_like_this_at_100_columns() -> None:
    assert printed() == AT_100


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
def test_no_line_is_wider_than_the_terminal_or_ends_in_blanks(width: int) -> None:
    for line in printed(width=width).splitlines():
        assert cell_len(line) <= width
        assert line == line.rstrip()


@pytest.mark.parametrize("width", [40, 80, 100, 140])
def test_every_rung_with_its_state_and_why_is_there_at_any_width(width: int) -> None:
    text = " ".join(printed(width=width).split())
    for words in (
        "floor",
        "classical",
        "few-shot",
        "head",
        "over limit",
        "1,200 calls",
        "not run · a cheaper rung meets the target",
    ):
        assert words in text


def test_a_wide_terminal_puts_the_why_beside_the_figures() -> None:
    line = next(line for line in printed(width=140).splitlines() if line.startswith("✗ floor"))
    assert line.endswith("10 ms  not met · even the upper bound on dev, 0.108, is")


def test_a_figure_is_not_torn_from_its_unit() -> None:
    for width in range(40, 120):
        assert not any(line.lstrip().startswith("% ") for line in printed(width=width).splitlines())


def test_a_long_path_is_never_cut() -> None:
    path = "/a/very/long/folder" * 10 + "/report.html"
    assert path in printed(report=path, width=60)


def test_without_a_terminal_there_are_no_escape_codes() -> None:
    assert "\x1b" not in printed()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = printed(force_terminal=True, color_system="standard")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = printed(force_terminal=True, color_system="standard")
    assert "\x1b[31m" in coloured
    assert not any(f"\x1b[{code}m" in plain for code in (31, 32, 33))


def test_a_terminal_without_unicode_gets_ascii_and_stays_aligned() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    print_ladder(Console(file=file, width=100), DECISION, project="tickets", report=None)
    file.flush()
    lines = raw.getvalue().decode("ascii").splitlines()
    assert next(line for line in lines if "classical " in line).startswith("+ classical")
    assert ">=91.1 %" in next(line for line in lines if line.startswith("+"))
    assert [line.index("%") for line in lines[3:9:2]] == [line.index("%") for line in AT_100.splitlines()[3:9:2]]


def test_a_letter_that_the_terminal_cannot_write_becomes_a_question_mark() -> None:
    raw = io.BytesIO()
    foreign = tuple(dataclasses.replace(rung, rung="طلب") for rung in RUNGS)
    file = io.TextIOWrapper(raw, encoding="latin-1")
    print_ladder(Console(file=file, width=100), dataclasses.replace(DECISION, rungs=foreign), project="طلب")
    file.flush()
    assert "x ???" in raw.getvalue().decode("latin-1")


def test_names_that_carry_control_codes_or_wide_letters_break_no_line() -> None:
    strange = (
        dataclasses.replace(RUNGS[0], rung="\x1b[31mred\nname", why="line\nbreak \x1b]0;title\x07"),
        dataclasses.replace(RUNGS[1], rung="分類モデル分類モデル分類モデル"),
        dataclasses.replace(RUNGS[2], rung="[bold]markup[/bold] :smile:"),
    )
    text = printed(dataclasses.replace(DECISION, rungs=strange, chosen_rung=None, verdict="cannot_tell"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]markup[/bold] :sm" in text
    figures = [line for line in text.splitlines() if " ms " in line or "1.9 s" in line]
    assert len({cell_len(line) for line in figures}) == 1
