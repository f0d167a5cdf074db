"""The server with an echo whose chat template takes tools, as Hermes' does. A question is its answer.

python -m tests.component.inference_server.tool_echo [flags of the server]
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence

from typing_extensions import override

from inference_server.echo_engine import EchoEngine, EchoTokenizer
from inference_server.logs import configure_logging
from inference_server.options import parse_options
from inference_server.serve import serve
from inference_server.service import Service


class ToolTokenizer(EchoTokenizer):
    """Writes tools, calls and results as text of the turn before."""

    chat_template = "tools <tool_call>"

    @override
    def render(
        self, messages: Sequence[Mapping[str, object]], tools: Sequence[Mapping[str, object]] = ()
    ) -> str:
        plain = [{**message, "content": _content(message)} for message in messages]
        if tools:
            plain.insert(0, {"role": "system", "content": json.dumps(list(tools))})
        return super().render(plain)


def _content(message: Mapping[str, object]) -> str:
    calls = json.dumps(message["tool_calls"]) if "tool_calls" in message else ""
    return f"{message['content']}{calls}"


class ToolEngine(EchoEngine):
    """An echo with a ToolTokenizer."""

    def __init__(self) -> None:
        super().__init__(0.005)
        self.tokenizer = ToolTokenizer()


async def run() -> int:
    options = parse_options(sys.argv[1:], os.environ)
    return await serve(Service(options, ToolEngine()), options)


if __name__ == "__main__":
    configure_logging("info")
    sys.exit(asyncio.run(run()))
