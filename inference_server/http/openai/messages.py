"""Messages of a conversation, from OpenAI's form to what chat templates read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from inference_server.http.openai.fields import Name, Strict, Text, valid_text

_TEXT_KEYS = {"text": "text", "refusal": "refusal"}  # of a part's type: the key that its text stands under


def join_parts(value: object) -> object:
    """Let a list of text parts stand for their texts, one below the other.

    Raises:
        ValueError: a part that is no text; the sentence for the client.
    """
    if not isinstance(value, list):
        return valid_text(value) if isinstance(value, str) else value
    if not value:
        raise ValueError("an empty list; send a text, or at least one part of type text")
    return valid_text("\n".join(_part_text(index, part) for index, part in enumerate(value)))


def _part_text(index: int, part: object) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str):
        raise ValueError(f'part {index} is no object with a type; send {{"type": "text", "text": "..."}}')
    if kind not in _TEXT_KEYS:
        known = kind if kind in ("image_url", "input_audio", "file", "video_url") else "another type"
        raise ValueError(f"part {index} is of type {known}; this server reads text only, so leave it out")
    text = part.get(_TEXT_KEYS[kind])
    if not isinstance(text, str):
        raise ValueError(f"part {index} has no text under the key {_TEXT_KEYS[kind]}")
    return text


_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
Content = Annotated[
    str,
    BeforeValidator(join_parts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _PART, "minItems": 1}]}),
]


class CalledFunction(Strict):
    """`arguments` is JSON in a text, as the model wrote it."""

    name: Name
    arguments: Text


class ToolCall(Strict):
    """A call that an earlier answer asked for."""

    id: Name
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(Strict):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content | None = None
    name: Name | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=128)] | None = None
    tool_call_id: Name | None = None

    @model_validator(mode="after")
    def _complete(self) -> Message:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ValueError(f"a message of role {self.role} needs content, a text")
        if self.role == "tool" and not self.tool_call_id:
            raise ValueError("a message of role tool needs tool_call_id, the id of the call that it answers")
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"a message of role {self.role} cannot have tool_calls: only the assistant's")
        return self


def for_template(messages: Sequence[Message]) -> list[dict[str, object]]:
    """Return messages as templates read them.

    The developer's word is the system's. Arguments of calls become objects: templates write them as JSON, and
    would quote a text once more. Results of tools get the name of the function, which some templates write.
    """
    names: dict[str, str] = {}
    written = []
    for message in messages:
        turn: dict[str, object] = {
            "role": "system" if message.role == "developer" else message.role,
            "content": message.content or "",  # templates add it to other texts: None would be an error
        }
        if message.tool_calls:
            names |= {call.id: call.function.name for call in message.tool_calls}
            turn["tool_calls"] = [_call(call) for call in message.tool_calls]
        if message.role == "tool":
            turn["tool_call_id"] = message.tool_call_id
        name = message.name or names.get(message.tool_call_id or "")
        if name and message.role == "tool":
            turn["name"] = name
        written.append(turn)
    return written


def _call(call: ToolCall) -> dict[str, object]:
    function = {"name": call.function.name, "arguments": _arguments(call.function.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _arguments(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return parsed if isinstance(parsed, dict) else text
