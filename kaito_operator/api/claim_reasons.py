"""The only place that words what a claim for a node waits for, or why it will never get one.

Our provisioner writes these codes and sentences into the claim's conditions; the operator knows the codes
again and tells them as reasons of the Workspace (`api.reasons` has a row of the same code for each that a
person can do something about). Other provisioners' reasons are passed on in their own words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class ClaimReason:
    """One row.

    Attributes:
        code: the condition's reason.
        sentence: the condition's message, with named holes.
        final: this claim will get no node however long one waits; whoever made it makes another.
    """

    code: str
    sentence: str
    final: bool = False

    def message(self, **facts: str) -> str:
        """The sentence with its holes filled, cut to what a condition's reader will read."""
        return self.sentence.format_map({"detail": "", **facts}).strip()[:800]


_ROWS: tuple[ClaimReason, ...] = (
    # On the way.
    ClaimReason("PoolRequested", "Agent pool {pool} of {type} is asked for in cluster {cluster}."),
    ClaimReason("PoolCreating", "Azure is creating agent pool {pool} of {type}."),
    ClaimReason("OperationInProgress", "Azure is busy with another operation on this cluster. {detail}"),
    ClaimReason("NodeNotFound", "Agent pool {pool} is there, but no node of it is in the cluster."),
    ClaimReason("NodeNotReady", "Node {node} is not ready: {detail}"),
    ClaimReason("StartupTaintsExist", "Node {node} still carries startup taint {detail}."),
    ClaimReason("KnownEphemeralTaintsExist", "Node {node} still carries taint {detail}."),
    ClaimReason("ResourceNotRegistered", "Node {node} does not offer {detail}, which was requested."),
    ClaimReason("NodeDraining", "Node {node} is being drained; pods that may not be evicted yet hold it up."),
    # Azure cannot be asked now; it is tried again.
    ClaimReason("AzureThrottled", "Azure asks for fewer requests: {detail}"),
    ClaimReason("AzureUnavailable", "Azure does not answer as it should: {detail}"),
    ClaimReason("AzureAuthFailed", "Azure does not accept the provisioner's identity: {detail}"),
    ClaimReason("AzureClusterNotFound", "Azure does not know cluster {cluster}: {detail}"),
    ClaimReason("PoolLimitReached", "The cluster has as many agent pools as Azure allows: {detail}"),
    # Never.
    ClaimReason("AzureQuotaExceeded", "The quota does not allow {type}: {detail}", final=True),
    ClaimReason("AzureNoCapacity", "Azure has no {type} to give now: {detail}", final=True),
    ClaimReason("AzureSkuNotAvailable", "{type} is not offered here: {detail}", final=True),
    ClaimReason("AzureSubnetFull", "The subnet has no address left for a node: {detail}", final=True),
    ClaimReason("AzureRequestRefused", "Azure refused the agent pool: {detail}", final=True),
    ClaimReason("PoolFailed", "Agent pool {pool} failed: {detail}", final=True),
    ClaimReason("PoolNameTaken", "Another agent pool has the name {pool}: {detail}", final=True),
    ClaimReason("PoolRemoved", "Agent pool {pool} is gone, and nobody here deleted it.", final=True),
    ClaimReason("ClaimInvalid", "The claim cannot be served: {detail}", final=True),
    ClaimReason("LaunchTimeout", "Agent pool {pool} was not ready after {limit}. {detail}", final=True),
    ClaimReason(
        "NodeNeverJoined", "The node of agent pool {pool} did not join within {limit}. {detail}", final=True
    ),
    ClaimReason("NodeNotInitialized", "Node {node} was not usable within {limit}. {detail}", final=True),
)

CLAIM_REASONS: Mapping[str, ClaimReason] = MappingProxyType({row.code: row for row in _ROWS})


def is_final(code: str) -> bool:
    """True for a reason of ours after which a claim gets no node any more."""
    row = CLAIM_REASONS.get(code)
    return row is not None and row.final
