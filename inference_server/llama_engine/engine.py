"""The engine that runs a GGUF model with llama.cpp on a CPU. load() imports the library."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from inference_server import cpu
from inference_server.engine import Gpu, Phase, Report
from inference_server.errors import ModelTooLarge, OptionsInvalid
from inference_server.llama_engine.files import gguf_files
from inference_server.options import ServerOptions

if TYPE_CHECKING:
    from inference_server.llama_engine.batch import LlamaBatch
    from inference_server.llama_engine.model import GgufModel
    from inference_server.llama_engine.tokenizer import LlamaTokenizer

_log = logging.getLogger(__name__)
# For how many turns of a loop llama.cpp's threads wait for each other awake; then they sleep. The default of
# 300,000 is longer than the work: where another process wants a core too, a token takes 20 times as long.
_SPIN, _SPINS = "GOMP_SPINCOUNT", "300"
_WAIT_POLICY = "OMP_WAIT_POLICY"  # says the same in other words, and wins
_NO_LIBRARY = (
    "llama-cpp-python, which --engine llama needs, cannot be imported; "
    "use the runtime image, or install locks/llama.txt, or serve with --engine transformers"
)


class LlamaEngine:
    """One model without adapters. See engine.Engine."""

    kind: Literal["llama.cpp"] = "llama.cpp"
    tokenizer: LlamaTokenizer
    context_tokens: int | None
    vocabulary_size: int
    batch: LlamaBatch
    adapters = None

    def __init__(self, options: ServerOptions, notes: Sequence[str] = ()) -> None:
        self._options = options
        self.notes: list[str] = [*notes]

    def load(self, report: Report) -> None:
        """Check the files, import the library, map the weights, and take memory for keys and values."""
        files = gguf_files(self._options.model)
        report(Phase.LIBRARIES)
        if _WAIT_POLICY not in os.environ:
            os.environ.setdefault(_SPIN, _SPINS)
        try:
            import llama_cpp
        except (ImportError, RuntimeError, OSError) as error:  # it raises each of them for its shared library
            raise OptionsInvalid(f"{_NO_LIBRARY} ({error})") from None
        _log.debug("llama-cpp-python %s", llama_cpp.__version__)
        from inference_server.capacity import free_memory
        from inference_server.llama_engine.model import load_model
        from inference_server.llama_engine.tokenizer import LlamaTokenizer

        report(Phase.WEIGHTS)
        free = free_memory()  # asked before: mapped files count as free, though the model needs them
        model = load_model(files, lambda done: report(Phase.WEIGHTS, done))
        self.tokenizer = LlamaTokenizer(model)
        self.vocabulary_size = model.vocabulary_size
        self._make_batch(model, free - model.bytes)
        fields = {"files": len(files), "bytes": model.bytes, "context_tokens": self.context_tokens}
        _log.info("weights loaded", extra={**fields, "kv_tokens": self.batch.usage().total_tokens})

    def close(self) -> None:
        """Do nothing: no other process was started, and this one ends."""

    def gpus(self) -> Sequence[Gpu]:
        """Return none: the weights stay in the CPU's memory."""
        return ()

    def _make_batch(self, model: GgufModel, free: int) -> None:
        from inference_server.llama_engine.batch import LlamaBatch
        from inference_server.llama_engine.decoder import Decoder, most_sequences
        from inference_server.llama_engine.matcher import Matchers

        options = self._options
        rows = most_sequences(options.rows)
        context = min(value for value in (model.context_tokens, options.max_model_len) if value)
        tokens = min(_room(model, free), rows * context)
        decoder = Decoder(
            model, tokens=tokens, sequences=rows, threads=options.cpu_threads or cpu.usable_cores()
        )
        self.context_tokens = min(context, decoder.tokens)
        matchers = Matchers(model, self.tokenizer.eos)
        # Beside the loading: schemas are checked in the event loop, where a second is long.
        threading.Thread(target=matchers.prepare, name="vocabulary", daemon=True).start()
        self.batch = LlamaBatch(model, decoder, self.tokenizer.eos, matchers)
        if rows < options.rows:
            self.notes.append(f"llama.cpp generates at most {rows} answers together")


def _room(model: GgufModel, free: int) -> int:
    """Return how many tokens of keys and values fit `free` bytes.

    Raises:
        ModelTooLarge: not even a short question and its answer.
    """
    from inference_server.capacity import LEAST_TOKENS, kv_tokens

    tokens = kv_tokens(free, model.bytes, model.kv_bytes_per_token(), gpu=False)
    if tokens < LEAST_TOKENS:
        raise ModelTooLarge(
            f"the weights leave memory for {tokens} tokens of keys and values; choose an instanceType with "
            "more memory, or a smaller quantization of the model"
        )
    return tokens
