"""When a node that stays unready may have its claim deleted. Off unless NODE_REPAIR says otherwise."""

from collections.abc import Sequence

from kaito_operator.provisioner.nodes import Node

_MANY = 0.2


def may_repair(nodes: Sequence[Node], claims_going: int) -> bool:
    """One repair at a time, and none while many nodes are unwell: then the fault is not a node's.

    Args:
        nodes: all registered nodes of ours.
        claims_going: claims that are being deleted now, for whatever reason.
    """
    unwell = sum(not node.ready for node in nodes)
    return claims_going == 0 and (unwell == 1 or unwell <= _MANY * len(nodes))
