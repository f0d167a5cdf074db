"""Health: which phase the process is in, and what /healthz and /livez answer from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from inference_server.engine import Phase
from inference_server.errors import NotReady

Answer = tuple[int, dict[str, Any]]  # HTTP status and JSON body


class Health:
    """The phase of the process. Written by the loading thread and the event loop, read by the routes."""

    def __init__(self, model: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._clock = clock
        self._started = clock()
        self._phase = Phase.STARTING
        self._error = ""
        self.load_seconds: float | None = None  # set once the model is ready

    @property
    def phase(self) -> Phase:
        """Return the present phase."""
        return self._phase

    @property
    def error(self) -> str:
        """Return what broke, '' while nothing did."""
        return self._error

    def enter(self, phase: Phase) -> None:
        """Go on to `phase`; failed is final, and draining is left only for it."""
        if self._phase is Phase.FAILED or (self._phase is Phase.DRAINING and phase is not Phase.FAILED):
            return
        if phase is Phase.READY:
            self.load_seconds = self._clock() - self._started
        self._phase = phase

    def fail(self, error: str) -> None:
        """Record what broke; the first cause stays."""
        self._error = self._error or error
        self.enter(Phase.FAILED)

    def require_ready(self) -> None:
        """Pass if a request can be answered.

        Raises:
            NotReady: while loading, draining or after a failure, with what the client should do.
        """
        if self._phase is Phase.READY:
            return
        if self._phase is Phase.FAILED:
            raise NotReady(f"the model cannot answer: {self._error}; the process is about to be restarted")
        if self._phase is Phase.DRAINING:
            raise NotReady("this server is shutting down; send the request again", retry_after_s=1)
        raise NotReady(
            f"the model is loading (phase {self._phase}, {self._elapsed():.0f} s); ask /healthz, then again",
            retry_after_s=5,
        )

    def readiness(self) -> Answer:
        """Answer /healthz: 200 when a request would be answered, 503 while it would not yet or any more."""
        if self._phase is Phase.READY:
            return 200, {"status": "Healthy"}
        if self._phase is Phase.FAILED:
            return 500, {"detail": self._error}
        status = "Draining" if self._phase is Phase.DRAINING else "Loading"
        body = {"status": status, "phase": str(self._phase), "elapsed_s": round(self._elapsed(), 1)}
        return 503, {**body, "model": self._model}

    def liveness(self) -> Answer:
        """Answer /livez: 200, and 500 once only a restart can help."""
        if self._phase is Phase.FAILED:
            return 500, {"detail": self._error}
        return 200, {"status": "Alive"}

    def _elapsed(self) -> float:
        return self._clock() - self._started
