"""Where a run keeps its files."""

from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = CHECKOUT / ".local" / "bench-inference"
"""Logs, and the figures of the last run of each part."""
LOCK: Final = CHECKOUT / "locks" / "bench-inference.txt"
GGUF_LOCK: Final = CHECKOUT / "locks" / "weights-smollm2.txt"
PAGE: Final = CHECKOUT / "docs" / "benchmarks.md"
IMAGES: Final = CHECKOUT / "docs" / "images"
