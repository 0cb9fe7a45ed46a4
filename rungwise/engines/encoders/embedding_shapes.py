"""How embedding endpoints are asked and what they answer: OpenAI's shape, and those of Titan and Cohere on Bedrock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np

from rungwise.core.errors import UnknownName
from rungwise.engines.encoders.encode import Vectors
from rungwise.engines.wire import TokenCount, WireError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One protocol: `batch` texts a call, the path below the address, the body, and what the answer says.

    `read` gives (n, d) float32 in the order of the texts and raises WireError when the answer is another one.
    """

    batch: int
    path: Callable[[str], str]
    body: Callable[[str, Sequence[str], int | None], dict[str, Any]]
    read: Callable[[Any, int], Vectors]
    count: Callable[[Any], TokenCount | None]


def shape_of(model: str) -> Shape:
    """The shape of a Bedrock model, its region's prefix aside. Raises UnknownName for one that is no embedding model known here."""
    if "amazon.titan-embed-text" in model:
        return titan_shape
    if "cohere.embed" in model:
        return cohere_shape
    raise UnknownName("Bedrock embedding model", model, ["amazon.titan-embed-text-v2:0", "cohere.embed-multilingual-v3"])


def _openai_body(model: str, texts: Sequence[str], dimensions: int | None) -> dict[str, Any]:
    body = {"model": model, "input": list(texts), "encoding_format": "float"}
    return body | ({"dimensions": dimensions} if dimensions is not None else {})


def _openai_vectors(answer: Any, expected: int) -> Vectors:
    items = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise WireError("no list 'data'")
    # an index says which text an item is for; servers that leave it out keep the order
    places = [item.get("index", position) for position, item in enumerate(items)]
    if sorted(map(str, places)) != sorted(map(str, range(expected))):
        raise WireError(f"{len(items)} items for {expected} texts, or indexes that are not 0 to {expected - 1}")
    found = dict(zip(map(str, places), items, strict=True))
    return _matrix([found[str(place)].get("embedding") for place in range(expected)], expected)


def _openai_count(answer: Any) -> TokenCount | None:
    usage = answer.get("usage") if isinstance(answer, Mapping) else None
    return _tokens(usage.get("prompt_tokens") if isinstance(usage, Mapping) else None)


def _titan_body(model: str, texts: Sequence[str], dimensions: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {"inputText": texts[0]}
    return body | ({"dimensions": dimensions} if dimensions is not None and "-v1" not in model else {})


def _titan_vectors(answer: Any, expected: int) -> Vectors:
    return _matrix([answer.get("embedding") if isinstance(answer, Mapping) else None], expected)


def _titan_count(answer: Any) -> TokenCount | None:
    return _tokens(answer.get("inputTextTokenCount") if isinstance(answer, Mapping) else None)


def _cohere_body(model: str, texts: Sequence[str], dimensions: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {"texts": list(texts), "input_type": "search_document", "truncate": "END"}
    return body | ({"output_dimension": dimensions} if dimensions is not None else {})


def _cohere_vectors(answer: Any, expected: int) -> Vectors:
    found = answer.get("embeddings") if isinstance(answer, Mapping) else None
    return _matrix(found.get("float") if isinstance(found, Mapping) else found, expected)


def _matrix(rows: Any, expected: int) -> Vectors:
    if not isinstance(rows, list) or len(rows) != expected:
        raise WireError(f"{len(rows) if isinstance(rows, list) else 'no'} vectors for {expected} texts")
    if not all(isinstance(row, list) and row for row in rows) or len({len(row) for row in rows}) != 1:
        raise WireError("vectors that are no lists of one length")
    if not all(isinstance(number, (int, float)) and not isinstance(number, bool) for row in rows for number in row):
        raise WireError("vectors that hold something else than numbers")
    return np.asarray(rows, dtype=np.float32)


def _tokens(value: Any) -> TokenCount | None:
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12
    return TokenCount(value, 0) if usable else None


def _invoke(model: str) -> str:
    return f"/model/{quote(model, safe='')}/invoke"


openai_shape = Shape(batch=64, path=lambda model: "/embeddings", body=_openai_body, read=_openai_vectors, count=_openai_count)
titan_shape = Shape(batch=1, path=_invoke, body=_titan_body, read=_titan_vectors, count=_titan_count)
cohere_shape = Shape(batch=96, path=_invoke, body=_cohere_body, read=_cohere_vectors, count=lambda answer: None)
