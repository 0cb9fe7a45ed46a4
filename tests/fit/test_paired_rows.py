"""A prompt that is read once for both of its answers gives what it gives when it is read twice."""

from __future__ import annotations

import numpy as np
import pytest

from rungwise.core.content import Turn
from rungwise.engines.fitted.chat import Chat, Message
from rungwise.fit.paired_rows import EncodedPair, answer_log_probabilities, encoded, paired_rows
from rungwise.fit.preferences import Preference
from tests.fit.small_decoder import small_decoder

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("transformers", reason="needs the extra 'local'")

from rungwise.engines.fitted.models import CAUSAL, load_model  # noqa: E402


def random_pairs(count: int, seed: int = 0) -> list[EncodedPair]:
    rng = np.random.default_rng(seed)
    draw = lambda low, high: rng.integers(3, 49, size=rng.integers(low, high)).astype(np.int64)  # noqa: E731
    return [EncodedPair(draw(1, 9), draw(1, 12), draw(1, 12)) for _ in range(count)]


def one_by_one(model: object, pair: EncodedPair, answer: np.ndarray) -> float:
    """The log-probability of an answer by the model's own forward pass on prompt and answer alone."""
    ids = torch.from_numpy(np.concatenate([pair.prompt, answer]))[None]
    with torch.no_grad():
        logs = model(input_ids=ids).logits.log_softmax(dim=-1)[0]  # type: ignore[operator]
    begin = len(pair.prompt)
    return float(sum(logs[place - 1, ids[0, place]] for place in range(begin, ids.shape[1])))


@pytest.mark.parametrize("row_tokens", [16, 40, 512])
def test_log_probabilities_are_those_of_each_answer_alone(row_tokens: int) -> None:
    model, pairs = load_model(small_decoder(), CAUSAL), random_pairs(7)
    with torch.no_grad():
        found = answer_log_probabilities(model, paired_rows(pairs, row_tokens)).numpy()
    expected = [
        [one_by_one(model, pair, answer) for pair in pairs for answer in [getattr(pair, kind)]] for kind in ("chosen", "rejected")
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_gradients_are_those_of_each_answer_alone() -> None:
    pairs, weights = random_pairs(5), torch.tensor([[1.0, -0.5, 2.0, 0.3, 1.1], [-1.0, 0.7, -0.2, 0.9, 0.4]])
    packed, alone = load_model(small_decoder(), CAUSAL), load_model(small_decoder(), CAUSAL)
    (answer_log_probabilities(packed, paired_rows(pairs, 64)) * weights).sum().backward()
    for place, pair in enumerate(pairs):
        for kind, answer in enumerate((pair.chosen, pair.rejected)):
            ids = torch.from_numpy(np.concatenate([pair.prompt, answer]))[None]
            logs = alone(input_ids=ids).logits.log_softmax(dim=-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
            (logs[len(pair.prompt) - 1 :].sum() * weights[kind, place]).backward()
    for (name, one), other in zip(packed.named_parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_every_answer_token_is_a_target_once_whatever_the_width() -> None:
    pairs = random_pairs(20, seed=3)
    for row_tokens in (1, 30, 100, 1_000):
        rows = paired_rows(pairs, row_tokens)
        by_owner = {owner: rows.targets[rows.owners == owner].tolist() for owner in range(40)}
        assert [by_owner[place] for place in range(20)] == [pair.chosen.tolist() for pair in pairs]
        assert [by_owner[20 + place] for place in range(20)] == [pair.rejected.tolist() for pair in pairs]
        assert rows.ids.shape[1] <= max(row_tokens, max(map(len, pairs)))


def test_rows_take_the_width_with_the_least_padding() -> None:
    pairs = [EncodedPair(np.arange(4), np.arange(3), np.arange(3)) for _ in range(4)]
    assert paired_rows(pairs, 512).ids.shape in {(4, 10), (2, 20), (1, 40)}


def test_a_pair_is_cut_into_tokens_as_the_template_says() -> None:
    chat = Chat(small_decoder())
    found = encoded(Preference("w1 w2", "yes please", "no", turns=(Turn("w3", "thanks"),)), chat)
    asked = [Message("user", "w3"), Message("assistant", "thanks"), Message("user", "w1 w2")]
    assert found.prompt.tolist() == chat.prompt(asked)
    assert chat.tokenizer.decode(found.chosen) == "yes please <eos>"
    assert chat.tokenizer.decode(found.rejected) == "no <eos>"
