"""What may happen to a claim, and what must be so before somebody deletes it at last."""

from collections.abc import Callable
from dataclasses import dataclass

from kaito_operator.provisioner.faults import AzureError
from tests.unit.provisioner.fake_cloud import FakePool
from tests.unit.provisioner.objects import a_machine, a_node, a_node_claim
from tests.unit.provisioner.world import World

NAME = "ws0123abcde"
NODE = f"aks-{NAME}-12345678-vmss000000"
LAST = 900.0

QUOTA = AzureError(400, "ErrCode_InsufficientVCPUQuota", "0 left")
BUSY = AzureError(409, "OperationNotAllowed", "there is an in progress create node pool operation")
THROTTLED = AzureError(429, "TooManyRequests", "slow down", 30.0)
DOWN = AzureError(503, "", "sorry")
FORBIDDEN = AzureError(403, "AuthorizationFailed", "no such role")
NO_CAPACITY = AzureError(200, "AllocationFailed", "none left")


@dataclass(frozen=True)
class Scenario:
    """One course of events.

    Attributes:
        prepare: sets it up; the claim is added by it.
        reason: of the condition MachineReady or the like at the end: its status and reason.
        pools: that are there then.
    """

    prepare: Callable[[World], None]
    ready: tuple[str, str] | None = ("True", "")
    pools: int = 1


def create(world: World, *, claim: bool = False) -> None:
    world.at(1, lambda: world.api.add(a_node_claim() if claim else a_machine()))


def _good(world: World) -> None:
    create(world)


def _answers(*answers: AzureError | str) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        create(world)
        world.cloud.answers = list(answers)

    return prepare


def _partings(*answers: AzureError | str) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        create(world)
        world.cloud.partings = list(answers)

    return prepare


def _reads(*answers: AzureError) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        create(world)
        world.cloud.reads = list(answers)

    return prepare


def _fails(world: World) -> None:
    create(world)
    world.cloud.fails = [NO_CAPACITY] * 9


def _never_joins(world: World) -> None:
    create(world)
    world.cloud.joins = False


def _deleted_at(seconds: float) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        create(world)
        world.at(seconds, lambda: world.api.remove("Machine", NAME))

    return prepare


def _blind(world: World) -> None:
    create(world)
    world.at(400, lambda: setattr(world.cloud, "blind", True))


def _pool_vanishes(world: World) -> None:
    create(world)
    world.at(400, lambda: world.cloud.gone(NAME))


def _evicted(world: World) -> None:
    create(world)

    def evict() -> None:
        world.set_ready(NODE, False)
        world.api.remove("Node", NODE)

    world.at(400, evict)


def _unready_for_a_while(world: World) -> None:
    create(world)
    world.at(400, lambda: world.set_ready(NODE, False))
    world.at(500, lambda: world.set_ready(NODE, True))


def _upgraded(world: World) -> None:
    create(world)

    def second() -> None:
        world.cloud.pools[NAME].state = "Upgrading"
        labels = dict(world.cloud.pools[NAME].body["properties"]["nodeLabels"])
        world.api.add(a_node(NAME, 1, created=world.now, labels=labels))

    def done() -> None:
        world.cloud.pools[NAME].state = "Succeeded"

    world.at(400, second)
    world.at(430, lambda: world.api.remove("Node", NODE))
    world.at(460, done)


def _node_deleted(world: World) -> None:
    create(world)
    world.at(400, lambda: world.api.remove("Node", NODE))
    world.at(408, lambda: world.speak(NODE))


def _vm_vanishes(world: World) -> None:
    create(world)
    world.at(395, lambda: world.speak(NODE))
    world.at(400, lambda: world.api.remove("Node", NODE))


def _name_taken(world: World) -> None:
    tags = {"kaito-claim-uid": "another", "kaito-claim-name": "another"}
    world.cloud.pools[NAME] = FakePool({"properties": {"vmSize": "x", "tags": tags}}, "Succeeded")
    create(world)
    world.at(LAST + 300, lambda: world.cloud.gone(NAME))


def _with_a_pod(world: World) -> None:
    create(world)
    pod = {
        "kind": "Pod",
        "metadata": {"name": "server", "namespace": "default", "uid": "p", "resourceVersion": "1"},
        "spec": {"nodeName": NODE},
    }
    world.at(300, lambda: world.api.add(pod))


SCENARIOS = {
    "all goes well": Scenario(_good),
    "all goes well for a NodeClaim": Scenario(lambda w: create(w, claim=True), ("True", "Ready")),
    "the quota is used up": Scenario(_answers(*[QUOTA] * 9), ("False", "AzureQuotaExceeded"), 0),
    "Azure is busy twice": Scenario(_answers(BUSY, BUSY)),
    "Azure wants a pause": Scenario(_answers(THROTTLED, THROTTLED)),
    "Azure is down": Scenario(_answers(DOWN, DOWN, DOWN)),
    "the answer to the request is lost": Scenario(_answers("drop")),
    "Azure is busy when the pool is to go": Scenario(_partings(BUSY, BUSY)),
    "the answer to the deletion is lost": Scenario(_partings("drop")),
    "the identity is refused for a while": Scenario(_answers(FORBIDDEN)),
    "the listing fails at first": Scenario(_reads(DOWN, FORBIDDEN, THROTTLED)),
    "the pool fails": Scenario(_fails, ("False", "AzureNoCapacity"), 0),
    "the node never joins": Scenario(_never_joins, ("False", "NodeNeverJoined"), 0),
    "the claim is deleted at once": Scenario(_deleted_at(1), None, 0),
    "the claim is deleted while its pool is created": Scenario(_deleted_at(30), None, 0),
    "the claim is deleted when its node has just joined": Scenario(_deleted_at(67), None, 0),
    "listings leave the pool out": Scenario(_blind),
    "somebody deletes the pool": Scenario(_pool_vanishes, ("False", "PoolRemoved"), 0),
    "the node is evicted": Scenario(_evicted, ("False", "NodeNotFound")),
    "the node is not ready for a while": Scenario(_unready_for_a_while),
    "the node is upgraded": Scenario(_upgraded),
    "somebody deletes the Node": Scenario(_node_deleted, None, 0),
    "the VM vanishes with its Node": Scenario(_vm_vanishes, ("False", "NodeNotFound")),
    "another pool has the name": Scenario(_name_taken, ("False", "PoolNameTaken")),
    "a pod has to be evicted": Scenario(_with_a_pod),
}
