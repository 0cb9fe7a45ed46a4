"""A climb over rungs that ask a language model: an oracle behind a real socket, whose accuracy for each prompt is published."""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oracle import MODEL, Accuracy, Features, Oracle, serving_in_thread
from oracle_projects import (
    BEST_PROMPT,
    CONCURRENCY,
    DEV_ROWS,
    MODEL_RUNGS,
    PLAIN,
    SEALED_ROWS,
    SHOTS,
    STEPS,
    Tickets,
    charged_usd,
    endpoint,
    make_project,
    only,
    states,
    write_tickets,
)

from rungwise.core.candidate import Candidate
from rungwise.core.decision import CANNOT_TELL, FAILED, MET, NOT_RUN, OVER_LIMIT, Decision
from rungwise.core.usecase import Limits, Target
from rungwise.data.nouns import Nouns
from rungwise.data.spend import spent
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.project import STATE, Project

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Tickets:
    return write_tickets(tmp_path_factory.mktemp("tickets"))


@contextlib.contextmanager
def opened(project: Project) -> Iterator[Store]:
    store = Store.open(project.directory / STATE, clock=SystemClock())
    try:
        yield store
    finally:
        store.close()


def candidate_of(project: Project, decision: Decision, rung: str) -> Candidate:
    id = next(one.candidate for one in decision.rungs if one.rung == rung)
    assert id is not None
    with opened(project) as store:
        return Nouns(store).get(Candidate, id)


def asked_usage(project: Project) -> dict[str, float]:
    """The sums over all calls that the project keeps."""
    from sqlalchemy import select

    from rungwise.data.schema import calls

    with opened(project) as store, store.read() as connection:
        usages = [json.loads(row.usage) for row in connection.execute(select(calls.c.usage))]
    return {name: sum(one[name] for one in usages) for name in ("input_tokens", "output_tokens", "cached_tokens", "calls", "usd")}


@pytest.mark.parametrize(
    ("target", "rung", "published"),
    [(0.50, "zero-shot:oracle", PLAIN), (0.68, "prompt:oracle", BEST_PROMPT), (0.80, "few-shot:oracle", SHOTS)],
)
def test_chooses_the_cheapest_rung_whose_published_accuracy_is_enough(
    tickets: Tickets, tmp_path: Path, target: float, rung: str, published: float
) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url, logprobs=True), target=target)
        climbed = project.climb(wishes=only(*MODEL_RUNGS))
        decision = climbed.decision
        chosen = MODEL_RUNGS.index(rung)
        assert (decision.verdict, decision.chosen_rung) == (MET, rung)
        assert all(one.state != MET for one in decision.rungs[:chosen])
        assert states(decision.rungs[chosen + 1 :]) == [NOT_RUN] * (2 - chosen)
        dev = decision.rungs[chosen].dev
        assert dev is not None
        assert dev.low - 0.03 < published < dev.high + 0.03  # the best of several on dev flatters a little
        # Every answer of the decision was paid for once, and the bill is the server's.
        usage = asked_usage(project)
        assert climbed.spent.calls == usage["calls"] == oracle.calls
        assert climbed.spent.usd == pytest.approx(charged_usd(oracle), abs=1e-12)
        counted = (oracle.prompt_tokens, oracle.completion_tokens, oracle.cached_tokens)
        assert (usage["input_tokens"], usage["output_tokens"], usage["cached_tokens"]) == counted
        # The second time costs nothing and says the same.
        again = project.climb(wishes=only(*MODEL_RUNGS))
        assert (again.spent.calls, again.spent.usd, again.decision.id) == (0, 0.0, decision.id)
        # A sealed row was answered already, so that answer comes from the cache; a new question is one call.
        before = oracle.calls
        assert project.ask(tickets.rows[-1][0]).answer in tickets.answers.values()
        assert oracle.calls == before


