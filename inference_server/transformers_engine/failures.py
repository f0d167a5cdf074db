"""What torch raises: a request that was too large, a device that is lost, or a defect."""

from __future__ import annotations

import torch

from inference_server.errors import EngineFailed, OutOfMemory


def raise_if_broken(error: Exception) -> None:
    """Pass unless the device or the group of processes is lost.

    Raises:
        EngineFailed: nothing can be computed any more in this process.
    """
    text = str(error)
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return
    if "CUDA error" in text or "CUDA driver" in text:
        raise EngineFailed(
            f"{text.splitlines()[0]}; the GPU's state is lost, the process must restart"
        ) from error


def is_out_of_memory(error: Exception) -> bool:
    """Say whether there was too little memory; what torch kept for itself is given back then."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error):
        torch.cuda.empty_cache()  # does nothing without a GPU
        return True
    return False


def too_large(prompt_tokens: int) -> OutOfMemory:
    """Return the error of a request that does not fit by itself."""
    return OutOfMemory(
        f"not enough memory for a prompt of {prompt_tokens} tokens and its answer; "
        "send less, or lower num_beams and num_return_sequences",
        retry_after_s=5,
    )
