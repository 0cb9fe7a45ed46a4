"""A fitted language model that answers: prompts in batches, or one as a stream of text."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

from rungwise.core.errors import Corrupt, TooLong, UnknownName, UsageError
from rungwise.engines.fitted.adapters import ADAPTER_CONFIG, merged
from rungwise.engines.fitted.by_transformers import TransformersDecoder
from rungwise.engines.fitted.chat import Chat, Conversation
from rungwise.engines.fitted.decoding import Continued, Decoder, Decoding, Generated, Heard, Rules
from rungwise.engines.fitted.detokenising import Detokeniser
from rungwise.engines.fitted.faster import COMPUTES, NotConvertible, faster, installed
from rungwise.engines.fitted.files import MANIFEST, Files, check_manifest
from rungwise.engines.fitted.models import CAUSAL, GENERATION, SEQ2SEQ, load_model, read_config

_log = logging.getLogger(__name__)

Engine = Literal["transformers", "ctranslate2"]
ENGINES = ("transformers", "ctranslate2")
DTYPES = ("float32", "bfloat16", "float16", "int8")

OnText = Callable[[int, str], bool]
"""Told, token by token, of a row and what the token adds to its text, which may be nothing; True ends the row there."""

PLAIN = Decoding()
BATCH_ROWS = 32

PENALTIES: Mapping[str, float | None] = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
}
"""The settings of generation_config.json that change a greedy answer, kept as the model has them, and what says nothing."""


class Generator:
    """A causal or encoder-decoder model with its tokenizer and chat template.

    Greedy answers in fp32 are token for token those of `transformers.generate`, in batches of unequal prompts as one by one.
    """

    def __init__(
        self,
        decoder: Decoder,
        chat: Chat,
        rules: Rules,
        *,
        places: int | None,
        encodes: bool,
        name: str = "fitted",
        batch: int = BATCH_ROWS,
    ) -> None:
        """`places` is how many tokens the model has positions for; `encodes` whether prompts go to an encoder of their own."""
        self.decoder, self.chat, self.name, self.batch = decoder, chat, name, batch
        self.places, self.encodes = places, encodes
        self.tokenizer, self._rules = chat.tokenizer, rules

    def generate(
        self, prompts: Sequence[Sequence[int]] | Sequence[str], decoding: Decoding = PLAIN, *, on_text: OnText | None = None
    ) -> list[Generated]:
        """An answer for each prompt, in order. Raises UsageError for a prompt that is empty or beyond the model's positions."""
        rows = [self.tokens(prompt) for prompt in prompts]
        most = [self.room(row, decoding.max_tokens) for row in rows]
        made: list[Generated | None] = [None] * len(rows)
        for batch in _batches(rows, most, self.batch):
            own = replace(decoding, max_tokens=most[batch[0]])
            for place, answer in zip(batch, self._answers(batch, [rows[place] for place in batch], own, on_text), strict=True):
                made[place] = answer
        return [answer for answer in made if answer is not None]

    def stream(self, prompt: Sequence[int] | str, decoding: Decoding = PLAIN) -> Iterator[str]:
        """The answer to one prompt in pieces, as they are made; whoever stops reading ends it."""
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        left = threading.Event()

        def hear(row: int, piece: str) -> bool:
            if piece:
                pieces.put(piece)
            return left.is_set()

        with ThreadPoolExecutor(1) as thread:
            made = thread.submit(self.generate, [self.tokens(prompt)], decoding, on_text=hear)
            made.add_done_callback(lambda _: pieces.put(None))
            try:
                while (piece := pieces.get()) is not None:
                    yield piece
                made.result()  # raises what was raised
            finally:
                left.set()

    def tokens(self, prompt: Sequence[int] | str) -> list[int]:
        """A text as the tokenizer marks it for this model; token ids stay as they are."""
        if isinstance(prompt, str):
            found: list[int] = self.tokenizer(prompt)["input_ids"]
            return found
        return [int(one) for one in prompt]

    def conversation(self, turns: Conversation) -> list[int]:
        """The tokens after which the assistant speaks, by the chat template of the model."""
        return self.chat.prompt(turns)

    def room(self, prompt: Sequence[int], wanted: int) -> int:
        """How many of the `wanted` tokens may follow a prompt. Raises UsageError when it is empty or too long."""
        if not prompt:
            raise UsageError("a prompt is empty: a model goes on from at least one token")
        if self.places is None:
            return wanted
        most = self.places if self.encodes else self.places - 1
        if len(prompt) > most:
            raise TooLong(
                f"a prompt has {len(prompt):,} tokens and the model reads at most {most:,}. "
                "Shorten it, give fewer passages or shots, or take a model with a longer context"
            )
        return min(wanted, self.places - 1 if self.encodes else self.places - len(prompt))

    def _answers(
        self, places: Sequence[int], prompts: Sequence[Sequence[int]], decoding: Decoding, on_text: OnText | None
    ) -> list[Generated]:
        """The answers of one batch; `places` are its rows in the whole."""
        texts = [Detokeniser(self._text, decoding.stop) for _ in prompts] if on_text or decoding.stop else []

        def heard(row: int, token: int) -> bool:
            piece = "" if token in self._rules.ends else texts[row].add(token)
            asked = on_text(places[row], piece) if on_text is not None else False
            return asked or texts[row].stopped

        made = self.decoder(prompts, decoding, heard if texts else None)
        for place, text in zip(places, texts, strict=bool(texts)):
            rest = text.end()
            if rest and on_text is not None:
                on_text(place, rest)
        return [
            self._generated(prompt, one, decoding, texts[row] if texts else None)
            for row, (prompt, one) in enumerate(zip(prompts, made, strict=True))
        ]

    def _generated(self, prompt: Sequence[int], made: Continued, decoding: Decoding, spoken: Detokeniser | None) -> Generated:
        ended = bool(made.ids) and made.ids[-1] in self._rules.ends
        ids = made.ids[:-1] if ended else made.ids
        stopped = ended or len(made.ids) < decoding.max_tokens or (spoken is not None and spoken.stopped)
        text = self._text(ids) if spoken is None else spoken.text
        logprob = made.logprob / max(1, len(made.ids))
        return Generated(text, tuple(ids), "stop" if stopped else "length", len(prompt), logprob)

    def _text(self, ids: Sequence[int]) -> str:
        found: str = self.tokenizer.backend_tokenizer.decode(list(ids), skip_special_tokens=True)
        return found