def test_the_search_finds_the_best_wording_and_shows_solved_examples(tickets: Tickets, tmp_path: Path) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url), target=0.80)
        decision = project.climb(wishes=only(*MODEL_RUNGS)).decision
    found = candidate_of(project, decision, "prompt:oracle")
    assert "specific" in (found.prompt or "")  # 0.14 better than the other wording
    assert found.options.get("reason") is True  # another 0.04
    assert decision.rungs[1].tried == 4
    shown = candidate_of(project, decision, "few-shot:oracle")
    assert shown.prompt == found.prompt
    assert shown.shots or shown.index is not None
    assert decision.rungs[2].tried == 3  # fixed and diverse, 4 similar, 12 similar


def test_retries_are_counted_and_change_nothing_else(tickets: Tickets, tmp_path: Path) -> None:
    decisions = []
    for share in (0.0, 0.05):
        oracle = Oracle(tickets.answers, accuracy=STEPS, fail_share=share)
        with serving_in_thread(oracle) as url:
            project = make_project(tickets, tmp_path / f"p{share}", endpoint(url), target=0.50)
            climbed = project.climb(wishes=only("zero-shot:oracle"))
            assert climbed.spent.calls == oracle.calls == DEV_ROWS + SEALED_ROWS + oracle.refused
            assert climbed.spent.usd == pytest.approx(charged_usd(oracle), abs=1e-12)
            decisions.append(climbed.decision)
            assert (oracle.refused > 0) == (share > 0)
    first, second = (one.rungs[0] for one in decisions)
    assert (first.dev, first.test) == (second.dev, second.test)


def test_seconds_are_those_of_the_call_whatever_came_from_the_cache(tickets: Tickets, tmp_path: Path) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS, delay_s=0.03)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url, concurrency=32), target=0.68)
        decision = project.climb(wishes=only("prompt:oracle")).decision
    # The race asked in batches, and the last evaluation has the answers of all of them: none took less than the server's 30 ms.
    p95_s = decision.rungs[0].p95_s
    assert p95_s is not None
    assert 0.03 <= p95_s < 0.5
    assert decision.rungs[0].seconds >= 4 * 40 * 0.03 / 32


def test_a_climb_that_is_killed_repeats_at_most_the_calls_in_flight(tickets: Tickets, tmp_path: Path) -> None:
    whole = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(whole) as url:
        undisturbed = make_project(tickets, tmp_path / "whole", endpoint(url), target=0.80).climb(wishes=only(*MODEL_RUNGS))
    oracle = Oracle(tickets.answers, accuracy=STEPS, delay_s=0.01)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url), target=0.80)
        for kill_at in (150, whole.calls - SEALED_ROWS // 2):  # on dev, and while the sealed rows are answered
            kill_climb(project.directory, oracle, calls=kill_at)
        oracle.delay_s = 0.0
        resumed = project.climb(wishes=only(*MODEL_RUNGS))
    assert whole.calls <= oracle.calls <= whole.calls + 2 * CONCURRENCY
    ours, theirs = resumed.decision, undisturbed.decision
    assert (ours.verdict, ours.chosen_rung, ours.chosen) == (theirs.verdict, theirs.chosen_rung, theirs.chosen)
    assert [one.test for one in ours.rungs] == [one.test for one in theirs.rungs]
    with opened(project) as store:
        ledger = spent(store)
    # What was in flight at a kill counts as spent, in full.
    assert oracle.calls <= ledger.calls <= oracle.calls + 2 * CONCURRENCY
    assert ledger.usd >= charged_usd(oracle) - 1e-12


def kill_climb(directory: Path, oracle: Oracle, *, calls: int) -> None:
    """Climb in a process of its own and kill it with SIGKILL when the server has been asked that often."""
    script = "import sys; from rungwise.cli import main; sys.exit(main())"
    order = ["--order", ",".join(MODEL_RUNGS), "--until", MODEL_RUNGS[-1], "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, "climb", str(directory), *order], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while oracle.calls < calls:
            assert process.poll() is None, "the climb ended before it could be killed"
            assert time.monotonic() < deadline, "the climb did not get that far"
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("budget_calls", [0, 70, 300])
def test_no_call_is_made_past_the_budget_of_calls(tickets: Tickets, tmp_path: Path, budget_calls: int) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(oracle) as url:
        limits = Limits(budget_calls=budget_calls)
        project = make_project(tickets, tmp_path / "p", endpoint(url), target=0.68, limits=limits)
        decision = project.climb(wishes=only("prompt:oracle")).decision
        assert oracle.calls == budget_calls
        assert (decision.verdict, states(decision.rungs)) == (CANNOT_TELL, [NOT_RUN])
        assert "budget_calls" in decision.rungs[0].why
        # The same again spends nothing: the budget is that of the climb, and not of the run.
        assert project.climb(wishes=only("prompt:oracle")).spent.calls == 0
        # With a larger budget it goes on, and asks nothing twice.
        project.configure(limits=Limits(budget_calls=5_000))
        richer = project.climb(wishes=only("prompt:oracle"))
    assert richer.decision.verdict == MET
    assert richer.spent.calls == oracle.calls - budget_calls
    assert asked_usage(project)["calls"] == oracle.calls


def test_no_money_is_spent_past_the_budget(tickets: Tickets, tmp_path: Path) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url), target=0.80, limits=Limits(budget_usd=0.02))
        first = project.climb(wishes=only(*MODEL_RUNGS))
        assert 0.01 < charged_usd(oracle) <= 0.02
        assert first.spent.usd == pytest.approx(charged_usd(oracle), abs=1e-12)
        assert first.decision.verdict == CANNOT_TELL
        assert NOT_RUN in states(first.decision.rungs)
        assert "budget_usd" in next(one.why for one in first.decision.rungs if one.state == NOT_RUN)
        # Raised by one cent: only that cent is left.
        project.configure(limits=Limits(budget_usd=0.03))
        project.climb(wishes=only(*MODEL_RUNGS))
        assert 0.02 < charged_usd(oracle) <= 0.03
        project.configure(limits=Limits())
        last = project.climb(wishes=only(*MODEL_RUNGS))
    assert last.decision.chosen_rung == "few-shot:oracle"
    assert asked_usage(project)["calls"] == oracle.calls  # nothing that was paid for was asked again


