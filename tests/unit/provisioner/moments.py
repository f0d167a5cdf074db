"""A claim and its surroundings at one moment, and what is decided then."""

from datetime import timedelta
from typing import Any

from kaito_operator.provisioner.conditions import DONE, conditions, pending
from kaito_operator.provisioner.decide import decide
from kaito_operator.provisioner.decision import (
    Action,
    Budgets,
    Context,
    Decision,
    Observed,
    Sight,
    WriteStatus,
)
from kaito_operator.provisioner.nodes import read_node
from kaito_operator.provisioner.pool import Identity, Pool
from tests.unit.provisioner.objects import CLUSTER, START, a_machine, a_node, at, parsed

IDENTITY = Identity(CLUSTER, "eastus")
NAME = "ws0123abcde"
ABSENT = Sight(known=True, current=True)
CREATING = pending("PoolCreating", pool=NAME, type="t")
TAGS = {"kaito-manager": "kaito-gpu-provisioner", "kaito-cluster": CLUSTER, "kaito-claim-uid": f"uid-{NAME}"}


def context(seconds: float = 0.0, **budgets: Any) -> Context:
    return Context(IDENTITY, Budgets(**budgets), START + timedelta(seconds=seconds))


def there(state: str = "Succeeded", **more: Any) -> Sight:
    pool = Pool(NAME, state, tags=TAGS)
    return Sight(pool=pool, known=True, current=True, settled_s=100, **more)


def held(
    obj: dict[str, Any] | None = None, *, steps: Any = None, deleted: float | None = None
) -> dict[str, Any]:
    """A claim that was taken up at START, with its status."""
    obj = obj or a_machine()
    obj["metadata"]["finalizers"] = ["karpenter.sh/termination"]
    obj["metadata"].setdefault("annotations", {})["kaito.sh/launch-began"] = at(0)
    if steps:
        obj["status"] = {"conditions": conditions(parsed(obj), steps, START)}
    if deleted is not None:
        obj["metadata"]["deletionTimestamp"] = at(deleted)
    return obj


def ready(**status: Any) -> dict[str, Any]:
    """A claim whose node was usable once."""
    obj = held(steps=(DONE, DONE, DONE))
    obj["status"] |= {"allocatable": {"cpu": "1"}, "nodeName": a_node(NAME)["metadata"]["name"], **status}
    return obj


def decided(obj: dict[str, Any], sight: Sight = ABSENT, seconds: float = 0, **observed: Any) -> Decision:
    nodes = tuple(read_node(node) for node in observed.pop("nodes", ()))
    budgets = observed.pop("budgets", {})
    return decide(parsed(obj), Observed(sight=sight, nodes=nodes, **observed), context(seconds, **budgets))


def kinds(decision: Decision) -> list[type[Action]]:
    return [type(action) for action in decision.actions]


def reason(decision: Decision) -> tuple[str, str]:
    """Status and reason of Ready in the status that is written."""
    (status,) = [action.status for action in decision.actions if isinstance(action, WriteStatus)]
    (entry,) = [c for c in status["conditions"] if c["type"] == "Ready"]
    return entry["status"], entry.get("reason", "")
