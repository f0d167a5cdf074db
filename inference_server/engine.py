"""The boundary between HTTP and the model: token ids and Sampling in, one token after another out.

What stands above this module knows no library; what implements Engine knows no HTTP. Many rows are generated
together: a Batch takes new rows between steps, and one step gives each row that is far enough one token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from inference_server.errors import RequestError


class Phase(StrEnum):
    """What a server is doing, in the order in which it happens."""

    STARTING = "starting"
    LIBRARIES = "libraries"  # importing torch and transformers: seconds
    WEIGHTS = "weights"  # from the volume into memory: the long one
    WARMUP = "warmup"  # the first token: compiles and allocates
    ADAPTERS = "adapters"  # waits until each one is there or has failed
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class Report(Protocol):
    """Is told how far a load is. Called from the loading thread."""

    def __call__(self, phase: Phase, done: float | None = None) -> None:
        """Enter `phase`, or say that `done` of it (0 to 1) is over."""
        ...


FinishReason = Literal["stop", "length", "cancelled"]
Combination = Literal[
    "cat", "svd", "linear", "ties", "ties_svd", "dare_ties", "dare_linear", "dare_ties_svd",
    "dare_linear_svd", "magnitude_prune", "magnitude_prune_svd",
]  # fmt: skip
BASE = ""  # the adapter revision of a row that uses none


@dataclass(frozen=True)
class Grammar:
    """What an answer has to look like: `text` is a JSON schema, or a grammar in llguidance's Lark dialect."""

    kind: Literal["json_schema", "lark"]
    text: str


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens. Every field has been checked; names and neutral values are the library's.

    `max_new_tokens` is what fits, never more than the context leaves. `eos_token_ids` empty means the
    model's own. `stop` texts end a sequence and are cut off it. `logprobs` is the number of likeliest
    tokens that come with each token; None: no probabilities at all. `ignore_eos`: end tokens end nothing.
    """

    max_new_tokens: int
    min_new_tokens: int = 0
    do_sample: bool = True
    temperature: float = 1.0
    top_k: int = 10
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    no_repeat_ngram_size: int = 0
    num_beams: int = 1
    early_stopping: bool = False
    length_penalty: float = 1.0
    num_return_sequences: int = 1
    eos_token_ids: tuple[int, ...] = ()
    pad_token_id: int | None = None
    ignore_eos: bool = False
    seed: int | None = None
    stop: tuple[str, ...] = ()
    clean_up_tokenization_spaces: bool = False
    logprobs: int | None = None
    grammar: Grammar | None = None


@dataclass(frozen=True)
class NewRow:
    """One sequence to generate.

    `sampling.seed` is the row's own, num_return_sequences is 1 unless num_beams is more. `adapter` is the
    revision of a loaded adapter or combination; BASE: none. Rows of one request share `group`: they have the
    same prompt, which need not be computed twice.
    """

    id: int
    group: int
    prompt: tuple[int, ...]
    sampling: Sampling
    adapter: str = BASE


@dataclass(frozen=True, slots=True)
class Token:
    """One new token of a row. `is_end`: it is an end token, which is no text.

    `logprob` and `top` (likeliest first) are natural logarithms under the model's own distribution.
    """

    id: int
    is_end: bool = False
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Whole:
    """All answers of a row of beams at once, end tokens included, padding not: beams stream nothing."""

    answers: tuple[tuple[Token, ...], ...]


Outcome = Token | Whole | RequestError


class Batch(Protocol):
    """The rows that are generated together. All of it belongs to the engine's thread."""

    def check(self, row: NewRow) -> None:
        """Pass if this engine could generate `row`. Called from any thread.

        Raises:
            BadRequest: it never could: beams or a grammar that it does not have, a grammar with a mistake.
        """
        ...

    def fits(self, row: NewRow) -> bool:
        """Say whether the memory for keys and values has room for one more row. True while there is none."""
        ...

    def add(self, row: NewRow) -> None:
        """Take a row in. Nothing is computed before the next step."""
        ...

    def remove(self, row_id: int) -> None:
        """Forget a row, whatever its state; nothing happens to an id that is not there."""
        ...

    def step(self) -> Mapping[int, Outcome]:
        """Compute once: a piece of the prompts of new rows, and one more token for every other row.

        Rows that end (Whole, an error) have left the batch; rows with a Token stay until remove().

        Raises:
            EngineFailed: nothing can be generated any more.
        """
        ...

    def usage(self) -> KvUsage:
        """Return how much of the memory for keys and values is in use. Called from any thread."""
        ...


