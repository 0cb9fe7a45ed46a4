"""A fitted language model answers as plain transformers would, alone, in a batch and as a stream."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rungwise.core.errors import Corrupt, UnknownName, UsageError
from rungwise.engines.fitted.adapters import Lora, adapter_files, with_lora
from rungwise.engines.fitted.chat import Message
from rungwise.engines.fitted.decoding import Decoding, Generated
from rungwise.engines.fitted.files import Files, with_manifest
from rungwise.engines.fitted.generation import Generator, load_generator
from rungwise.engines.fitted.models import CAUSAL, CONFIG, GENERATION, TEMPLATE, load_model
from tests.engines.fitted.language_models import CAUSALS, ENCODING, PLACES, SHAPES, VOCABULARY, language_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LENGTHS = (3, 9, 1, 30, 12, 5, 21, 2)


@cache
def prompts() -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [rng.integers(3, VOCABULARY - 2, size=size).tolist() for size in LENGTHS]


@cache
def generator(shape: str) -> Generator:
    return load_generator(language_model(shape), engine="transformers")


def plain(files: Files, folder: Path) -> Any:
    """The model as whoever has only transformers loads it."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    encodes = json.loads(files[CONFIG]).get("is_encoder_decoder")
    kind = transformers.AutoModelForSeq2SeqLM if encodes else transformers.AutoModelForCausalLM
    return kind.from_pretrained(folder).eval()


def greedy(model: Any, prompt: list[int], count: int) -> list[int]:
    """What `generate` adds to one prompt, without the end."""
    made = model.generate(torch.tensor([prompt]), max_new_tokens=count, do_sample=False)[0].tolist()
    made = made[1:] if model.config.is_encoder_decoder else made[len(prompt) :]
    return made[: made.index(0)] if 0 in made else made


@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_of_unequal_prompts_is_answered_token_for_token_as_transformers_answers_one(shape: str, tmp_path: Path) -> None:
    model = plain(language_model(shape), tmp_path)
    found = generator(shape).generate(prompts(), Decoding(max_tokens=40))
    assert [list(one.ids) for one in found] == [greedy(model, prompt, 40) for prompt in prompts()]
    assert [one.prompt_tokens for one in found] == list(LENGTHS)
    assert len({one.ids for one in found}) > 4  # else the model says one thing whatever it is asked


@pytest.mark.parametrize("shape", SHAPES)
def test_the_end_token_stops_an_answer_and_is_not_part_of_it(shape: str) -> None:
    free = generator(shape).generate(prompts()[3:4], Decoding(max_tokens=12))[0]
    end = next(one for one in free.ids if one > 3)
    files = language_model(shape)
    files[GENERATION] = json.dumps({**json.loads(files[GENERATION]), "eos_token_id": [0, end]}).encode()
    found = load_generator(files, engine="transformers").generate(prompts()[3:4], Decoding(max_tokens=12))[0]
    assert (found.finish, found.ids) == ("stop", free.ids[: free.ids.index(end)])


def test_an_answer_of_all_its_tokens_was_cut_by_length() -> None:
    found = generator("llama").generate(prompts(), Decoding(max_tokens=5))
    assert {(one.finish, len(one.ids)) for one in found} == {("length", 5)}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stream_adds_up_to_the_answer(shape: str) -> None:
    whole = generator(shape).generate(prompts(), Decoding(max_tokens=30))
    for prompt, answer in zip(prompts(), whole, strict=True):
        assert "".join(generator(shape).stream(prompt, Decoding(max_tokens=30))) == answer.text


def test_a_stream_comes_in_pieces_and_may_be_left() -> None:
    pieces = generator("llama").stream("where is my parcel", Decoding(max_tokens=60))
    assert next(pieces)
    pieces.close()


def test_an_error_while_streaming_is_raised_to_the_reader() -> None:
    with pytest.raises(UsageError, match="is empty"):
        list(generator("llama").stream([]))


def test_equal_seeds_draw_equal_texts_whatever_else_is_in_the_batch() -> None:
    drawn = Decoding(max_tokens=20, temperature=1.0, seed=5)
    together = generator("llama").generate(prompts(), drawn)
    alone = [generator("llama").generate([prompt], drawn)[0] for prompt in prompts()]
    assert [one.ids for one in together] == [one.ids for one in alone]
    other = generator("llama").generate(prompts(), Decoding(max_tokens=20, temperature=1.0, seed=6))
    assert [one.ids for one in together] != [one.ids for one in other]


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    model = load_model(language_model("llama"), CAUSAL)
    prompt = prompts()[1]
    expected = torch.softmax(model(torch.tensor([prompt])).logits[0, -1].detach() / 0.8, -1).numpy()
    count = 600
    first = [generator("llama").generate([prompt], Decoding(max_tokens=1, temperature=0.8, seed=seed))[0] for seed in range(count)]
    seen = np.bincount([one.ids[0] if one.ids else 0 for one in first], minlength=VOCABULARY)
    likely = expected > 0.01
    spread = np.sqrt(expected * (1 - expected) / count)
    assert np.all(np.abs(seen / count - expected)[likely] < 4.5 * spread[likely])  # 4.5 deviations: 1 in 100,000 each


def test_a_narrow_nucleus_draws_the_likeliest_token_only() -> None:
    narrow = generator("llama").generate(prompts(), Decoding(max_tokens=10, temperature=1.0, top_p=1e-6, seed=9))
    assert [one.ids for one in narrow] == [one.ids for one in generator("llama").generate(prompts(), Decoding(max_tokens=10))]


