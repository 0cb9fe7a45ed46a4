"""The step that finds open rows which give a sealed row away."""

from __future__ import annotations

import pickle
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from rungwise.core.dataset import DEV, SEALED, TRAIN
from rungwise.curate.duplicates import Duplicates
from rungwise.curate.overlap import NEAR_SEALED, SHARED_RUN, Leaks
from rungwise.curate.shingles import normalise
from rungwise.curate.step import Finding, Step
from tests.curate.memory import Memory, findings

WORDS = [f"{syllable}{i}" for i in range(700) for syllable in ("ba", "lo", "mi")]
QUESTION = "please tell me when the parcel that i ordered last monday will arrive at my house"


def prose(rng: Random, count: int) -> list[str]:
    return rng.choices(WORDS, k=count)


def runs(text: str) -> set[tuple[str, ...]]:
    """Runs of 13 words in plain Python."""
    own = normalise(text).split()
    return {tuple(own[i : i + 13]) for i in range(len(own) - 12)}


def test_names_the_sealed_row_by_its_number_and_never_its_text() -> None:
    run = "thirteen words that the sealed row and the open row have in common"
    texts = [
        QUESTION,
        f"before it {run} after",
        "Where is my card?",
        QUESTION + " now",
        f"Else: {run}!",
        "where is MY card",
    ]
    found = findings(Leaks(), texts, [SEALED, SEALED, SEALED, TRAIN, DEV, TRAIN])
    assert found == [
        Finding(3, NEAR_SEALED, "nearly the same as sealed row 0 (similarity 0.95)"),
        Finding(4, SHARED_RUN, "13 words in a row from sealed row 1"),
        Finding(5, NEAR_SEALED, "nearly the same as sealed row 2 (similarity 1.00)"),
    ]


def test_twelve_words_in_common_are_no_leak() -> None:
    twelve = "these are just twelve words that both of the rows have here"
    assert findings(Leaks(), [f"sealed says {twelve} and ends", f"open claims {twelve} but goes on"], [SEALED, TRAIN]) == []


def test_is_a_step_that_can_be_sent_to_another_process() -> None:
    step: Step = Leaks(generic=3)
    assert pickle.loads(pickle.dumps(step)) == step  # noqa: S301 - our own bytes
    assert (step.name, step.edition) == ("leaks", 1)


def test_sealed_rows_are_never_set_aside_and_open_rows_are_not_compared() -> None:
    assert findings(Leaks(), [QUESTION, QUESTION, QUESTION + " now", "other"], [SEALED, SEALED, SEALED, TRAIN]) == []
    assert findings(Leaks(), [QUESTION, QUESTION, "other"], [TRAIN, TRAIN, SEALED]) == []
    assert findings(Leaks(), [QUESTION, QUESTION]) == []
    assert findings(Leaks(), [QUESTION, QUESTION], [SEALED, SEALED]) == []


def test_a_run_that_many_open_texts_have_is_common_property() -> None:
    notice = "this message is confidential and meant only for the person to whom it is addressed"
    rng = Random(1)
    texts = [" ".join([*prose(rng, 20), notice]) for _ in range(12)]
    splits = [SEALED] + [TRAIN] * 11
    assert findings(Leaks(), texts, splits) == []  # 11 open texts
    assert len(findings(Leaks(), texts[:-1], splits[:-1])) == 10
    assert len(findings(Leaks(generic=11), texts, splits)) == 11


def test_copies_of_one_open_text_do_not_make_a_run_common() -> None:
    rng = Random(2)
    shared = prose(rng, 13)
    sealed, open = " ".join([*prose(rng, 30), *shared]), " ".join([*shared, *prose(rng, 30)])
    found = findings(Leaks(), [sealed] + [open] * 30, [SEALED] + [TRAIN] * 30)
    assert [finding.row for finding in found] == list(range(1, 31))


def corpus(seed: int) -> tuple[list[str], list[str]]:
    """Random texts, a third of the open ones with a run of 10 to 16 words of another row."""
    rng = Random(seed)
    texts: list[list[str]] = [prose(rng, rng.randrange(1, 200)) for _ in range(60)]
    splits = [SEALED if i % 4 == 0 else rng.choice([TRAIN, DEV]) for i in range(60)]
    for words in rng.sample(texts, 20):
        source = rng.choice(texts)
        at, length = rng.randrange(len(source)), rng.randrange(10, 17)
        place = rng.randrange(len(words) + 1)
        words[place:place] = source[at : at + length]
    return [" ".join(words) for words in texts], splits


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_exactly_the_rows_that_share_thirteen_words_are_found(seed: int) -> None:
    texts, splits = corpus(seed)
    sealed = set().union(*(runs(text) for text, split in zip(texts, splits, strict=True) if split == SEALED))
    shared = {i: runs(text) & sealed for i, text in enumerate(texts) if splits[i] != SEALED}
    counts = Counter(run for own in shared.values() for run in own)
    expected = {i for i, own in shared.items() if any(counts[run] <= 10 for run in own)}
    found = findings(Leaks(), texts, splits)
    assert {finding.row for finding in found if finding.reason == SHARED_RUN} <= expected
    assert expected <= {finding.row for finding in found}
    for finding in found:
        if finding.reason == SHARED_RUN:
            source = int(finding.evidence.rsplit(" ", 1)[1])
            assert splits[source] == SEALED
            assert runs(texts[source]) & runs(texts[finding.row])


@pytest.mark.parametrize("parts", [2, 7])
def test_the_findings_do_not_depend_on_how_rows_are_cut(parts: int) -> None:
    texts, splits = corpus(9)
    assert findings(Leaks(), texts, splits, parts=parts) == findings(Leaks(), texts, splits) != []


def test_nor_on_how_much_is_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, splits = corpus(10)
    expected = {finding.row for finding in findings(Leaks(), texts, splits)}
    monkeypatch.setattr("rungwise.curate.overlap._RUNS_AT_ONCE", 50)
    monkeypatch.setattr("rungwise.curate.overlap._GRAMS_AT_ONCE", 20)
    assert {finding.row for finding in findings(Leaks(), texts, splits)} == expected


def test_only_texts_under_suspicion_are_read() -> None:
    rng = Random(3)
    texts = [" ".join(prose(rng, 100)) for _ in range(400)]
    texts[399] = texts[0] + " and more"
    rows = Memory(texts, [SEALED if i < 100 else TRAIN for i in range(400)])
    step = Leaks()
    assert [finding.row for finding in step.decide([step.look(texts)], rows)] == [399]
    assert set(rows.read) <= {0, 399}


def test_remembered_grams_take_less_than_a_third_of_the_text() -> None:
    texts = [" ".join(prose(Random(4), 3000)) for _ in range(20)]
    look = Leaks().look(texts)
    assert look["grams"].nbytes + look["tops"].nbytes < 0.3 * sum(map(len, texts))
    assert look["counts"].sum() == len(look["grams"])


@pytest.mark.parametrize("step", [Duplicates(), Leaks()])
def test_looks_that_were_kept_on_disk_decide_the_same(step: Step) -> None:
    texts, splits = corpus(12)
    texts[1] = texts[0]
    look = step.look(texts)
    kept = load(save(dict(look)))
    assert step.decide([kept], Memory(texts, splits)) == step.decide([look], Memory(texts, splits)) != []
