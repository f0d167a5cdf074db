"""Follow the list: one thread for each adapter that is not on the disk yet, and state.json for all of them.

A tag is resolved once for each text of the list, not again and again: what serves changes when the Workspace
does, and not when somebody pushes.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from inference_server.adapter_sync.desired import Desired, DesiredAdapter, DesiredInvalid, parse_desired
from inference_server.adapter_sync.errors import (
    Abandoned,
    AdapterDenied,
    AdapterFailed,
    PullError,
    RegistryUnreachable,
)
from inference_server.adapter_sync.pull import Copy, Puller, look_in_pod
from inference_server.adapter_sync.state import LiveAdapter, LiveState, PullState

_log = logging.getLogger(__name__)
_TOGETHER: Final = 2  # pulls at a time: more share the same network, and each needs room for its archive
_DENIED_PAUSE_S: Final = 60.0
_FIRST_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 300.0
_KEPT: Final = "AdapterPulledBefore"


class _Task:
    """What one thread works for: one adapter of one text of the list."""

    def __init__(self, wanted: DesiredAdapter) -> None:
        self.wanted = wanted
        self.cancelled = threading.Event()
        self.woken = threading.Event()
        self.pulling = False  # perhaps it has found a folder that no state names yet

    def cancel(self) -> None:
        """End the work at the next piece of a layer, and its pauses at once."""
        self.cancelled.set()
        self.woken.set()


class Sync:
    """The adapters and where each of them is. Methods are for one thread; pulls run in others."""

    def __init__(self, puller: Puller, pod_folder: Path) -> None:
        self._puller = puller
        self._store = puller.store
        self._pod_folder = pod_folder
        self._lock = threading.Lock()  # over all below, and state.json
        self._state = self._store.read_state()
        self._tasks: dict[str, _Task] = {}
        self._slots = threading.Semaphore(_TOGETHER)
        self._followed: str | None = None  # the text that was looked at last
        self._first = True

    def follow(self, text: str | None) -> None:
        """Bring the disk towards the text of adapters.json; None when it cannot be read. Does not wait.

        Raises:
            OSError: state.json cannot be written.
        """
        if text == self._followed and not self._first:
            return
        self._followed = text
        try:
            desired = parse_desired(text or "")
        except DesiredInvalid as error:
            cause = str(error) if text is not None else "it cannot be read"
            self._refuse(f"the list of adapters is not followed: {cause}; the operator writes it anew")
            return
        self._start(desired)

    def wake(self) -> None:
        """Ask at once for those that wait for credentials: a Secret has changed."""
        with self._lock:
            waiting = {adapter.name for adapter in self._state.adapters if adapter.state is PullState.DENIED}
            for name, task in self._tasks.items():
                if name in waiting:
                    task.woken.set()

    def collect(self) -> None:
        """Remove what is neither listed nor in use."""
        with self._lock:
            busy = {name for name, task in self._tasks.items() if task.pulling}
            self._store.collect({adapter.path for adapter in self._state.adapters if adapter.path}, busy)

    def _refuse(self, cause: str) -> None:
        _log.error("the list of adapters is not followed", extra={"error": cause})
        self._first = False
        with self._lock:
            if not self._tasks and self._state.adapters:
                self._state = replace(self._state, adapters=self._present())  # left by the process before
            self._state = replace(self._state, error=cause)
            self._store.write_state(self._state)

    def _present(self) -> tuple[LiveAdapter, ...]:
        return tuple(a for a in self._state.adapters if a.path and Path(a.path).is_dir())

    def _start(self, desired: Desired) -> None:
        with self._lock:
            restarted = self._first and self._state.generation == desired.generation
            self._first = False
            for task in self._tasks.values():
                task.cancel()
            before = {adapter.name: adapter for adapter in self._present()}
            adapters = tuple(self._next(wanted, before.get(wanted.name)) for wanted in desired.adapters)
            self._state = LiveState(desired.generation, desired.combination, adapters)
            self._store.write_state(self._state)
            self._tasks = {
                wanted.name: _Task(wanted)
                for wanted, adapter in zip(desired.adapters, adapters, strict=True)
                if wanted.in_pod
                or not (restarted and adapter.state is PullState.PULLED and not before[wanted.name].reason)
            }
            tasks = tuple(self._tasks.values())
        _log.info("list of adapters", extra={"generation": desired.generation, "adapters": len(adapters)})
        for task in tasks:
            threading.Thread(target=self._work, args=(task,), name=task.wanted.name, daemon=True).start()

    def _next(self, wanted: DesiredAdapter, before: LiveAdapter | None) -> LiveAdapter:
        """Return the first state of an adapter. One of the same image serves on meanwhile."""
        fresh = LiveAdapter(wanted.name, wanted.image, wanted.strength)
        same = before is not None and before.image == wanted.image and before.state is PullState.PULLED
        if before is None or not same or wanted.in_pod != self._is_in_pod(before):
            return fresh
        return replace(fresh, digest=before.digest, path=before.path, state=PullState.PULLED)

    def _is_in_pod(self, adapter: LiveAdapter) -> bool:
        return Path(adapter.path).parent == self._pod_folder

    def _work(self, task: _Task) -> None:
        failures = 0
        while not task.cancelled.is_set():
            task.woken.clear()
            problem: PullError
            try:
                self._settle(task, self._bring(task))
                return
            except Abandoned:
                return
            except PullError as error:
                problem = error
            except Exception as error:  # noqa: BLE001 - a thread: the adapter would wait for ever
                _log.exception("a pull broke", extra={"adapter": task.wanted.name})
                problem = AdapterFailed(f"the pull broke ({type(error).__name__}); see the log")
            failures += 1
            self._fail(task, problem)
            task.pulling = False
            if not problem.retried:
                return
            if not task.cancelled.is_set():
                task.woken.wait(_pause_s(problem, failures))

    def _bring(self, task: _Task) -> Copy:
        wanted, began = task.wanted, time.monotonic()
        with self._slots:
            if task.cancelled.is_set():
                raise Abandoned
            with self._lock:
                task.pulling = True
            if wanted.in_pod:
                return look_in_pod(self._pod_folder / wanted.name, task.cancelled.is_set)
            copy = self._puller.pull(wanted.name, wanted.image, task.cancelled.is_set)
        extra = {"adapter": wanted.name, "image": wanted.image, "digest": copy.digest}
        _log.info("adapter is on the disk", extra={**extra, "seconds": round(time.monotonic() - began, 2)})
        return copy

    def _settle(self, task: _Task, copy: Copy) -> None:
        found = {"digest": copy.digest, "path": str(copy.path), "reason": "", "message": ""}
        self._set(task, state=PullState.PULLED, **found)
        task.pulling = False
        self.collect()

    def _fail(self, task: _Task, error: PullError) -> None:
        extra = {"adapter": task.wanted.name, "image": task.wanted.image, "reason": error.reason}
        _log.warning("adapter is not pulled", extra={**extra, "error": str(error), "retried": error.retried})
        kept = isinstance(error, RegistryUnreachable) and self._has_copy(task)
        if kept:
            self._set(task, reason=_KEPT, message=f"{error}; the copy that was pulled before serves on")
        else:
            nothing = {"digest": "", "path": "", "reason": error.reason, "message": str(error)}
            self._set(task, state=error.state, **nothing)

    def _has_copy(self, task: _Task) -> bool:
        with self._lock:
            return any(
                a.name == task.wanted.name and a.state is PullState.PULLED for a in self._state.adapters
            )

    def _set(self, task: _Task, **changes: object) -> None:
        with self._lock:
            if self._tasks.get(task.wanted.name) is not task:
                return  # of an older list
            self._state = replace(
                self._state,
                adapters=tuple(
                    replace(adapter, **changes) if adapter.name == task.wanted.name else adapter  # type: ignore[arg-type]
                    for adapter in self._state.adapters
                ),
            )
            self._store.write_state(self._state)


def _pause_s(error: PullError, failures: int) -> float:
    """Return the seconds until the next try: doubled each time, with jitter: pods are many."""
    if isinstance(error, AdapterDenied):
        return _DENIED_PAUSE_S * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
    asked = error.retry_after_s if isinstance(error, RegistryUnreachable) else None
    pause = min(_FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10), _LONGEST_PAUSE_S) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
    return min(max(asked, pause), 3600.0) if asked is not None else pause
