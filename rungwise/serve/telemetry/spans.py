"""A trace as OpenTelemetry's spans, in the JSON of OTLP."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rungwise.core.trace import Span, Trace
from rungwise.serve.telemetry import names

SERVER, CLIENT, INTERNAL = 2, 3, 1
FAILED = 2


def request_of(spans: Sequence[Any], resource: Mapping[str, str], *, version: str) -> dict[str, Any]:
    """The body of one export."""
    scope = {"scope": {"name": "rungwise", "version": version}, "spans": spans}
    return {"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": [scope]}]}


def spans_of(trace: Trace, *, content: bool = False) -> Iterator[dict[str, Any]]:
    """The request as one span, and each of its steps as a child of it. `content` lets through what was said, where it is kept."""
    root = trace.id[16:]
    counted = any(span.kind == "model" and span.details.get("input_tokens") for span in trace.spans)
    found = {
        names.OPERATION: trace.operation,
        names.PROVIDER: "rungwise",
        names.REQUEST_MODEL: trace.asked,
        names.RESPONSE_ID: trace.response_id,
        names.RESPONSE_MODEL: trace.model,
        names.FINISH_REASONS: [trace.finish] if trace.finish else None,
        names.FIRST_CHUNK: trace.first_token_s if trace.streamed else None,
        names.CONVERSATION: trace.conversation,
        names.USER: trace.user,
        names.ERROR: trace.error,
        names.STATUS: trace.status,
        names.RELEASE: trace.release,
        names.VARIANT: trace.variant,
        names.CANDIDATE: trace.candidate,
        names.KEY: trace.key,
        names.TENANT: trace.tenant,
        names.COST_USD: trace.usage.usd or None,
        names.CACHED: trace.cached or None,
        **{names.TAG + tag: value for tag, value in trace.tags.items()},
        # Receivers add up what the spans of a trace say: where the calls of models have their counts, the request has none.
        **({} if counted else _usage(trace)),
        **_said(trace, content=content),
    }
    span = {
        "traceId": trace.id,
        "spanId": root,
        "name": f"{trace.operation} {trace.asked}",
        "kind": SERVER,
        "startTimeUnixNano": _nanoseconds(trace.at),
        "endTimeUnixNano": _nanoseconds(trace.at + trace.seconds),
        "attributes": attributes(found),
        "status": {"code": FAILED, "message": trace.error} if trace.error else {},
    }
    if trace.shadow_of is not None:
        span["links"] = [{"traceId": trace.shadow_of, "spanId": trace.shadow_of[16:]}]
    yield span
    for number, step in enumerate(trace.spans):
        yield _step(trace, step, number, root)


def _step(trace: Trace, step: Span, number: int, root: str) -> dict[str, Any]:
    details, operation = step.details, names.STEPS.get(step.kind)
    found: dict[str, Any] = {names.STEP: step.kind, names.ERROR: step.error}
    if step.kind == "model":
        operation = trace.operation
        found |= {
            names.PROVIDER: step.name,
            names.REQUEST_MODEL: details.get("model") or trace.model,
            names.RESPONSE_MODEL: details.get("model"),
            names.INPUT_TOKENS: details.get("input_tokens"),
            names.OUTPUT_TOKENS: details.get("output_tokens"),
        }
    found[names.OPERATION] = operation
    return {
        "traceId": trace.id,
        "spanId": hashlib.blake2b(f"{trace.id}/{number}".encode(), digest_size=8).hexdigest(),
        "parentSpanId": root,
        "name": f"{operation or step.kind} {details.get('model') or step.name}"
        if step.kind == "model"
        else f"{step.kind} {step.name}",
        "kind": CLIENT if step.kind == "model" else INTERNAL,
        "startTimeUnixNano": _nanoseconds(trace.at + step.start_s),
        "endTimeUnixNano": _nanoseconds(trace.at + step.start_s + step.seconds),
        "attributes": attributes(found),
        "status": {"code": FAILED, "message": step.error} if step.error else {},
    }


def attributes(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Names and values as OTLP writes them; None is left out."""
    return [{"key": name, "value": _value(value)} for name, value in found.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}  # JSON's numbers do not hold 64 bits
    if isinstance(value, float) and math.isfinite(value):
        return {"doubleValue": value}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": str(value)}


def _usage(trace: Trace) -> dict[str, Any]:
    usage = trace.usage
    return {
        names.INPUT_TOKENS: usage.input_tokens or None,
        names.OUTPUT_TOKENS: usage.output_tokens or None,
        names.CACHED_TOKENS: usage.cached_tokens or None,
        names.REASONING_TOKENS: usage.reasoning_tokens or None,
    }


def _said(trace: Trace, *, content: bool) -> dict[str, Any]:
    """Settings, and with `content` messages, from the bodies, as far as they were captured and can be read."""
    request = _object(trace.request)
    found: dict[str, Any] = {
        name: value
        for field, name in names.REQUEST_SETTINGS.items()
        if isinstance(value := request.get(field), (bool, int, float, str, list)) and value not in ("", [])
    }
    if not content:
        return found
    messages = request.get("messages")
    if isinstance(messages, list):
        found[names.INPUT_MESSAGES] = json.dumps([_message(one) for one in messages if isinstance(one, dict)], ensure_ascii=False)
    choices = _object(trace.response).get("choices")
    if isinstance(choices, list):
        answers = [
            _message(_mapping(choice.get("message"))) | {"finish_reason": choice.get("finish_reason") or "stop"}
            for choice in choices
            if isinstance(choice, dict)
        ]
        found[names.OUTPUT_MESSAGES] = json.dumps(answers, ensure_ascii=False)
    return found


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message in the shape of OpenAI as a role and parts."""
    said = message.get("content")
    role = str(message.get("role") or "assistant")
    parts: list[dict[str, Any]] = []
    if role == "tool":
        parts.append({"type": "tool_call_response", "id": message.get("tool_call_id"), "response": said})
    elif isinstance(said, str):
        parts.append({"type": "text", "content": said})
    elif isinstance(said, list):
        parts += [
            {"type": "text", "content": one["text"]} for one in said if isinstance(one, dict) and isinstance(one.get("text"), str)
        ]
    calls = message.get("tool_calls")
    for call in map(_mapping, calls if isinstance(calls, list) else ()):
        function = _mapping(call.get("function"))
        parts.append(
            {"type": "tool_call", "id": call.get("id"), "name": function.get("name"), "arguments": function.get("arguments")}
        )
    return {"role": role, "parts": parts}


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return _mapping(found)


def _mapping(value: Any) -> dict[str, Any]:
    """An object as it is; whatever else stands in its place as an empty one."""
    return value if isinstance(value, dict) else {}


def _nanoseconds(at: float) -> str:
    return f"{round(at * 1_000_000)}000"  # a double holds microseconds since 1970, and no finer
