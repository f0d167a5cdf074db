"""Kubernetes Events of a Workspace: one per transition, repeated ones counted, none of them essential."""

import hashlib
import logging
from datetime import UTC, datetime

from kaito_operator.api.labels import FIELD_MANAGER
from kaito_operator.kube.client import Kube, Obj, path_of
from kaito_operator.kube.errors import ApiError, Conflict, NotLeader
from kaito_operator.reconcile.decision import EventDraft

logger = logging.getLogger(__name__)


class EventRecorder:
    """Posts Events; a failure is logged and dropped, since the status says the same."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    async def record(self, workspace: Obj, draft: EventDraft) -> None:
        """Post the Event, or count it up when the same one exists already."""
        event = _event(workspace, draft)
        namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
        collection = path_of("v1", "events", namespace)
        try:
            try:
                await self._kube.create(collection, event)
            except Conflict:
                path = path_of("v1", "events", namespace, name)
                old = await self._kube.get(path)
                patch = {"count": int(old.get("count") or 1) + 1, "lastTimestamp": event["lastTimestamp"]}
                await self._kube.merge(path, patch)
        except (ApiError, NotLeader) as error:
            logger.warning("event not posted", extra={"reason": draft.reason, "error": str(error)})


def _event(workspace: Obj, draft: EventDraft) -> Obj:
    metadata = workspace["metadata"]
    # The name follows from what is said: saying it again finds the same Event.
    said = f"{metadata['uid']}/{draft.type}/{draft.reason}/{draft.message}"
    name = f"{metadata['name']}.{hashlib.sha256(said.encode()).hexdigest()[:16]}"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": workspace["apiVersion"],
            "kind": workspace["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": draft.type,
        "reason": draft.reason,
        "message": draft.message,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": "",
    }
