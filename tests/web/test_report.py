"""The report tells what the climb found, keeps the sealed rows sealed, and can neither run nor load anything."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from rungwise.core.dataset import Example
from rungwise.core.decision import Decision, RungResult
from rungwise.core.evaluation import Estimate, Evaluation
from rungwise.web.report import render_report
from rungwise.web.view import ReportView, VersionNotes

VOID = {"meta", "link", "br", "line", "circle", "path", "wbr"}


class _Outline(HTMLParser):
    """Tags, attributes and text of a page; fails when tags do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).replace("\u00a0", " ").split())


def test_says_verdict_meaning_promise_and_openings_in_plain_words(view: ReportView) -> None:
    text = _Outline(render_report(view)).text
    assert "The classical rung is shown to reach accuracy of at least 90 %." in text
    assert "On 1,000 sealed rows that no candidate had seen, its accuracy is at least 91.1 %." in text
    assert "the probability that any candidate whose true quality is below the target is called met is at most 0.05" in text
    assert "The sealed rows were opened once (k = 1). Error level spent: 0.03 by this climb, of 0.05 for all climbs." in text


def test_shows_every_rung_with_state_and_why_and_what_was_saved(view: ReportView) -> None:
    text = _Outline(render_report(view)).text
    for rung in view.decision.rungs:
        assert rung.rung in text
        assert rung.why in text
    assert "94.0 % [91.8, 95.7]" in text
    assert "Not run: few-shot and head. That saved about 40 s, $1.20 and 2,400 calls." in text


def test_shows_confusions_worst_rows_groups_break_even_data_and_commands(view: ReportView) -> None:
    page = render_report(view)
    for section in ("ladder", "stop", "charts", "confusion", "worst", "groups", "spend", "forecast", "data", "again"):
        assert f'<h2 id="{section}">' in page
    text = _Outline(page).text
    assert "2,400 train, 600 dev, 1,000 sealed rows, 3 labels" in text
    assert "2 rows (empty text)" in text
    assert "4 rows (near-duplicate)" in text
    assert "rungwise replay tickets" in text
    assert "too few rows to tell" in text


def test_totals_are_development_plus_answers(view: ReportView) -> None:
    # classical: 0.41 in all at 100,000 answers of 0.004 per 1,000, so 0.01 to develop; a million answers cost 4.01.
    assert '<td class="number best">$4.01</td>' in render_report(view)


def test_worst_rows_are_wrong_ones_most_confident_first(view: ReportView) -> None:
    page = render_report(view)
    table = page[page.index('<table class="worst"') :].partition("</table>")[0]
    confidences = [float(figure) for figure in re.findall(r'data-label="Confidence">([0-9.]+)<', table)]
    assert len(confidences) == 12
    assert confidences == sorted(confidences, reverse=True)


def test_refuses_an_evaluation_that_is_not_of_dev(view: ReportView) -> None:
    sealed = dataclasses.replace(view.evaluations["classical"], split="sealed")
    with pytest.raises(ValueError, match="only dev"):
        dataclasses.replace(view, evaluations={"classical": sealed})


def test_shows_of_the_sealed_rows_only_the_bound_that_decided(view: ReportView) -> None:
    secret = Example(text="a sealed message", references=("refund",))
    text = _Outline(render_report(dataclasses.replace(view, examples={**view.examples, secret.id: secret}))).text
    assert "≥ 91.1 %" in text
    assert "94.8" not in text  # the upper bound; the middle of both bounds is close to the point score
    assert "0.9478" not in text
    assert "a sealed message" not in text


def test_equal_views_give_equal_bytes(view: ReportView) -> None:
    shuffled = dataclasses.replace(view, examples=dict(reversed(list(view.examples.items()))))
    assert render_report(view) == render_report(shuffled)


