"""Names that other programs see: group, labels, annotations, finalizer, field manager.

Those of KAITO v0.3.0 keep their spelling, because users select on them and stored objects carry them.
"""

from typing import Final

GROUP: Final = "kaito.sh"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "Workspace"
LIST_KIND: Final = "WorkspaceList"
PLURAL: Final = "workspaces"
SINGULAR: Final = "workspace"
SHORT_NAMES: Final = ("wk", "wks")
CATEGORY: Final = "workspace"

FIELD_MANAGER: Final = "kaito-operator"
"""Owner of the fields that the operator writes by server-side apply."""

FINALIZER: Final = "workspace.finalizer.kaito.sh"

# On pods, claims and nodes.
LABEL_WORKSPACE: Final = "kaito.sh/workspace"
LABEL_WORKSPACE_NAMESPACE: Final = "kaito.sh/workspacenamespace"
LABEL_MACHINE_TYPE: Final = "kaito.sh/machine-type"

# On every object that the operator writes.
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"

# On a Workspace, written by the user.
ANNOTATION_ENABLE_LB: Final = "kaito.sh/enablelb"
"""Value "True" (this spelling): the Service is a LoadBalancer; else a ClusterIP."""
ANNOTATION_ABANDON_CLAIMS: Final = "kaito.sh/abandon-claims"
"""Present: deletion no longer waits for the claims, whose VMs may go on costing money."""

# On children, written by the operator.
ANNOTATION_APPLIED_HASH: Final = "kaito.sh/applied-hash"
"""Hash of the object as it was last applied; equal means that there is nothing to write."""
ANNOTATION_WEIGHTS_FROM: Final = "kaito.sh/weights-from"
"""How the weights reach the pods, decided when the workload was first made."""
ANNOTATION_EXISTING_NODES: Final = "kaito.sh/existing-nodes"
"""On the workload: whether its pods may use nodes that were there before, decided when it was first made."""
ANNOTATION_ADAPTERS_IN_POD: Final = "kaito.sh/adapters-in-pod"
"""On the workload: adapters that its pods bring themselves, as a JSON list of names. Only the kubelet may
pull them, or the engine takes them at its start only; once in, an adapter stays in until it is removed."""
ANNOTATION_ADAPTERS_GIVEN_UP: Final = "kaito.sh/adapters-given-up"
"""On the workload: adapters with which a pod could not start, as a JSON object of names and hashes of their
image and pull secrets. They are kept out of the pods until one of these changes."""
ANNOTATION_ADAPTERS: Final = "kaito.sh/adapters"
"""On a pod: the list of adapters that it was told of. The kubelet brings a changed ConfigMap into a pod at
once when the pod changes too, and else within a minute."""
ANNOTATION_WORKSPACE_UID: Final = "kaito.sh/workspace-uid"
"""On a claim: the Workspace that it was made for. A claim is cluster-scoped and so can have no owner."""
ANNOTATION_TEMPLATE_HASH: Final = "kaito.sh/template-hash"
"""Hash of what a pod is made from, on the pod template; a change rolls the workload."""

# Of Kubernetes and of other controllers, read from nodes and written to claims.
LABEL_INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"
LABEL_ARCH: Final = "kubernetes.io/arch"
LABEL_OS: Final = "kubernetes.io/os"
LABEL_HOSTNAME: Final = "kubernetes.io/hostname"
LABEL_ACCELERATOR: Final = "accelerator"
LABEL_PROVISIONER_NAME: Final = "karpenter.sh/provisioner-name"
LABEL_NODEPOOL: Final = "karpenter.sh/nodepool"
ANNOTATION_DO_NOT_DISRUPT: Final = "karpenter.sh/do-not-disrupt"
LABEL_POD_NAME: Final = "statefulset.kubernetes.io/pod-name"
PROVISIONER: Final = "default"
"""Value of karpenter.sh/provisioner-name on Machines, as KAITO writes it."""
NODEPOOL: Final = "kaito"
"""Value of karpenter.sh/nodepool on NodeClaims: no such pool exists, so Karpenter scales none for it."""
RESOURCE_GPU: Final = "nvidia.com/gpu"
TAINT_SKU: Final = "sku"
"""Key of the taint on GPU nodes; its value is "gpu", its effect NoSchedule."""
