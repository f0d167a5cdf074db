"""POST /v1/chat/completions: messages and tools to rows, and the grammar that their answer keeps to."""

from __future__ import annotations

import json
from dataclasses import dataclass

from inference_server.engine import Grammar, Tokenizer
from inference_server.http.openai.chat_writer import ChatWriter
from inference_server.http.openai.messages import for_template
from inference_server.http.openai.plan import Wanted, fingerprint, generation_for
from inference_server.http.openai.protocol import (
    ChatCompletionRequest,
    FunctionDefinition,
    NamedTool,
    ResponseFormat,
)
from inference_server.http.openai.tools.conventions import PLAIN, Convention, convention_of
from inference_server.http.openai.tools.grammars import answer_or_calls, call_grammar
from inference_server.http.openai.tools.reader import CallReader
from inference_server.http.openai.writer import Heading
from inference_server.prompts import prompt_from_messages
from inference_server.scheduling.stream import Generation
from inference_server.service import Service

_AUTO = ("none", "auto")


@dataclass(frozen=True)
class ToolUse:
    """The functions that an answer may call, and how. `must`: it has to call one of them."""

    convention: Convention
    functions: tuple[FunctionDefinition, ...]
    must: bool
    several: bool

    def reader(self) -> CallReader:
        """Return a reader of one answer."""
        return CallReader(self.convention, [function.name for function in self.functions])


def prepare_chat(service: Service, body: ChatCompletionRequest) -> tuple[list[Generation], ChatWriter]:
    """Turn a request into rows and what writes their answers. Encodes text: run it off the event loop.

    Raises:
        BadRequest: a prompt that does not fit, messages or tools that the template refuses, a schema that
            cannot be kept to.
        NotFound: the request names a model that is not served.
    """
    model = service.models.resolve(body.model)
    tokenizer = service.engine.tokenizer
    use = _tool_use(body, tokenizer)
    tools = [tool.model_dump(exclude_none=True) for tool in body.tools or ()] if use else []
    prompt = prompt_from_messages(for_template(body.messages), tokenizer, tools)
    wanted = Wanted(
        tokens=body.max_completion_tokens or body.max_tokens,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        grammar=_grammar(body.response_format, use, tokenizer),
        keep_special=use is not None and use.convention.keep_special,
    )
    generation = generation_for(service, body, prompt, model, wanted)
    writer = ChatWriter(
        Heading("chatcmpl", "chat.completion.chunk", model.name, fingerprint(service, model)),
        tokenizer,
        includes_usage=body.includes_usage,
        logprobs=bool(body.logprobs),
        reader=use.reader if use else None,
        new_id=(use.convention if use else PLAIN).new_id,
    )
    return [generation], writer


def _tool_use(body: ChatCompletionRequest, tokenizer: Tokenizer) -> ToolUse | None:
    """Return how tools are to be used; None: not at all, so the model is not told of them."""
    if not body.tools or body.tool_choice == "none":
        return None
    functions = tuple(tool.function for tool in body.tools)
    choice = body.tool_choice
    if isinstance(choice, NamedTool):
        functions = tuple(one for one in functions if one.name == choice.function.name)
    return ToolUse(
        convention=convention_of(tokenizer),
        functions=functions,
        must=choice is not None and choice not in _AUTO,
        # One function by its name is one call, as OpenAI answers it.
        several=body.parallel_tool_calls is not False and not isinstance(choice, NamedTool),
    )


def _grammar(form: ResponseFormat | None, use: ToolUse | None, tokenizer: Tokenizer) -> Grammar | None:
    if use is not None and use.must:
        return call_grammar(use.convention, tokenizer, use.functions, several=use.several)
    schema = _schema(form)
    if schema is None:
        return None
    if use is not None:
        return answer_or_calls(use.convention, tokenizer, use.functions, schema, several=use.several)
    return Grammar("json_schema", json.dumps(schema))


def _schema(form: ResponseFormat | None) -> dict[str, object] | None:
    if form is None or form.type == "text":
        return None
    given = form.json_schema if form.type == "json_schema" else None
    if given is None:
        return {"type": "object"}
    schema = {"type": "object"} if given.schema_ is None else given.schema_
    return {**schema, "x-guidance": {"lenient": not given.strict}}
