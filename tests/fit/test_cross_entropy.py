"""The chunked losses are torch's own, in value and in gradient."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from rungwise.fit import cross_entropy  # noqa: E402
from rungwise.fit.cross_entropy import mean_cross_entropy, sequence_log_probabilities  # noqa: E402

N, D, V, S = 37, 12, 53, 5
CHUNKS = [V, 8 * V, 2**24]  # one row to a chunk, chunks that leave a rest, all in one


def drawn(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(seed)
    hidden = torch.randn(N, D, generator=dice, requires_grad=True)
    head = torch.randn(V, D, generator=dice, requires_grad=True)
    return hidden, head, torch.randint(0, V, (N,), generator=dice)


def gradients(value: torch.Tensor, *of: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(value, of))


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_is_that_of_torch_and_so_are_its_gradients(monkeypatch: pytest.MonkeyPatch, chunk: int, weighted: bool) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_LOGITS", chunk)
    hidden, head, targets = drawn()
    weights = torch.arange(N).float() % 3 if weighted else torch.ones(N)
    each = torch.nn.functional.cross_entropy(hidden @ head.t(), targets, reduction="none")
    expected = (each * weights).sum() / weights.sum()
    found = mean_cross_entropy(hidden, head, targets, weights=weights if weighted else None)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for own, other in zip(gradients(3 * found, hidden, head), gradients(3 * expected, hidden, head), strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("kept", [0, 2**26])
def test_log_probabilities_of_sequences_are_sums_and_so_are_their_gradients(
    monkeypatch: pytest.MonkeyPatch, chunk: int, kept: int
) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_LOGITS", chunk)
    monkeypatch.setattr(cross_entropy, "KEPT_LOGITS", kept)
    hidden, head, targets = drawn()
    owners = torch.arange(N) % (S - 1)  # the last sequence has none
    each = torch.log_softmax(hidden @ head.t(), dim=-1).gather(1, targets[:, None])[:, 0]
    expected = torch.zeros(S).index_add(0, owners, each)
    found = sequence_log_probabilities(hidden, head, targets, owners, S)
    assert float(found[-1].detach()) == 0.0
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    mixed = [torch.nn.functional.logsigmoid(one[0] - one[1]) + one[2:].pow(2).sum() for one in (found, expected)]
    for own, other in zip(gradients(mixed[0], hidden, head), gradients(mixed[1], hidden, head), strict=True):
        torch.testing.assert_close(own, other, atol=1e-3, rtol=1e-5)  # slopes are in the hundreds


def test_a_frozen_head_gets_no_gradient_and_the_states_the_same_one() -> None:
    hidden, head, targets = drawn()
    expected = gradients(mean_cross_entropy(hidden, head, targets), hidden)[0]
    value = mean_cross_entropy(hidden, head.detach(), targets)
    torch.testing.assert_close(gradients(value, hidden)[0], expected)
    owners = torch.zeros(N, dtype=torch.int64)
    summed = sequence_log_probabilities(hidden, head.detach(), targets, owners, 1).sum()
    torch.testing.assert_close(gradients(summed, hidden)[0], -N * expected, atol=1e-5, rtol=1e-5)


def test_nothing_is_kept_for_a_gradient_that_nobody_asks_for() -> None:
    hidden, head, targets = drawn()
    with torch.no_grad():
        assert not mean_cross_entropy(hidden, head, targets).requires_grad


def test_no_targets_cost_nothing_and_can_still_be_differentiated() -> None:
    hidden, head, targets = drawn()
    loss = mean_cross_entropy(hidden[:0], head, targets[:0])
    assert float(loss.detach()) == 0.0
    assert not gradients(loss, hidden)[0].any()
    none = sequence_log_probabilities(hidden[:0], head, targets[:0], targets[:0], S)
    assert none.tolist() == [0.0] * S


def test_under_autocast_products_are_in_bf16_and_gradients_come_in_the_dtype_of_the_weights() -> None:
    hidden, head, targets = drawn()
    whole = mean_cross_entropy(hidden, head, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = mean_cross_entropy(hidden, head, targets)
        expected = torch.nn.functional.cross_entropy((hidden @ head.t()).float(), targets)
    assert float(half.detach()) != float(whole.detach())
    torch.testing.assert_close(half, expected, atol=1e-5, rtol=1e-5)
    slopes = gradients(half, hidden, head)
    assert [one.dtype for one in slopes] == [torch.float32, torch.float32]
    for own, other in zip(slopes, gradients(whole, hidden, head), strict=True):
        torch.testing.assert_close(own, other, atol=5e-3, rtol=0.05)
