"""What llama.cpp says, line by line, at debug. It writes to standard error otherwise, where no log is."""

from __future__ import annotations

import ctypes
import logging
from collections import deque
from typing import Any

import llama_cpp

_log = logging.getLogger(__name__)
_ERROR, _CONTINUED = 4, 5  # ggml's levels; those in llama-cpp-python are of an older one
_KEPT = 3  # the last errors, for the message of a load that failed


class LibraryLog:
    """Receives llama.cpp's messages for as long as it exists. None of them holds a prompt."""

    def __init__(self) -> None:
        self.errors: deque[str] = deque(maxlen=_KEPT)
        self._line = ""
        self._level = 0
        # Kept: llama.cpp holds the pointer, and calls it from its own threads.
        self._callback: Any = llama_cpp.llama_log_callback(self._receive)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _receive(self, level: int, text: bytes, user_data: object) -> None:
        if level != _CONTINUED:
            self._level = level
        self._line += text.decode("utf-8", "replace")
        if not self._line.endswith("\n"):
            return
        line, self._line = self._line.strip(), ""
        if self._level == _ERROR and line:
            self.errors.append(line)
        _log.debug("llama.cpp: %s", line)
