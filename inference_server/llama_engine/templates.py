"""Chat templates as transformers reads them: Jinja in a sandbox, with the same helpers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NoReturn

import jinja2.ext
from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from typing_extensions import override

from inference_server.errors import BadRequest

# What templates raise at messages they were not written for: a content of None, a key that is not there.
_TEMPLATE_ERRORS = (TemplateError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError)
_NO_PLACE_FOR_TOOLS = "this model's chat template has no place for tools; send the request without"


class ChatTemplate:
    """The template of one model; `special` are the texts that it may write, like bos_token.

    `for_tools` is the template of requests with tools, the same as `text` in most models.

    Raises:
        TemplateError: the text is no Jinja.
    """

    def __init__(self, text: str, for_tools: str, special: Mapping[str, str]) -> None:
        environment = _environment()
        self._plain = environment.from_string(text)
        self._with_tools = environment.from_string(for_tools) if "tools" in for_tools else None
        self._special = dict(special)

    def render(self, messages: Sequence[Mapping[str, object]], tools: Sequence[Mapping[str, object]]) -> str:
        """Write the messages, open for the assistant's turn.

        Raises:
            BadRequest: the template refuses them, or has no place for tools.
        """
        if tools and self._with_tools is None:
            raise BadRequest(_NO_PLACE_FOR_TOOLS)
        template = self._with_tools if tools and self._with_tools else self._plain
        try:
            return template.render(
                messages=[dict(message) for message in messages],
                tools=[dict(tool) for tool in tools] or None,
                documents=None,
                add_generation_prompt=True,
                **self._special,
            )
        except _TEMPLATE_ERRORS as error:
            raise BadRequest(f"the model's chat template refuses the messages: {error}") from None


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what a model says, for training; it changes nothing of the text."""

    tags = {"generation"}  # noqa: RUF012 - the library's own attribute

    @override
    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands between the marks."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Write JSON as it is: Jinja's own filter writes < and > for web pages."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 - templates mean the local day
