"""Documents lie in rows, each token once, and none sees another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import UsageError
from rungwise.fit.finetune import seeded
from rungwise.fit.packing import (
    IGNORED,
    PADDING,
    Document,
    Packed,
    bucketed_batches,
    document_mask,
    fitted_to,
    one_to_a_row,
    pack,
    packed_batches,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from rungwise.engines.fitted.models import CAUSAL, new_model  # noqa: E402
from rungwise.fit.decoder import check_decoder, states_of  # noqa: E402

ROW = 16
TINY = {
    "model_type": "llama",
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}


def documents_of(lengths: Sequence[int], seed: int = 0) -> list[Document]:
    rng = np.random.default_rng(seed)
    return [Document.of(rng.integers(1, 50, length), rng.random(length) < 0.7) for length in lengths]


def read_back(packed: Packed, number: int) -> tuple[list[int], list[int], list[int]]:
    rows, columns = np.nonzero(packed.documents == number)
    assert len(set(rows.tolist())) <= 1
    assert (np.diff(columns) == 1).all()
    return tuple(part[rows, columns].tolist() for part in (packed.ids, packed.targets, packed.positions))  # type: ignore[return-value]


@given(st.lists(st.integers(0, ROW), max_size=60))
def test_every_token_is_in_exactly_one_row_with_the_next_one_as_its_target(lengths: list[int]) -> None:
    documents = documents_of(lengths)
    packed = pack(documents, ROW)
    assert packed.tokens == sum(lengths)
    assert packed.learned == sum(int(one.learned[1:].sum()) for one in documents)
    for number, one in enumerate(documents):
        ids, targets, positions = read_back(packed, number)
        assert ids == one.ids.tolist()
        assert positions == list(range(len(one)))
        assert targets == [*np.where(one.learned[1:], one.ids[1:], IGNORED).tolist(), IGNORED][: len(one)]


@given(st.lists(st.integers(1, ROW), min_size=1, max_size=60))
def test_no_two_rows_could_have_been_one(lengths: list[int]) -> None:
    packed = pack(documents_of(lengths), ROW)
    used = sorted((packed.documents != PADDING).sum(axis=1).tolist())
    assert len(used) < 2 or used[0] + used[1] > ROW


def test_rows_of_texts_of_many_lengths_are_nearly_full() -> None:
    lengths = np.random.default_rng(0).geometric(1 / 80, 2_000).clip(1, 512)
    assert pack(documents_of(lengths.tolist()), 512).fill > 0.99


def test_equal_lengths_lie_in_the_order_given() -> None:
    assert pack(documents_of([8, 8, 8, 8]), ROW).documents[:, [0, 8]].tolist() == [[0, 1], [2, 3]]


def test_a_longer_text_is_refused_until_it_is_left_out_or_split() -> None:
    documents = documents_of([5, 40])
    with pytest.raises(UsageError, match="40 tokens does not fit a row of 16"):
        pack(documents, ROW)
    assert fitted_to(documents, ROW).left_out == 1
    assert fitted_to(documents, ROW).sources == [0]
    halved = fitted_to(documents, ROW, longer="split")
    assert (halved.split, halved.left_out, halved.sources) == (1, 0, [0, 1, 1, 1])


@given(st.integers(17, 90), st.integers(0, 15))
def test_the_pieces_of_a_split_text_learn_each_token_once_at_most(length: int, overlap: int) -> None:
    one = Document.of(np.arange(length))
    pieces = fitted_to([one], ROW, longer="split", overlap=overlap).documents
    assert all(len(piece) <= ROW for piece in pieces)
    own = [piece.ids[int(place > 0) * overlap :] for place, piece in enumerate(pieces)]
    assert np.concatenate(own).tolist() == list(range(length))
    packed = pack(pieces, ROW)
    learned = sorted(packed.targets[packed.targets != IGNORED].tolist())
    lost = {int(piece.ids[0]) for piece in pieces[1:]} if overlap == 0 else set()
    assert learned == sorted(set(range(1, length)) - lost)


@pytest.mark.parametrize("overlap", [-1, 16])
def test_an_overlap_that_leaves_no_room_is_refused(overlap: int) -> None:
    with pytest.raises(UsageError, match="0 to 15"):
        fitted_to(documents_of([3]), ROW, overlap=overlap)


def test_batches_hold_every_row_once_in_an_order_of_their_own() -> None:
    packed = pack(documents_of([16] * 20), ROW)
    batches = packed_batches(packed, np.random.default_rng(0), batch_tokens=4 * ROW)
    assert [len(batch) for batch in batches] == [4] * 5
    order = [int(number) for batch in batches for number in batch.documents[:, 0]]
    assert sorted(order) == list(range(20))
    assert order != list(range(20))


def test_buckets_hold_every_text_once_padded_to_the_longest_beside_it() -> None:
    lengths = [3, 9, 4, 16, 2, 15, 8, 3]
    batches = bucketed_batches(documents_of(lengths), np.random.default_rng(0), batch_tokens=32)
    assert all(batch.ids.size <= 32 for batch in batches)
    assert sorted(int(row[0]) for batch in batches for row in batch.documents) == list(range(8))
    assert sum(batch.tokens for batch in batches) == sum(lengths)


def test_a_token_sees_its_own_document_up_to_itself_and_nothing_else() -> None:
    numbers = torch.tensor([[0, 0, 1, 1, PADDING, PADDING]])
    expected = np.zeros((6, 6), bool)
    for begin in (0, 2, 4):
        expected[begin : begin + 2, begin : begin + 2] = [[True, False], [True, True]]
    assert document_mask(numbers)[0, 0].numpy().tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["llama", "qwen3", "mistral", "gemma3_text", "gpt2"])
@pytest.mark.parametrize("bucketed", [False, True])
def test_the_logits_of_a_packed_document_are_those_of_the_document_alone(kind: str, bucketed: bool) -> None:
    with seeded(0):
        model = new_model({**TINY, "model_type": kind, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}, CAUSAL).eval()
    documents = [Document.of(one.ids) for one in documents_of([7, 5, 16, 3, 9, 4])]
    packed = one_to_a_row(documents) if bucketed else pack(documents, ROW)
    with torch.no_grad():
        states = states_of(model, packed)
        logits = states.hidden @ states.head.t()
        for number, one in enumerate(documents):
            alone = model(torch.from_numpy(one.ids)[None]).logits[0, :-1]
            torch.testing.assert_close(logits[states.documents == number], alone, atol=1e-5, rtol=1e-5)
            assert states.targets[states.documents == number].tolist() == one.ids[1:].tolist()


def test_a_base_that_cannot_see_so_far_or_bends_its_logits_is_refused() -> None:
    check_decoder(new_model(TINY, CAUSAL), 64)
    with pytest.raises(UsageError, match="longer than the 64"):
        check_decoder(new_model(TINY, CAUSAL), 65)
    with pytest.raises(UsageError, match="bias in its head"):
        check_decoder(new_model({**TINY, "model_type": "phi"}, CAUSAL), 16)