def test_a_budget_that_ends_during_the_opening_keeps_its_nomination(tickets: Tickets, tmp_path: Path) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(oracle) as url:
        limits = Limits(budget_calls=DEV_ROWS + 100)
        project = make_project(tickets, tmp_path / "p", endpoint(url), target=0.50, limits=limits)
        short = project.climb(wishes=only("zero-shot:oracle")).decision
        assert oracle.calls == DEV_ROWS + 100
        assert short.verdict == CANNOT_TELL
        assert short.rungs[0].test is None  # nothing of a half opening is shown
        assert "budget_calls" in short.rungs[0].why
        project.configure(limits=Limits())
        decision = project.climb(wishes=only("zero-shot:oracle")).decision
    assert oracle.calls == DEV_ROWS + SEALED_ROWS
    test = decision.rungs[0].test
    assert test is not None
    assert (decision.verdict, test.k) == (MET, 1)


def test_a_price_that_is_mended_counts_for_the_calls_made_before(tickets: Tickets, tmp_path: Path) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(oracle) as url:
        unpriced = endpoint(url, usd_per_m_input=None, usd_per_m_output=None, usd_per_m_cached=None)
        project = make_project(tickets, tmp_path / "p", unpriced, target=0.50)
        assert project.climb(wishes=only("zero-shot:oracle")).spent.usd == 0.0
        calls = oracle.calls
        project.configure(endpoints=(endpoint(url),))
        decision = project.climb(wishes=only("zero-shot:oracle")).decision
    assert oracle.calls == calls
    # Some 100 tokens in and 3 out: 0.1 USD per 1,000 and not the price of this machine's seconds.
    assert decision.rungs[0].usd_per_1k == pytest.approx(charged_usd(oracle) / oracle.calls * 1000, rel=0.1)


