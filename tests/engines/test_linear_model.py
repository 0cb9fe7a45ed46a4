"""The linear model as it answers: its arithmetic, its files, and files that are damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from scipy.special import expit
from scipy.special import softmax as reference_softmax

from rungwise.core.errors import Corrupt
from rungwise.engines.arrays import ARRAYS, SETTINGS, Files, pack, unpack
from rungwise.engines.linear import Calibration, Head, Linear, sigmoid, softmax
from rungwise.engines.tfidf import TfidfSettings, fit_tfidf

TEXTS = ("where is my parcel", "my parcel is late", "i want my money back", "money back please")


def linear(**calibration: object) -> Linear:
    """Two labels on the n-grams of four texts, with weights drawn by a fixed seed."""
    tfidf = fit_tfidf(TEXTS, TfidfSettings(min_df=1))
    rng = np.random.default_rng(7)
    return Linear(
        labels=("parcel", "money"),
        weights=rng.normal(size=(tfidf.features, 2)).astype(np.float32),
        bias=np.array([0.5, -0.5], dtype=np.float32),
        calibration=Calibration(**calibration),  # type: ignore[arg-type]
        tfidf=tfidf,
    )


def head() -> Head:
    weights = np.array([[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]], dtype=np.float32)
    return Head(labels=("a", "b"), weights=weights, bias=np.zeros(2, dtype=np.float32), calibration=Calibration())


def with_settings(files: Files, **changes: object) -> Files:
    """The same files with some settings changed; None takes a setting away."""
    named = json.loads(files[SETTINGS]) | changes
    return files | {SETTINGS: json.dumps({key: value for key, value in named.items() if value is not None}).encode()}


def with_arrays(files: Files, **changes: np.ndarray) -> Files:
    return files | {ARRAYS: save(load(files[ARRAYS]) | changes)}


def test_margins_are_vectors_times_weights_plus_bias() -> None:
    model = linear()
    expected = model.tfidf.transform(TEXTS).toarray().astype(np.float64) @ model.weights + model.bias
    np.testing.assert_allclose(model.margins(TEXTS), expected, rtol=1e-5)


def test_single_label_probabilities_are_the_softmax_of_sloped_margins() -> None:
    model = linear(slope=3.0)
    np.testing.assert_allclose(model.probabilities(TEXTS), reference_softmax(3.0 * model.margins(TEXTS), axis=1), rtol=1e-5)


def test_multi_label_probabilities_are_sigmoids_with_slope_and_offset() -> None:
    model = linear(slope=3.0, offset=-1.0, multi_label=True)
    np.testing.assert_allclose(model.probabilities(TEXTS), expit(3.0 * model.margins(TEXTS) - 1.0), rtol=1e-5)


def test_an_empty_text_is_answered_by_the_bias_alone() -> None:
    model = linear()
    np.testing.assert_allclose(model.margins([""]), [[0.5, -0.5]])


def test_no_texts_give_no_rows() -> None:
    assert linear().probabilities([]).shape == (0, 2)


def test_a_text_is_answered_the_same_alone_and_in_a_batch() -> None:
    model = linear()
    alone = np.concatenate([model.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(model.probabilities(TEXTS), alone, atol=1e-6)


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=2, max_size=5))
def test_probabilities_of_any_margins_are_finite_and_add_up_to_one(margins: list[float]) -> None:
    shown = softmax(np.array([margins], dtype=np.float32))
    assert np.isfinite(shown).all()
    assert shown.sum() == pytest.approx(1.0, abs=1e-5)
    several = sigmoid(np.array([margins], dtype=np.float32))
    assert np.all((several >= 0) & (several <= 1))


def test_a_head_multiplies_vectors() -> None:
    vectors = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    # margins: 1 + 1 + 0 = 2 and -1 + 4 + 3 = 6
    np.testing.assert_allclose(head().probabilities(vectors), reference_softmax([[2.0, 6.0]], axis=1), rtol=1e-6)


@pytest.mark.parametrize("calibration", [Calibration(slope=2.5), Calibration(slope=2, offset=-1, threshold=0.3, multi_label=True)])
def test_what_was_written_is_read_back(calibration: Calibration) -> None:
    model = linear(**vars(calibration))
    again = Linear.load(model.files(c=1.0, seed=3))
    assert again.labels == model.labels
    assert again.calibration == calibration
    assert again.tfidf.settings == model.tfidf.settings
    assert np.array_equal(again.probabilities(TEXTS), model.probabilities(TEXTS))
    assert again.files(c=1.0, seed=3) == model.files(c=1.0, seed=3)


def test_a_head_is_read_back() -> None:
    vectors = np.eye(3, dtype=np.float32)
    assert np.array_equal(Head.load(head().files()).probabilities(vectors), head().probabilities(vectors))


def test_labels_of_any_script_survive_the_file() -> None:
    labels = ("ação", "\ud800", "a\nb")  # a lone surrogate can come from a JSON file
    files = Head(
        labels=labels, weights=np.zeros((1, 3), np.float32), bias=np.zeros(3, np.float32), calibration=Calibration()
    ).files()
    assert Head.load(files).labels == labels


def test_equal_models_have_equal_bytes_and_settings_tell_what_was_recorded() -> None:
    first, second = linear().files(c=1.0), linear().files(c=1.0)
    assert first == second
    assert json.loads(first[SETTINGS])["c"] == 1.0


def test_the_order_of_arrays_does_not_change_the_bytes() -> None:
    one, two = np.zeros(2, np.float32), np.ones(3, np.float32)
    assert pack({"one": one, "two": two}, {"technique": "x"}) == pack({"two": two, "one": one}, {"technique": "x"})


def test_a_transposed_array_is_written_as_it_reads() -> None:
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    arrays, _ = unpack(pack({"turned": turned}, {"technique": "x"}), technique="x")
    assert np.array_equal(arrays["turned"], turned)


@pytest.mark.parametrize("name", [ARRAYS, SETTINGS])
def test_a_missing_file_is_refused(name: str) -> None:
    files = {key: value for key, value in linear().files().items() if key != name}
    with pytest.raises(Corrupt, match="Run the climb again"):
        Linear.load(files)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b'{"technique": "head"}'])
def test_settings_that_are_not_settings_are_refused(content: bytes) -> None:
    with pytest.raises(Corrupt):
        Linear.load(linear().files() | {SETTINGS: content})


@pytest.mark.parametrize(
    "change",
    [
        {"labels": None},
        {"labels": 3},
        {"labels": ["only one"]},
        {"calibration": None},
        {"calibration": {"sloppy": 1}},
        {"tfidf": None},
        {"tfidf": {"words": 2}},
        {"tfidf": {"characters": [2]}},
        {"tfidf": {"characters": [2, 5], "unknown": 1}},
        {"tfidf": [2, 5]},
    ],
)
def test_settings_of_another_shape_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(Corrupt):
        Linear.load(with_settings(linear().files(), **change))


@pytest.mark.parametrize(
    "change",
    [
        {"bias": np.zeros(3, np.float32)},
        {"weights": np.zeros((5, 2), np.float32)},
        {"weights": np.zeros(2, np.float32)},
        {"words.buckets": np.full(len(linear().tfidf.blocks[0].buckets), 1 << 30, np.int32)},
        {"words.buckets": np.full(len(linear().tfidf.blocks[0].buckets), -1, np.int32)},
        {"characters.buckets": np.zeros((2, 2), np.float32)},
        {"characters.idf": np.zeros(1, np.float32)},
    ],
)
def test_arrays_of_another_shape_are_refused(change: dict[str, np.ndarray]) -> None:
    with pytest.raises(Corrupt):
        Linear.load(with_arrays(linear().files(), **change))


def test_a_head_whose_arrays_do_not_fit_its_labels_is_refused() -> None:
    with pytest.raises(Corrupt, match="bias"):
        Head.load(with_arrays(head().files(), bias=np.zeros(3, np.float32)))


def test_a_head_is_not_read_as_a_linear_model() -> None:
    with pytest.raises(Corrupt, match="'head', not 'linear'"):
        Linear.load(head().files())


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_arrays_that_are_cut_anywhere_are_refused(share: float) -> None:
    files = head().files()
    with pytest.raises(Corrupt):
        Head.load(files | {ARRAYS: files[ARRAYS][: int(share * len(files[ARRAYS]))]})


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_byte_of_the_settings_is_refused_or_gives_a_model(data: st.DataObject) -> None:
    """Never another error: the digest in the manifest finds the change, this is the second line."""
    files = linear().files()
    place = data.draw(st.integers(0, len(files[SETTINGS]) - 1))
    changed = bytearray(files[SETTINGS])
    changed[place] = data.draw(st.integers(0, 255))
    try:
        model = Linear.load(files | {SETTINGS: bytes(changed)})
    except Corrupt:
        return
    assert model.weights.shape[1] == len(model.labels)
