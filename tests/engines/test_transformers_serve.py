"""The protocol against a server that no one here wrote: `transformers serve` with a small chat model, fitted on the spot."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rungwise.core.candidate import Candidate
from rungwise.core.content import Request, Text
from rungwise.core.errors import EngineError
from rungwise.core.types import collect
from rungwise.core.usecase import Endpoint, Limits
from rungwise.data.calls import CallCache
from rungwise.data.commits import Commits
from rungwise.data.spend import SpendLedger, spent
from rungwise.data.store import Store
from rungwise.engines.budget import Budget
from rungwise.engines.dialect import Options
from rungwise.engines.endpoint import LanguageModel, language_model
from rungwise.engines.prompts import Message, messages
from rungwise.inference.language_model import language_model_responder, prompt_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

WORDS = {
    "delivery": ("parcel", "courier", "shipping", "tracking"),
    "payment": ("card", "invoice", "charge", "bank"),
    "account": ("password", "login", "profile", "email"),
    "returns": ("refund", "broken", "exchange", "size"),
}
FRAMES = (
    "my {} is a problem",
    "help with the {} please",
    "what about my {} ?",
    "the {} again",
    "i asked about a {} before",
    "{} trouble here",
)
LABELS = tuple(WORDS)
CANDIDATE = Candidate(task="classify", model="local/tiny", labels=LABELS)
ROWS = [(frame.format(word), label) for label, words in WORDS.items() for word in words for frame in FRAMES]
HELD_OUT = ROWS[::5]
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
Expected = dict[str, tuple[str, int]]  # text -> what the model writes, and the tokens of its prompt


class SystemClock:
    def now(self) -> float:
        return time.time()

    def tick(self) -> float:
        return time.perf_counter()


def turns(text: str) -> list[Message]:
    return messages(prompt_of(CANDIDATE), text)


def fit_chat_model(directory: Path) -> Expected:
    """A two-layer Llama that learns the labels of the rows that are not held out; gives what it answers to those."""
    import tokenizers
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(2)
    torch.manual_seed(0)
    specials = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    words = tokenizers.Tokenizer(tokenizers.models.BPE())
    words.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=600, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    words.train_from_iterator([message["content"] for text, _ in ROWS for message in turns(text)] + list(LABELS) * 20, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<|pad|>", eos_token="<|end|>")
    tokenizer.chat_template = CHAT
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    seen = [row for row in ROWS if row not in HELD_OUT]
    encoded = []
    for text, label in seen:
        asked = tokenizer.encode(tokenizer.apply_chat_template(turns(text), tokenize=False, add_generation_prompt=True))
        encoded.append((asked, tokenizer.encode(label + "<|end|>")))
    optimizer, draw = torch.optim.AdamW(model.parameters(), lr=3e-3), random.Random(0)
    for _ in range(250):
        batch = [draw.choice(encoded) for _ in range(16)]
        longest = max(len(asked) + len(said) for asked, said in batch)
        ids, targets = torch.zeros(16, longest, dtype=torch.long), torch.full((16, longest), -100)
        for row, (asked, said) in enumerate(batch):  # right-padded; only the answer is learned
            ids[row, : len(asked) + len(said)] = torch.tensor(asked + said)
            targets[row, len(asked) : len(asked) + len(said)] = torch.tensor(said)
        loss = model(input_ids=ids, attention_mask=(ids != 0).long(), labels=targets).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.generation_config.max_new_tokens, model.generation_config.do_sample = 16, False
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    model.eval()
    expected: Expected = {}
    for text, _ in HELD_OUT:  # the reference: the same weights, asked without any server
        ids = torch.tensor(
            [tokenizer.encode(tokenizer.apply_chat_template(turns(text), tokenize=False, add_generation_prompt=True))]
        )
        with torch.no_grad():
            made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=0)
        expected[text] = tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True), ids.shape[1]
    return expected


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Expected]]:
    """The address and the model name of a running server, and what it should say."""
    for package in ("torch", "transformers", "tokenizers"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'rungwise[local]'")
    for package in ("fastapi", "openai"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"`transformers serve` needs {package}, which is not installed: pip install 'transformers[serving]'")
    directory = tmp_path_factory.mktemp("tiny-chat")
    expected = fit_chat_model(directory)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(directory)]
    environ = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = directory / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"], stdout=out, stderr=out, env=environ
        )
    try:
        _wait_until_up(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1", str(directory), expected
    finally:
        server.terminate()
        server.wait(20)


def _wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    begun = time.perf_counter()
    while time.perf_counter() - begun < 120:
        if server.poll() is not None:
            pytest.fail(f"`transformers serve` ended at its start:\n{log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"`transformers serve` did not come up in 120 s:\n{log.read_text()[-3000:]}")


def client(served: tuple[str, str, Expected], **more: Any) -> LanguageModel:
    known = {name: more.pop(name) for name in ("cache", "budget") if name in more}
    url, name, _ = served
    endpoint = Endpoint(name="local", base_url=url, model=name, max_tokens=8, concurrency=2, usd_per_hour=0.36, **more)
    return language_model(endpoint, clock=SystemClock(), rng=random.Random(0), **known)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fitted_model_answers_through_the_whole_layer(
    served: tuple[str, str, Expected], stream: bool, store: Store
) -> None:
    commits = Commits(store)
    budget = Budget(Limits(budget_calls=1000), SystemClock(), SpendLedger(store, commits, run="serve"))
    async with client(served, stream=stream, cache=CallCache(store, commits), budget=budget) as model:
        respond = language_model_responder(CANDIDATE, model)
        answers = await asyncio.gather(*(collect(respond(Request.of(text))) for text, _ in HELD_OUT))
    right = sum(answer.text == label for answer, (_, label) in zip(answers, HELD_OUT, strict=True))
    assert right >= 0.7 * len(HELD_OUT)  # chance is 0.25: the words were all seen, only their sentences are new
    for answer, (text, _) in zip(answers, HELD_OUT, strict=True):
        written, prompt_tokens = served[2][text]
        assert (answer.text, answer.usage.input_tokens) == (written.strip(), prompt_tokens)
        assert answer.usage.calls == 1
        assert not answer.usage.estimated
        assert 1 <= answer.usage.output_tokens <= 8
        assert answer.model
    assert spent(store).calls == len(HELD_OUT)
    assert spent(store).usd == pytest.approx(sum(answer.usage.usd for answer in answers))


async def test_streamed_and_whole_answers_and_counts_agree(served: tuple[str, str, Expected]) -> None:
    async with client(served) as whole, client(served, stream=True) as streaming:
        for text, _ in HELD_OUT[:4]:
            one, other = await collect(whole(turns(text))), await collect(streaming(turns(text)))
            assert one.text == other.text
            assert (one.usage.input_tokens, one.usage.output_tokens) == (other.usage.input_tokens, other.usage.output_tokens)


async def test_the_stream_comes_in_pieces(served: tuple[str, str, Expected]) -> None:
    async with client(served, stream=True) as model:
        chunks = [chunk async for chunk in model(turns("what about my courier ?"))]
    assert len([chunk for chunk in chunks if any(isinstance(part, Text) for part in chunk.parts)]) >= 1
    assert chunks[-1].finish == "stop"
    assert chunks[-1].usage is not None


async def test_the_length_limit_is_kept_and_named(served: tuple[str, str, Expected]) -> None:
    async with client(served) as model:
        answer = await collect(model(turns("the parcel again"), Options(max_tokens=1)))
    assert (answer.finish, answer.usage.output_tokens) == ("length", 1)


async def test_what_the_server_does_not_offer_is_done_without(served: tuple[str, str, Expected]) -> None:
    """This server ignores schemas and log-probabilities: the plain answer is read, and no confidence is made up."""
    async with client(served, logprobs=True) as model:
        answer = await collect(
            language_model_responder(CANDIDATE.but(options={"schema": True}), model)(Request.of("the parcel again"))
        )
        plain = await collect(language_model_responder(CANDIDATE, model)(Request.of("the parcel again")))
    assert answer.usage.input_tokens > plain.usage.input_tokens
    assert plain.text in LABELS
    assert plain.confidence is None


async def test_a_wrong_model_name_is_a_clear_error(served: tuple[str, str, Expected]) -> None:
    async with client((served[0], "no-such-model", {}), retries=0) as model:
        with pytest.raises(EngineError, match=r"status 400.*no-such-model.*rungwise doctor"):
            await collect(model(turns("x")))
