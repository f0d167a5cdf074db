"""The lock files, and the commands that make them."""

import re
from itertools import pairwise

import pytest

from tools.locks import FOLDER, LOCKS, Lock, compile_command, locked_names

IMAGE_LOCKS = [lock for lock in LOCKS if lock.bound_to]


def versions(name: str) -> dict[str, set[str]]:
    """Read a lock's versions; one package may have several, for different Pythons."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^(\S+)==(\S+)", (FOLDER / f"{name}.txt").read_text(), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def test_names_are_read_from_a_lock_and_not_from_its_hashes() -> None:
    text = "aiohttp==3.14.5 \\\n    --hash=sha256:00\n    # via kopf\ncuda-bindings==13 ; a == 'b' \\\n"

    assert locked_names(text) == ["aiohttp", "cuda-bindings"]


def test_a_lock_leaves_out_the_packages_with_the_named_beginnings() -> None:
    lock = Lock("cpu", ("server",), bound_to="gpu", left_out=("torch", "nvidia-"))

    command = compile_command(lock, "torch==2 \\\nnvidia-nccl-cu13==2 \\\nnumpy==2 \\\n")

    left_out = [after for before, after in pairwise(command) if before.endswith("emit-package")]
    assert left_out == ["torch", "nvidia-nccl-cu13"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_package_has_a_hash_and_no_address(lock: Lock) -> None:
    text = (FOLDER / f"{lock.name}.txt").read_text()
    packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]

    assert [package for package in packages if "--hash=sha256:" not in package] == []
    assert "://" not in text


@pytest.mark.parametrize("lock", IMAGE_LOCKS, ids=lambda lock: lock.name)
def test_an_image_carries_the_versions_that_the_tests_ran_against(lock: Lock) -> None:
    tested = {**versions("llama"), **versions("dev")}  # what .venv holds
    own = {name: found for name, found in versions(lock.name).items() if name not in tested}
    assert not own or lock.name == "bench-inference"  # servers of others, that ours is measured against
    tested |= own

    assert {name: found for name, found in versions(lock.name).items() if not found <= tested[name]} == {}


def test_the_cpu_image_takes_torch_and_what_only_a_gpu_needs_from_nowhere() -> None:
    gpu, cpu = versions("inference"), versions("inference-cpu")

    assert [name for name in cpu if name.startswith(("torch", "triton", "nvidia", "cuda"))] == []
    assert {name for name in gpu if not name.startswith(("torch", "triton", "nvidia", "cuda"))} == set(cpu)
