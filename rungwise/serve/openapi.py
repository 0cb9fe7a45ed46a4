"""What the endpoint speaks, as an OpenAPI document.

A request's schema holds what is checked here, and no more: fields that it does not name are passed on to the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from rungwise.core.feedback import SOURCES
from rungwise.core.version import __version__
from rungwise.data.reviews import REASONS
from rungwise.serve.bedrock.blocks import Converse, CountTokens
from rungwise.serve.reviewing import VERDICTS
from rungwise.serve.shapes import encode

TEXT = {"type": "string"}
NAME = {"type": "string", "minLength": 1}
WHOLE = {"type": "integer"}
FLAG = {"type": "boolean"}


@cache
def document() -> bytes:
    """The document, as JSON."""
    return encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Rungwise",
                "version": __version__,
                "summary": "Released candidates and engines behind the APIs of OpenAI and Amazon Bedrock.",
            },
            "paths": {**_openai(), **_bedrock(), **_own()},
            "components": {"schemas": _schemas(), "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
            "security": [{"key": []}, {}],
        }
    )


def _openai() -> dict[str, Any]:
    return {
        "/v1/chat/completions": {"post": _asked("createChatCompletion", "Answer a conversation.", "ChatRequest", "ChatCompletion")},
        "/v1/completions": {"post": _asked("createCompletion", "Go on with a text.", "CompletionRequest", "Completion")},
        "/v1/embeddings": {"post": _asked("createEmbedding", "Texts as vectors.", "EmbeddingRequest", "Embeddings", streams=False)},
        "/v1/models": {"get": _told("listModels", "The models that can be asked for.", "Models")},
        "/v1/models/{model}": {
            "parameters": [_in_path("model", "The name of a model; it may hold slashes.")],
            "get": _told("retrieveModel", "One model.", "Model"),
        },
    }


def _bedrock() -> dict[str, Any]:
    """The shapes are Amazon's: see the API reference of the Bedrock runtime, 2023-09-30."""
    converse = {"application/json": {"schema": _ref("BedrockConverse")}}
    body = {"application/json": {"schema": {"type": "object"}}}
    asked = {
        "application/json": {
            "schema": {"type": "object", "anyOf": [{"required": [name]} for name in ("messages", "prompt", "input")]}
        }
    }
    count = {"application/json": {"schema": _ref("BedrockCountTokens")}}
    events = {"application/vnd.amazon.eventstream": {"schema": {"type": "string", "format": "binary"}}}

    def call(operation: str, summary: str, content: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "parameters": [_in_path("modelId", "The name of a model, or an ARN that ends in it.")],
            "post": {
                "operationId": operation,
                "summary": summary,
                "tags": ["Bedrock"],
                "requestBody": {"required": True, "content": content},
                "responses": {"200": {"description": "The answer.", "content": answer}, "default": _bedrock_refusal()},
            },
        }

    answer = {"application/json": {"schema": _ref("ConverseResponse")}}
    counted = {"application/json": {"schema": _object({"inputTokens": WHOLE})}}
    return {
        "/model/{modelId}/converse": call("Converse", "Answer a conversation.", converse, answer),
        "/model/{modelId}/converse-stream": call("ConverseStream", "The same, as a stream of events.", converse, events),
        "/model/{modelId}/invoke": call("InvokeModel", "Ask with a body in the shape of OpenAI or Anthropic.", asked, body),
        "/model/{modelId}/invoke-with-response-stream": call(
            "InvokeModelWithResponseStream", "The same, as a stream of events.", asked, events
        ),
        "/model/{modelId}/count-tokens": call("CountTokens", "About how many tokens a request has.", count, counted),
    }


def _own() -> dict[str, Any]:
    page = {"200": {"description": "Counts of all workers.", "content": {"text/plain": {"schema": TEXT}}}, "default": _refusal()}
    return {
        "/v1/feedback": {
            "post": {
                "operationId": "createFeedback",
                "summary": "Judge an answer.",
                "tags": ["Feedback"],
                "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("Feedback")}}},
                "responses": {"200": _answer("It is kept.", "FeedbackKept"), "default": _refusal()},
            }
        },
        **_reviews(),
        "/healthz": {"get": _probe("healthz", "Whether the server is alive.", "Alive")},
        "/readyz": {"get": _probe("readyz", "Whether the server can answer: 503 with the reasons if not.", "Ready", also="503")},
        "/metrics": {"get": {"operationId": "metrics", "summary": "For Prometheus.", "tags": ["Health"], "responses": page}},
        "/openapi.json": {
            "get": {
                "operationId": "openapi",
                "summary": "This document.",
                "tags": ["Health"],
                "security": [],
                "responses": {"200": {"description": "OpenAPI.", "content": {"application/json": {"schema": {"type": "object"}}}}},
            }
        },
    }


