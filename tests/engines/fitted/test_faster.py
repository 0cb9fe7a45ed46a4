"""The faster engine writes the tokens that transformers writes, from weights that were checked, or is not used."""

from __future__ import annotations

import json

import pytest

from rungwise.core.errors import MissingExtra, UsageError
from rungwise.engines.fitted import faster
from rungwise.engines.fitted.decoding import Decoding
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.generation import load_generator
from rungwise.engines.fitted.models import GENERATION
from tests.engines.fitted.language_models import SHAPES, language_model
from tests.engines.fitted.test_generation import adapter, generator, prompts

pytest.importorskip("torch")
pytest.importorskip("ctranslate2")


@pytest.mark.parametrize("shape", SHAPES)
def test_sixteen_unequal_prompts_get_the_tokens_of_transformers(shape: str) -> None:
    asked = [*prompts(), *([*prompt, 9, 4] for prompt in prompts())]
    fast = load_generator(language_model(shape), engine="ctranslate2")
    assert fast.decoder.name == "ctranslate2"
    found, expected = (one.generate(asked, Decoding(max_tokens=40)) for one in (fast, generator(shape)))
    assert [(one.ids, one.finish) for one in found] == [(one.ids, one.finish) for one in expected]
    assert [one.logprob for one in found] == pytest.approx([one.logprob for one in expected], abs=1e-3)
    assert len(found) == 16


@pytest.mark.parametrize("shape", SHAPES)
def test_end_tokens_of_the_model_end_answers(shape: str) -> None:
    free = generator(shape).generate(prompts(), Decoding(max_tokens=12))
    end = next(one for one in free[3].ids if one > 3)
    files = language_model(shape)
    files[GENERATION] = json.dumps({**json.loads(files[GENERATION]), "eos_token_id": [0, end]}).encode()
    fast, slow = (load_generator(files, engine=engine) for engine in ("ctranslate2", "transformers"))
    found, expected = (one.generate(prompts(), Decoding(max_tokens=12)) for one in (fast, slow))
    assert [(one.ids, one.finish) for one in found] == [(one.ids, one.finish) for one in expected]
    assert found[3].finish == "stop"


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stream_and_a_stop_text_are_those_of_transformers(shape: str) -> None:
    fast = load_generator(language_model(shape), engine="ctranslate2")
    for prompt in prompts()[:3]:
        assert (
            "".join(fast.stream(prompt, Decoding(max_tokens=30)))
            == generator(shape).generate([prompt], Decoding(max_tokens=30))[0].text
        )
    free = generator(shape).generate(prompts(), Decoding(max_tokens=30))
    stop = next(one.text[3:5] for one in free if len(one.text) > 5)
    decoding = Decoding(max_tokens=30, stop=(stop,))
    found, expected = (one.generate(prompts(), decoding) for one in (fast, generator(shape)))
    assert [(one.text, one.ids, one.finish) for one in found] == [(one.text, one.ids, one.finish) for one in expected]
    assert any(one.finish == "stop" for one in found)


def test_tokens_that_are_never_written_are_not_written() -> None:
    files = language_model("llama")
    never = generator("llama").generate(prompts(), Decoding(max_tokens=12))[0].ids[0]
    files[GENERATION] = json.dumps({**json.loads(files[GENERATION]), "suppress_tokens": [never]}).encode()
    fast, slow = (load_generator(files, engine=engine) for engine in ("ctranslate2", "transformers"))
    found, expected = (one.generate(prompts(), Decoding(max_tokens=12)) for one in (fast, slow))
    assert [one.ids for one in found] == [one.ids for one in expected]
    assert never not in found[0].ids


def test_an_answer_that_must_end_ends_as_with_transformers() -> None:
    files = language_model("marian")
    files[GENERATION] = json.dumps({**json.loads(files[GENERATION]), "forced_eos_token_id": 0}).encode()
    fast, slow = (load_generator(files, engine=engine) for engine in ("ctranslate2", "transformers"))
    for count in (1, 7):
        found, expected = (one.generate(prompts(), Decoding(max_tokens=count)) for one in (fast, slow))
        assert [(one.ids, one.finish) for one in found] == [(one.ids, one.finish) for one in expected]
        assert {len(one.ids) for one in found} == {count - 1}


def test_merged_adapters_answer_alike() -> None:
    fast, slow = (load_generator(adapter(), base=language_model("llama"), engine=one) for one in ("ctranslate2", "transformers"))
    found, expected = (one.generate(prompts(), Decoding(max_tokens=20)) for one in (fast, slow))
    assert [one.ids for one in found] == [one.ids for one in expected]


def test_a_drawn_answer_is_that_of_transformers() -> None:
    drawn = Decoding(max_tokens=12, temperature=0.9, top_p=0.9, seed=3)
    fast = load_generator(language_model("llama"), engine="ctranslate2")
    assert [one.ids for one in fast.generate(prompts(), drawn)] == [
        one.ids for one in generator("llama").generate(prompts(), drawn)
    ]


def test_it_is_taken_unasked_where_it_knows_the_model() -> None:
    assert load_generator(language_model("llama")).decoder.name == "ctranslate2"
    assert load_generator(language_model("llama"), dtype="bfloat16").decoder.name == "transformers"


def penalised() -> Files:
    files = language_model("llama")
    return files | {GENERATION: json.dumps({**json.loads(files[GENERATION]), "repetition_penalty": 1.3}).encode()}


def test_what_it_would_answer_otherwise_is_left_to_transformers() -> None:
    assert load_generator(penalised()).decoder.name == "transformers"
    with pytest.raises(UsageError, match="repetition_penalty"):
        load_generator(penalised(), engine="ctranslate2")


def test_a_layer_that_the_converter_takes_for_another_is_found_by_comparing() -> None:
    assert load_generator(language_model("llama", hidden_act="gelu")).decoder.name == "transformers"


def test_eight_bit_weights_answer_nearly_alike() -> None:
    small = language_model("llama", initializer_range=0.05, seed=2)
    rough = load_generator(small, dtype="int8")
    assert rough.decoder.name == "ctranslate2"
    exact = load_generator(small, engine="transformers").generate(prompts(), Decoding(max_tokens=5))
    assert [one.logprob for one in rough.generate(prompts(), Decoding(max_tokens=5))] == pytest.approx(
        [one.logprob for one in exact], abs=0.1
    )


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ctranslate2", None)
    monkeypatch.setattr(faster.importlib.util, "find_spec", lambda name: None)
    assert load_generator(language_model("llama")).decoder.name == "transformers"
    with pytest.raises(MissingExtra, match="faster"):
        load_generator(language_model("llama"), engine="ctranslate2")
