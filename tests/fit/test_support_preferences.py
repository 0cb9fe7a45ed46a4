"""The preferences of the support example are what their script says, and its judge prefers what it says it prefers."""

from __future__ import annotations

import json

import pytest

from rungwise.fit.preference_rows import read_preferences

pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("transformers", reason="needs the extra 'local'")

from benchmarks.support_alignment import SUPPORT, Share, main, points, rules

EXAMPLE = rules()
STEPS = EXAMPLE.steps()


def test_the_file_is_what_the_script_writes() -> None:
    rows = [json.loads(line) for line in (SUPPORT / "preferences.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == EXAMPLE.preferences()
    assert [sum(row["split"] == split for row in rows) for split in ("learned", "held_out")] == [350, 150]


def test_every_row_is_a_usable_pair_that_keeps_its_id() -> None:
    found = read_preferences(SUPPORT / "preferences.jsonl", splits=None)
    assert found.quarantine == ()
    assert found.preferences.left_out == 0
    assert found.preferences.contradictions == ()
    assert found.preferences.sources == tuple(f"P{place:04}" for place in range(1, 501))


def test_every_step_stands_word_for_word_in_its_article() -> None:
    for one in STEPS.values():
        assert one["step"] in (SUPPORT / "articles" / f"{one['article']}.md").read_text(encoding="utf-8")


def test_no_ticket_is_in_two_of_learned_held_out_and_history() -> None:
    pairs, history = EXAMPLE.preferences(), EXAMPLE.history()
    tickets = [row["ticket"] for row in (*pairs, *history)]
    assert len(set(tickets)) == len(tickets)
    prompts = {row["prompt"].casefold() for row in pairs if row["split"] == "held_out"}
    assert prompts.isdisjoint({row["prompt"].casefold() for row in pairs if row["split"] == "learned"})
    assert prompts.isdisjoint({row["prompt"].casefold() for row in history})


def test_the_judge_gives_every_liked_answer_more_points_than_the_other() -> None:
    intents = {row["id"]: row["intent"] for row in EXAMPLE.tickets()}
    for row in EXAMPLE.preferences():
        intent = intents[row["ticket"]]
        assert points(row["chosen"], intent, STEPS) == 4
        assert points(row["rejected"], intent, STEPS) == {"curt": 2, "wrong": -1, "vague": 2}[row["fault"]]


def test_a_tie_counts_half_in_a_win_rate() -> None:
    found = Share.of(70 + 20 / 2, 100)
    assert found.share == 0.8
    assert found.low < 0.8 < found.high


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_aligned_model_is_preferred_to_the_taught_one_and_names_the_right_step_as_often(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main([])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["win_rate"]["low"] > 0.5
    assert told["polite"]["aligned"]["low"] > told["polite"]["taught"]["high"]
    assert told["right"]["aligned"]["high"] > told["right"]["taught"]["share"]
