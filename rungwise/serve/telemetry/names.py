"""OpenTelemetry's names for generative AI, in one table: they are still being changed there, and then only here.

Source: open-telemetry/semantic-conventions-genai, as of November 2026 (status: Development). Names that begin with
`rungwise.` are ours, for what OpenTelemetry has no name for.
"""

from __future__ import annotations

from collections.abc import Mapping

VERSION = "2026-11"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
CONVERSATION = "gen_ai.conversation.id"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
ERROR = "error.type"
USER = "enduser.id"

INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"

REQUEST_SETTINGS: Mapping[str, str] = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "stop": "gen_ai.request.stop_sequences",
    "stream": "gen_ai.request.stream",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "n": "gen_ai.request.choice.count",
}
"""Fields of a request in the shape of OpenAI, and what they are called here."""

STEPS: Mapping[str, str | None] = {"model": None, "retrieval": "retrieval", "tool": "execute_tool", "guard": None, "cache": None}
"""Kinds of our spans, and the operation that each is; None where it is the request's own, or none that has a name."""

RELEASE = "rungwise.release"
VARIANT = "rungwise.variant"
CANDIDATE = "rungwise.candidate"
COST_USD = "rungwise.cost_usd"
CACHED = "rungwise.cached"
STATUS = "http.response.status_code"
KEY = "rungwise.key"
TENANT = "rungwise.tenant"
STEP = "rungwise.step"
TAG = "rungwise.tag."
