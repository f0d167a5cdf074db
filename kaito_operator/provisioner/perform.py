"""Carry out what was decided, one action at a time. Each is the same when it is done twice."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kaito_operator.kube.client import Kube, path_of
from kaito_operator.kube.errors import Conflict, NotFound, Overloaded
from kaito_operator.provisioner.azure_calls import AzureCalls
from kaito_operator.provisioner.claims import API_VERSIONS, PLURALS, Claim, Obj, read_moment
from kaito_operator.provisioner.decision import (
    Action,
    AskForCause,
    DeleteClaim,
    DeleteNode,
    DeletePool,
    DrainNode,
    ListenToKubelet,
    ListPools,
    LookAtPool,
    PatchClaim,
    PatchNode,
    PutPool,
    WriteStatus,
)
from kaito_operator.provisioner.drain import eviction, pods_left
from kaito_operator.provisioner.pause import Pause
from kaito_operator.provisioner.stores import NODE_KIND, ClaimStores

_NODE_LEASES = "kube-node-lease"

logger = logging.getLogger(__name__)


@dataclass
class Performer:
    """Turns actions into requests to the API server and to Azure.

    Attributes:
        drained: uids of nodes that no pod holds up any more.
        alive: uid of a deleted Node -> its kubelet has spoken since.
    """

    kube: Kube
    azure: AzureCalls
    stores: ClaimStores
    clock: Callable[[], datetime]
    drained: set[str] = field(default_factory=set)
    alive: dict[str, bool] = field(default_factory=dict)

    async def perform(self, claim: Claim, action: Action) -> Pause | None:
        """Do one thing. Returns a Pause when what follows has to wait.

        Raises:
            ApiError, NotLeader: of the API server; what was decided is decided anew.
        """
        match action:
            case PatchClaim() | WriteStatus() | DeleteClaim():
                await self._write_claim(claim, action)
            case PatchNode() | DeleteNode() | DrainNode():
                return await self._write_node(claim, action)
            case PutPool():
                return await self.azure.put(claim, action)
            case DeletePool():
                return await self.azure.delete(claim, action)
            case ListenToKubelet():
                await self._listen(action)
            case ListPools():
                return self.azure.ask_for_listing(claim.key)
            case LookAtPool() | AskForCause():
                return await self.azure.look(claim, action)
        return None

    async def _write_claim(self, claim: Claim, action: PatchClaim | WriteStatus | DeleteClaim) -> None:
        path = path_of(API_VERSIONS[claim.kind], PLURALS[claim.kind], None, claim.name)
        if isinstance(action, DeleteClaim):
            logger.warning("claim deleted", extra={"claim": claim.name, "why": action.why})
            self._remember(await self.kube.delete(path, claim.uid), claim.kind)
        elif isinstance(action, PatchClaim):
            self._remember(await self.kube.merge(path, action.patch), claim.kind)
        else:
            # Not the version that was decided from: a finalizer may have been written just before.
            stored = self.stores.claim(claim.key)
            version = stored["metadata"]["resourceVersion"] if stored else claim.resource_version
            self._remember(await self.kube.merge_status(path, version, action.status), claim.kind)

    def _remember(self, answer: Obj, kind: str) -> None:
        if "uid" in answer.get("metadata", {}):  # a deletion may be answered by a Status
            self.stores.remember({**answer, "kind": kind})

    async def _write_node(self, claim: Claim, action: PatchNode | DeleteNode | DrainNode) -> Pause | None:
        path = path_of("v1", "nodes", None, action.name)
        try:
            match action:
                case PatchNode():
                    self._remember(await self.kube.strategic_merge(path, action.patch), NODE_KIND)
                case DeleteNode():
                    self._remember(await self.kube.delete(path, action.uid), NODE_KIND)
                case DrainNode():
                    return await self._drain(claim, action)
        except NotFound:
            self.stores.lost(NODE_KIND, action.name)  # the watch is about to tell the same
        return None

    async def _listen(self, action: ListenToKubelet) -> None:
        try:
            path = path_of("coordination.k8s.io/v1", "leases", _NODE_LEASES, action.name)
            lease = await self.kube.get(path)
        except NotFound:
            self.alive[action.uid] = False
            return
        spoke = read_moment((lease.get("spec") or {}).get("renewTime"))
        self.alive[action.uid] = spoke is not None and spoke > action.since

    async def _drain(self, claim: Claim, action: DrainNode) -> Pause | None:
        listing = await self.kube.get(path_of("v1", "pods"), fieldSelector=f"spec.nodeName={action.name}")
        left = pods_left(listing.get("items") or (), self.clock())
        if left.none:
            self.drained.add(action.uid)
            return None
        blocked = [pod for pod in left.evict if not await self._evict(pod)]
        logger.info(
            "draining",
            extra={"claim": claim.name, "node": action.name, "left": len(left.evict) + left.leaving},
        )
        if blocked:
            first = blocked[0]["metadata"]
            logger.warning("eviction refused", extra={"namespace": first["namespace"], "pod": first["name"]})
        return Pause()

    async def _evict(self, pod: Any) -> bool:  # noqa: ANN401 - JSON of a pod
        """False when a PodDisruptionBudget keeps the pod for now."""
        metadata = pod["metadata"]
        path = path_of("v1", "pods", metadata["namespace"], metadata["name"])
        try:
            await self.kube.create(f"{path}/eviction", eviction(pod))
        except (NotFound, Conflict):
            return True  # gone, or another pod has its name
        except Overloaded:
            return False
        return True
