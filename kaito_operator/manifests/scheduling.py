"""Where pods may run: affinity from the Workspace's labels, tolerations for GPU taints."""

from collections.abc import Sequence
from dataclasses import dataclass

from kaito_operator.api import labels
from kaito_operator.api.workspace import ResourceSpec, Workspace
from kaito_operator.manifests.ownership import Obj

# What v0.3.0 tolerates: NVIDIA's own taint, and the one that gpu-provisioner puts on its nodes.
TOLERATIONS: tuple[Obj, ...] = (
    {"key": labels.RESOURCE_GPU, "operator": "Exists", "effect": "NoSchedule"},
    {"key": labels.TAINT_SKU, "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
)


@dataclass(frozen=True)
class NodeSource:
    """Which nodes a Workspace's pods may use; at least one of the two.

    Attributes:
        claimed: nodes that are added for this Workspace.
        existing: nodes that are there and match the user's labels and instance type.
    """

    claimed: bool
    existing: bool


EXISTING_ONLY = NodeSource(claimed=False, existing=True)


def node_terms(workspace: Workspace, source: NodeSource) -> list[Obj]:
    """Required node selector terms, never empty, so that no other autoscaler buys a node for these pods."""
    terms: list[Obj] = []
    if source.claimed:
        metadata = workspace.metadata
        ours = (
            _in(labels.LABEL_WORKSPACE, metadata.name),
            _in(labels.LABEL_WORKSPACE_NAMESPACE, metadata.namespace),
        )
        terms.append({"matchExpressions": list(ours)})
    if source.existing:
        terms += _existing(workspace.resource or ResourceSpec(), beside_claims=source.claimed)
    return terms


def _existing(resource: ResourceSpec, *, beside_claims: bool) -> list[Obj]:
    """Terms for nodes that are there. One without an instance type label fits any type, as in v0.3.0."""
    selector = resource.label_selector.as_labels() if resource.label_selector else {}
    wanted = [_in(key, value) for key, value in sorted(selector.items())]
    wanted = wanted or [_in(labels.LABEL_OS, "linux")]
    if beside_claims:
        # Another Workspace with the same labels has nodes of its own, which go when it goes.
        wanted.append({"key": labels.LABEL_WORKSPACE, "operator": "DoesNotExist"})
    if resource.instance_type is None:
        return [{"matchExpressions": wanted}]
    typed = _in(labels.LABEL_INSTANCE_TYPE, resource.instance_type)
    untyped = {"key": labels.LABEL_INSTANCE_TYPE, "operator": "DoesNotExist"}
    return [{"matchExpressions": [*wanted, typed]}, {"matchExpressions": [*wanted, untyped]}]


def affinity(workspace: Workspace, source: NodeSource) -> Obj:
    """Required nodes, preferred nodes first, replicas apart where they can be."""
    preferred = workspace.resource.preferred_nodes if workspace.resource else []
    node_affinity: Obj = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": node_terms(workspace, source)}
    }
    if preferred:
        node_affinity["preferredDuringSchedulingIgnoredDuringExecution"] = _preferences(preferred)
    return {"nodeAffinity": node_affinity, "podAntiAffinity": _apart(workspace.metadata.name)}


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
