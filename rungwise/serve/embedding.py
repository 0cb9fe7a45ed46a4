"""The encoders of this machine behind the embeddings endpoint."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from rungwise.core.content import Usage
from rungwise.core.errors import RungwiseError
from rungwise.engines.prices import guess_tokens
from rungwise.serve.ask import EMBEDDINGS, Ask, Tape, Whole
from rungwise.serve.failure import BadRequest, Refused
from rungwise.serve.shapes import encode

if TYPE_CHECKING:
    from rungwise.engines.encoders.encode import Encoder

ENCODERS = ("minilm", "hashed")
MOST_TEXTS = 2_048
"""Of one request, as at OpenAI."""


class Embedding:
    """Answers with vectors of unit length. The weights are loaded, and their digest checked, at the first request."""

    def __init__(self, name: str, *, usd_per_hour: float) -> None:
        self.name, self._usd_per_s = name, usd_per_hour / 3600
        self._encoder: Encoder | None = None

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        """A list of embeddings, as numbers or as base64 of little-endian float32."""
        if ask.operation != EMBEDDINGS:
            raise BadRequest(f"'{self.name}' makes embeddings. Ask it at /v1/embeddings", param="model")
        texts = _texts(ask.body["input"])
        form = ask.body.get("encoding_format", "float")
        if form not in ("float", "base64"):
            raise BadRequest("encoding_format must be float or base64", param="encoding_format")
        with tape.span(self.name, "model", texts=len(texts)):
            try:
                vectors = await asyncio.to_thread(self._encode, texts)
            except RungwiseError as error:
                raise Refused(f"'{self.name}' cannot encode here: {error}", status=501, code="not_installed") from error
        size = ask.body.get("dimensions")
        if size is not None and size != vectors.shape[1]:
            raise BadRequest(f"'{self.name}' has {vectors.shape[1]} dimensions and no other number", param="dimensions")
        usage = Usage(guess_tokens(texts), 0, usd=tape.spans[-1].seconds * self._usd_per_s, estimated=True)
        tape.add(usage)
        tape.model = self.name
        data = [{"object": "embedding", "index": place, "embedding": _written(row, form)} for place, row in enumerate(vectors)]
        counted = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
        return Whole(encode({"object": "list", "data": data, "model": self.name, "usage": counted}))

    async def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        """Embeddings are not streamed: they come at once."""
        yield (await self.whole(ask, tape)).body

    def _encode(self, texts: list[str]) -> Any:
        from rungwise.engines.encoders.load import load_encoder

        if self._encoder is None:
            self._encoder = load_encoder(self.name)
        return self._encoder(texts)


def _texts(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not texts or len(texts) > MOST_TEXTS or not all(isinstance(text, str) and text for text in texts):
        raise BadRequest(f"input must be a text or a list of 1 to {MOST_TEXTS:,} texts, none of them empty", param="input")
    return list(texts)


def _written(row: Any, form: str) -> Any:
    values = row.astype("<f4")
    return base64.b64encode(values.tobytes()).decode() if form == "base64" else values.tolist()
