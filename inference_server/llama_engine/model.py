"""A GGUF file in memory: llama.cpp's model, and what it says about itself."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp

from inference_server.capacity import free_memory
from inference_server.errors import ModelTooLarge, WeightsFormat
from inference_server.llama_engine.log import LibraryLog

Progress = Callable[[float], None]

_GIB = 1024**3
_READ = 8 * 1024**2  # bytes at a time
_READING = 0.9  # of the progress; the rest is llama.cpp's own work on what was read
_KV_BYTES = 2  # of one number: float16
_LONGEST_VALUE = 1024  # of the file's values that are asked for here


class GgufModel:
    """A loaded model. `handle` is llama.cpp's; it lives as long as the process."""

    def __init__(self, handle: Any, size: int) -> None:  # noqa: ANN401 - the library has no types
        self.handle = handle
        self.bytes = size
        self.vocab: Any = llama_cpp.llama_model_get_vocab(handle)
        self.vocabulary_size = int(llama_cpp.llama_vocab_n_tokens(self.vocab))
        self.context_tokens = int(llama_cpp.llama_model_n_ctx_train(handle))
        self.keeps_more = bool(
            llama_cpp.llama_model_is_recurrent(handle) or llama_cpp.llama_model_is_hybrid(handle)
        )

    def value(self, key: str) -> str:
        """Return a value of the file's header, '' where it has none."""
        buffer = ctypes.create_string_buffer(_LONGEST_VALUE)
        length = llama_cpp.llama_model_meta_val_str(self.handle, key.encode(), buffer, _LONGEST_VALUE)
        return buffer.value.decode("utf-8", "replace") if length >= 0 else ""

    def chat_template(self, name: str = "") -> str:
        """Return the text of the chat template of this name, or of the one without a name; '' for none."""
        text = llama_cpp.llama_model_chat_template(self.handle, name.encode() or None)
        return text.decode("utf-8", "replace") if text else ""

    def kv_bytes_per_token(self) -> int:
        """Return how many bytes of keys and values one token has: at most, where layers differ."""
        handle = self.handle
        layers = int(llama_cpp.llama_model_n_layer(handle))
        query_heads = max(int(llama_cpp.llama_model_n_head(handle)), 1)
        heads = int(llama_cpp.llama_model_n_head_kv(handle)) or query_heads
        architecture = self.value("general.architecture")
        usual = int(llama_cpp.llama_model_n_embd(handle)) // query_heads
        sizes = [self.value(f"{architecture}.attention.{kind}_length") for kind in ("key", "value")]
        return layers * heads * _KV_BYTES * sum(int(size) if size.isdigit() else usual for size in sizes)


def load_model(files: Sequence[Path], progress: Progress) -> GgufModel:
    """Map the model's file, or all of its parts, into memory.

    Args:
        files: in their order; llama.cpp finds the others from the first.
        progress: is told how much is done, 0 to 1.

    Raises:
        ModelTooLarge: the files are larger than the memory that is free.
        WeightsFormat: llama.cpp does not read them, or the model does not generate text.
    """
    size = sum(path.stat().st_size for path in files)
    if size > (free := free_memory()):
        raise ModelTooLarge(
            f"the weights ({size / _GIB:.1f} GiB) do not fit the {free / _GIB:.1f} GiB of memory that are "
            "free; choose an instanceType with more memory, or a smaller quantization of the model"
        )
    log = _log()
    log.errors.clear()
    _load_backends()
    read_through(files, size, lambda done: progress(done * _READING))
    handle = _load(files[0], lambda done: progress(_READING + done * (1 - _READING)))
    if not handle:
        said = "; ".join(log.errors) or "no reason given"
        raise WeightsFormat(
            f"{files[0]} cannot be loaded by llama.cpp: {said[:600]}; "
            "make the copy again, or serve it with --engine transformers"
        )
    _require_generating(handle, files[0])
    return GgufModel(handle, size)


def read_through(files: Sequence[Path], size: int, progress: Progress) -> None:
    """Read the files once, in order, into the kernel's cache: mapping alone would read them page by page.

    A volume is several times faster so, and its progress can be seen.
    """
    buffer = memoryview(bytearray(_READ))
    done = 0
    for path in files:
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while count := file.readinto(buffer):
                done += count
                progress(min(done / max(size, 1), 1.0))


_kept: list[LibraryLog] = []


def _log() -> LibraryLog:
    """Return the one receiver of llama.cpp's messages."""
    if not _kept:
        _kept.append(LibraryLog())
    return _kept[0]


def _load_backends() -> None:
    """Start llama.cpp, and load the code for this processor where it was built for several."""
    ggml = llama_cpp.llama_cpp._lib  # it brings libggml's names with it
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    llama_cpp.llama_backend_init()
    if not ggml.ggml_backend_dev_count():
        ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
        ggml.ggml_backend_load_all_from_path(str(Path(llama_cpp.__file__).parent / "lib").encode())


def _load(path: Path, progress: Progress) -> Any:  # noqa: ANN401 - the library has no types
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = 0
    parameters.load_mode = llama_cpp.LLAMA_LOAD_MODE_MMAP

    def told(done: float, user_data: object) -> bool:
        progress(done)
        return True  # False would end the load

    # Kept in a name until the load is over: llama.cpp holds only a pointer.
    callback = llama_cpp.llama_progress_callback(told)
    parameters.progress_callback = callback
    return llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)


def _require_generating(handle: Any, path: Path) -> None:  # noqa: ANN401 - the library has no types
    generates = llama_cpp.llama_model_has_decoder(handle) and not llama_cpp.llama_model_has_encoder(handle)
    if not generates or llama_cpp.llama_model_is_diffusion(handle):
        raise WeightsFormat(
            f"{path} is no model that continues a text token by token (it encodes, or it diffuses); "
            "choose a causal language model"
        )