def load_generator(
    files: Mapping[str, bytes],
    *,
    base: Mapping[str, bytes] | None = None,
    engine: Engine | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    name: str = "fitted",
    batch: int = BATCH_ROWS,
) -> Generator:
    """The model of checked files, ready to answer; an adapter's files are merged into those of `base`.

    Without `engine` ctranslate2 answers where it is installed and knows the model, on the processor; else transformers does.
    `dtype` is float32 or bfloat16, and int8 with ctranslate2. Sampling is always that of transformers.
    Raises Corrupt for damaged files, UsageError for an adapter without its base or a tokenizer of another model, MissingExtra.
    """
    if engine is not None and engine not in ENGINES:
        raise UnknownName("engine", engine, ENGINES)
    if dtype not in DTYPES:
        raise UnknownName("dtype", dtype, DTYPES)
    if MANIFEST in files:
        check_manifest(files, where="a fitted model")
    whole = _whole(files, base)
    config, chat = read_config(whole), Chat(whole)
    rules = rules_of(whole, chat.tokenizer)
    decoder = _decoder(files, whole, rules, engine, device, dtype)
    encodes = bool(config.get("is_encoder_decoder"))
    return Generator(decoder, chat, rules, places=_places(config), encodes=encodes, name=name, batch=batch)


def _whole(files: Mapping[str, bytes], base: Mapping[str, bytes] | None) -> Files:
    """The files of a whole model: those of an adapter over those of its base."""
    if ADAPTER_CONFIG not in files:
        return dict(files)
    if base is None:
        raise UsageError("these are an adapter's files, which need the model that they were fitted on. Give it as `base`")
    if MANIFEST in base:
        check_manifest(base, where="the base of an adapter")
    return {**base, **files}


