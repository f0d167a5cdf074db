"""How many GPUs there are to use, against how many this process was given."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

from inference_server.errors import GpuUnusable
from inference_server.options import SIMULATED_VARIABLE

if TYPE_CHECKING:
    from inference_server.options import ServerOptions

_log = logging.getLogger(__name__)


def find_gpus(options: ServerOptions) -> int:
    """Return the number of GPUs to load the model on; 0 means the CPU.

    Raises:
        GpuUnusable: torch finds fewer than `options.gpus`, and they are not simulated.
    """
    if options.simulated_gpus:
        _log.warning(
            "the GPUs are simulated: running on the CPU",
            extra={"gpus": options.gpus, "variable": SIMULATED_VARIABLE},
        )
        return 0
    import torch

    with warnings.catch_warnings(record=True) as said:  # torch explains itself by warnings alone
        warnings.simplefilter("always")
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for warning in said:
        _log.warning("CUDA: %s", warning.message)
    explanations = [str(warning.message) for warning in said]
    require_gpus(options.gpus, found, built_for=torch.version.cuda, explanations=explanations)
    return found


def require_gpus(given: int, found: int, *, built_for: str | None, explanations: list[str]) -> None:
    """Refuse to serve without the GPUs that were given: on the CPU it would be slow without a word.

    Args:
        given: how many the process was told to have.
        found: how many torch can use.
        built_for: the CUDA version torch was built for; None for a build without CUDA.
        explanations: what torch said when it was asked for them.

    Raises:
        GpuUnusable: there are fewer than were given.
    """
    if found >= given:
        return
    if built_for is None:
        why = "its torch is built without CUDA; use the runtime image for GPUs"
    elif explanations:
        said = " ".join(explanations[0].split())[:600]
        why = f"CUDA {built_for} says: {said}; check the node's NVIDIA driver"
    else:
        why = f"the driver shows no more of them to CUDA {built_for}; check nvidia-smi on the node"
    what = "1 GPU" if given == 1 else f"{given} GPUs"
    raise GpuUnusable(f"this server was given {what} and can use {found}: {why}")
