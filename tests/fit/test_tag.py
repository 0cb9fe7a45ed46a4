"""Training the tagger: the same seed gives the same bytes, and a small budget already learns."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("numba", reason="the extra 'curation' is not installed")

import numpy as np

from rungwise.curate.names.sentences import corpus
from rungwise.curate.names.tagger import LABELS, TYPES, pack, tag, tokenise, unpack
from rungwise.fit.tag import build_lists, label, main, train


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert pack(train(texts=300, seed=3)) == pack(train(texts=300, seed=3))
    assert pack(train(texts=300, seed=3)) != pack(train(texts=300, seed=4))


def test_two_thousand_texts_are_enough_to_find_most_names_in_new_templates() -> None:
    tagger = train(texts=2_000, seed=1, share=5)
    gold = found = 0
    for text in corpus(2, 300, share=5, held_out=True):
        spans = {(span.start, span.end) for span in tag(tagger, text.text)}
        gold += len(text.spans)
        found += sum(any(a < end and start < b for a, b in spans) for start, end, _ in text.spans)
    assert found / gold > 0.7  # measured 0.9; a model that finds nothing has 0


def test_labels_begin_where_a_name_begins() -> None:
    text = "Ada Lovelace of Turku Oy"
    labels = label(tokenise(text), [(0, 12, "NAME"), (16, 24, "ORGANIZATION")])
    begin_name, begin_firm = 2 * TYPES.index("NAME") + 1, 2 * TYPES.index("ORGANIZATION") + 1
    assert labels.tolist() == [begin_name, begin_name + 1, 0, begin_firm, begin_firm + 1]


def test_a_label_never_goes_on_with_a_name_that_did_not_begin() -> None:
    transitions = train(texts=200, seed=1).transitions
    for kind in range(len(TYPES)):
        inner = 2 * kind + 2
        others = [state for state in range(LABELS) if state not in (inner, inner - 1)]
        assert np.all(transitions[others, inner] < -1e5)


def test_word_lists_hold_phrases_and_their_beginnings() -> None:
    keys, masks = build_lists()
    assert np.all(np.diff(keys.astype(object)) > 0)
    assert keys.size == masks.size > 10_000
    assert np.any(masks >> 17 & 1)  # "New" goes on to "New York"


def test_the_command_writes_weights_that_their_digest_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "weights.safetensors"
    main(["--texts", "200", "--out", str(out)])
    tagger = unpack(out.read_bytes(), out.with_suffix(".sha256").read_text(encoding="ascii").strip(), where="out")
    assert tagger.weights.shape[1] == LABELS
    assert "sha256" in capsys.readouterr().out
