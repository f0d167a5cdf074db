"""A stand-in for NVIDIA's device plugin: it offers the kubelet GPUs that do not exist.

The program is written in Go (main.go) and becomes the image ``device-plugin`` of tools.images; here is
how it is deployed.
"""

from pathlib import Path
from typing import Any

import yaml

MANIFEST = Path(__file__).with_name("daemonset.yaml")
NAMESPACE = "kube-system"
NAME = "simulated-gpu-device-plugin"


def manifest(image: str) -> dict[str, Any]:
    """Give the DaemonSet that runs the plugin on every node labelled ``accelerator=nvidia``.

    Args:
        image: full reference of the image.
    """
    found: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())
    (container,) = found["spec"]["template"]["spec"]["containers"]
    container["image"] = image
    return found