def _decoder(files: Mapping[str, bytes], whole: Files, rules: Rules, engine: Engine | None, device: str, dtype: str) -> Decoder:
    wanted = engine == "ctranslate2" or dtype == "int8"
    possible = engine != "transformers" and device == "cpu" and dtype in COMPUTES
    if wanted and not possible:
        raise UsageError(f"{engine or 'ctranslate2'} does not run {dtype} on {device}. Take another engine, dtype or device")

    def slow(dtype: str) -> TransformersDecoder:
        return TransformersDecoder(_torch_model(files, whole, dtype, device), rules)

    if possible and (wanted or installed()):
        try:
            own = faster(_torch_model(files, whole, "float32", device), rules, dtype=dtype)
            return _GreedyFast(own, lambda: slow("float32"))
        except NotConvertible as error:
            if wanted:
                raise UsageError(f"ctranslate2 cannot run this model: {error}. Take the engine transformers") from error
            _log.info("transformers runs the fitted model, since for ctranslate2 %s", error)
    return slow(dtype)


def _torch_model(files: Mapping[str, bytes], whole: Files, dtype: str, device: str) -> Any:
    kind = SEQ2SEQ if read_config(whole).get("is_encoder_decoder") else CAUSAL
    model = load_model(whole, kind, dtype=dtype, device=device)
    return merged(model, files) if ADAPTER_CONFIG in files else model


class _GreedyFast:
    """Greedy answers by a fast engine; what is drawn is drawn by transformers, loaded at first need, so that seeds hold."""

    def __init__(self, fast: Decoder, slow: Callable[[], Decoder]) -> None:
        self.name = fast.name
        self._fast, self._make, self._slow, self._lock = fast, slow, list[Decoder](), threading.Lock()

    def __call__(self, prompts: Sequence[Sequence[int]], decoding: Decoding, heard: Heard | None = None) -> list[Continued]:
        if not decoding.temperature:
            return self._fast(prompts, decoding, heard)
        with self._lock:
            if not self._slow:
                self._slow.append(self._make())
        return self._slow[0](prompts, decoding, heard)


def rules_of(files: Mapping[str, bytes], tokenizer: Any) -> Rules:
    """What the files say: generation_config.json before config.json, as transformers reads them, and then the tokenizer."""
    config = read_config(files)
    try:
        said = dict(json.loads(files.get(GENERATION, b"{}")))
    except (ValueError, TypeError) as error:
        raise Corrupt(f"{GENERATION} cannot be read: {error}. Use the folder of a Hugging Face model") from error

    def of(key: str) -> Any:
        return said[key] if said.get(key) is not None else config.get(key)

    ends = of("eos_token_id")
    ends = tokenizer.eos_token_id if ends is None else ends
    ends = () if ends is None else tuple(ends) if isinstance(ends, list) else (ends,)
    never = [*(said.get("suppress_tokens") or ()), *(ids[0] for ids in said.get("bad_words_ids") or () if len(ids) == 1)]
    pad = next((one for one in (of("pad_token_id"), tokenizer.pad_token_id, *ends) if one is not None), 0)
    kept = said if GENERATION in files else config
    penalties = {key: kept[key] for key, silent in PENALTIES.items() if kept.get(key) not in (None, silent)}
    return Rules(ends, tuple(never), int(pad), of("decoder_start_token_id"), penalties)


def _places(config: Mapping[str, Any]) -> int | None:
    """How many positions a model has; None where they are relative, as in T5."""
    if "relative_attention_num_buckets" in config:
        return None
    return next((int(config[key]) for key in ("max_position_embeddings", "n_positions") if config.get(key)), None)


def _batches(rows: Sequence[Sequence[int]], most: Sequence[int], size: int) -> Iterator[list[int]]:
    """Places of rows that go together: alike in length, at most `size`, and with room for equally many tokens."""
    ordered = sorted(range(len(rows)), key=lambda place: (most[place], len(rows[place])))
    batch: list[int] = []
    for place in ordered:
        if batch and (len(batch) == size or most[place] != most[batch[0]]):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
