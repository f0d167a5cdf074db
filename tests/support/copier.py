"""The static copier, compiled as the image compiles it, and what it leaves in a folder."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "weights_copier"
MIB = 1024 * 1024
FLAGS = ("-O2", "-static", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror")
Done = subprocess.CompletedProcess[str]


def compile_copier(program: Path) -> None:
    """Compile it, or skip the test where there is no C compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here: apt-get install gcc libc6-dev")
    subprocess.run([compiler, *FLAGS, "-o", program, *sorted(SOURCES.glob("*.c"))], check=True)


class Copier:
    """The program, with a file that stands in for the kubelet's termination message."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program = program
        self.message = folder / "termination-log"
        self.message.touch()
        self.environment = os.environ | {"TERMINATION_LOG": str(self.message)}

    def __call__(self, *arguments: str | Path, through: tuple[str | Path, ...] = ()) -> Done:
        """Run it to its end, through another program where one is named.

        The umask is a hostile one, since modes must not follow from it.
        """
        return subprocess.run(
            [*through, self.program, *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            umask=0o077,
            check=False,
            timeout=60,
        )

    def start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """Start it and return while it runs."""
        command = [self.program, *arguments]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=self.environment)


def contents(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def mode(path: Path) -> int:
    """Give a path's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)
