"""The boundary between HTTP and the model: token ids and Sampling in, GenerationResult out.

What stands above this module knows no library; what implements Engine knows no HTTP. An engine is loaded
once and then called by one thread at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol


class Phase(StrEnum):
    """What a server is doing, in the order in which it happens."""

    STARTING = "starting"
    LIBRARIES = "libraries"  # importing torch and transformers: seconds
    WEIGHTS = "weights"  # from the volume into memory: the long one
    ADAPTERS = "adapters"
    WARMUP = "warmup"  # the first token: compiles and allocates
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


Report = Callable[[Phase], None]
FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens. Every field has been checked; names and neutral values are the library's.

    `max_new_tokens` is what fits, never more than the context leaves. `eos_token_ids` empty means the
    model's own. `stop` texts end a sequence and are cut off it.
    """

    max_new_tokens: int
    min_new_tokens: int = 0
    do_sample: bool = True
    temperature: float = 1.0
    top_k: int = 10
    top_p: float = 1.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    num_beams: int = 1
    early_stopping: bool = False
    length_penalty: float = 1.0
    num_return_sequences: int = 1
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    clean_up_tokenization_spaces: bool = False


@dataclass(frozen=True)
class Answer:
    """One answer. `token_ids` are the new tokens, an end-of-sequence token included, padding not."""

    token_ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason


@dataclass(frozen=True)
class GenerationResult:
    """The answers to one prompt, in the order of the engine; never empty."""

    prompt_tokens: int
    answers: tuple[Answer, ...]

    @property
    def generated_tokens(self) -> int:
        """Return the number of new tokens of all answers together."""
        return sum(len(answer.token_ids) for answer in self.answers)


@dataclass(frozen=True)
class Gpu:
    """One GPU at this moment. Memory in bytes; load 0 to 1 and temperature in C, None where unknown."""

    id: str
    name: str
    load: float | None
    temperature_c: float | None
    memory_used_bytes: int
    memory_total_bytes: int


class Tokenizer(Protocol):
    """Text to token ids, and messages to text. Safe to call from several threads."""

    @property
    def has_chat_template(self) -> bool:
        """Say whether messages can be rendered."""
        ...

    @property
    def bos_token(self) -> str:
        """Return the text of the token that begins every sequence, or ''."""
        ...

    @property
    def boundary_tokens(self) -> frozenset[str]:
        """Return the texts of the begin, end, padding and unknown tokens."""
        ...

    @property
    def added_tokens(self) -> frozenset[str]:
        """Return the texts of all tokens that stand outside the learned vocabulary."""
        ...

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Apply the chat template to {"role", "content"} messages, open for the assistant's turn.

        Raises:
            BadRequest: the template refuses them, with its own words.
        """
        ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the token ids of `text`, the begin token first if asked for and there is one."""
        ...


class Engine(Protocol):
    """A model that generates. Attributes other than the methods hold from the return of load() on."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Return the model's tokenizer."""
        ...

    @property
    def context_tokens(self) -> int | None:
        """Return how many tokens prompt and answer may have together; None: no limit is known."""
        ...

    @property
    def vocabulary_size(self) -> int:
        """Return the number of token ids; each id is smaller."""
        ...

    def load(self, report: Report) -> None:
        """Make ready to generate; blocks, for minutes with large weights. `report` is told each phase.

        Raises:
            ProcessError: with cause and next action.
        """
        ...

    def generate(
        self, prompt: Sequence[int], sampling: Sampling, cancelled: threading.Event
    ) -> GenerationResult:
        """Generate, blocking, until done or `cancelled` is set, which is looked at after every token.

        Raises:
            OutOfMemory: this prompt does not fit; the engine is fine.
            BadRequest: `sampling` names a token that the model does not have.
            EngineFailed: nothing can be generated any more.
        """
        ...

    def gpus(self) -> Sequence[Gpu]:
        """Return the GPUs that the engine uses, none on a CPU."""
        ...