def test_policy_allows_only_its_own_style(view: ReportView) -> None:
    page = render_report(view)
    style = page.partition("<style>")[2].partition("</style>")[0]
    pinned = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(attrs["content"] for tag, attrs in _Outline(page).tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{pinned}'" in policy
    assert "unsafe" not in policy


def test_names_no_address_on_the_network_and_holds_no_script(view: ReportView) -> None:
    page = render_report(view)
    tags = _Outline(page).tags
    assert not re.search(r"(?:https?:)?//[a-z]", page)
    assert "url(" not in page
    assert {tag for tag, _ in tags} & {"script", "iframe", "object", "embed", "img", "form", "base"} == set()
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on") or name == "style"]
    assert {attrs.get("href") for tag, attrs in tags if tag in ("a", "link")} == {"data:,"}


def test_text_of_users_is_never_markup(view: ReportView) -> None:
    evil = "</td><script>alert('x')</script>\"><b onclick=x>"
    examples = {id: dataclasses.replace(row, text=evil, references=(evil,)) for id, row in view.examples.items()}
    answers = tuple(evil + "2" for _ in view.evaluations["classical"].rows)
    evaluation = dataclasses.replace(view.evaluations["classical"], answers=answers, scores={})
    rungs = tuple(dataclasses.replace(rung, rung=evil + rung.rung, why=evil) for rung in view.decision.rungs)
    decision = dataclasses.replace(view.decision, rungs=rungs, chosen_rung=evil + "classical", reason=evil, approved_by=evil)
    page = render_report(
        dataclasses.replace(
            view,
            project=evil,
            decision=decision,
            examples=examples,
            evaluations={evil + "classical": evaluation},
            data=dataclasses.replace(view.data, source=evil, quarantined={evil: 1}, leaks={evil: 1}, notes=(evil,)),
        )
    )
    tags = {tag for tag, _ in _Outline(page).tags}
    assert "script" not in tags
    assert "b" not in tags
    assert "&lt;script&gt;" in page


def test_control_characters_and_lone_surrogates_do_not_reach_the_file(view: ReportView) -> None:
    page = render_report(dataclasses.replace(view, project="a\x00b\x1b[31mc\ud800d"))
    page.encode("utf-8")
    assert "\x00" not in page
    assert "\x1b" not in page


def test_tables_have_headers_with_scope_and_drawings_have_labels(view: ReportView) -> None:
    tags = _Outline(render_report(view)).tags
    assert all("scope" in attrs for tag, attrs in tags if tag == "th")
    assert all(attrs.get("aria-label") for tag, attrs in tags if tag == "svg")
    assert sum(tag == "svg" for tag, _ in tags) == 4  # two whiskers, two charts


def test_says_so_when_nothing_was_measured(met: Decision, view: ReportView) -> None:
    rungs = tuple(RungResult(rung=name, state="not_installed", why="Run: pip install 'rungwise[local]'") for name in ("a", "b"))
    nothing = dataclasses.replace(
        met, verdict="cannot_tell", rungs=rungs, chosen=None, chosen_rung=None, alpha_spent=0.0, reason="a, b are not installed"
    )
    text = _Outline(render_report(dataclasses.replace(view, decision=nothing, evaluations={}, examples={}))).text
    assert "These examples neither show nor rule out accuracy of at least 90 %." in text
    assert "The sealed rows were not opened." in text
    assert "Could not run: a and b." in text
    assert "rungwise doctor" in text


def test_many_classes_show_the_25_with_the_most_errors(view: ReportView) -> None:
    labels = [f"class_{number:03}" for number in range(150)]
    examples = {row.id: row for row in (Example(text=f"{label} {i}", references=(label,)) for label in labels for i in range(3))}
    wrong = set(labels[40:60])
    answers = tuple("class_149" if row.label in wrong else row.label for row in examples.values())
    evaluation = Evaluation(candidate="c", dataset="d", split="dev", rows=tuple(examples), answers=answers)
    page = render_report(dataclasses.replace(view, examples=examples, evaluations={"classical": evaluation}))
    matrix = page[page.index('<table class="matrix"') :].partition("</table>")[0]
    shown = set(re.findall(r'class="class-name" title="(class_\d+)"', matrix))
    assert len(shown) == 25
    assert wrong | {"class_149"} <= shown


def test_a_stored_run_says_that_it_spent_nothing(view: ReportView) -> None:
    assert "This run spent nothing: everything was stored." in _Outline(render_report(view)).text


def test_a_target_of_many_digits_is_not_reached_by_rounding(view: ReportView, met: Decision) -> None:
    target = dataclasses.replace(met.target, value=0.9115)  # the bound is 0.91149
    text = _Outline(render_report(dataclasses.replace(view, decision=dataclasses.replace(met, target=target)))).text
    assert "≥ 91.14 %" in text
    assert "91.15 %" in text


def test_unmeasured_estimates_of_tiny_data_get_no_decimals(view: ReportView, met: Decision) -> None:
    tiny = dataclasses.replace(met.rungs[1], dev=Estimate(mean=0.875, low=0.529, high=0.978, n=8))
    decision = dataclasses.replace(met, rungs=(met.rungs[0], tiny))
    assert "88 % [52, 98]" in _Outline(render_report(dataclasses.replace(view, decision=decision))).text


def _luminance(colour: str) -> float:
    """Relative luminance of #rrggbb. Source: WCAG 2.2, definition of relative luminance."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", [0, 1], ids=["light", "dark"])
def test_every_text_colour_stands_out_from_its_ground(view: ReportView, palette: int) -> None:
    style = render_report(view).partition("<style>")[2].partition("</style>")[0]
    blocks = re.findall(r":root \{([^}]*--paper[^}]*)\}", style)
    assert len(blocks) == 2
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[palette]))
    pairs = [("ink", "paper"), ("quiet", "paper"), ("quiet", "wash"), ("best", "paper")]
    pairs += [(state, f"{state}-wash") for state in ("good", "bad", "open", "plain")]
    pairs += [("cell-ink", f"{kind}-{step}") for kind in ("hit", "miss") for step in (1, 2, 3, 4)]
    colours["best"] = colours["good"]
    for text, ground in pairs:
        dark, light = sorted((_luminance(colours[text]), _luminance(colours[ground])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text} on {ground}"  # WCAG 2.2, success criterion 1.4.3


def test_answers_are_reported_without_a_confusion_matrix(view: ReportView) -> None:
    case = dataclasses.replace(view.use_case, task="answer", groups=None)
    page = render_report(dataclasses.replace(view, use_case=case))
    assert "Confusion matrix" not in page
    assert '<h2 id="worst">' in page


def test_several_labels_are_reported_without_a_confusion_matrix(view: ReportView) -> None:
    page = render_report(dataclasses.replace(view, use_case=dataclasses.replace(view.use_case, multi_label=True)))
    assert "Confusion matrix" not in page


def test_notebook_and_wording_load_neither_jinja_nor_rich() -> None:
    code = "import sys, rungwise.web.notebook; print({'jinja2', 'rich', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_names_the_version_of_the_data_its_sources_and_what_was_set_aside(view: ReportView) -> None:
    version = VersionNotes(
        id="4f" * 32,
        kind="curated",
        kept=4000,
        quarantined={"dedup:near": 3, "pii:secret": 20},
        sources=(("/data/<tickets>.csv", "licence Apache-2.0"), ("/data/faq", "licence not known")),
    )
    text = _Outline(render_report(dataclasses.replace(view, data=dataclasses.replace(view.data, version=version)))).text
    assert (
        "It is version 4f4f4f4f4f4f of the data (curated): 4,000 rows kept, 23 rows set aside: pii:secret 20, dedup:near 3." in text
    )
    assert "It comes from /data/<tickets>.csv (licence Apache-2.0), /data/faq (licence not known)." in text
    assert "rungwise data card tickets --version 4f4f4f4f4f4f" in text
    assert "It is version" not in _Outline(render_report(view)).text
