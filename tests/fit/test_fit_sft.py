"""A language model learns to answer as the rows do, whole or by an adapter, and the folder loads with plain libraries."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import CannotFit, UsageError
from rungwise.engines.fitted.files import Files
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import Step
from rungwise.fit.fit import Fit

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from rungwise.engines.fitted.chat import Chat, Message  # noqa: E402
from rungwise.engines.fitted.models import CAUSAL, CONFIG, WEIGHTS, load_model  # noqa: E402
from rungwise.fit.sft import SftSettings, fit_sft  # noqa: E402
from tests.fit.small_decoder import small_decoder  # noqa: E402

ANSWERS = {0: "yes please", 1: "no thanks", 2: "order parcel refund"}
FULL = SftSettings(technique="full", lr=1e-2, epochs=8, row_tokens=64, batch_tokens=128, held_out=0.2, patience=8)
LORA = replace(FULL, technique="lora", lr=2e-2)


def rows_of(count: int = 60, *, turned: int = 0) -> list[list[Message]]:
    """The last word of the question says the answer."""
    dice = np.random.default_rng(0)
    found = []
    for _ in range(count):
        last = int(dice.integers(0, 3))
        words = [f"w{place}" for place in dice.integers(3, 40, int(dice.integers(1, 12)))]
        found.append([Message("user", " ".join([*words, f"w{last}"])), Message("assistant", ANSWERS[(last + turned) % 3])])
    return found


@pytest.fixture(scope="module")
def base() -> Files:
    return small_decoder()


@pytest.fixture(scope="module")
def full(base: Files) -> Fit:
    return fit_sft(rows_of(), base, FULL)


@pytest.fixture(scope="module")
def lora(full: Fit) -> Fit:
    return fit_sft(rows_of(turned=1), full.files, LORA, base_name="small")


def folder_of(files: Files, path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("technique", ["full", "lora"])
def test_it_learns_the_answers(technique: str, request: pytest.FixtureRequest) -> None:
    fitted: Fit = request.getfixturevalue(technique)
    assert fitted.told["held_out_loss_after"] < 0.5 * fitted.told["held_out_loss_before"]
    assert fitted.told["kept_epoch"] >= 1
    assert fitted.told["rows"] + fitted.told["held_rows"] == 60
    assert fitted.told["held_rows"] == pytest.approx(12, abs=1)
    assert fitted.told["tokens"] == 8 * fitted.told["row_tokens"]
    assert fitted.told["fill"] > 0.85


def test_a_model_trained_whole_loads_in_plain_transformers_and_answers(full: Fit, base: Files, tmp_path: Path) -> None:
    folder = folder_of(full.files, tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    asked = tokenizer.apply_chat_template([{"role": "user", "content": "w9 w8 w2"}], return_tensors="pt", return_dict=True)
    told = model.generate(**asked, max_new_tokens=8, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(told) == "order parcel refund <eos>"
    assert asked["input_ids"][0].tolist() == Chat(base).prompt([Message("user", "w9 w8 w2")])


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_an_adapter_loads_in_plain_peft_on_its_base_and_is_small(lora: Fit, full: Fit, tmp_path: Path) -> None:
    assert json.loads(lora.files["adapter_config.json"])["base_model_name_or_path"] == "small"
    assert lora.told["trained_parameters"] < lora.told["parameters"]
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder_of(full.files, tmp_path / "base"))
    model = peft.PeftModel.from_pretrained(plain, folder_of(lora.files, tmp_path / "adapter"))
    chat = Chat(full.files)
    asked = torch.tensor([chat.prompt([Message("user", "w9 w8 w0")])])
    told = model.generate(input_ids=asked, attention_mask=torch.ones_like(asked), max_new_tokens=8, do_sample=False)
    assert chat.tokenizer.decode(told[0, asked.shape[1] :]) == "no thanks <eos>"


@pytest.mark.parametrize("settings", [FULL, LORA], ids=["full", "lora"])
def test_equal_arguments_give_equal_bytes(base: Files, settings: SftSettings) -> None:
    short = replace(settings, epochs=1)
    assert fit_sft(rows_of(20), base, short).files == fit_sft(rows_of(20), base, short).files


def test_the_loss_is_that_of_transformers_on_the_answers_alone(base: Files) -> None:
    rows = rows_of(12)
    fitted = fit_sft(rows, base, replace(FULL, epochs=1, held_out=0.0, batch_tokens=100_000, bf16=False))
    model, chat, total, count = load_model(base, CAUSAL), Chat(base), 0.0, 0
    for row in rows:
        one = chat.rendered(row)
        labels = torch.from_numpy(np.where(one.answered, one.ids, -100))[None]
        size = int(one.answered[1:].sum())
        with torch.no_grad():
            total += float(model(input_ids=torch.from_numpy(one.ids)[None], labels=labels).loss) * size
        count += size
    assert fitted.trained.losses == pytest.approx([total / count], abs=1e-5)


@pytest.mark.parametrize("settings", [replace(FULL, layout="buckets"), replace(FULL, row_tokens=24)], ids=["buckets", "rows"])
def test_the_layout_of_the_rows_does_not_change_the_loss(base: Files, settings: SftSettings) -> None:
    once = {"epochs": 1, "batch_tokens": 100_000, "held_out": 0.0, "bf16": False}
    one, other = (fit_sft(rows_of(12), base, replace(own, **once)) for own in (FULL, settings))
    assert one.trained.losses == pytest.approx(other.trained.losses, abs=1e-5)


def test_small_batches_that_share_a_step_are_one_large_one(base: Files) -> None:
    once = {"epochs": 1, "held_out": 0.0, "bf16": False, "row_tokens": 32}
    whole = fit_sft(rows_of(24), base, replace(FULL, batch_tokens=100_000, **once))
    parts = fit_sft(rows_of(24), base, replace(FULL, batch_tokens=32, accumulate=100, **once))
    assert len(parts.trained.losses) == 1
    assert parts.trained.losses == pytest.approx(whole.trained.losses, abs=1e-5)
    assert parts.trained.grad_norms == pytest.approx(whole.trained.grad_norms, rel=1e-4)


def test_blank_answers_are_counted_and_left_out_and_all_of_them_are_an_error(base: Files) -> None:
    blank = [[Message("user", "w1"), Message("assistant", "  ")], [Message("user", "w2")]]
    fitted = fit_sft([*rows_of(10), *blank], base, replace(FULL, epochs=1))
    assert fitted.told["empty_answers"] == 2
    assert fitted.told["rows"] + fitted.told["held_rows"] == 10
    with pytest.raises(CannotFit, match="none of the 2 rows has an answer"):
        fit_sft(blank, base, FULL)


def test_rows_that_are_too_long_are_counted_and_left_out_or_split(base: Files) -> None:
    long = [Message("user", " ".join(["w7"] * 80)), Message("assistant", " ".join(["yes"] * 30))]
    rows = [*rows_of(10), long]
    once = replace(FULL, epochs=1, held_out=0.0)
    left = fit_sft(rows, base, once).told
    split = fit_sft(rows, base, replace(once, longer="split")).told
    assert (left["cut_rows"], left["left_out_rows"], left["rows"]) == (1, 1, 10)
    assert (split["cut_rows"], split["left_out_rows"], split["rows"]) == (1, 0, 11)  # its first piece holds no answer
    assert split["answer_tokens"] == left["answer_tokens"] + 31
    with pytest.raises(CannotFit, match=r"all 1 rows are longer than 64 tokens \(the longest has 111\)"):
        fit_sft([long], base, FULL)


def test_rows_are_no_longer_than_the_base_can_see(base: Files) -> None:
    long = [Message("user", " ".join(["w7"] * 150)), Message("assistant", "yes")]
    told = fit_sft([*rows_of(10), long], base, replace(FULL, epochs=1, row_tokens=4_096)).told
    assert told["cut_rows"] == 1  # the base sees 128


def test_one_question_is_never_on_both_sides(base: Files) -> None:
    rows = [[Message("user", f"w{place % 2}"), Message("assistant", "yes")] for place in range(20)]
    told = fit_sft(rows, base, replace(FULL, epochs=1, held_out=0.1)).told
    assert (told["rows"], told["held_rows"]) == (10, 10)


def test_training_ends_when_held_out_rows_get_worse_and_the_best_weights_are_kept(base: Files) -> None:
    dice = np.random.default_rng(1)
    noise = [[Message("user", f"w{place}"), Message("assistant", f"w{dice.integers(0, 40)}")] for place in range(40)]
    fitted = fit_sft(noise, base, replace(FULL, lr=3e-2, epochs=30, patience=2, held_out=0.3))
    assert len(fitted.trained.epochs) < 30
    assert fitted.told["held_out_loss_after"] <= fitted.told["held_out_loss_before"]
    assert fitted.told["kept_epoch"] == len(fitted.trained.epochs) - 2


def test_where_no_epoch_is_better_the_base_stays_as_it_is(base: Files) -> None:
    dice = np.random.default_rng(1)
    noise = [[Message("user", f"w{place}"), Message("assistant", f"w{dice.integers(0, 40)}")] for place in range(40)]
    first = fit_sft(rows_of(), base, FULL).files
    spoilt = fit_sft([*noise, *rows_of(6)], first, replace(FULL, lr=0.5, epochs=1, held_out=0.1, seed=3))
    assert spoilt.told["kept_epoch"] == 0
    assert spoilt.files[WEIGHTS] == first[WEIGHTS]


@pytest.mark.parametrize("killed_at", [1, 5, 9])
def test_a_killed_training_ends_in_the_same_bytes(base: Files, tmp_path: Path, killed_at: int) -> None:
    settings = replace(LORA, epochs=3, batch_tokens=128, lora_dropout=0.1)

    def run(folder: Path | None, on_step: Callable[[Step], None] | None = None) -> Fit:
        checkpoints = None if folder is None else Checkpoints(folder, key="this", every_s=0.0, clock=lambda: 0.0)
        return fit_sft(rows_of(40), base, settings, on_step=on_step, checkpoints=checkpoints)

    def kill(step: Step) -> None:
        if step.done == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, kill)
    whole, again = run(None), run(tmp_path)
    assert again.trained.resumed == killed_at - 1
    assert again.files == whole.files
    assert again.told == whole.told


def test_what_was_forgotten_is_told_where_general_texts_are_given(base: Files) -> None:
    general = [" ".join(f"w{(place + step) % 40}" for step in range(20)) for place in range(30)]
    told = fit_sft(rows_of(), base, FULL, general=general).told
    assert told["perplexity_ratio_low"] < told["perplexity_ratio"] < told["perplexity_ratio_high"]
    assert told["perplexity_ratio"] > 1.0


def test_dropout_is_on_in_training_and_off_in_judging(base: Files) -> None:
    once = replace(FULL, epochs=1, bf16=False)
    dropped = fit_sft(rows_of(), base, replace(once, dropout=0.3))
    assert dropped.trained.losses != fit_sft(rows_of(), base, once).trained.losses
    assert json.loads(dropped.files[CONFIG]) == json.loads(base[CONFIG]) | {"dtype": json.loads(dropped.files[CONFIG])["dtype"]}
    again = fit_sft(rows_of(), dropped.files, once)
    assert again.told["held_out_loss_before"] == pytest.approx(dropped.told["held_out_loss_after"], abs=1e-5)


def test_unknown_choices_are_refused(base: Files) -> None:
    with pytest.raises(UsageError, match="Known: lora, full"):
        fit_sft(rows_of(10), base, replace(FULL, technique="half"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Known: packed, buckets"):
        fit_sft(rows_of(10), base, replace(FULL, layout="heap"))  # type: ignore[arg-type]


def test_another_models_tokenizer_is_refused(base: Files) -> None:
    small = json.loads(base[CONFIG]) | {"vocab_size": 20}
    with pytest.raises(UsageError, match="another model's"):
        fit_sft(rows_of(10), {**base, CONFIG: json.dumps(small).encode()}, FULL)
