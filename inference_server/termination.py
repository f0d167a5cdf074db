"""The termination log: the kubelet copies this file into the pod's status when the container ends."""

from __future__ import annotations

from pathlib import Path

TERMINATION_LOG = Path("/dev/termination-log")
_LIMIT_BYTES = 4096  # the kubelet keeps no more


def write_termination_log(path: Path, reason: str, text: str) -> None:
    """Write `<reason>: <text>` over the file, if it exists.

    The kubelet makes the file before the container starts. Outside of a pod there is none, and nothing
    is created in /dev there. A file that cannot be written is passed over: the same text is in the log.
    """
    message = f"{reason}: {text}\n".encode()[:_LIMIT_BYTES]
    try:
        with path.open("r+b") as file:  # r+b, not wb: it must not create the file
            file.truncate()
            file.write(message)
    except OSError:
        return
