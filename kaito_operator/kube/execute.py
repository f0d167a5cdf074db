"""Carry out a Decision, in the one order that survives being killed between any two writes.

Finalizer, then claims and children, then the status that tells of them, then Events, then deletions. Each
step is the same when done twice, so the restart after a crash simply decides and executes again.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Protocol

from kaito_operator.api.labels import ANNOTATION_APPLIED_HASH, ANNOTATION_WORKSPACE_UID, KIND
from kaito_operator.kube.client import Kube, Obj, path_of, path_of_kind, path_of_object
from kaito_operator.kube.errors import Conflict, NotFound, Refused
from kaito_operator.kube.events import EventRecorder
from kaito_operator.manifests.ownership import child_key
from kaito_operator.reconcile.decision import Decision, ObjectRef, PodRef, PodTouch
from kaito_operator.reconcile.drift import needs_apply
from kaito_operator.reconcile.observed import PodEvent, PodEvents, Refusal
from kaito_operator.reconcile.ownership import is_owned_by

WORKLOADS = ("Deployment", "StatefulSet")

logger = logging.getLogger(__name__)


class Memory(Protocol):
    """What the executor learns and the next reconcile reads."""

    def known(self, kind: str, namespace: str, name: str) -> bool:
        """True when a child of this name is known to exist."""

    def remember(self, obj: Obj) -> bool:
        """The API server's answer to a write; True when it tells of something else too."""

    def remember_deletion(self, uid: str, answer: Obj) -> None:
        """The API server's answer to one of our deletions."""

    def remember_spelling(self, key: tuple[str, str], child: str, answer: Obj | None) -> None:
        """An answer that says what was applied in other words, or None for one that repeats it."""

    def remember_refusal(self, key: tuple[str, str], child: str, refusal: Refusal | None) -> bool:
        """A write that could not be done, or None for one that was; True when that is news."""

    def remember_pod_events(self, pod: PodRef, events: PodEvents) -> None:
        """The Events of a stuck pod."""