@dataclass(frozen=True, slots=True)
class KvUsage:
    """Keys and values, in tokens: the places in use, and all that there are (0: not known)."""

    used_tokens: int
    total_tokens: int


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter on disk. `revision` names these very files: another digest is another revision."""

    name: str
    revision: str
    path: Path


class AdapterHost(Protocol):
    """Adapters on a loaded model. All but prepare() is called in the engine's thread, between steps."""

    def prepare(self, adapter: AdapterFiles) -> None:
        """Read and check the files, on any thread, so that load() is over at once; with load()'s errors."""
        ...

    def load(self, adapter: AdapterFiles) -> str:
        """Put an adapter on the model under its revision; return what a person should know, or ''.

        Raises:
            AdapterRefused: files that are broken, or of another model. The model is as before.
        """
        ...

    def mergeable(self, revision: str) -> str:
        """Return '' if a loaded adapter can be part of a sum, else what it has that a sum would drop."""
        ...

    def combine(self, revision: str, parts: Mapping[str, float], how: Combination) -> None:
        """Make `revision` the combination of loaded ones, each times its strength.

        Raises:
            AdapterRefused: they cannot be combined in this way.
        """
        ...

    def unload(self, revision: str) -> None:
        """Forget a revision. No row may use it any more. Nothing happens to one that is not there."""
        ...


@dataclass(frozen=True)
class Gpu:
    """One GPU at this moment. Memory in bytes; load 0 to 1 and temperature in C, None where unknown."""

    id: str
    name: str
    load: float | None
    temperature_c: float | None
    memory_used_bytes: int
    memory_total_bytes: int


class TextStream(Protocol):
    """Tokens to text, one after another: what comes out together is the text of all of them."""

    def push(self, token_id: int) -> str:
        """Return the text that `token_id` completes; '' while a character lacks bytes."""
        ...

    def flush(self) -> str:
        """Return what was held back, when no more tokens come."""
        ...


class Tokenizer(Protocol):
    """Text to token ids and back, and messages to text. Safe to call from several threads."""

    @property
    def has_chat_template(self) -> bool:
        """Say whether messages can be rendered."""
        ...

    @property
    def chat_template(self) -> str:
        """Return the text of the chat template, '' without one."""
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

    def render(
        self, messages: Sequence[Mapping[str, object]], tools: Sequence[Mapping[str, object]] = ()
    ) -> str:
        """Apply the chat template, open for the assistant's turn.

        Args:
            messages: {"role", "content"} and, for tools, "tool_calls", "tool_call_id", "name".
            tools: {"type": "function", "function": {"name", "description", "parameters"}}.

        Raises:
            BadRequest: the template refuses them, with its own words.
        """
        ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the token ids of `text`, the begin token first if asked for and there is one."""
        ...

    def text_stream(
        self, context: Sequence[int], *, clean_up: bool, keep_special: bool = False
    ) -> TextStream:
        """Return a stream for what follows `context`, the last tokens of the prompt.

        A chat model's answer begins on its own: give no context. `clean_up` removes spaces before
        punctuation, `keep_special` writes special tokens out.
        """
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes that one token stands for by itself."""
        ...


@runtime_checkable
class Grouped(Protocol):
    """An engine that may depend on other processes."""

    @property
    def members(self) -> int:
        """Return how many processes there are, this one included."""
        ...

    def beat(self) -> None:
        """Find out whether all of them are there; called every second while there is nothing else to do.

        Raises:
            EngineFailed: one is lost.
        """
        ...


class Engine(Protocol):
    """A model that generates. Attributes other than load() hold from its return on."""

    @property
    def kind(self) -> Literal["transformers", "llama.cpp", "echo"]:
        """Return the engine's name."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Return what a person should know of how the model runs: why this engine, which type; sentences."""
        ...

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

    @property
    def batch(self) -> Batch:
        """Return the one batch of this engine."""
        ...

    @property
    def adapters(self) -> AdapterHost | None:
        """Return where adapters are put on the model; None: this engine takes none."""
        ...

    def load(self, report: Report) -> None:
        """Make ready to generate; blocks, for minutes with large weights.

        Raises:
            ProcessError: with cause and next action.
        """
        ...

    def close(self) -> None:
        """End what the engine started besides this process; called once, at the end."""
        ...

    def gpus(self) -> Sequence[Gpu]:
        """Return the GPUs that the engine uses, none on a CPU."""
        ...
