"""Run one step of a build: said before it starts, timed, its output in a log file."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from tools.images.errors import CommandError, ToolMissingError

Report = Callable[[str], None]
SHOWN_LINES = 25


@contextmanager
def step(report: Report, text: str) -> Iterator[None]:
    """Report `text` before the block runs and its seconds after; a block that raises gets no second line."""
    report(f"{text} ...")
    began = monotonic()
    yield
    report(f"{text}: {monotonic() - began:.1f} s")


def run_logged(
    command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, timeout_s: float = 3600
) -> None:
    """Run a program and append what it prints to `log`.

    Args:
        command: program and arguments; no shell is involved.
        log: file that is created with its folder when absent.
        env: variables beside those of this process.
        timeout_s: after this the program is killed; an hour fits the largest image on a slow line.

    Raises:
        CommandError: with the last lines of its output and the log's path.
        ToolMissingError: the program is not there.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as output:
        output.write(f"$ {' '.join(command)}\n")
        output.flush()
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                timeout=timeout_s,
                check=False,
            )
        except FileNotFoundError:
            raise ToolMissingError(
                f"{command[0]} is not installed. Run: apt-get install {command[0]}"
            ) from None
        except subprocess.TimeoutExpired:
            raise CommandError(f"{command[0]} did not end in {timeout_s:.0f} s; see {log}") from None
    if done.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])
        raise CommandError(f"{command[0]} ended with status {done.returncode}. The end of {log}:\n{last}")


def answer(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 30
) -> str | None:
    """Run a program that answers a question; None when it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
            timeout=timeout_s,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
