"""How long a Workspace takes to become ready, phase by phase, on a node that has no image yet.

Estimates for a person who waits, and the base of the limits after which a wait counts as stuck. They are
on the safe side: an image that is there already, or a page cache that is warm, makes it faster.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

WeightsWay = Literal["image", "volumeClaim", "hub"]

SCHEDULING_S: Final = 1
"""Measured on a cluster of one node: a pod is bound within a second."""

IMAGE_PULL_BYTES_PER_S: Final = 55_000_000
"""Download and unpacking of an image. Measured by others: 5.6 GB in 101 s on Azure (kaito issue 2325);
an image with the 29 GB of Phi-4 in 6 minutes, which is 80 MB/s (KAITO's model-as-oci-artifacts proposal)."""

HUB_BYTES_PER_S: Final = 200_000_000
"""Download of plain files. An assumption: the same proposal gives 110 s for the download alone, 266 MB/s."""

LOAD_BYTES_PER_S: Final = 500_000_000
"""From the node's disk into the memory where the model runs. An assumption: a cloud VM's premium disk."""

GPU_RUNTIME_IMAGE_BYTES: Final = 8_000_000_000
"""An assumption: PyPI's torch with its CUDA libraries alone is 5.6 GB (measured)."""

CPU_RUNTIME_IMAGE_BYTES: Final = 1_900_000_000
"""Measured: a Debian base with python3-torch, transformers and the server, not compressed."""

GPU_SERVER_START_S: Final = 30
"""Imports and the CUDA context. An assumption: vLLM took 74 s from a cold image (kaito issue 2325), and
importing torch and transformers takes 6 s from a warm one."""

CPU_SERVER_START_S: Final = 10
"""Measured: importing torch and transformers takes 6 s on 2 cores. The rest is the first token."""

NODE_LAUNCH_S: Final = 240
"""From a claim to a machine that runs: v0.3.0 waits so long for a claim before it looks again."""

NODE_JOIN_S: Final = 60
"""From the machine to its node in the cluster. An assumption."""

GPU_READY_S: Final = 120
"""From the node to the GPUs that its device plugin registers: driver and plugin are installed first. An
assumption; the three together are 7 minutes, and Microsoft tells of 5 to 10 for an A100 node (Microsoft Q&A,
answer 12767836)."""

TEMPLATE_LIMIT_S: Final = 600
"""v0.3.0 waits 10 minutes for a workload from a template."""


@dataclass(frozen=True)
class Timing:
    """Whole seconds that each phase is expected to take, one after another.

    Attributes:
        start_s: images and weights reach the node.
        load_s: the server starts, loads the weights and generates its first token.
        limit_s: from the start of the pod; what is not ready by then is stuck.
        provisioning_s: from the claim to a node that is usable; 0 where the node exists.
    """

    scheduling_s: int
    start_s: int
    load_s: int
    limit_s: int
    provisioning_s: int = 0

    @property
    def ready_s(self) -> int:
        """All phases together."""
        return self.provisioning_s + self.scheduling_s + self.start_s + self.load_s


UNKNOWN_TIMING: Final = Timing(scheduling_s=SCHEDULING_S, start_s=0, load_s=0, limit_s=TEMPLATE_LIMIT_S)
"""Of a workload that nobody here knows anything of: a template."""


def provisioning_s(*, gpu: bool) -> int:
    """Seconds from the claim for a node to the node that can run the pod."""
    return NODE_LAUNCH_S + NODE_JOIN_S + (GPU_READY_S if gpu else 0)


def expected_timing(weights_bytes: int, way: WeightsWay, *, gpu: bool, readiness_s: int) -> Timing:
    """The timing of one pod.

    Args:
        weights_bytes: of the checkpoint's files.
        way: how they reach the node.
        gpu: the model runs on a GPU, from the larger runtime image.
        readiness_s: the least that has to be waited before calling it stuck.

    Phi-2 from its image on a GPU: 8 GB + 5.6 GB at 55 MB/s = 247 s, then 42 s to load: ready after 290 s.
    """
    runtime_bytes = GPU_RUNTIME_IMAGE_BYTES if gpu else CPU_RUNTIME_IMAGE_BYTES
    start_s = math.ceil(runtime_bytes / IMAGE_PULL_BYTES_PER_S + _arriving_s(weights_bytes, way))
    server_s = GPU_SERVER_START_S if gpu else CPU_SERVER_START_S
    load_s = math.ceil(server_s + weights_bytes / LOAD_BYTES_PER_S)
    planned_s = SCHEDULING_S + start_s + load_s
    return Timing(SCHEDULING_S, start_s, load_s, limit_s=max(2 * planned_s, readiness_s))


def _arriving_s(weights_bytes: int, way: WeightsWay) -> float:
    match way:
        case "image":
            return weights_bytes / IMAGE_PULL_BYTES_PER_S
        case "hub":
            return weights_bytes / HUB_BYTES_PER_S
        case "volumeClaim":
            return 0.0
