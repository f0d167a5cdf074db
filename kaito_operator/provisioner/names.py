"""Names that other programs see, or that this one must find again after a restart."""

from typing import Final

# On claims.
ANNOTATION_LAUNCH_BEGAN: Final = "kaito.sh/launch-began"
"""When this provisioner took the claim up, RFC 3339; the launch budget counts from here."""
ANNOTATION_LINKED: Final = "karpenter.sh/linked"
ANNOTATION_IMAGE_FAMILY: Final = "kaito.sh/node-image-family"
LABEL_RAGENGINE: Final = "kaito.sh/ragengine"
NODE_CLASS_GROUP: Final = "kaito.sh"
NODE_CLASS_KIND: Final = "KaitoNodeClass"

# On claims and nodes, of Karpenter.
LABEL_CAPACITY_TYPE: Final = "karpenter.sh/capacity-type"
LABEL_REGISTERED: Final = "karpenter.sh/registered"
LABEL_INITIALIZED: Final = "karpenter.sh/initialized"
LABEL_DO_NOT_SYNC_TAINTS: Final = "karpenter.sh/do-not-sync-taints"
TAINT_UNREGISTERED: Final = "karpenter.sh/unregistered"
TAINT_DISRUPTED: Final = "karpenter.sh/disrupted"
LABEL_EXCLUDE_FROM_LB: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
ANNOTATION_NO_REPAIR: Final = "kaito.sh/do-not-repair"
"""On a claim or its Node: the claim is never deleted because the node is not ready."""

# Of AKS, on nodes.
LABEL_AGENT_POOL: Final = "agentpool"
LABEL_AKS_AGENT_POOL: Final = "kubernetes.azure.com/agentpool"
LABEL_ZONE: Final = "topology.kubernetes.io/zone"
LABEL_REGION: Final = "topology.kubernetes.io/region"
LABEL_SKU_NAME: Final = "karpenter.azure.com/sku-name"

# On pools and, through them, on nodes.
LABEL_CLAIM_UID: Final = "kaito.sh/claim-uid"
"""Marks a node of a pool of ours; the value is the uid of the claim that it was made for."""
LABEL_CREATION_TIMESTAMP: Final = "kaito.sh/creation-timestamp"

# Tags of a pool: what says whose it is. Azure forbids < > % & \ ? / in their names.
TAG_MANAGER: Final = "kaito-manager"
TAG_CLUSTER: Final = "kaito-cluster"
TAG_CLAIM_UID: Final = "kaito-claim-uid"
TAG_CLAIM_NAME: Final = "kaito-claim-name"
TAG_CLAIM_KIND: Final = "kaito-claim-kind"
MANAGER: Final = "kaito-gpu-provisioner"

MOST_POOLS: Final = 100
"""Agent pools that Azure allows in one cluster. Source: AKS quotas and limits."""
