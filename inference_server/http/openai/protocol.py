"""Bodies of requests to /v1, with what fits together and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from inference_server.http.openai.fields import (
    MAX_TOP_LOGPROBS,
    JsonObject,
    SamplingFields,
    Strict,
    Text,
    valid_text,
)
from inference_server.http.openai.messages import Message

MAX_PROMPTS = 32
_FUNCTION_NAME = r"^[a-zA-Z0-9_.-]{1,64}$"
_MAX_TOKEN_ID = 2**31


class FunctionDefinition(Strict):
    """A function that the model may call. `parameters` is the JSON schema of its arguments."""

    name: Annotated[str, Field(pattern=_FUNCTION_NAME)]
    description: Text | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class Tool(Strict):
    """Only functions are tools here."""

    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(Strict):
    """A function by its name."""

    name: Annotated[str, Field(pattern=_FUNCTION_NAME)]


class NamedTool(Strict):
    """tool_choice for one function."""

    type: Literal["function"]
    function: NamedFunction


class JsonSchemaFormat(Strict):
    """`strict`: a keyword that cannot be kept to is refused; else it is left out of account."""

    name: Annotated[str, Field(max_length=64)] | None = None
    description: str | None = None
    schema_: Annotated[JsonObject | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Strict):
    """What an answer has to look like."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None

    @model_validator(mode="after")
    def _complete(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("type json_schema needs the schema under the key json_schema")
        return self


def _tool_choice(value: object) -> object:
    """Judge the two forms of tool_choice apart: a union would blame a wrong word for being no object."""
    if value is None or isinstance(value, dict):
        return value
    if value not in ("none", "auto", "required"):
        raise ValueError(
            'send "none", "auto", "required", or {"type": "function", "function": {"name": ...}}'
        )
    return value


class ChatCompletionRequest(SamplingFields):
    """The body of POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=4096)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="New tokens of each choice; wins over max_tokens. Default: what the context leaves."
    )
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Annotated[
        Literal["none", "auto", "required"] | NamedTool | None, BeforeValidator(_tool_choice)
    ] = Field(None, description="Default: auto.")
    parallel_tool_calls: bool | None = Field(None, description="false: at most one call.")

    @model_validator(mode="after")
    def _fits_together(self) -> ChatCompletionRequest:
        self.check_stream_options()
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs true")
        names = [tool.function.name for tool in self.tools or ()]
        if len(set(names)) < len(names):
            raise ValueError("two tools have the same name; give each its own")
        if not names and self.tool_choice not in (None, "none", "auto"):
            raise ValueError("tool_choice asks for a call, and there are no tools; send tools too")
        if isinstance(self.tool_choice, NamedTool) and self.tool_choice.function.name not in names:
            raise ValueError("tool_choice names a function that is not among the tools")
        return self


def _prompts(value: object) -> object:
    """Bring all four forms of a prompt into a list of texts and lists of token ids.

    Raises:
        ValueError: another form; the sentence for the client.
    """
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise ValueError("send a text, a list of texts, a list of token ids, or a list of such lists")
    prompts = [value] if type(value[0]) is int else value
    if len(prompts) > MAX_PROMPTS:
        raise ValueError(f"{len(prompts)} prompts, and {MAX_PROMPTS} are allowed in one request")
    for prompt in prompts:
        _check_prompt(prompt)
    return prompts


def _check_prompt(prompt: object) -> None:
    if isinstance(prompt, str):
        valid_text(prompt)
    elif not isinstance(prompt, list) or not all(_is_token_id(item) for item in prompt):
        raise ValueError("a prompt has to be a text, or a list of whole numbers from 0 on: token ids")


def _is_token_id(item: object) -> bool:
    return type(item) is int and 0 <= item < _MAX_TOKEN_ID


_TEXT: dict[str, Any] = {"type": "string"}
_IDS: dict[str, Any] = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": _MAX_TOKEN_ID - 1},
    "minItems": 1,
}
Prompts = Annotated[
    list[Any],
    BeforeValidator(_prompts),
    WithJsonSchema(
        {
            "anyOf": [
                _TEXT,
                {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_PROMPTS},
                _IDS,
                {"type": "array", "items": _IDS, "minItems": 1, "maxItems": MAX_PROMPTS},
            ]
        }
    ),
]


class CompletionRequest(SamplingFields):
    """The body of POST /v1/completions: texts that the model goes on with, without a chat template."""

    prompt: Prompts
    echo: bool | None = Field(None, description="Put the prompt before each answer.")
    suffix: None = Field(None, description="Not offered: these models only go on with a text.")
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    best_of: Annotated[int, Field(ge=1)] | None = Field(None, description="Accepted where it equals n.")

    @property
    def prompts(self) -> Sequence[str | list[int]]:
        """Return the prompts, one after another."""
        return self.prompt

    @model_validator(mode="after")
    def _fits_together(self) -> CompletionRequest:
        self.check_stream_options()
        if self.best_of is not None and self.best_of != self.choices:
            raise ValueError("best_of has to equal n: all answers are returned; leave it out")
        if self.echo and self.logprobs is not None:
            raise ValueError("logprobs are those of new tokens only, so they do not go with echo")
        return self
