"""The one door to ctranslate2: a checked model converted in memory, and answers from it several times as fast on a processor."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rungwise.core.errors import MissingExtra, UsageError
from rungwise.engines.fitted.by_transformers import TransformersDecoder
from rungwise.engines.fitted.decoding import Continued, Decoding, Heard, Rules
from rungwise.engines.fitted.files import Files

EXTRA = "faster"
COMPUTES = {"float32": "float32", "int8": "int8_float32"}
"""The dtypes that it runs on a processor, by the names that ctranslate2 gives them; int8 weights are multiplied as int8."""

PROBES, PROBE_TOKENS = 2, 8
MOST_OFF = {"float32": 0.001, "int8": 0.5}
"""Nats a token by which a converted model may differ from the one it was made of: rounding, not another architecture.

Measured on random models with clear answers: below 1e-5 in fp32; a layer that the converter does not know is off by more than 0.1.
"""


class NotConvertible(Exception):
    """ctranslate2 does not know this model, or computes something else than transformers does."""


def installed() -> bool:
    """Whether ctranslate2 is there to be imported."""
    return importlib.util.find_spec("ctranslate2") is not None


class FasterDecoder:
    """Greedy answers by ctranslate2. Tokens go in and out by number, so that no tokenizer of its own can differ."""

    name = "ctranslate2"

    def __init__(self, files: Mapping[str, bytes], rules: Rules, *, dtype: str, encodes: bool, threads: int) -> None:
        """`files` are those of `converted`; they are read from memory, so that what was checked is what runs."""
        library = _library()
        self._rules, self._encodes = rules, encodes
        kind = library.Translator if encodes else library.Generator
        self._model = kind("fitted", files=dict(files), compute_type=COMPUTES[dtype], intra_threads=threads)

    def __call__(self, prompts: Sequence[Sequence[int]], decoding: Decoding, heard: Heard | None = None) -> list[Continued]:
        """What the model writes after each prompt (B rows). Raises UsageError when it is to be drawn, which is not seeded here."""
        if decoding.temperature:
            raise UsageError("ctranslate2 takes the likeliest token only. Set the temperature to 0, or the engine to transformers")
        alone = [row for row, prompt in enumerate(prompts) if len(prompt) == 1]
        if not self._encodes and 0 < len(alone) < len(prompts):
            return self._apart(prompts, alone, decoding, heard)
        forced = self._rules.penalties.get("forced_eos_token_id")
        most = decoding.max_tokens - (forced is not None)
        if most == 0:
            return [Continued([int(str(forced))], 0.0) for _ in prompts]
        sizes = [0] * len(prompts)
        # The library lets go of its callback on a thread of its own, maybe last of all: what that still holds must not be the
        # model, which would then be taken down by one of its own threads, and the process with it.
        hearing = [heard] if heard is not None else []
        try:
            made = self._made(_marked(prompts), most, _telling(hearing, sizes) if hearing else None)
        finally:
            hearing.clear()
        found = []
        for one, size in zip(made, sizes, strict=True):
            ids = [int(token) for token in (one.hypotheses if self._encodes else one.sequences)[0]]
            if heard is not None:
                ids = ids[:size]
            if forced is not None and len(ids) == most and ids[-1] not in self._rules.ends:
                ids.append(int(forced))  # as transformers ends an answer that reaches its length: surely
            found.append(Continued(ids, float(one.scores[0])))
        return found

    def _apart(
        self, prompts: Sequence[Sequence[int]], alone: Sequence[int], decoding: Decoding, heard: Heard | None
    ) -> list[Continued]:
        """Prompts of one token and the others, in batches of their own: beside one of them longer prompts come back as answers."""
        found: dict[int, Continued] = {}
        for rows in (alone, [row for row in range(len(prompts)) if row not in alone]):
            own = None if heard is None else _renamed(heard, rows)
            found |= zip(rows, self([prompts[row] for row in rows], decoding, own), strict=True)
        return [found[row] for row in range(len(prompts))]

    def score(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> list[float]:
        """The summed log-probability of each answer after its prompt."""
        if self._encodes:
            scored = self._model.score_batch(_marked(prompts), _marked(answers), max_input_length=0)
            return [sum(one.log_probs[: len(answer)]) for one, answer in zip(scored, answers, strict=True)]
        whole = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
        scored = self._model.score_batch(_marked(whole), max_input_length=0)
        return [sum(one.log_probs[-len(answer) :]) for one, answer in zip(scored, answers, strict=True)]

    def _made(self, prompts: list[list[str]], most: int, told: Any) -> Any:
        rules = self._rules
        settings: dict[str, Any] = {
            "beam_size": 1,
            "length_penalty": 0,  # the score is the sum of log-probabilities
            "return_scores": True,
            "return_end_token": True,
            "end_token": [str(one) for one in rules.ends],
            "suppress_sequences": [[str(one)] for one in rules.never] or None,
            "callback": told,
        }
        if self._encodes:
            return self._model.translate_batch(
                prompts, max_input_length=0, max_decoding_length=most, min_decoding_length=0, **settings
            )
        return self._model.generate_batch(prompts, max_length=most, include_prompt_in_result=False, **settings)


def _telling(hearing: list[Heard], sizes: list[int]) -> Any:
    """Tells the first of `hearing` of every token, and counts them by row; once it is empty, ends every row."""

    def told(step: Any) -> bool:
        sizes[step.batch_id] += 1
        return hearing[0](step.batch_id, int(step.token_id)) if hearing else True

    return told


def _renamed(heard: Heard, rows: Sequence[int]) -> Heard:
    """Told of rows by the numbers that they have in `rows`."""
    return lambda row, token: heard(rows[row], token)


def faster(model: Any, rules: Rules, *, dtype: str) -> FasterDecoder:
    """A decoder for a torch model, which is taken apart. Raises NotConvertible, MissingExtra.

    It is trusted only after its log-probabilities of a few tokens agree with those of transformers.
    """
    import torch

    encodes, threads = bool(model.config.is_encoder_decoder), torch.get_num_threads()
    size = int(model.config.vocab_size)
    prompts = [[(7919 * place + 104729 * row) % size for place in range(6 + 5 * row)] for row in range(PROBES)]
    free = replace(rules, ends=(), never=(), penalties={})  # answers that no rule has a hand in
    answers = TransformersDecoder(model, free)(prompts, Decoding(max_tokens=PROBE_TOKENS))
    made = FasterDecoder(converted(model, rules, dtype=dtype), rules, dtype=dtype, encodes=encodes, threads=threads)
    found = made.score(prompts, [one.ids for one in answers])
    off = max(abs(one.logprob - score) / len(one.ids) for one, score in zip(answers, found, strict=True))
    if not off <= MOST_OFF[dtype]:
        raise NotConvertible(f"its log-probabilities are off by {off:.3g} nats a token")
    return made


def converted(model: Any, rules: Rules, *, dtype: str) -> Files:
    """The files of a torch model as ctranslate2 reads them. Layers of the model are freed on the way."""
    _library()
    import torch
    from ctranslate2.converters import transformers as door

    _check(model, rules)
    names = _Numbers(model, rules)
    try:
        loader = door._MODEL_LOADERS[type(model.config).__name__]
        with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
            made = loader(model, names)
            if rules.start is not None and model.config.model_type != "marian":  # which starts from zeros
                made.config.decoder_start_token = names.convert_ids_to_tokens(rules.start)
            made.validate()
            made.optimize(quantization=COMPUTES[dtype])
            made.save(folder)
            return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    except (KeyError, AttributeError, TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise NotConvertible(f"ctranslate2 does not know {type(model.config).__name__} as it is here: {error}") from error


def _check(model: Any, rules: Rules) -> None:
    """Raise NotConvertible where the settings of a model ask for what only transformers does."""
    if others := set(rules.penalties) - {"forced_eos_token_id"}:
        raise NotConvertible(f"its answers follow {sorted(others)[0]}")
    if not rules.ends:
        raise NotConvertible("no token ends its answers, and ctranslate2 needs one")
    config = model.config
    if config.model_type == "marian" and not (config.pad_token_id == rules.start == config.vocab_size - 1):
        raise NotConvertible("a Marian model whose decoder does not start from a padding token at the end of the vocabulary")


class _Numbers:
    """What a converter asks of a tokenizer: each token is called by its number, and the padding of Marian as it expects."""

    def __init__(self, model: Any, rules: Rules) -> None:
        self._size, self._pad = int(model.config.vocab_size), model.config.pad_token_id
        self._marian = model.config.model_type == "marian"
        self.eos_token = str(rules.ends[0])
        self.bos_token = self.eos_token if rules.start is None else self.convert_ids_to_tokens(rules.start)
        self.pad_token = self.convert_ids_to_tokens(rules.pad)
        self.unk_token = self.eos_token

    def get_vocab(self) -> dict[str, int]:
        return {self.convert_ids_to_tokens(place): place for place in range(self._size)}

    def convert_ids_to_tokens(self, id: int) -> str:
        return "<pad>" if self._marian and id == self._pad else str(id)


def _marked(rows: Sequence[Sequence[int]]) -> list[list[str]]:
    return [[str(one) for one in row] for row in rows]


def _library() -> Any:
    try:
        import ctranslate2
    except ImportError as error:
        raise MissingExtra("the faster engine of fitted language models", EXTRA) from error
    return ctranslate2
