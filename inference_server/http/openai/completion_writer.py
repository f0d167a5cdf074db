"""The answers of /v1/completions."""

from __future__ import annotations

import json
from collections.abc import Sequence

from inference_server.engine import Tokenizer
from inference_server.http.openai.logprobs import CompletionLogprobs
from inference_server.http.openai.writer import Chunks, Heading, by_choice, usage_of, whole
from inference_server.scheduling.stream import Delta, GenerationResult

_TEXT = '"text":'
_NO_LOGPROBS = ',"logprobs":null,"finish_reason":null'


class CompletionWriter:
    """See Writer. `echoes` are the texts that stand before the answers, one for each prompt; '' for none."""

    def __init__(
        self,
        heading: Heading,
        tokenizer: Tokenizer,
        echoes: Sequence[str],
        *,
        includes_usage: bool,
        logprobs: bool,
        choices: int,
    ) -> None:
        self.includes_usage = includes_usage
        self._heading = heading
        self._tokenizer = tokenizer
        self._echoes = echoes
        self._chunks = Chunks(heading, with_usage=includes_usage)
        self._logprobs = logprobs
        self._choices = choices
        self._begun: dict[int, CompletionLogprobs] = {}

    def events(self, offset: int, pieces: Sequence[Delta]) -> str:
        """Return the events for pieces; see Writer."""
        out: list[str] = []
        for at, choice in by_choice(pieces).items():
            index = offset + at
            text, after = choice.text, _NO_LOGPROBS
            if index not in self._begun:
                self._begun[index] = CompletionLogprobs(self._tokenizer, 0)
                text = self._echo(index) + text
            if self._logprobs and choice.tokens:
                shape = json.dumps(self._begun[index].take(choice.tokens))
                after = f',"logprobs":{shape},"finish_reason":null'
            if text or after is not _NO_LOGPROBS:
                out.append(self._chunks.text(index, _TEXT, text, after))
            if choice.finish:
                finish = f',"logprobs":null,"finish_reason":"{choice.finish}"'
                out.append(self._chunks.text(index, _TEXT, "", finish))
        return "".join(out)

    def usage_event(self, prompt_tokens: int, completion_tokens: int) -> str:
        """Return the event that tells the usage; see Writer."""
        return self._chunks.usage(prompt_tokens, completion_tokens)

    def body(self, results: Sequence[GenerationResult]) -> dict[str, object]:
        """Return a text_completion; see Writer."""
        answers = [whole(answer) for result in results for answer in result.answers]
        choices = [
            {
                "index": index,
                "text": self._echo(index) + answer.text,
                "logprobs": CompletionLogprobs(self._tokenizer, 0).take(answer.tokens)
                if self._logprobs
                else None,
                "finish_reason": answer.finish,
            }
            for index, answer in enumerate(answers)
        ]
        prompt_tokens = sum(result.prompt_tokens for result in results)
        usage = usage_of(prompt_tokens, sum(result.generated_tokens for result in results))
        return {**self._heading.fields("text_completion"), "choices": choices, "usage": usage}

    def _echo(self, index: int) -> str:
        return self._echoes[index // self._choices]