@pytest.mark.parametrize("fail_share", [0.0, 0.2, 1.0])
def test_the_key_reaches_neither_store_nor_report_nor_output(
    tickets: Tickets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    fail_share: float,
) -> None:
    from rungwise.cli.app import run

    key = "sk-Rungwise+Secret/0123456789"
    monkeypatch.setenv("RUNGWISE_TEST_KEY", key)
    caplog.set_level(logging.DEBUG)
    oracle = Oracle(tickets.answers, accuracy=STEPS, echoes_key=True, fail_share=fail_share)
    with serving_in_thread(oracle) as url:
        remote = endpoint(url, key_env="RUNGWISE_TEST_KEY", retries=1, logprobs=True)
        project = make_project(tickets, tmp_path / "p", remote, target=0.50)
        order = ["--order", "zero-shot:oracle", "--until", "zero-shot:oracle"]
        run(["climb", str(project.directory), *order, "--json"])
        run(["climb", str(project.directory), *order])
        run(["ask", str(project.directory), "where is my parcel", "--json"])
        run(["doctor", str(project.directory)])
    assert oracle.calls > 0
    shown = capsys.readouterr()
    assert key not in shown.out + shown.err + caplog.text
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "report.html" for path in files)
    tell = key.encode()
    assert [str(path) for path in files if tell in path.read_bytes() or b"Secret/0123" in path.read_bytes()] == []


def test_without_the_key_the_climb_says_what_to_type_and_sends_nothing(
    tickets: Tickets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rungwise.cli.app import run

    oracle = Oracle(tickets.answers)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url, key_env="RUNGWISE_NO_SUCH_KEY"), target=0.5)
        code = run(["climb", str(project.directory), "--order", "zero-shot:oracle", "--until", "zero-shot:oracle", "--quiet"])
    assert code == 2
    told = capsys.readouterr()
    assert "export RUNGWISE_NO_SUCH_KEY=" in told.out + told.err
    assert oracle.calls == 0


def test_offline_sends_nothing(tickets: Tickets, tmp_path: Path) -> None:
    oracle = Oracle(tickets.answers)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url), target=0.5, limits=Limits(offline=True))
        decision = project.climb(wishes=only("zero-shot:oracle")).decision
    assert oracle.calls == 0
    assert decision.verdict == CANNOT_TELL
    assert decision.rungs[0].state in (OVER_LIMIT, FAILED)
    assert "offline" in decision.rungs[0].why


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(licences=("apache-2.0", "mit")), "licence"),
        (Limits(usd_per_1k=0.001), "USD per 1,000"),
        (Limits(p95_s=0.001), "p95"),
    ],
)
def test_a_candidate_over_a_limit_is_shown_and_not_opened(tickets: Tickets, tmp_path: Path, limits: Limits, words: str) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url, licence="proprietary"), target=0.5, limits=limits)
        decision = project.climb(wishes=only("zero-shot:oracle")).decision
    assert (decision.verdict, states(decision.rungs)) == (CANNOT_TELL, [OVER_LIMIT])
    assert words in decision.rungs[0].why
    assert oracle.calls <= DEV_ROWS
    assert decision.alpha_spent == 0.0


