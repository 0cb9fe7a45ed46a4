"""How an answer is drawn from a model, what comes out, and the shape of an engine that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rungwise.core.errors import UsageError

Finish = Literal["stop", "length"]

Heard = Callable[[int, int], bool]
"""Told of a row and its next token while it is made, the end token too; True ends the row there."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Temperature 0 takes the likeliest token; above it tokens are drawn, by `seed`, from the `top_p` likeliest.

    Nucleus sampling is that of Holtzman et al. 2020, arXiv 1904.09751. A prompt and a seed give one text, whatever
    else is in the batch. `stop` are texts before which an answer ends.
    """

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens is at least 1, not {self.max_tokens}")
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise UsageError(f"temperature is at least 0 and top_p in (0, 1], not {self.temperature} and {self.top_p}")
        if "" in self.stop:
            raise UsageError("a stop text is empty: it would end every answer before its first character")


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer: `ids` are its tokens without the one that ended it.

    `logprob` is the mean log-probability, in nats, of the tokens that were made, the end token included.
    """

    text: str
    ids: tuple[int, ...]
    finish: Finish
    prompt_tokens: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Continued:
    """What an engine made of one prompt: tokens up to and with the one that ended it, and their summed log-probability."""

    ids: list[int]
    logprob: float


@dataclass(frozen=True)
class Rules:
    """What the files of a model say about its answers, beside its weights.

    `ends` are the tokens that end one, `never` those that are never written, `pad` fills rows, `start` begins a decoder.
    `penalties` are further settings of generation_config.json by the names that transformers gives them.
    """

    ends: tuple[int, ...]
    never: tuple[int, ...]
    pad: int
    start: int | None
    penalties: Mapping[str, Any]


class Decoder(Protocol):
    """An engine that goes on from prompts (B rows of token ids, of any lengths), all by the same settings."""

    name: str

    def __call__(self, prompts: Sequence[Sequence[int]], decoding: Decoding, heard: Heard | None = None) -> list[Continued]:
        """What comes after each prompt, in order."""
        ...
