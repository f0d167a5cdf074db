"""Logs: one JSON object a line on standard output, of the server and of the libraries under it."""

from __future__ import annotations

import logging
import sys
import traceback

from pythonjsonlogger.json import JsonFormatter


def configure_logging(level: str) -> None:
    """Send every logger of the process to standard output as JSON lines from `level` on.

    Fields are `time` (ISO 8601), `level`, `logger`, `message` and those given as `extra`. Library loggers
    are held at warning: at lower levels they may print what they work on.
    """
    formatter = JsonFormatter(
        "%(asctime)s %(levelname)s %(name)s %(message)s",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        datefmt="%Y-%m-%dT%H:%M:%S%z",
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("inference_server").setLevel(level.upper())
    logging.captureWarnings(capture=True)


def place_of(error: Exception) -> dict[str, object]:
    """Return an error's type and place for a log, without its text: library errors may quote the prompt."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error_type": type(error).__name__, "where": where}