@pytest.mark.parametrize("shape", CAUSALS)
def test_a_stop_text_ends_one_row_and_leaves_the_others(shape: str) -> None:
    free = generator(shape).generate(prompts(), Decoding(max_tokens=30))
    stop = next(one for one in (answer.text[4:7] for answer in free) if one.isascii() and one.isprintable() and len(one) == 3)
    found = generator(shape).generate(prompts(), Decoding(max_tokens=30, stop=(stop,)))
    for before, after in zip(free, found, strict=True):
        place = before.text.find(stop)
        assert after.text == (before.text if place < 0 else before.text[:place])
        assert after.finish == ("length" if place < 0 else "stop")
    assert any(len(after.ids) < len(before.ids) for before, after in zip(free, found, strict=True))


@pytest.mark.parametrize("shape", [*CAUSALS, "marian"])
def test_a_prompt_beyond_the_positions_is_refused_with_the_limit(shape: str) -> None:
    with pytest.raises(UsageError, match=str(PLACES if shape in ENCODING else PLACES - 1)):
        generator(shape).generate([[5, 6], [7] * (PLACES + 1)])


@pytest.mark.parametrize("shape", CAUSALS)
def test_rows_near_the_last_position_end_there_and_the_others_go_on(shape: str) -> None:
    long, short = [7, 8] * (PLACES // 2 - 2), [7, 8]
    found = generator(shape).generate([long, short], Decoding(max_tokens=30))
    assert [(len(one.ids), one.finish) for one in found] == [(4, "length"), (30, "length")]
    assert found[0].ids == generator(shape).generate([long], Decoding(max_tokens=4))[0].ids


def test_relative_positions_set_no_limit() -> None:
    assert len(generator("t5").generate([[7] * 600], Decoding(max_tokens=3))) == 1


def test_the_log_probability_is_the_mean_over_the_tokens_that_were_made() -> None:
    model = load_model(language_model("llama"), CAUSAL)
    prompt = prompts()[3]
    found = generator("llama").generate(prompts(), Decoding(max_tokens=8))[3]
    with torch.inference_mode():
        log = torch.log_softmax(model(torch.tensor([[*prompt, *found.ids]])).logits[0], -1)
    expected = [float(log[len(prompt) - 1 + place, one]) for place, one in enumerate(found.ids)]
    assert found.logprob == pytest.approx(np.mean(expected), abs=1e-4)


def test_settings_of_the_model_that_change_greedy_answers_are_kept(tmp_path: Path) -> None:
    files = language_model("llama")
    files[GENERATION] = json.dumps({**json.loads(files[GENERATION]), "repetition_penalty": 1.5, "bad_words_ids": [[9]]}).encode()
    model = plain(files, tmp_path)
    found = load_generator(files).generate(prompts(), Decoding(max_tokens=20))
    assert [list(one.ids) for one in found] == [greedy(model, prompt, 20) for prompt in prompts()]
    assert [one.ids for one in found] != [one.ids for one in generator("llama").generate(prompts(), Decoding(max_tokens=20))]


def test_a_conversation_is_rendered_by_the_template_of_the_model() -> None:
    files = language_model("llama") | {TEMPLATE: b"{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"}
    made = load_generator(files, engine="transformers")
    assert made.tokenizer.decode(made.conversation([Message("user", "where is my parcel")])) == "[user] where is my parcel\n"


def adapter() -> Files:
    pytest.importorskip("peft")
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = with_lora(load_model(language_model("llama"), CAUSAL), Lora(rank=4), task="CAUSAL_LM")
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.2)
        return adapter_files(model, base="this")


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # of peft
def test_an_adapter_is_merged_into_its_base(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    own = adapter()
    found = load_generator(own, base=language_model("llama"), engine="transformers").generate(prompts(), Decoding(max_tokens=20))
    base = plain(language_model("llama"), tmp_path)
    for name, data in own.items():
        (tmp_path / name).write_bytes(data)
    model = peft.PeftModel.from_pretrained(base, tmp_path).eval()
    expected = [greedy_of_peft(model, prompt) for prompt in prompts()]
    assert [list(one.ids) for one in found] == expected
    assert [one.ids for one in found] != [one.ids for one in generator("llama").generate(prompts(), Decoding(max_tokens=20))]


def greedy_of_peft(model: Any, prompt: list[int]) -> list[int]:
    made = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0].tolist()[len(prompt) :]
    return made[: made.index(0)] if 0 in made else made


def test_an_adapter_without_its_base_is_refused() -> None:
    with pytest.raises(UsageError, match="fitted on"):
        load_generator(adapter())


def test_an_adapter_on_a_base_of_another_shape_is_refused() -> None:
    with pytest.raises(Corrupt, match="does not fit its base"):
        load_generator(adapter(), base=language_model("llama", hidden_size=64))


def test_a_changed_byte_is_refused_before_the_model_is_made() -> None:
    files = with_manifest(language_model("llama"))
    files[CONFIG] = files[CONFIG].replace(b"1", b"2", 1)
    with pytest.raises(Corrupt, match=r"config\.json"):
        load_generator(files)


def test_unknown_engines_and_senseless_settings_are_refused() -> None:
    with pytest.raises(UnknownName):
        load_generator(language_model("llama"), engine="llama.cpp")  # type: ignore[arg-type]
    with pytest.raises(UnknownName):
        load_generator(language_model("llama"), dtype="float31")
    with pytest.raises(UsageError, match="int8"):
        load_generator(language_model("llama"), engine="transformers", dtype="int8")
    for wrong in ({"max_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"stop": ("",)}):
        with pytest.raises(UsageError):
            Decoding(**wrong)


def test_no_prompts_give_no_answers() -> None:
    assert generator("llama").generate([]) == list[Generated]()
