"""What a model forgot is a ratio of perplexities on the same texts, with an interval over texts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rungwise.core.errors import CannotFit

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from rungwise.engines.fitted.models import CAUSAL, load_model, load_tokenizer  # noqa: E402
from rungwise.fit.forgetting import forgetting, losses_of, mean_loss  # noqa: E402
from rungwise.fit.packing import Document  # noqa: E402
from tests.fit.small_decoder import small_decoder  # noqa: E402

FILES = small_decoder()
TOKENIZER = load_tokenizer(FILES)
DICE = np.random.default_rng(0)
TEXTS = [" ".join(f"w{place}" for place in DICE.integers(0, 40, int(DICE.integers(2, 60)))) for _ in range(25)]


def base() -> torch.nn.Module:
    return load_model(FILES, CAUSAL)


def louder(factor: float) -> torch.nn.Module:
    """The base, but surer of everything: a random one is then wrong with more conviction."""
    model = base()
    with torch.no_grad():
        model.lm_head.weight.mul_(factor)
    return model


def losses_by_transformers(model: torch.nn.Module) -> list[float]:
    with torch.no_grad():
        ids = [torch.tensor([TOKENIZER(text)["input_ids"]]) for text in TEXTS]
        return [float(model(input_ids=one, labels=one).loss) * (one.shape[1] - 1) for one in ids]


def test_the_losses_are_those_of_transformers() -> None:
    documents = [Document.of(TOKENIZER(text)["input_ids"]) for text in TEXTS]
    expected = losses_by_transformers(base())
    assert losses_of(base(), documents, batch_tokens=200) == pytest.approx(expected, abs=1e-4)
    assert mean_loss(base(), documents) == pytest.approx(sum(expected) / sum(len(one) - 1 for one in documents), abs=1e-5)


def test_a_model_has_forgotten_nothing_of_itself() -> None:
    found = forgetting(base(), base(), TOKENIZER, TEXTS)
    assert (found.ratio, found.low, found.high) == (1.0, 1.0, 1.0)
    assert found.texts == 25


def test_the_ratio_is_that_of_the_perplexities_and_lies_in_its_interval() -> None:
    found = forgetting(base(), louder(8.0), TOKENIZER, TEXTS)
    tokens = sum(len(TOKENIZER(text)["input_ids"]) - 1 for text in TEXTS)
    losses = [sum(losses_by_transformers(model)) / tokens for model in (base(), louder(8.0))]
    assert found.tokens == tokens
    assert (found.base_loss, found.fitted_loss) == pytest.approx(losses, abs=1e-5)
    assert found.ratio == pytest.approx(math.exp(losses[1] - losses[0]), rel=1e-4)
    assert 1.0 < found.low < found.ratio < found.high
    assert found.told["perplexity_ratio"] == found.ratio


def test_both_models_are_drawn_on_the_same_texts_so_that_the_interval_is_narrow() -> None:
    found = forgetting(base(), louder(1.05), TOKENIZER, TEXTS)
    each = [one / max(1, len(text.split()) - 1) for one, text in zip(losses_by_transformers(base()), TEXTS, strict=True)]
    assert found.high - found.low < 0.5 * np.std(each) / math.sqrt(len(each))


def test_a_text_longer_than_the_base_can_see_is_judged_in_pieces() -> None:
    long = " ".join(["w1", "w2"] * 150)
    found = forgetting(base(), base(), TOKENIZER, [long, "w1 w2"])
    assert (found.texts, found.tokens) == (2, 300 - 3 + 1)  # 300 tokens are three pieces of at most 128


def test_one_text_is_too_little() -> None:
    with pytest.raises(CannotFit, match="two texts at least, and there are 1"):
        forgetting(base(), base(), TOKENIZER, ["w1 w2", "w1", ""])
