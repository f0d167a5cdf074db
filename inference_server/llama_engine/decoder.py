"""Decoder: llama.cpp's context with many sequences, and the one batch of tokens that each step fills.

All sequences share one memory of keys and values (`kv_unified`), so that a long one may take what short ones
leave. Attention passes over what belongs to other sequences, so sharing costs next to nothing.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from inference_server.errors import EngineFailed, ModelTooLarge
from inference_server.llama_engine.model import GgufModel

Floats = npt.NDArray[np.float32]

_NO_SLOT = 1  # what llama_decode returns when the memory has no room; nothing has changed then
_INVALID = -1
PIECE_TOKENS = 256  # prompt tokens that one step computes at most


def most_sequences(rows: int) -> int:
    """Return how many of `rows` sequences llama.cpp can have at a time."""
    return min(rows, int(llama_cpp.llama_max_parallel_sequences()))


class NoSlot(Exception):  # noqa: N818 - not an error: the batch makes room and tries again
    """The memory of keys and values has no room for these tokens."""


class Decoder:
    """See the module.

    Args:
        model: the loaded model.
        tokens: how many the memory of keys and values may hold, of all sequences together.
        sequences: how many there may be at a time.
        threads: to compute with.
        piece_tokens: prompt tokens that one batch holds at most, beside one token of every sequence.
    """

    def __init__(
        self,
        model: GgufModel,
        *,
        tokens: int,
        sequences: int,
        threads: int,
        piece_tokens: int = PIECE_TOKENS,
    ) -> None:
        self.piece_tokens = piece_tokens
        room = piece_tokens + sequences
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = tokens
        # The same, so that one decode is one computation: it happens as a whole or not at all.
        parameters.n_batch = parameters.n_ubatch = room
        parameters.n_seq_max = sequences
        parameters.n_outputs_max = sequences
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.kv_unified = True
        self._context: Any = llama_cpp.llama_init_from_model(model.handle, parameters)
        if not self._context:
            raise ModelTooLarge(
                f"llama.cpp cannot make a context of {tokens} tokens; choose an instanceType with more "
                "memory, or lower inference.server.contextTokens (flag --max-model-len)"
            )
        self._memory: Any = llama_cpp.llama_get_memory(self._context)
        self.tokens = int(llama_cpp.llama_n_ctx(self._context))
        self.sequences = sequences
        self._vocabulary = model.vocabulary_size
        self._make_batch(room)
        self._logits: Floats = np.empty((0, 0), np.float32)
        self._logits_at = 0
        self._used = 0
        self._outputs = 0

    @property
    def handle(self) -> Any:  # noqa: ANN401 - the library has no types
        """Return llama.cpp's context."""
        return self._context

    def _make_batch(self, room: int) -> None:
        """Lay the batch out in arrays of ours: writing a list into one is a call, not one for each token."""
        self._token = np.zeros(room, np.int32)
        self._position = np.zeros(room, np.int32)
        self._sequence = np.zeros(room, np.int32)
        self._wanted = np.zeros(room, np.int8)
        self._ones = np.ones(room, np.int32)  # every token belongs to one sequence
        self._pointers = self._sequence.ctypes.data + np.arange(room, dtype=np.uintp) * 4
        types = dict(llama_cpp.llama_batch._fields_)
        self._batch = llama_cpp.llama_batch(
            n_tokens=0,
            token=ctypes.cast(self._token.ctypes.data, types["token"]),
            embd=None,
            pos=ctypes.cast(self._position.ctypes.data, types["pos"]),
            n_seq_id=ctypes.cast(self._ones.ctypes.data, types["n_seq_id"]),
            seq_id=ctypes.cast(self._pointers.ctypes.data, types["seq_id"]),
            logits=ctypes.cast(self._wanted.ctypes.data, types["logits"]),
        )

    def begin(self) -> None:
        """Empty the batch."""
        self._used = self._outputs = 0

    def put(self, sequence: int, position: int, tokens: Sequence[int], *, wanted: bool) -> int:
        """Put tokens of one sequence into the batch, from `position` on.

        Args:
            sequence: which one.
            position: of the first of them.
            tokens: at least one; of prompts at most `piece_tokens` in one batch.
            wanted: whether the logits after the last one are wanted.

        Returns:
            Where these logits will be in logits(); meaningless if they are not wanted.
        """
        first, last = self._used, self._used + len(tokens)
        self._token[first:last] = tokens
        self._position[first:last] = np.arange(position, position + len(tokens), dtype=np.int32)
        self._sequence[first:last] = sequence
        self._wanted[first:last] = 0
        self._wanted[last - 1] = wanted
        self._used = last
        self._outputs += wanted
        return self._outputs - 1

    def decode(self) -> None:
        """Compute the batch.

        Raises:
            NoSlot: there is no room for it; the memory is as before.
            EngineFailed: llama.cpp could not compute, and its memory is in an unknown state.
        """
        self._batch.n_tokens = self._used
        code = int(llama_cpp.llama_decode(self._context, self._batch))
        if code == _NO_SLOT:
            raise NoSlot
        if code == _INVALID:
            raise RuntimeError("llama.cpp calls the batch invalid")
        if code:
            raise EngineFailed(
                f"llama_decode returned {code}, out of memory as a rule; the process must restart: choose an "
                "instanceType with more memory, or lower inference.server.contextTokens"
            )

    def logits(self) -> Floats:
        """Return the logits that were wanted, (outputs, vocabulary). They are llama.cpp's: do not write."""
        pointer = llama_cpp.llama_get_logits(self._context)
        address = ctypes.addressof(pointer.contents)
        if address != self._logits_at or len(self._logits) < self._outputs:
            rows = self._outputs
            size = rows * self._vocabulary
            flat: Floats = np.ctypeslib.as_array((ctypes.c_float * size).from_address(address))
            self._logits, self._logits_at = flat.reshape(rows, self._vocabulary), address
        return self._logits[: self._outputs]

    def place_of(self, output: int) -> int:
        """Return the place in the batch of the token after which the logits `output` come."""
        return int(np.flatnonzero(self._wanted[: self._used])[output])

    def copy(self, source: int, target: int, end: int = -1) -> None:
        """Let `target` have the tokens of `source` before position `end` too, all of them for -1."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def clear(self, sequence: int) -> None:
        """Forget a sequence. What another one has too stays."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)
