"""What a decision is made from, and what it may ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kaito_operator.provisioner.faults import AzureError, Fault
from kaito_operator.provisioner.nodes import Node
from kaito_operator.provisioner.pool import Identity, Pool
from kaito_operator.provisioner.requirements import LaunchPlan


@dataclass(frozen=True)
class Sight:
    """What is known of the pool of a claim.

    Attributes:
        pool: as last seen; None when it was not there, or nothing is known.
        known: Azure has been asked since this process began.
        current: the answer is younger than our last request about this pool.
        direct: the pool was asked for by name, after our last request, and Azure said that it is not there.
        age_s: seconds since the answer.
        settled_s: seconds since the pool was first seen as it was asked for.
        gone_s: seconds since the pool was first known not to be there by name.
        cause: why the operation that made the pool failed, once Azure was asked for it.
        may_have_cause: Azure has not been asked for it yet and can be.
    """

    pool: Pool | None = None
    known: bool = False
    current: bool = False
    direct: bool = False
    age_s: float = 0.0
    settled_s: float = 0.0
    gone_s: float = 0.0
    cause: AzureError | None = None
    may_have_cause: bool = False


@dataclass(frozen=True)
class Trouble:
    """A request that did not work, and the seconds for which it is not sent again."""

    fault: Fault
    wait_s: float


@dataclass(frozen=True)
class Observed:
    """The surroundings of one claim.

    Attributes:
        trouble: of the last request for this claim, or of the last look at all pools.
        drained: uids of nodes on which no pod waits for its eviction any more.
        alive: uid of a Node that is deleted -> its kubelet has spoken since.
        pools: agent pools in the whole cluster.
        may_repair: the guards against repairing too much allow one more.
    """

    sight: Sight = field(default_factory=Sight)
    nodes: tuple[Node, ...] = ()
    trouble: Trouble | None = None
    drained: frozenset[str] = frozenset()
    alive: Mapping[str, bool] = field(default_factory=dict)
    pools: int = 0
    may_repair: bool = False


@dataclass(frozen=True)
class Budgets:
    """Seconds.

    Attributes:
        launch, registration, initialization: after which a claim that is not done with the step fails.
        drain: after which pods no longer hold up the end of a claim.
        fold: for which a state that is about to pass is not told, so that one write tells of its end.
        farewell: after the deletion of a Node until its kubelet must have spoken, if it still runs; kubelets
            renew their Lease every 10 s.
        gone: for which a Node may outlive its pool before it is deleted by hand.
        answer: for which the absence of a pool in a listing counts.
        repair: a node that is not ready for longer has its claim deleted; None switches that off.
    """

    launch: float = 1200.0
    registration: float = 900.0
    initialization: float = 1200.0
    drain: float = 600.0
    fold: float = 15.0
    farewell: float = 15.0
    gone: float = 30.0
    answer: float = 30.0
    repair: float | None = None


@dataclass(frozen=True)
class Context:
    """What holds for all claims at this moment."""

    identity: Identity
    budgets: Budgets
    now: datetime


@dataclass(frozen=True)
class PatchClaim:
    """Merge `patch` into the claim; it is locked on the resourceVersion."""

    patch: Mapping[str, Any]


@dataclass(frozen=True)
class WriteStatus:
    """Merge `status` into the claim's."""

    status: Mapping[str, Any]


@dataclass(frozen=True)
class DeleteClaim:
    """Delete the claim, of this uid; its finalizer then leads on."""

    why: str


@dataclass(frozen=True)
class PutPool:
    """Ask Azure for the pool, unless one of the name exists."""

    name: str
    body: Mapping[str, Any]
    plan: LaunchPlan


@dataclass(frozen=True)
class DeletePool:
    """Ask Azure to delete the pool."""

    name: str
    ignore_pdb: bool


@dataclass(frozen=True)
class ListPools:
    """Nothing recent is known of the pools: look at all of them, then decide again."""


@dataclass(frozen=True)
class LookAtPool:
    """Ask for this pool by name, then decide again."""

    name: str


@dataclass(frozen=True)
class AskForCause:
    """Ask why the pool failed, then decide again."""

    name: str


@dataclass(frozen=True)
class PatchNode:
    """Merge `patch` into a Node, strategically; with taints it is locked on the resourceVersion."""

    name: str
    patch: Mapping[str, Any]


@dataclass(frozen=True)
class DrainNode:
    """Evict the pods of a node, then decide again when none is left."""

    name: str
    uid: str


@dataclass(frozen=True)
class ListenToKubelet:
    """Find out whether the kubelet of a Node has spoken since a moment, then decide again."""

    name: str
    uid: str
    since: datetime


@dataclass(frozen=True)
class DeleteNode:
    """Delete the Node object of a machine that is gone."""

    name: str
    uid: str


Action = (
    PatchClaim
    | WriteStatus
    | DeleteClaim
    | PutPool
    | DeletePool
    | ListPools
    | LookAtPool
    | AskForCause
    | PatchNode
    | DrainNode
    | ListenToKubelet
    | DeleteNode
)


@dataclass(frozen=True)
class Decision:
    """What to do, in this order, and when to look again if nothing happens before.

    Attributes:
        watch_pool: the pool is in motion, so all pools are looked at again every few seconds.
    """

    actions: tuple[Action, ...] = ()
    retry_after_s: float | None = None
    watch_pool: bool = False
