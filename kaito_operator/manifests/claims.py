"""Claims for nodes: Machine (v1alpha5) or NodeClaim (v1), such as KAITO writes them.

So any server of KAITO's claims can serve them: our gpu-provisioner, the original one, or Karpenter.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from kaito_operator.api import labels
from kaito_operator.api.machine import (
    MACHINE_KIND,
    MACHINE_PLURAL,
    NODE_CLAIM_KIND,
    NODE_CLAIM_PLURAL,
    ClaimResources,
    Machine,
    MachineSpec,
    MachineTemplateRef,
    NodeClaim,
    NodeClaimSpec,
    NodeClassRef,
    Requirement,
    Taint,
)
from kaito_operator.api.meta import ObjectMeta
from kaito_operator.api.quantities import GIB, format_bytes
from kaito_operator.api.workspace import ResourceSpec, Workspace
from kaito_operator.manifests.ownership import Obj
from kaito_operator.settings import NodeClass, Provisioning, RuntimeSettings

UNPLANNED_DISK_BYTES: Final = 128 * GIB
"""Of a node for a template, of whose needs nothing is known. A choice: AKS's own default system disk."""

KARPENTER_GROUP_PREFIX: Final = "karpenter."
"""Node classes of these groups are served by Karpenter itself, which knows no `storage` of a node."""

KINDS: Final[dict[Provisioning, tuple[str, str]]] = {
    "machine": (MACHINE_KIND, MACHINE_PLURAL),
    "nodeclaim": (NODE_CLAIM_KIND, NODE_CLAIM_PLURAL),
}
"""Kind and plural of the claims in each mode that makes any."""


@dataclass(frozen=True)
class NodeNeed:
    """What one node is to be.

    Attributes:
        gpus: that the type offers; 0 for a CPU type. None is not known, and taken for some.
        disk_bytes: for images and weights; 0 is not known.
    """

    instance_type: str
    gpus: int | None
    disk_bytes: int

    @property
    def has_gpus(self) -> bool:
        """Whether the node gets what GPU nodes get."""
        return self.gpus is None or self.gpus > 0


def claim_name(owner: ObjectMeta, ordinal: int, attempt: int) -> str:
    """`ws` and 9 hex of sha256(namespace/name/uid/ordinal/attempt).

    11 characters of [a-z0-9] that begin with a letter: also the name of an AKS agent pool.
    """
    text = f"{owner.namespace}/{owner.name}/{owner.uid}/{ordinal}/{attempt}"
    return f"ws{hashlib.sha256(text.encode()).hexdigest()[:9]}"


def claim(workspace: Workspace, name: str, need: NodeNeed, runtime: RuntimeSettings) -> Obj:
    """The object to create."""
    if runtime.provisioning == "nodeclaim":
        return _node_claim(workspace, name, need, runtime.node_class).to_manifest()
    return _machine(workspace, name, need).to_manifest()


def _labels(workspace: Workspace, need: NodeNeed, pool: tuple[str, str]) -> dict[str, str]:
    """The user's labels, then ours: a selector of the user's must not turn a claim into another's."""
    resource = workspace.resource or ResourceSpec()
    own = resource.label_selector.as_labels() if resource.label_selector else {}
    accelerator = {labels.LABEL_ACCELERATOR: "nvidia"} if need.has_gpus else {}
    return {
        **own,
        **accelerator,
        pool[0]: pool[1],
        labels.LABEL_WORKSPACE: workspace.metadata.name,
        labels.LABEL_WORKSPACE_NAMESPACE: workspace.metadata.namespace,
    }


def _in(key: str, *values: str) -> Requirement:
    return Requirement(key=key, operator="In", values=list(values))


def _storage(need: NodeNeed) -> str:
    return format_bytes(need.disk_bytes or UNPLANNED_DISK_BYTES)


_TAINTS: Final = (Taint(key=labels.TAINT_SKU, value="gpu", effect="NoSchedule"),)


def _machine(workspace: Workspace, name: str, need: NodeNeed) -> Machine:
    pool = (labels.LABEL_PROVISIONER_NAME, labels.PROVISIONER)
    return Machine(
        metadata=ObjectMeta(
            name=name,
            labels=_labels(workspace, need, pool),
            annotations={labels.ANNOTATION_WORKSPACE_UID: workspace.metadata.uid},
        ),
        spec=MachineSpec(
            machine_template_ref=MachineTemplateRef(name=name),
            requirements=[
                _in(labels.LABEL_INSTANCE_TYPE, need.instance_type),
                _in(*pool),
                _in(labels.LABEL_MACHINE_TYPE, "gpu" if need.has_gpus else "cpu"),
                _in(labels.LABEL_ARCH, "amd64"),
                _in(labels.LABEL_OS, "linux"),
            ],
            taints=list(_TAINTS),
            resources=ClaimResources(requests={"storage": _storage(need)}),
        ),
    )


def _node_claim(workspace: Workspace, name: str, need: NodeNeed, node_class: NodeClass) -> NodeClaim:
    pool = (labels.LABEL_NODEPOOL, labels.NODEPOOL)
    karpenter = node_class.group.startswith(KARPENTER_GROUP_PREFIX)
    # Karpenter waits until the node offers each requested resource, and no node offers `storage`.
    disk = "ephemeral-storage" if karpenter else "storage"
    return NodeClaim(
        metadata=ObjectMeta(
            name=name,
            labels=_labels(workspace, need, pool),
            annotations={
                labels.ANNOTATION_WORKSPACE_UID: workspace.metadata.uid,
                labels.ANNOTATION_DO_NOT_DISRUPT: "true",
            },
        ),
        spec=NodeClaimSpec(
            node_class_ref=NodeClassRef(group=node_class.group, kind=node_class.kind, name=node_class.name),
            requirements=[
                _in(*pool),
                _in(labels.LABEL_INSTANCE_TYPE, need.instance_type),
                _in(labels.LABEL_OS, "linux"),
            ],
            taints=list(_TAINTS),
            resources=ClaimResources(requests={disk: _storage(need)}),
            expire_after="Never" if karpenter else None,
        ),
    )
