"""Which model a path means and what it wants of it, and on whose behalf: the request of Bedrock as the gateway understands it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from rungwise.serve.ask import Ask, Caller
from rungwise.serve.bedrock.blocks import read_metadata
from rungwise.serve.exchange import Exchange
from rungwise.serve.failure import BadRequest, NotThere

CONVERSE, CONVERSE_STREAM = "converse", "converse-stream"
INVOKE, INVOKE_STREAM = "invoke", "invoke-with-response-stream"
COUNT = "count-tokens"
OPERATIONS = frozenset({CONVERSE, CONVERSE_STREAM, INVOKE, INVOKE_STREAM, COUNT})

TAGS = 16
TAG_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class Call:
    """A model's id and one of the operations."""

    model: str
    operation: str


def call_of(exchange: Exchange) -> Call:
    """What a path calls. The id of a model may hold slashes and colons (an ARN does). Raises NotThere."""
    head, _, rest = exchange.raw_path.partition(b"?")[0].decode("latin-1").partition("/model/")
    model, _, operation = rest.rpartition("/")
    if head or not model or operation not in OPERATIONS or exchange.method != "POST":
        known = ", ".join(sorted(OPERATIONS))
        raise NotThere(f"there is no such operation. Known: POST /model/MODEL/ and one of {known}", code="no_such_operation")
    return Call(unquote(model), operation)


def model_name(id: str, known: Collection[str]) -> str:
    """The name by which a model is found here: of an ARN that is no name itself, what follows its kind of resource."""
    if not id.startswith("arn:") or id in known:
        return id
    return id.partition("/")[2] or id


def note_of(exchange: Exchange, metadata: Mapping[str, str] | None) -> dict[str, str]:
    """The client's notes on a request: its own field, else the header that InvokeModel has for them. Raises BadRequest."""
    if metadata is None:
        header = exchange.header(b"x-amzn-bedrock-request-metadata")
        metadata = read_metadata(header) if header else {}
    if len(metadata) > TAGS or any(len(text) > TAG_CHARACTERS for pair in metadata.items() for text in pair):
        raise BadRequest(
            f"requestMetadata may have at most {TAGS} entries of at most {TAG_CHARACTERS} characters", param="requestMetadata"
        )
    return dict(metadata)


def ask_of(
    exchange: Exchange,
    caller: Caller,
    *,
    operation: str,
    model: str,
    body: dict[str, Any],
    notes: dict[str, str],
    stream: bool,
    user: str | None = None,
) -> Ask:
    """The request. `user` and `conversation` among the notes decide which variant answers; the others are tags."""
    noted = notes.pop("user", None)
    conversation = notes.pop("conversation", None)
    body["model"] = model
    idempotency = exchange.header(b"idempotency-key")
    return Ask(
        operation,
        model,
        body,
        caller,
        stream,
        caller.user or noted or user,
        conversation,
        notes,
        idempotency.decode("latin-1")[:TAG_CHARACTERS] if idempotency else None,
        "bedrock",
    )
