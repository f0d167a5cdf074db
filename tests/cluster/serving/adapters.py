"""Adapters for the tests: made once, given to registries as images, named in Workspaces."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.conftest import CHECKOUT
from tests.support.kube import Obj
from tests.support.push import push_image
from tools.localcluster.images import Files

FILES = ("adapter_config.json", "adapter_model.safetensors")
SEEDS = {"noise": 3, "other": 4, "misfit": 0}
"""Two that change what the model says, and one whose matrices have another shape."""


@dataclass(frozen=True)
class Image:
    """An image of an adapter: how pods and kubelets name it, and its digest."""

    reference: str
    digest: str


def make_adapters(base: Path, folder: Path) -> dict[str, Files]:
    """The files of an image for each of SEEDS; `base` is the model's folder."""
    made = [f"{name}={seed}" for name, seed in SEEDS.items()]
    command = [sys.executable, "-m", "tests.cluster.serving.make_adapter", str(base), str(folder), *made]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    return {
        name: {f"data/{file}": ((folder / name / file).read_bytes(), 0o644) for file in FILES}
        for name in SEEDS
    }


def push_adapter(testbed: Obj, name: str, files: Files, *, private: bool = False) -> Image:
    """Push to the open or the private registry, from where pods and kubelets pull."""
    prefix = "private_" if private else ""
    account = (testbed["private_user"], testbed["private_password"]) if private else None
    repository = f"test/{name}"
    digest = push_image(testbed[f"{prefix}registry"], repository, "1", files, account)
    return Image(f"{testbed[f'{prefix}registry_for_pods']}/{repository}:1", digest)


def an_adapter(name: str, image: str, strength: str = "1.0") -> Obj:
    """An entry of inference.adapters."""
    return {"source": {"name": name, "image": image}, "strength": strength}
