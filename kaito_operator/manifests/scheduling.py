"""Where pods may run: affinity from the Workspace's labels, tolerations for GPU taints."""

from collections.abc import Sequence

from kaito_operator.api import labels
from kaito_operator.api.workspace import ResourceSpec
from kaito_operator.manifests.ownership import Obj

# What v0.3.0 tolerates: NVIDIA's own taint, and the one that gpu-provisioner puts on its nodes.
TOLERATIONS: tuple[Obj, ...] = (
    {"key": labels.RESOURCE_GPU, "operator": "Exists", "effect": "NoSchedule"},
    {"key": labels.TAINT_SKU, "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
)


def node_terms(resource: ResourceSpec) -> list[Obj]:
    """Required node selector terms, never empty, so that no other autoscaler buys a node for these pods.

    A node without an instance type label fits any type, as in v0.3.0: such nodes are brought by hand.
    """
    selector = resource.label_selector.as_labels() if resource.label_selector else {}
    wanted = [_in(key, value) for key, value in sorted(selector.items())]
    wanted = wanted or [_in(labels.LABEL_OS, "linux")]
    if resource.instance_type is None:
        return [{"matchExpressions": wanted}]
    typed = _in(labels.LABEL_INSTANCE_TYPE, resource.instance_type)
    untyped = {"key": labels.LABEL_INSTANCE_TYPE, "operator": "DoesNotExist"}
    return [{"matchExpressions": [*wanted, typed]}, {"matchExpressions": [*wanted, untyped]}]


def affinity(resource: ResourceSpec, name: str) -> Obj:
    """Required nodes, preferred nodes first, replicas apart where they can be."""
    node_affinity: Obj = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": node_terms(resource)}
    }
    if resource.preferred_nodes:
        node_affinity["preferredDuringSchedulingIgnoredDuringExecution"] = _preferences(
            resource.preferred_nodes
        )
    return {"nodeAffinity": node_affinity, "podAntiAffinity": _apart(name)}


def _in(key: str, value: str) -> Obj:
    return {"key": key, "operator": "In", "values": [value]}


def _preferences(nodes: Sequence[str]) -> list[Obj]:
    # By field, since a node's hostname label may differ from its name.
    return [
        {
            "weight": 100,
            "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
        }
        for node in nodes
    ]


def _apart(name: str) -> Obj:
    term = {
        "labelSelector": {"matchLabels": {labels.LABEL_WORKSPACE: name}},
        "topologyKey": labels.LABEL_HOSTNAME,
    }
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 50, "podAffinityTerm": term}]}
