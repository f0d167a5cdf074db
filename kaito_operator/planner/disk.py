"""Disk that a node needs for the images and weights of a Workspace."""

from typing import Final

from kaito_operator.api.quantities import GIB
from kaito_operator.planner.timing import CPU_RUNTIME_IMAGE_BYTES, GPU_RUNTIME_IMAGE_BYTES, WeightsWay

SYSTEM_DISK_BYTES: Final = 16 * GIB
"""The operating system, its logs and the cluster's own images. An assumption."""

COMPRESSED_HALVES: Final = 3
"""containerd keeps an image compressed beside the unpacked files; programs shrink to about a half of their
size, so an image takes three halves. An assumption; weights do not shrink."""


def disk_bytes(weights_bytes: int, way: WeightsWay, *, gpu: bool, at_least_gib: int) -> int:
    """Bytes of a node's disk, in whole GiB.

    An image of weights lies there three times in the worst case: as it was pulled, unpacked, and copied into
    the pod's own volume where the node cannot mount images.

    Args:
        weights_bytes: of the checkpoint's files.
        way: how they reach the node.
        gpu: the larger runtime image.
        at_least_gib: what the preset's row asks for.

    Falcon-7B from an image on a GPU: 16 GiB + 8 GB x 3/2 + 14.4 GB x 3 = 68 GiB.
    """
    runtime = (GPU_RUNTIME_IMAGE_BYTES if gpu else CPU_RUNTIME_IMAGE_BYTES) * COMPRESSED_HALVES // 2
    copies = {"image": 3, "hub": 1, "volumeClaim": 0}[way]
    total = SYSTEM_DISK_BYTES + runtime + copies * weights_bytes
    return max(-(-total // GIB), at_least_gib) * GIB