def _key(workspace: Obj) -> tuple[str, str]:
    return workspace["metadata"]["namespace"], workspace["metadata"]["name"]


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
            held = await self._set_finalizers(workspace, decision.finalizers)
            if held is None:
                return False  # nothing is made for a Workspace that is gone
            workspace = held
        for obj in decision.create:
            learned |= await self._create(workspace, obj)
        for obj in decision.apply:
            is_first = self._is_first(workspace, obj)
            learned |= await self._apply(workspace, obj)
            if is_first and not learned:
                # Of a hundred new Workspaces each gets its workload, which is what takes time, before the
                # first of them gets the rest.
                return True
        if not learned:  # what could not be applied is not to be read by anybody
            for touch in decision.touch:
                await self._touch(touch)
        return await self._tell(workspace, decision) or learned

    async def _tell(self, workspace: Obj, decision: Decision) -> bool:
        """The status, the Events, and what follows from them. Returns as `execute`."""
        learned = False
        if decision.status is not None:
            # Told only after the status is stored. A crash in between loses an Event, of which the status
            # tells too; told before, it would be told again with every status write that fails.
            await self._set_status(workspace, decision.status)
        for draft in decision.events:
            await self._recorder.record(workspace, draft)
        for ref in decision.delete:
            learned |= await self._delete(workspace, ref)
        for pod in decision.look_at:
            await self._look_at(pod)
            learned = True
        return learned

    async def _touch(self, touch: PodTouch) -> None:
        path = path_of("v1", "pods", touch.pod.namespace, touch.pod.name)
        patch = {"metadata": {"uid": touch.pod.uid, "annotations": {touch.key: touch.value}}}
        try:
            await self._kube.merge(path, patch)
        except (NotFound, Conflict):
            return  # gone, or another has its name
        except Refused as error:
            # The kubelet brings the change within a minute all the same.
            logger.warning("not annotated", extra={"object": touch.pod.name, "error": error.message})

    def _is_first(self, workspace: Obj, obj: Any) -> bool:  # noqa: ANN401 - JSON of an object
        """True for a workload that is to be made."""
        namespace, name = _key(workspace)
        return obj["kind"] in WORKLOADS and not self._memory.known(obj["kind"], namespace, name)

    async def _apply(self, workspace: Obj, obj: Any) -> bool:  # noqa: ANN401 - JSON of an object
        """Apply one child. Returns True when the outcome is news: it could not be done, or now it could."""
        kind, metadata = obj["kind"], obj["metadata"]
        key = _key(workspace)
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
        return self._memory.remember_refusal(key, child_key(obj, key[1]), refusal)

    def _accepted(self, key: tuple[str, str], obj: Any, answer: Obj) -> bool:  # noqa: ANN401 - as above
        child = child_key(obj, key[1])
        self._memory.remember_spelling(key, child, answer if needs_apply(obj, answer) else None)
        was_refused = self._memory.remember_refusal(key, child, None)
        return self._memory.remember(answer) or was_refused

    async def _is_foreign(self, workspace: Obj, obj: Any) -> bool:  # noqa: ANN401 - JSON of an object
        """True when an object of this name exists that is not ours.

        The stores hold labelled objects only, and a forced apply would overwrite an unlabelled one.
        """
        metadata = obj["metadata"]
        if self._memory.known(obj["kind"], metadata["namespace"], metadata["name"]):
            return False
        try:
            # From the API server's cache: nobody else makes an object of this name within this second.
            live = await self._kube.get(path_of_object(obj), resourceVersion="0")
        except NotFound:
            return False
        return not is_owned_by(live, workspace["metadata"]["uid"])

    async def _create(self, workspace: Obj, obj: Any) -> bool:  # noqa: ANN401 - JSON of an object
        """Create one claim. Returns True when it could not be done, or now it could.

        Never applied: a claim that exists is left as it is, since its machine is being made from it.
        """
        kind, name, key = obj["kind"], obj["metadata"]["name"], _key(workspace)
        path = path_of_object(obj)
        try:
            answer = await self._kube.create(path.removesuffix(f"/{name}"), obj)
        except Conflict:
            answer = await self._kube.get(path)
        except (Refused, NotFound) as error:
            logger.warning("not created", extra={"kind": kind, "object": name, "error": error.message})
            unknown = isinstance(error, NotFound)
            refusal = Refusal(kind, name, error.message, name, self._clock(), unknown_kind=unknown)
            return self._memory.remember_refusal(key, kind, refusal)
        logger.info("created", extra={"kind": kind, "object": name, "workspace": "/".join(key)})
        self._memory.remember(answer)
        return self._memory.remember_refusal(key, kind, None)

    async def _delete(self, workspace: Obj, ref: ObjectRef) -> bool:
        """Delete one object. Returns True when something is to be decided on again."""
        key = _key(workspace)
        try:
            answer = await self._kube.delete(path_of_kind(ref.kind, ref.namespace or None, ref.name), ref.uid)
        except (NotFound, Conflict):
            return False  # gone, or another has its name: the watch tells
        except Refused as error:
            logger.warning(
                "not deleted", extra={"kind": ref.kind, "object": ref.name, "error": error.message}
            )
            refusal = Refusal(ref.kind, ref.name, error.message, ref.uid, self._clock())
            return self._memory.remember_refusal(key, "delete", refusal)
        logger.info("deleted", extra={"kind": ref.kind, "object": ref.name, "workspace": "/".join(key)})
        self._memory.remember_deletion(ref.uid, answer)
        self._memory.remember_refusal(key, "delete", None)
        return True

    async def delete_orphans(self, key: tuple[str, str], claims: Iterable[Obj]) -> None:
        """Delete claims whose Workspace is gone; asks the API server first, since a store may lag.

        Such a claim was created by a request whose answer came too late, or was abandoned.
        """
        orphans = [
            claim
            for claim in claims
            if ANNOTATION_WORKSPACE_UID in claim["metadata"].get("annotations", {})
            and "deletionTimestamp" not in claim["metadata"]
        ]
        if not orphans:
            return
        try:
            await self._kube.get(path_of_kind(KIND, *key))
        except NotFound:
            for claim in orphans:
                metadata = claim["metadata"]
                answer = await self._kube.delete(path_of_object(claim), metadata["uid"])
                self._memory.remember_deletion(metadata["uid"], answer)
                logger.warning("deleted an orphan", extra={"object": metadata["name"], "workspace": key})

    async def _set_finalizers(self, workspace: Obj, finalizers: tuple[str, ...]) -> Obj | None:
        """Returns the Workspace as it is now, for the writes that follow; None when it is gone."""
        version = workspace["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version, "finalizers": list(finalizers)}}
        try:
            answer = await self._kube.merge(path_of_object(workspace), patch)
        except NotFound:
            return None
        self._memory.remember(answer)
        return answer

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
