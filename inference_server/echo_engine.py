"""A deterministic engine without weights: it answers with what it was asked, a character a token.

For tests of everything around a model, and for a cluster that should run without one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence

from inference_server.engine import Answer, FinishReason, GenerationResult, Gpu, Phase, Report, Sampling

_CONTEXT_TOKENS = 4096
_VOCABULARY = 0x110000  # token ids are Unicode code points
_LAST_USER_TURN = re.compile(r".*<\|user\|>(.*?)<\|end\|>", re.DOTALL)


class EchoTokenizer:
    """One token a character. Its chat template writes `<|role|>text<|end|>` a turn."""

    has_chat_template = True
    bos_token = ""
    boundary_tokens: frozenset[str] = frozenset()
    added_tokens = frozenset({"<|system|>", "<|user|>", "<|assistant|>", "<|end|>"})

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Write the turns one after another, and open the assistant's."""
        turns = [f"<|{message['role']}|>{message['content']}<|end|>" for message in messages]
        return "".join([*turns, "<|assistant|>"])

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the code points of `text`."""
        return [ord(character) for character in text]


class EchoEngine:
    """Answers with the last user turn, or the whole prompt where there is none.

    `token_seconds` is how long a token takes, so that tests can meet a generation half way.
    """

    context_tokens = _CONTEXT_TOKENS
    vocabulary_size = _VOCABULARY

    def __init__(self, token_seconds: float = 0.0) -> None:
        self._token_seconds = token_seconds
        self.tokenizer = EchoTokenizer()

    def load(self, report: Report) -> None:
        """Report the phases of a real load; there is nothing to do in them."""
        report(Phase.LIBRARIES)
        report(Phase.WEIGHTS)

    def generate(
        self, prompt: Sequence[int], sampling: Sampling, cancelled: threading.Event
    ) -> GenerationResult:
        """Answer; only the lengths, `stop` and num_return_sequences of `sampling` mean anything here."""
        text = "".join(map(chr, prompt))
        turn = _LAST_USER_TURN.match(text)
        answer = self._speak(turn.group(1) if turn else text, sampling, cancelled)
        return GenerationResult(len(prompt), (answer,) * sampling.num_return_sequences)

    def gpus(self) -> Sequence[Gpu]:
        """Return none."""
        return ()

    def _speak(self, text: str, sampling: Sampling, cancelled: threading.Event) -> Answer:
        reason: FinishReason = "stop"
        spoken = ""
        for character in text:
            # The wait ends at once when it is cancelled; without it a token takes no time at all.
            if cancelled.wait(self._token_seconds):
                reason = "cancelled"
                break
            if len(spoken) == sampling.max_new_tokens:
                reason = "length"
                break
            spoken += character
        tokens = tuple(map(ord, spoken))
        for stop in sampling.stop:
            spoken = spoken.partition(stop)[0]
        return Answer(tokens, spoken, reason)
