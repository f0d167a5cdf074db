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

    def __init__(
        self, model: str, clock: Callable[[], float] = time.monotonic, expected_s: float | None = None
    ) -> None:
        self._model = model
        self._expected_s = expected_s
        self._done: float | None = None
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

    @property
    def progress(self) -> float:
        """Return how much of the weights is in memory, 0 to 1; 1 from the phase after them on."""
        if self._phase in (Phase.STARTING, Phase.LIBRARIES):
            return 0.0
        return (self._done or 0.0) if self._phase is Phase.WEIGHTS else 1.0

    def enter(self, phase: Phase, done: float | None = None) -> bool:
        """Go on to `phase`, `done` of which is over; failed is final, and draining is left only for it.

        Returns:
            Whether the phase is another one now.
        """
        if self._phase is Phase.FAILED or (self._phase is Phase.DRAINING and phase is not Phase.FAILED):
            return False
        if phase is Phase.READY:
            self.load_seconds = self._clock() - self._started
        other = phase is not self._phase
        self._phase, self._done = phase, done
        return other

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
        body: dict[str, Any] = {"status": status, "phase": str(self._phase)}
        body["elapsed_s"] = round(self._elapsed(), 1)
        if status == "Loading":
            body["expected_s"] = self._expected_s
            body["progress"] = round(self.progress, 3)
        return 503, {**body, "model": self._model}

    def liveness(self) -> Answer:
        """Answer /livez: 200, and 500 once only a restart can help."""
        if self._phase is Phase.FAILED:
            return 500, {"detail": self._error}
        return 200, {"status": "Alive"}

    def _elapsed(self) -> float:
        return self._clock() - self._started
