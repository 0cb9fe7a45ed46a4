"""Messages in the shape of OpenAI, put together from the parts of another protocol."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rungwise.serve.failure import BadRequest

_PLAIN = {"txt": "text/plain", "md": "text/markdown", "csv": "text/csv", "html": "text/html"}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_BINARY = {
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": f"{_OFFICE}.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
}


@dataclass(slots=True)
class UserTurn:
    """What a user's turn holds: results of tools, which stand in messages of their own, and parts that the user shows."""

    results: list[dict[str, Any]] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)

    def add_result(self, call: str, shown: Sequence[dict[str, Any]], *, failed: bool) -> None:
        """What a tool gave back: its texts are the message of the tool, pictures and files follow as the user's."""
        texts = [part["text"] for part in shown if part["type"] == "text"]
        content = "\n".join(texts)
        self.results.append({"role": "tool", "tool_call_id": call, "content": f"Error: {content}" if failed else content})
        self.parts.extend(part for part in shown if part["type"] != "text")

    def messages(self) -> list[dict[str, Any]]:
        """The messages, the tools' first: they must follow the call."""
        parts = self.parts
        if not parts:
            return self.results
        whole = parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts
        return [*self.results, {"role": "user", "content": whole}]


def assistant_turn(text: str, calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """An earlier answer; with calls and no text its content is null."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None if calls else text}
    if calls:
        message["tool_calls"] = list(calls)
    return message


def call(id: str, name: str, arguments: Any) -> dict[str, Any]:
    """A wish to call a tool; `arguments` is plain data."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": msgspec.json.encode(arguments).decode()}}


def tool(name: str, schema: Any, description: str | None, *, strict: bool | None = None) -> dict[str, Any]:
    """A tool that may be called."""
    function: dict[str, Any] = {"name": name, "parameters": schema if schema is not None else {"type": "object"}}
    if description is not None:
        function["description"] = description
    if strict is not None:
        function["strict"] = strict
    return {"type": "function", "function": function}


def text(words: str) -> dict[str, Any]:
    """A part of text."""
    return {"type": "text", "text": words}


def picture(media_type: str, data: str) -> dict[str, Any]:
    """A picture as a data URL; `data` is base64."""
    return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}


def document(form: str, name: str, data: str, *, where: str) -> dict[str, Any]:
    """A document from base64: what is text is shown as text, other files are handed on whole. Raises BadRequest."""
    if form in _PLAIN:
        try:
            return text(titled(name, base64.b64decode(data, validate=True).decode()))
        except (binascii.Error, UnicodeDecodeError):
            raise BadRequest(f"{where}: the bytes are not text in UTF-8", param=where) from None
    if form not in _BINARY:
        known = ", ".join((*_PLAIN, *_BINARY))
        raise BadRequest(f"{where}: documents of the format '{form}' are not known. Known: {known}", param=where)
    file = {"filename": f"{name or 'document'}.{form}", "file_data": f"data:{_BINARY[form]};base64,{data}"}
    return {"type": "file", "file": file}


def titled(name: str, words: str) -> str:
    """A text under its title, where it has one."""
    return f"{name}\n\n{words}" if name else words