def test_racing_saves_calls_and_keeps_the_choice(tickets: Tickets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A wording that is much better is told from the others after the first batches.
    wide = Accuracy(base=0.40, labels=0.04, specific=0.45, reason=0.0, shots=((1, 0.0),))
    calls, chosen = {}, {}
    for raced in (True, False):
        if not raced:
            monkeypatch.setattr("rungwise.ladder.racing.FIRST_BATCH", 10_000)
        oracle = Oracle(tickets.answers, accuracy=wide)
        with serving_in_thread(oracle) as url:
            project = make_project(tickets, tmp_path / f"raced-{raced}", endpoint(url), target=0.97)
            decision = project.climb(wishes=only("prompt:oracle")).decision
        calls[raced], chosen[raced] = oracle.calls, decision.rungs[0].candidate
        assert decision.rungs[0].calls == oracle.calls
    assert calls[False] == 4 * DEV_ROWS
    assert calls[True] < calls[False] - 40
    assert chosen[True] == chosen[False]


def test_a_cheap_endpoint_stands_before_a_dear_one(tickets: Tickets, tmp_path: Path) -> None:
    cheap_oracle, dear_oracle = (Oracle(tickets.answers, accuracy=STEPS) for _ in range(2))
    with serving_in_thread(cheap_oracle) as cheap_url, serving_in_thread(dear_oracle) as dear_url:
        dear = endpoint(dear_url, name="dear", usd_per_m_input=50.0, usd_per_m_output=200.0, usd_per_m_cached=50.0)
        cheap = endpoint(cheap_url, name="cheap", usd_per_m_input=0.1, usd_per_m_output=0.4, usd_per_m_cached=0.1)
        project = make_project(tickets, tmp_path / "p", dear, cheap, target=0.50)
        order = [one.rung for one in project.forecast().rungs if ":" in one.rung]
        decision = project.climb(wishes=only(*order)).decision
    assert order == [f"{kind}:{name}" for name in ("cheap", "dear") for kind in ("zero-shot", "prompt", "few-shot")]
    assert decision.chosen_rung == "zero-shot:cheap"
    assert dear_oracle.calls == 0
    assert decision.saved.calls > 0


def test_an_endpoint_that_is_down_is_a_failed_rung_and_no_verdict(tickets: Tickets, tmp_path: Path) -> None:
    gone = endpoint("http://127.0.0.1:9/v1", retries=0, first_token_s=2.0, total_s=2.0)  # nobody listens on the discard port
    project = make_project(tickets, tmp_path / "p", gone, target=0.5)
    decision = project.climb(wishes=only("zero-shot:oracle")).decision
    assert (decision.verdict, states(decision.rungs)) == (CANNOT_TELL, [FAILED])
    assert "rungwise doctor" in decision.rungs[0].why


def test_the_whole_ladder_climbs_past_local_rungs_to_the_language_model(
    tickets: Tickets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rungwise.ladder.expedition.installed_encoder", lambda: "hashed")
    oracle = Oracle(tickets.answers, accuracy=Accuracy(base=0.9))
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url, usd_per_m_input=1.0), target=0.87)
        decision = project.climb().decision
    ladder = [one.rung for one in decision.rungs]
    assert ladder[0] == "floor"
    assert {"classical", "head", *MODEL_RUNGS} <= set(ladder)
    assert decision.chosen_rung == "zero-shot:oracle"
    assert project.replay().agrees


def test_answers_are_given_in_batch_and_what_fails_says_why(tickets: Tickets, tmp_path: Path) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url, retries=0), target=0.50)
        project.climb(wishes=only("zero-shot:oracle"))
        asked = tmp_path / "in.jsonl"
        rows: list[dict[str, Any]] = [{"text": tickets.rows[0][0], "n": 1}, {"text": "the oracle never heard of this", "n": 2}]
        asked.write_text("".join(json.dumps(row) + os.linesep for row in rows), encoding="utf-8")
        counts = project.ask_file(asked, tmp_path / "out.jsonl")
    answered = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (counts.answered, counts.failed) == (1, 1)
    assert answered[0]["answer"] in tickets.answers.values()
    assert "400" in answered[1]["error"]


def test_log_probabilities_serve_a_target_with_a_coverage(tickets: Tickets, tmp_path: Path) -> None:
    # Right with probability 0.60; its log-probabilities tell right from wrong, so what it is sure of is right.
    oracle = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url, logprobs=True), target=0.9)
        project.configure(target=Target(metric="accuracy", value=0.9, coverage=0.5))
        decision = project.climb(wishes=only("zero-shot:oracle")).decision
        assert decision.verdict == MET
        wrong = next(text for text, label in tickets.rows[-SEALED_ROWS:] if plain_answer(oracle, text) != label)
        right = next(text for text, label in tickets.rows[-SEALED_ROWS:] if plain_answer(oracle, text) == label)
        assert project.ask(right).answer == tickets.answers[right]
        assert project.ask(wrong).response.finish == "abstained"
    assert project.replay().agrees


def plain_answer(oracle: Oracle, text: str) -> str:
    """What the oracle says to the plain prompt, which lists the labels."""
    return oracle.answer(text, Features(labels=True))


