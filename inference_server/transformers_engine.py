"""The engine that runs a model with transformers, on a GPU or a CPU. load() imports the libraries."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inference_server.adapters import apply_adapters, find_adapters
from inference_server.engine import GenerationResult, Gpu, Phase, Report, Sampling
from inference_server.errors import EngineFailed, OutOfMemory
from inference_server.options import ServerOptions
from inference_server.weights import Loaded, check_folder, load_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from inference_server.decoding import Specials
    from inference_server.tokenizer import HfTokenizer

# What configs call the number of positions, in order of preference.
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
# How torch's threads on a CPU wait for each other: asleep. By default they spin for milliseconds, and where
# the cores have other work, each token then waits for them (2 busy cores: 2 tokens a second instead of 9).
_THREADS_WAIT = "PASSIVE"
_UNLIMITED = 10**9  # tokenizers without a limit say 10**30
# The model's own sampling defaults do not count: v0.3.0's do. What says which tokens exist at all stays.
_KEPT_GENERATION_KEYS = ("bos_token_id", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens")


class TransformersEngine:
    """One model with its adapters. See engine.Engine."""

    tokenizer: HfTokenizer
    context_tokens: int | None
    vocabulary_size: int

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._model: Any = None
        self._specials: Specials

    def load(self, report: Report) -> None:
        """Check the files, import the libraries, load weights and adapters."""
        options = self._options
        check_folder(options.model, allow_pickled=options.allow_pickled_weights)
        adapters = find_adapters(options.adapters, options.adapter_strengths)
        report(Phase.LIBRARIES)
        os.environ.setdefault("OMP_WAIT_POLICY", _THREADS_WAIT)
        from inference_server.decoding import find_specials
        from inference_server.tokenizer import HfTokenizer

        report(Phase.WEIGHTS)
        loaded = load_weights(options)
        if adapters:
            report(Phase.ADAPTERS)
            apply_adapters(loaded.model, adapters, options.model_name)
        self._model = loaded.model
        self.tokenizer = HfTokenizer(loaded.tokenizer)
        self._specials = find_specials(self.tokenizer, loaded.model.generation_config)
        self.context_tokens = _context_tokens(loaded, options.max_model_len)
        self.vocabulary_size = int(loaded.model.get_input_embeddings().weight.shape[0])
        _reset_generation_config(loaded.model)

    def generate(
        self, prompt: Sequence[int], sampling: Sampling, cancelled: threading.Event
    ) -> GenerationResult:
        """Generate with the library; see engine.Engine for the errors."""
        from inference_server.decoding import generate

        try:
            return generate(self._model, self.tokenizer, self._specials, prompt, sampling, cancelled)
        except (RuntimeError, MemoryError) as error:
            failure = _classify(error, len(prompt))
            if failure is None:
                raise
            raise failure from error

    def gpus(self) -> Sequence[Gpu]:
        """Read the state of the GPUs that torch sees."""
        import torch

        real = torch.cuda.is_available() and not self._options.simulated_gpus
        return [_gpu(index) for index in range(torch.cuda.device_count() if real else 0)]


def _context_tokens(loaded: Loaded, limit: int | None) -> int | None:
    """Return the smallest of what the config says and the option allows; tokenizer's word if none does."""
    config = loaded.model.config.get_text_config()
    said = next((getattr(config, key) for key in _CONTEXT_KEYS if getattr(config, key, None)), None)
    if said is None and loaded.tokenizer.model_max_length < _UNLIMITED:
        said = loaded.tokenizer.model_max_length
    known = [int(value) for value in (said, limit) if value is not None]
    return min(known) if known else None


def _reset_generation_config(model: PreTrainedModel) -> None:
    """Replace the model's generation config, which the library would mix into every request."""
    old = model.generation_config
    kept = {key: getattr(old, key, None) for key in _KEPT_GENERATION_KEYS}
    model.generation_config = type(old)(**{key: value for key, value in kept.items() if value is not None})


def _classify(error: Exception, prompt_tokens: int) -> OutOfMemory | EngineFailed | None:
    """Tell a request that was too large from a broken device; None for everything else."""
    import torch

    text = str(error)
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        torch.cuda.empty_cache()  # does nothing without a GPU
        return OutOfMemory(
            f"not enough memory for a prompt of {prompt_tokens} tokens and its answer; "
            "send less, or lower num_beams and num_return_sequences",
            retry_after_s=5,
        )
    if "CUDA error" in text or "CUDA driver" in text:
        return EngineFailed(f"{text.splitlines()[0]}; the GPU's state is lost, the process must restart")
    return None


def _gpu(index: int) -> Gpu:
    import torch

    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    try:  # both need NVIDIA's management library for Python
        load: float | None = torch.cuda.utilization(index) / 100
        temperature: float | None = float(torch.cuda.temperature(index))
    except (ModuleNotFoundError, RuntimeError):
        load = temperature = None
    return Gpu(str(properties.uuid), properties.name, load, temperature, total - free, total)
