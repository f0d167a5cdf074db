"""Workspaces whose claims are made, and what their provisioner makes of them."""

from typing import Any

from kaito_operator.api.meta import ObjectMeta
from kaito_operator.manifests.claims import claim_name
from tests.support.objects import a_pod
from tests.support.world import World, with_nodes_added

OWNER = ObjectMeta(name="ws", namespace="ns", uid="ws-uid")


def name(ordinal: int = 0, attempt: int = 0) -> str:
    return claim_name(OWNER, ordinal, attempt)


def asked(**more: Any) -> World:
    """A world that has come to rest with its claims made."""
    world = with_nodes_added(**more)
    world.settle()
    return world


def joined(count: int = 1, **more: Any) -> World:
    """A world whose nodes have all joined, with a pod on each."""
    world = asked(count=count, **more)
    for found in world.names:
        world.join(found, gpus=1)
    world.pods = [
        a_pod(f"ws-{n}", node=f"node-{found}", ready=True, template_hash=world.template_hash)
        for n, found in enumerate(world.names)
    ]
    world.settle()
    return world


def fail(world: World, found: str, reason: str = "AzureNoCapacity") -> None:
    world.say(found, 0, reason=reason, message="none left", final=True)
