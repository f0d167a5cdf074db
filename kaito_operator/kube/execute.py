"""Carry out a Decision, in the one order that survives being killed between any two writes.

Finalizer, then children, then the status that tells of them, then Events. Each step is the same when
done twice, so the restart after a crash simply decides and executes again.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from kaito_operator.api.labels import ANNOTATION_APPLIED_HASH
from kaito_operator.kube.client import Kube, Obj, path_of, path_of_object
from kaito_operator.kube.errors import NotFound, Refused
from kaito_operator.kube.events import EventRecorder
from kaito_operator.reconcile.decision import Decision, PodRef
from kaito_operator.reconcile.drift import needs_apply
from kaito_operator.reconcile.observed import PodEvent, PodEvents, Refusal
from kaito_operator.reconcile.ownership import is_owned_by

logger = logging.getLogger(__name__)


class Memory(Protocol):
    """What the executor learns and the next reconcile reads."""

    def known(self, kind: str, namespace: str, name: str) -> bool:
        """True when a child of this name is known to exist."""

    def remember(self, obj: Obj) -> bool:
        """The API server's answer to a write; True when it tells of something else too."""

    def remember_spelling(self, key: tuple[str, str], kind: str, answer: Obj | None) -> None:
        """An answer that says what was applied in other words, or None for one that repeats it."""

    def remember_refusal(self, key: tuple[str, str], kind: str, refusal: Refusal | None) -> bool:
        """A write that could not be done, or None for one that was; True when that is news."""

    def remember_pod_events(self, pod: PodRef, events: PodEvents) -> None:
        """The Events of a stuck pod."""


class Executor:
    """Turns Decisions into requests."""

    def __init__(
        self, kube: Kube, recorder: EventRecorder, memory: Memory, clock: Callable[[], datetime]
    ) -> None:
        self._kube = kube
        self._recorder = recorder
        self._memory = memory
        self._clock = clock

    async def execute(self, workspace: Obj, decision: Decision) -> bool:
        """Do what was decided.

        Returns:
            True when something was learned that calls for another decision at once.

        Raises:
            ApiError: except for Refused of a child, which is remembered for the next decision.
            NotLeader: nothing more may be written.
        """
        learned = False
        if decision.finalizers is not None:
            await self._set_finalizers(workspace, decision.finalizers)
        for obj in decision.apply:
            learned |= await self._apply(workspace, obj)
        if decision.status is not None:
            # Told only after the status is stored. A crash in between loses an Event, of which the status
            # tells too; told before, it would be told again with every status write that fails.
            await self._set_status(workspace, decision.status)
            for draft in decision.events:
                await self._recorder.record(workspace, draft)
        for pod in decision.look_at:
            await self._look_at(pod)
            learned = True
        return learned

    async def _apply(self, workspace: Obj, obj: Any) -> bool:  # noqa: ANN401 - JSON of an object
        """Apply one child. Returns True when the outcome is news: it could not be done, or now it could."""
        kind, metadata = obj["kind"], obj["metadata"]
        key = (workspace["metadata"]["namespace"], workspace["metadata"]["name"])
        refused = ""
        foreign = await self._is_foreign(workspace, obj)
        if not foreign:
            try:
                answer = await self._kube.apply(obj)
            except Refused as error:
                refused = error.message
            else:
                logger.info("applied", extra={"kind": kind, "namespace": key[0], "object": metadata["name"]})
                return self._accepted(key, obj, answer)
        applied_hash = metadata["annotations"][ANNOTATION_APPLIED_HASH]
        refusal = Refusal(kind, metadata["name"], refused, applied_hash, self._clock(), foreign)
        logger.warning("not applied", extra={"kind": kind, "object": metadata["name"], "error": refused})
        return self._memory.remember_refusal(key, kind, refusal)

    def _accepted(self, key: tuple[str, str], obj: Any, answer: Obj) -> bool:  # noqa: ANN401 - as above
        kind = obj["kind"]
        self._memory.remember_spelling(key, kind, answer if needs_apply(obj, answer) else None)
        was_refused = self._memory.remember_refusal(key, kind, None)
        return self._memory.remember(answer) or was_refused

    async def _is_foreign(self, workspace: Obj, obj: Any) -> bool:  # noqa: ANN401 - JSON of an object
        """True when an object of this name exists that is not ours.

        The stores hold labelled objects only, and a forced apply would overwrite an unlabelled one.
        """
        metadata = obj["metadata"]
        if self._memory.known(obj["kind"], metadata["namespace"], metadata["name"]):
            return False
        try:
            live = await self._kube.get(path_of_object(obj))
        except NotFound:
            return False
        return not is_owned_by(live, workspace["metadata"]["uid"])

    async def _set_finalizers(self, workspace: Obj, finalizers: tuple[str, ...]) -> None:
        version = workspace["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version, "finalizers": list(finalizers)}}
        try:
            await self._kube.merge(path_of_object(workspace), patch)
        except NotFound:
            return

    async def _set_status(self, workspace: Obj, status: dict[str, Any]) -> None:
        version = workspace["metadata"]["resourceVersion"]
        answer = await self._kube.merge_status(path_of_object(workspace), version, status)
        self._memory.remember(answer)

    async def _look_at(self, pod: PodRef) -> None:
        listing = await self._kube.get(
            path_of("v1", "events", pod.namespace),
            fieldSelector=f"involvedObject.uid={pod.uid}",
        )
        newest_first = sorted(
            listing.get("items", ()), key=lambda e: str(e.get("lastTimestamp") or ""), reverse=True
        )
        events = tuple(PodEvent(e.get("reason", ""), e.get("message", "")) for e in newest_first)
        self._memory.remember_pod_events(pod, PodEvents(self._clock(), events))
