"""The classical rung's fit, from texts and labels to files that answer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.svm import LinearSVC

from benchmarks.clinc150 import load_clinc150
from rungwise.engines.linear import Linear
from rungwise.fit.linear import fit_linear, label_names

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

PARCEL = ("where is my parcel", "my parcel is late", "track the parcel", "parcel not here", "the parcel is lost")
MONEY = ("i want my money back", "money back please", "refund my money", "give the money back", "where is my refund")
TEXTS = (*PARCEL, *MONEY)
REFERENCES = (*[("parcel",)] * 5, *[("money",)] * 5)


def answers(model: Linear, texts: list[str] | tuple[str, ...]) -> list[str]:
    return [model.labels[place] for place in model.probabilities(texts).argmax(axis=1)]


@pytest.fixture(scope="module")
def intents() -> tuple[list[str], list[str], list[str], list[str]]:
    """40 intents of CLINC150: 4,000 messages to fit and 800 to test."""
    folder = DATA / "clinc150"
    if not folder.exists():
        pytest.skip("needs the shared data set clinc150")
    split = []
    for name in ("train", "validation"):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            split.append([json.loads(line) for line in lines])
    names = sorted({row["intent"] for row in split[0]} - {"oos"})[:40]
    train, test = ([row for row in rows if row["intent"] in names] for rows in split)
    return (
        [row["text"] for row in train],
        [row["intent"] for row in train],
        [row["text"] for row in test],
        [row["intent"] for row in test],
    )


@pytest.fixture(scope="module")
def fitted(intents: tuple[list[str], ...]) -> dict[float, Linear]:
    texts, labels, _, _ = intents
    files = fit_linear(texts, [(label,) for label in labels], cs=(0.3, 1.0))
    return {c: Linear.load(own) for c, own in files.items()}


def test_accuracy_and_answers_are_those_of_the_same_pipeline_in_scikit_learn(
    intents: tuple[list[str], ...], fitted: dict[float, Linear]
) -> None:
    texts, labels, unseen, truth = intents
    words = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    peer = make_pipeline(FeatureUnion([("words", words), ("characters", characters)]), LinearSVC(C=1.0, random_state=0))
    theirs = peer.fit(texts, labels).predict(unseen)
    ours = answers(fitted[1.0], unseen)
    right = np.mean([given == true for given, true in zip(ours, truth, strict=True)])
    assert right > 0.94
    assert abs(right - np.mean(theirs == np.array(truth))) <= 0.0075  # 6 of 800 messages
    assert np.mean(theirs == np.array(ours)) > 0.98  # n-grams that share a number make the rest


def test_confidence_is_honest_on_messages_that_were_not_fitted(intents: tuple[list[str], ...], fitted: dict[float, Linear]) -> None:
    _, _, unseen, truth = intents
    for model in fitted.values():
        shown = model.probabilities(unseen)
        right = np.array(answers(model, unseen)) == np.array(truth)
        assert abs(shown.max(axis=1).mean() - right.mean()) < 0.03
        sure = shown.max(axis=1) > 0.9
        assert right[sure].mean() > 0.97
        assert right[sure].mean() > right[~sure].mean() + 0.05


def test_each_c_gives_a_model_of_its_own_on_the_same_features(fitted: dict[float, Linear]) -> None:
    low, high = fitted[0.3], fitted[1.0]
    assert low.tfidf.settings == high.tfidf.settings
    assert np.array_equal(low.tfidf.blocks[0].buckets, high.tfidf.blocks[0].buckets)
    assert np.linalg.norm(high.weights) > np.linalg.norm(low.weights)  # a larger C shrinks less


def test_a_c_alone_gives_the_same_answers_as_among_others() -> None:
    together = fit_linear(TEXTS, REFERENCES, cs=(0.1, 1.0))
    alone = fit_linear(TEXTS, REFERENCES, cs=(1.0,))
    assert together[1.0] == alone[1.0]


def test_fitting_twice_gives_the_same_bytes() -> None:
    assert fit_linear(TEXTS, REFERENCES, cs=(0.1, 1.0), seed=4) == fit_linear(TEXTS, REFERENCES, cs=(0.1, 1.0), seed=4)


def test_the_files_record_what_they_were_fitted_with() -> None:
    files = fit_linear(TEXTS, REFERENCES, cs=(0.5,), seed=9)[0.5]
    recorded = json.loads(files["settings.json"])
    assert (recorded["c"], recorded["seed"], recorded["rows"]) == (0.5, 9, 10)


def test_several_labels_are_each_given_or_not() -> None:
    both = [f"{one} and {other}" for one in PARCEL for other in MONEY]
    texts = [*PARCEL, *MONEY, *both] * 3
    references = [*REFERENCES, *[("parcel", "money")] * 25] * 3
    model = Linear.load(fit_linear(texts, references, cs=(1.0,), multi_label=True)[1.0])
    assert model.calibration.multi_label
    given = model.probabilities(["where is the parcel", "please refund", "late parcel, money back"]) >= model.calibration.threshold
    assert model.labels == ("money", "parcel")
    assert given.tolist() == [[False, True], [True, False], [True, True]]


def test_several_labels_do_as_well_as_one_machine_a_label_in_scikit_learn() -> None:
    """Toxic comments in Portuguese, six labels that overlap, most rows without any."""
    path = DATA / "toldbr_pt" / "dev.jsonl.gz"
    if not path.exists():
        pytest.skip("needs the shared data set toldbr_pt")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(3_000), strict=False)]
    kinds = [key for key in rows[0] if key != "text"]
    truth = np.array([[float(row[kind]) > 0 for kind in kinds] for row in rows])
    references = [[kind for kind, has in zip(kinds, own, strict=True) if has] for own in truth]
    texts = [row["text"] for row in rows]
    model = Linear.load(fit_linear(texts[:2_400], references[:2_400], cs=(0.3,), multi_label=True)[0.3])
    columns = [model.labels.index(kind) for kind in kinds]
    ours = model.probabilities(texts[2_400:])[:, columns] >= model.calibration.threshold
    x = model.tfidf.transform(texts)
    theirs = np.stack(
        [LinearSVC(C=0.3, random_state=0).fit(x[:2_400], column[:2_400]).predict(x[2_400:]) for column in truth.T], axis=1
    )
    scores = [f1_score(truth[2_400:], given, average="micro", zero_division=0) for given in (ours, theirs)]
    assert scores[0] >= scores[1]  # the fitted threshold can only help against the plain sign


def test_rows_without_any_label_count_against_all_labels() -> None:
    texts = [*PARCEL, *MONEY, "good morning", "good evening", "hello there", "good day", "hello good day"]
    references = [*REFERENCES, *[()] * 5]
    model = Linear.load(fit_linear(texts, references, cs=(10.0,), multi_label=True)[10.0])
    greeting, parcel = model.margins(["good day hello", "my parcel"])
    assert greeting.max() < 0 < parcel.max()


def test_two_rows_of_two_labels_are_enough() -> None:
    model = Linear.load(fit_linear(["yes please", "no thanks"], [("yes",), ("no",)], cs=(1.0,))[1.0])
    assert answers(model, ["yes please", "no thanks"]) == ["yes", "no"]


def test_one_row_or_one_label_always_gets_that_label() -> None:
    for texts in (["hello"], ["hello", "good bye"]):
        model = Linear.load(fit_linear(texts, [("only",)] * len(texts), cs=(1.0,))[1.0])
        assert model.probabilities(["anything"]).tolist() == [[1.0]]


def test_a_label_with_one_example_is_learned_beside_larger_ones() -> None:
    model = Linear.load(fit_linear([*TEXTS, "reset the password"], [*REFERENCES, ("password",)], cs=(10.0,))[10.0])
    assert answers(model, ["password reset"]) == ["password"]


def test_a_single_label_task_reads_the_first_reference() -> None:
    first = fit_linear(TEXTS, [(*row, "also") for row in REFERENCES], cs=(1.0,))
    assert first == fit_linear(TEXTS, REFERENCES, cs=(1.0,))


def test_rows_of_equal_text_and_different_labels_share_the_confidence() -> None:
    model = Linear.load(fit_linear(["the same"] * 40, [("a",), ("b",)] * 20, cs=(1.0,))[1.0])
    assert model.probabilities(["the same"])[0].tolist() == pytest.approx([0.5, 0.5], abs=0.02)


def test_empty_texts_can_be_fitted_and_answered() -> None:
    model = Linear.load(fit_linear(["", "", "hello", "good bye"], [("a",), ("a",), ("b",), ("b",)], cs=(1.0,))[1.0])
    assert np.isfinite(model.probabilities(["", "hello"])).all()
    assert answers(model, ["hello"]) == ["b"]


def test_nothing_but_empty_texts_gives_the_more_frequent_label() -> None:
    model = Linear.load(fit_linear([""] * 5, [("a",), ("b",), ("b",), ("b",), ("b",)], cs=(1.0,))[1.0])
    assert answers(model, [""]) == ["b"]


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        fit_linear([], [], cs=(1.0,))


def test_label_names_are_sorted_and_named_once() -> None:
    assert label_names([("b", "a"), (), ("a",)]) == ("a", "b")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.sampled_from(["ação", "ja", "", "\ud800"])), min_size=1, max_size=12))
def test_any_texts_and_labels_can_be_fitted_written_read_and_answered(rows: list[tuple[str, str]]) -> None:
    texts = [text for text, _ in rows]
    model = Linear.load(fit_linear(texts, [(label,) for _, label in rows], cs=(1.0,))[1.0])
    shown = model.probabilities(texts)
    assert set(model.labels) == {label for _, label in rows}
    assert np.isfinite(shown).all()
    np.testing.assert_allclose(shown.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside this checkout (../shared/data)")
def test_dev_accuracy_on_clinc150_is_what_the_goal_asks() -> None:
    """The goal is 0.915 on the 600 dev rows of the published split; with C = 1 alone about 0.945 is reached."""
    data = load_clinc150(DATA)
    train, dev = ([row for row in data if row["split"] == split] for split in ("train", "dev"))
    assert (len(train), len(dev), len(data)) == (15_000, 600, 18_000)
    model = Linear.load(fit_linear([row["text"] for row in train], [(row["intent"],) for row in train], cs=[1.0])[1.0])
    shown = model.probabilities([row["text"] for row in dev])
    truth = np.array([model.labels.index(row["intent"]) for row in dev])
    assert np.mean(shown.argmax(axis=1) == truth) >= 0.93
    assert -np.mean(np.log(shown[np.arange(600), truth])) < 0.32  # nats; calibrated
