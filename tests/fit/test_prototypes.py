from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid, NearestNeighbors

from rungwise.engines.neighbours import Neighbours, Prototypes, nearest
from rungwise.fit.prototypes import fit_neighbours, fit_prototypes


def _vectors(n: int, labels: int, *, spread: float, seed: int = 0) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    centres = np.random.default_rng(99).normal(size=(labels, 12))
    rng = np.random.default_rng(seed)
    y = rng.integers(0, labels, n)
    x = centres[y] + spread * rng.normal(size=(n, 12))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), [(f"l{k}",) for k in y]


def _answers(model: Prototypes | Neighbours, x: np.ndarray) -> list[str]:
    return [model.labels[place] for place in model.probabilities(x).argmax(axis=1)]


def test_prototypes_answer_like_nearest_unit_means() -> None:
    x, references = _vectors(300, 6, spread=1.0)
    fresh, _ = _vectors(300, 6, spread=1.0, seed=1)
    model = Prototypes.load(fit_prototypes(x, references))
    y = [row[0] for row in references]
    reference = NearestCentroid().fit(x, y)
    reference.centroids_ /= np.linalg.norm(reference.centroids_, axis=1, keepdims=True)
    assert _answers(model, fresh) == reference.predict(fresh).tolist()


@pytest.mark.parametrize("k", [1, 5, 1_000])
def test_neighbours_are_those_of_scikit_learn(k: int) -> None:
    x, references = _vectors(300, 6, spread=1.0)
    fresh, _ = _vectors(50, 6, spread=1.0, seed=1)
    places, cosines = nearest(fresh, x, k)
    reference = NearestNeighbors(n_neighbors=min(k, 300), metric="cosine").fit(x)
    distances, expected = reference.kneighbors(fresh)
    assert places.tolist() == expected.tolist()
    assert cosines == pytest.approx(1 - distances, abs=1e-5)
    assert len(fit_neighbours(x, references, k=k)) == 2  # more neighbours than rows is not an error


@pytest.mark.parametrize("make", [fit_prototypes, lambda x, y: fit_neighbours(x, y, k=15)], ids=["prototypes", "neighbours"])
def test_probabilities_add_up_and_confidence_is_near_the_share_that_is_right(make: object) -> None:
    x, references = _vectors(900, 6, spread=1.2)
    fresh, truth = _vectors(2_000, 6, spread=1.2, seed=1)
    files = make(x, references)  # type: ignore[operator]
    model = (Prototypes if make is fit_prototypes else Neighbours).load(files)
    shown = model.probabilities(fresh)
    assert shown.sum(axis=1) == pytest.approx(np.ones(2_000), abs=1e-4)
    assert shown.min() > 0
    right = np.mean([given == row[0] for given, row in zip(_answers(model, fresh), truth, strict=True)])
    assert shown.max(axis=1).mean() == pytest.approx(right, abs=0.06)


def test_a_row_does_not_vote_for_itself_when_the_votes_are_weighed() -> None:
    """Labels are random, so votes are best weighed nearly alike; a row's own vote, at cosine 1, would call for a slope of 100."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 12)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    references = [(str(k),) for k in rng.integers(0, 2, 300)]
    assert Neighbours.load(fit_neighbours(x, references, k=15)).slope <= 3.0


def test_several_labels_are_given_by_their_share_of_the_votes() -> None:
    x, references = _vectors(400, 4, spread=0.4)
    many = [(row[0], "even") if row[0] in ("l0", "l2") else row for row in references]
    model = Neighbours.load(fit_neighbours(x[:300], many[:300], k=5, multi_label=True))
    given = model.probabilities(x[300:]) >= model.threshold
    truth = np.array([[label in own for label in model.labels] for own in many[300:]])
    assert (given == truth).mean() > 0.97


def test_one_row_and_a_label_with_one_example_can_be_fitted() -> None:
    x, _ = _vectors(3, 1, spread=0.5)
    for references in ([("a",)], [("a",), ("b",)], [("a",), ("a",), ("b",)]):
        own = x[: len(references)]
        for model in (Prototypes.load(fit_prototypes(own, references)), Neighbours.load(fit_neighbours(own, references, k=5))):
            assert np.isfinite(model.probabilities(own)).all()
            assert _answers(model, own)[-1] == references[-1][0] or model.probabilities(own).shape[1] == 2


def test_no_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        fit_prototypes(np.zeros((0, 3), np.float32), [])
    with pytest.raises(ValueError, match="at least one row"):
        fit_neighbours(np.zeros((0, 3), np.float32), [], k=1)