def _reviews() -> dict[str, Any]:
    who = {
        "name": "reviewer",
        "in": "query",
        "description": "Who judges; a key that belongs to a user speaks for that user.",
        "schema": {**NAME, "maxLength": 200, "pattern": r"\S"},
    }
    why = {"name": "reason", "in": "query", "schema": {"enum": list(REASONS)}}

    def told(operation: str, summary: str, answer: str, *, parameters: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        return {**_told(operation, summary, answer), "tags": ["Review"], "parameters": list(parameters)}

    judged = told("createVerdict", "Judge an answer.", "ReviewJudged")
    return {
        "/v1/reviews": {
            "get": told("nextReview", "The answer to judge next, kept for half an hour.", "ReviewNext", parameters=(who, why)),
            "post": {**judged, "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("Verdict")}}}},
            "delete": told("undoVerdict", "Take the last verdict back.", "ReviewNext", parameters=(who,)),
        },
        "/v1/reviews/agreement": {"get": told("agreement", "How far reviewers agree.", "ReviewAgreement")},
    }


def _schemas() -> dict[str, Any]:
    stream = {"type": ["boolean", "null"], "description": "Answer in server-sent events."}
    options = {"type": ["object", "null"], "description": "include_usage: a last chunk tells what was used."}
    metadata = {
        "type": ["object", "null"],
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 512},
        "description": "Tags of the trace; `conversation` decides, with the user, which variant answers.",
    }
    model = {**NAME, "description": "PROJECT, PROJECT:VARIANT, ENGINE or ENGINE/MODEL. GET /v1/models lists them."}
    user = {"type": ["string", "null"], "maxLength": 512, "description": "Whose question it is: variants are sticky by it."}
    whose = {"metadata": metadata, "user": user, "safety_identifier": user}
    shared = {"stream": stream, "stream_options": options, **whose}
    texts = {"type": ["string", "array"], "description": "Text, or a list of texts or of tokens."}
    choice = _object({"index": WHOLE, "finish_reason": {"type": ["string", "null"]}}, optional={"message": {"type": "object"}})
    return {
        "ChatRequest": _object(
            {"model": model, "messages": {"type": "array", "minItems": 1, "items": _object({"role": NAME})}},
            optional=shared,
        ),
        "CompletionRequest": _object({"model": model, "prompt": texts}, optional=shared),
        "EmbeddingRequest": _object({"model": model, "input": texts}, optional=whose),
        "ChatCompletion": _object(
            {"id": TEXT, "object": {"const": "chat.completion"}, "choices": {"type": "array", "items": choice}},
            optional={"created": WHOLE, "model": TEXT, "usage": {"type": ["object", "null"]}},
        ),
        "Completion": _object({"choices": {"type": "array"}}, optional={"id": TEXT, "object": TEXT, "model": TEXT}),
        "Embeddings": _object({"data": {"type": "array"}}, optional={"object": TEXT, "model": TEXT, "usage": {"type": "object"}}),
        "Model": _object({"id": TEXT, "object": {"const": "model"}, "created": WHOLE, "owned_by": TEXT}),
        "Models": _object({"object": {"const": "list"}, "data": {"type": "array", "items": _ref("Model")}}),
        **_bedrock_schemas(),
        "ConverseResponse": _object(
            {"output": {"type": "object"}, "stopReason": TEXT, "usage": {"type": "object"}, "metrics": {"type": "object"}}
        ),
        "Feedback": _feedback(),
        "FeedbackKept": _object({"object": {"const": "feedback"}, "id": TEXT, "trace": TEXT, "new": FLAG}),
        **_review_schemas(),
        "Alive": _object({"status": TEXT, "version": TEXT, "worker": WHOLE}),
        "Ready": _object({"status": TEXT, "why": _list(TEXT), "resting_engines": _list(TEXT)}),
        "Error": _object({"error": _object({"message": TEXT, "type": TEXT, "param": _maybe(TEXT), "code": _maybe(TEXT)})}),
        "BedrockError": _object({"message": TEXT}),
    }


def _bedrock_schemas() -> dict[str, Any]:
    """Those of the requests, from what reads them."""
    import msgspec

    template = "#/components/schemas/Bedrock{name}"
    _, found = msgspec.json.schema_components((Converse, CountTokens), ref_template=template)
    return {f"Bedrock{name}": schema for name, schema in found.items()}


def _review_schemas() -> dict[str, Any]:
    item = _object(
        {"id": TEXT, "question": TEXT, "answers": _list(TEXT), "reasons": _list(TEXT), "labels": FLAG},
        optional={"messages": _list({"type": "object"}), "others_said": _list(TEXT), "trace": _maybe(TEXT)},
    )
    optional = {
        "reviewer": {"type": ["string", "null"], "minLength": 1, "maxLength": 200},
        "wanted": {"type": ["string", "null"], "maxLength": 100_000},
        "comment": {"type": ["string", "null"], "maxLength": 10_000},
        "seconds": {"type": "number", "minimum": 0, "maximum": 86_400},
    }
    return {
        "Verdict": {**_object({"id": NAME, "verdict": {"enum": list(VERDICTS)}}, optional=optional), "additionalProperties": False},
        "ReviewNext": _object({"object": TEXT, "waiting": WHOLE}, optional={"review": {"anyOf": [item, {"type": "null"}]}}),
        "ReviewJudged": _object({"object": TEXT, "id": TEXT, "state": TEXT}),
        "ReviewAgreement": _object({"object": TEXT, "raw": {"type": "object"}, "alpha": {"type": "object"}}),
    }


def _feedback() -> dict[str, Any]:
    longest = {"label": 1_000, "correction": 100_000, "comment": 10_000, "outcome": 200, "by": 200}
    return {
        **_object(
            {},
            optional={
                "trace": {**NAME, "maxLength": 200, "description": "The header x-request-id of the answer."},
                "response_id": {**NAME, "maxLength": 200, "description": "The id in the body of the answer."},
                "thumb": {"enum": ["up", "down", True, False]},
                "score": {"type": "number", "minimum": 0, "maximum": 1},
                "value_usd": {"type": "number", "minimum": -1e12, "maximum": 1e12},
                **{name: {"type": "string", "pattern": r"\S", "maxLength": most} for name, most in longest.items()},
                "source": {"enum": list(SOURCES)},
                "at": {
                    "type": ["number", "string"],
                    "description": "When it was judged: seconds since 1970, or ISO 8601. Not to come.",
                },
            },
        ),
        "additionalProperties": False,
        "anyOf": [{"required": ["trace"]}, {"required": ["response_id"]}],
    }


def _asked(operation: str, summary: str, request: str, answer: str, *, streams: bool = True) -> dict[str, Any]:
    whole = _answer("The answer.", answer)
    if streams:
        whole["content"]["text/event-stream"] = {"schema": TEXT}
    whole["headers"] = {"x-request-id": {"description": "The id of the trace; feedback names it.", "schema": TEXT}}
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["OpenAI"],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(request)}}},
        "responses": {"200": whole, "default": _refusal()},
    }


def _told(operation: str, summary: str, answer: str) -> dict[str, Any]:
    responses = {"200": _answer("It is this.", answer), "default": _refusal()}
    return {"operationId": operation, "summary": summary, "tags": ["OpenAI"], "responses": responses}


def _probe(operation: str, summary: str, answer: str, *, also: str | None = None) -> dict[str, Any]:
    statuses = ["200"] if also is None else ["200", also]
    responses = {status: _answer(summary, answer) for status in statuses}
    return {"operationId": operation, "summary": summary, "tags": ["Health"], "security": [], "responses": responses}


def _answer(description: str, name: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(name)}}}


def _refusal() -> dict[str, Any]:
    return _answer("It is not answered, and why.", "Error")


def _bedrock_refusal() -> dict[str, Any]:
    named = {"x-amzn-errortype": {"description": "The class of the error.", "schema": TEXT}}
    return {**_answer("It is not answered, and why.", "BedrockError"), "headers": named}


def _in_path(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": NAME}


def _object(required: Mapping[str, Any], *, optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    names: Sequence[str] = list(required)
    return {"type": "object", "properties": {**required, **(optional or {})}, **({"required": names} if names else {})}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _maybe(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": [schema["type"], "null"]}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