def test_several_labels_are_asked_for_and_read(tmp_path: Path) -> None:
    both, splits = "billing\nshipping", ["train"] * 30 + ["dev"] * 60 + ["test"] * 150
    answers = {f"case {place}": (both, "billing", "shipping")[place % 3] for place in range(len(splits))}
    path = tmp_path / "many.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        writer.writerows(
            (text, label.replace("\n", "|"), split) for (text, label), split in zip(answers.items(), splits, strict=True)
        )
    oracle = Oracle(answers, accuracy=Accuracy(base=0.9))
    with serving_in_thread(oracle) as url:
        target = Target(metric="subset_accuracy", value=0.8)
        project = Project.create(tmp_path / "p", source=path, target=target, endpoints=(endpoint(url),), multi_label=True)
        decision = project.climb(wishes=only("zero-shot:oracle", "prompt:oracle")).decision
        assert (decision.verdict, decision.chosen_rung) == (MET, "zero-shot:oracle")
        asked = project.ask("case 90")
    assert set(asked.response.labels) <= {"billing", "shipping"}


def test_the_command_line_climbs_with_an_endpoint_and_its_limits(
    tickets: Tickets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rungwise.cli.app import run

    oracle = Oracle(tickets.answers, accuracy=STEPS)
    rung = f"zero-shot:{MODEL}"
    with serving_in_thread(oracle) as url:
        given = ["--project", str(tmp_path / "p"), "--endpoint", f"{url}#{MODEL}", "--order", rung, "--until", rung]
        command = ["climb", str(tickets.path), *given, "--target", "accuracy=0.5", "--json"]
        assert run([*command, "--budget-calls", "50"]) == 1
        short = json.loads(capsys.readouterr().out)
        assert run([*command, "--budget-calls", "5000"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (short["verdict"], short["rungs"][0]["state"], short["spent"]["calls"]) == (CANNOT_TELL, NOT_RUN, 50)
    assert document["chosen"]["rung"] == rung
    assert document["spent"]["calls"] == oracle.calls - 50 == DEV_ROWS + SEALED_ROWS - 50


def test_a_budget_of_seconds_stops_a_slow_endpoint_and_goes_on_when_raised(tickets: Tickets, tmp_path: Path) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS, delay_s=0.1)
    with serving_in_thread(oracle) as url:
        project = make_project(tickets, tmp_path / "p", endpoint(url), target=0.50, limits=Limits(budget_s=1.0))
        started = time.monotonic()
        decision = project.climb(wishes=only("zero-shot:oracle")).decision
        assert time.monotonic() - started < 10.0
        assert (decision.verdict, states(decision.rungs)) == (CANNOT_TELL, [NOT_RUN])
        assert "budget_s" in decision.rungs[0].why
        assert oracle.calls < DEV_ROWS  # 120 rows at 8 a time would take 1.5 s
        oracle.delay_s = 0.0
        project.configure(limits=Limits(budget_s=600.0))
        richer = project.climb(wishes=only("zero-shot:oracle"))
    assert richer.decision.verdict == MET


def test_an_endpoint_that_goes_down_in_the_middle_loses_nothing_that_was_answered(tickets: Tickets, tmp_path: Path) -> None:
    oracle = Oracle(tickets.answers, accuracy=STEPS)
    with serving_in_thread(oracle) as url:
        remote = endpoint(url, retries=0, total_s=5.0)
        project = make_project(tickets, tmp_path / "p", remote, target=0.50, limits=Limits(budget_calls=60))
        project.climb(wishes=only("zero-shot:oracle"))
    project.configure(limits=Limits())
    down = project.climb(wishes=only("zero-shot:oracle")).decision  # the server is gone now
    assert (down.verdict, states(down.rungs)) == (CANNOT_TELL, [FAILED])
    with serving_in_thread(oracle) as url:
        project.configure(endpoints=(endpoint(url, retries=0),))
        moved = project.climb(wishes=only("zero-shot:oracle"))
    assert moved.decision.verdict == MET
    assert oracle.calls <= 60 + DEV_ROWS + SEALED_ROWS  # another address is another endpoint: its answers are its own
