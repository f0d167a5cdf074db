"""The engine that runs a model with transformers, on GPUs or a CPU. load() imports the libraries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from inference_server.engine import Gpu, Phase, Report
from inference_server.errors import ModelTooLarge, WeightsFormat
from inference_server.options import ServerOptions
from inference_server.transformers_engine.folder import check_folder
from inference_server.transformers_engine.weights import Loaded, load_weights

if TYPE_CHECKING:
    from inference_server.transformers_engine.adapters import PeftHost
    from inference_server.transformers_engine.batch import TransformersBatch
    from inference_server.transformers_engine.forward import Forward
    from inference_server.transformers_engine.group import Group, LeadingForward
    from inference_server.transformers_engine.parts import RowAdapters
    from inference_server.transformers_engine.tokenizer import HfTokenizer

# What configs call the number of positions, in order of preference.
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
# How torch's threads on a CPU wait for each other: asleep. By default they spin for milliseconds, and where
# the cores have other work, each token then waits for them (2 busy cores: 2 tokens a second instead of 9).
_THREADS_WAIT = "PASSIVE"
_UNLIMITED = 10**9  # tokenizers without a limit say 10**30
_PIECE_ON_CPU, _PIECE_ON_GPU = 512, 4096  # prompt tokens that one step computes at most


class TransformersEngine:
    """One model with its adapters. See engine.Engine."""

    kind: Literal["transformers"] = "transformers"
    tokenizer: HfTokenizer
    context_tokens: int | None
    vocabulary_size: int
    batch: TransformersBatch
    adapters: PeftHost | None = None

    def __init__(self, options: ServerOptions, notes: Sequence[str] = ()) -> None:
        self._options = options
        self._group: Group | None = None
        self._leading: LeadingForward | None = None
        self._forward: Forward
        self.notes: list[str] = [*notes]

    def load(self, report: Report) -> None:
        """Check the files, import the libraries, load the weights, and find out how much memory is left."""
        options = self._options
        check_folder(options.model, allow_pickled=options.allow_pickled_weights)
        report(Phase.LIBRARIES)
        os.environ.setdefault("OMP_WAIT_POLICY", _THREADS_WAIT)
        from inference_server.transformers_engine.tokenizer import HfTokenizer

        self._meet()
        report(Phase.WEIGHTS)
        loaded = load_weights(options, report)
        self.notes += loaded.notes
        self.tokenizer = HfTokenizer(loaded.tokenizer)
        self.vocabulary_size = int(loaded.model.get_input_embeddings().weight.shape[0])
        self._make_batch(loaded)

    def close(self) -> None:
        """Send the other processes of the group home."""
        leading, self._leading = self._leading, None  # no beat follows: it would miss those who have left
        if leading is not None:
            leading.leave()

    @property
    def members(self) -> int:
        """Return how many processes the model is divided among."""
        return self._options.world_size

    def beat(self) -> None:
        """Find out whether the other processes of the group are there; see engine.Grouped."""
        if self._leading is not None:
            self._leading.beat()

    def follow(self) -> None:
        """Do what rank 0 says until it says to leave; for all other ranks, after load().

        Raises:
            EngineFailed: another process is lost.
        """
        from inference_server.transformers_engine.group import follow

        assert self._group is not None  # noqa: S101 - load() has met the others
        follow(self._forward, self._group)

    def gpus(self) -> Sequence[Gpu]:
        """Read the state of the GPUs that torch sees."""
        import torch

        real = torch.cuda.is_available() and not self._options.simulated_gpus
        return [_gpu(index) for index in range(torch.cuda.device_count() if real else 0)]

    def _meet(self) -> None:
        """Meet the other processes of the group, if there is one."""
        options = self._options
        if options.world_size == 1:
            return
        from inference_server.transformers_engine.group import Group, require_divisible

        require_divisible(options.model, options.world_size)
        self._group = Group(gpus=bool(options.gpus) and not options.simulated_gpus)
        self.notes.append(f"the model is divided among {options.world_size} processes")

    def _row_adapters(self, model: Any) -> RowAdapters:  # noqa: ANN401 - the library has no types
        if self._group is not None:
            from inference_server.transformers_engine.group import NoAdapters

            return NoAdapters()
        from inference_server.transformers_engine.adapters import PeftHost

        self.adapters = PeftHost(model, self._options.model_name)
        return self.adapters

    def _make_batch(self, loaded: Loaded) -> None:
        from inference_server.transformers_engine.asides import Asides
        from inference_server.transformers_engine.batch import TransformersBatch
        from inference_server.transformers_engine.forward import Forward
        from inference_server.transformers_engine.generating import find_specials, reset_generation_config
        from inference_server.transformers_engine.parts import Parts
        from inference_server.transformers_engine.trial import slab_works

        specials = find_specials(self.tokenizer, loaded.model.generation_config)
        reset_generation_config(loaded.model)
        adapters = self._row_adapters(loaded.model)
        parts = Parts(
            loaded.model, self.tokenizer, adapters, specials.eos, specials.pad, self.vocabulary_size
        )
        self._forward = forward = Forward(loaded.model, adapters)
        together = slab_works(loaded.model, forward, self.vocabulary_size)
        if not together:
            self._note_alone()
        capacity = _capacity(loaded.model, forward.slab.bytes_per_token() if together else 0)
        forward = self._led(forward)
        if self._group is not None:
            capacity = self._group.least(capacity)
        self.context_tokens = _context_tokens(loaded, self._options.max_model_len, capacity)
        self.batch = TransformersBatch(
            parts,
            forward,
            Asides(parts, all_rows=not together, none=self._group is not None),
            capacity=capacity,
            piece_tokens=_PIECE_ON_GPU if forward.device.type == "cuda" else _PIECE_ON_CPU,
        )

    def _led(self, forward: Forward) -> Forward:
        """Return the forward that the batch calls: on rank 0 of a group every process makes its calls."""
        if self._group is None or self._group.rank:
            return forward
        from inference_server.transformers_engine.group import LeadingForward

        self._leading = LeadingForward(forward, self._group)
        return self._leading

    def _note_alone(self) -> None:
        if self._group is not None:
            raise WeightsFormat(
                "this model cannot be divided among processes: its memory is more than keys and values; "
                "use one node with enough memory"
            )
        self.notes.append(
            "this model's memory is more than keys and values, so its answers are generated side by side, "
            "not as one batch"
        )


def _capacity(model: Any, bytes_per_token: int) -> int:  # noqa: ANN401 - the library has no types
    """Return how many tokens of keys and values the memory holds.

    Raises:
        ModelTooLarge: not even a short question and its answer.
    """
    import torch

    from inference_server.capacity import LEAST_TOKENS, free_memory, kv_tokens

    if not bytes_per_token:
        bytes_per_token = _bytes_per_token(model)
    gpu = model.device.type == "cuda"
    sizes: dict[Any, int] = {}
    for parameter in model.parameters():
        sizes[parameter.device] = sizes.get(parameter.device, 0) + parameter.nbytes
    used = [device for device in sizes if device.type in ("cuda", "cpu")]
    tokens = min(
        kv_tokens(
            torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory(),
            sizes[device],
            max(bytes_per_token // len(used), 1),
            gpu=gpu,
        )
        for device in used
    )
    if tokens < LEAST_TOKENS:
        raise ModelTooLarge(
            f"the weights leave memory for {tokens} tokens of keys and values; "
            "choose an instanceType with more memory, or set quantization"
        )
    return tokens


def _bytes_per_token(model: Any) -> int:  # noqa: ANN401 - the library has no types
    """Estimate the keys and values of one token from the config."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * model.dtype.itemsize)


def _context_tokens(loaded: Loaded, limit: int | None, capacity: int) -> int | None:
    """Return the smallest of what the config says, the option allows and the memory holds.

    The tokenizer's word counts where the config says nothing.
    """
    config = loaded.model.config.get_text_config()
    said = next((getattr(config, key) for key in _CONTEXT_KEYS if getattr(config, key, None)), None)
    if said is None and loaded.tokenizer.model_max_length < _UNLIMITED:
        said = loaded.tokenizer.model_max_length
    return min(int(value) for value in (said, limit, capacity - 1) if value is not None)


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
