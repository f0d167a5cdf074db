"""The answers of /v1/chat/completions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from inference_server.engine import FinishReason, Tokenizer
from inference_server.http.openai.logprobs import chat_logprobs
from inference_server.http.openai.tools.calls import Call
from inference_server.http.openai.tools.reader import CallReader, Piece
from inference_server.http.openai.writer import Chunks, Heading, Together, by_choice, usage_of, whole
from inference_server.scheduling.stream import Delta, GenerationResult

_TEXT = '"delta":{"content":'
_NO_LOGPROBS = '},"logprobs":null,"finish_reason":null'
_ROLE = '"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null'


class ChatWriter:
    """See Writer. `reader` makes the reader of one choice's calls; None: there are no tools."""

    def __init__(
        self,
        heading: Heading,
        tokenizer: Tokenizer,
        *,
        includes_usage: bool,
        logprobs: bool,
        reader: Callable[[], CallReader] | None,
        new_id: Callable[[], str],
    ) -> None:
        self.includes_usage = includes_usage
        self._heading = heading
        self._tokenizer = tokenizer
        self._chunks = Chunks(heading, with_usage=includes_usage)
        self._logprobs = logprobs
        self._new_reader = reader
        self._new_id = new_id
        self._begun: dict[int, CallReader | None] = {}

    def events(self, offset: int, pieces: Sequence[Delta]) -> str:
        """Return the events for pieces; see Writer."""
        if len(pieces) == 1 and not self._logprobs:
            piece = pieces[0]
            if piece.finish is None and self._begun.get(offset + piece.index, self) is None:
                return self._content(offset + piece.index, piece.text) if piece.text else ""
        out: list[str] = []
        for index, choice in by_choice(pieces).items():
            self._write(offset + index, choice, out)
        return "".join(out)

    def usage_event(self, prompt_tokens: int, completion_tokens: int) -> str:
        """Return the event that tells the usage; see Writer."""
        return self._chunks.usage(prompt_tokens, completion_tokens)

    def body(self, results: Sequence[GenerationResult]) -> dict[str, object]:
        """Return a chat.completion; see Writer."""
        (result,) = results
        choices = [self._choice(index, whole(answer)) for index, answer in enumerate(result.answers)]
        usage = usage_of(result.prompt_tokens, result.generated_tokens)
        return {**self._heading.fields("chat.completion"), "choices": choices, "usage": usage}

    def _write(self, index: int, choice: Together, out: list[str]) -> None:
        if index not in self._begun:
            self._begun[index] = self._new_reader() if self._new_reader else None
            out.append(self._chunks.raw(index, _ROLE))
        reader = self._begun[index]
        read: list[Piece] = [choice.text] if choice.text else []
        called = 0
        if reader is not None:
            called = reader.calls
            read = reader.feed(choice.text) + (reader.finish() if choice.finish else [])
        text = "".join(piece for piece in read if isinstance(piece, str))
        if self._logprobs and choice.tokens:
            probabilities = json.dumps(chat_logprobs(choice.tokens, self._tokenizer))
            after = f'}},"logprobs":{probabilities},"finish_reason":null'
            out.append(self._chunks.text(index, _TEXT, text, after))
        elif text:
            out.append(self._content(index, text))
        for call in read:
            if isinstance(call, Call):
                out += self._call(index, called, call)
                called += 1
        if choice.finish:
            reason = _reason(choice.finish, called)
            out.append(self._chunks.raw(index, f'"delta":{{}},"logprobs":null,"finish_reason":"{reason}"'))

    def _content(self, index: int, text: str) -> str:
        return self._chunks.text(index, _TEXT, text, _NO_LOGPROBS)

    def _call(self, index: int, number: int, call: Call) -> list[str]:
        """Return the two events of a call: its name, then its arguments."""
        opened = {
            "index": number,
            "id": self._new_id(),
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        filled = {"index": number, "function": {"arguments": call.arguments}}
        return [
            self._chunks.raw(index, f'"delta":{{"tool_calls":[{json.dumps(part)}]{_NO_LOGPROBS}')
            for part in (opened, filled)
        ]

    def _choice(self, index: int, choice: Together) -> dict[str, object]:
        read: list[Piece] = [choice.text]
        if self._new_reader is not None:
            reader = self._new_reader()
            read = reader.feed(choice.text) + reader.finish()
        text = "".join(piece for piece in read if isinstance(piece, str))
        calls = [piece for piece in read if isinstance(piece, Call)]
        message: dict[str, object] = {"role": "assistant", "content": text, "refusal": None}
        if calls:
            message["content"] = text.strip() or None
            message["tool_calls"] = [self._whole_call(call) for call in calls]
        logprobs = chat_logprobs(choice.tokens, self._tokenizer) if self._logprobs else None
        reason = _reason(choice.finish or "stop", len(calls))
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}

    def _whole_call(self, call: Call) -> dict[str, object]:
        function = {"name": call.name, "arguments": call.arguments}
        return {"id": self._new_id(), "type": "function", "function": function}


def _reason(finish: FinishReason, calls: int) -> str:
    return "tool_calls" if calls and finish == "stop" else finish
