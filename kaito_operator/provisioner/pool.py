"""Agent pools: the request that makes one for a claim, whose a pool is, and how it stands.

The request is a function of claim and cluster alone, so that sending it again, from any process, says the
same to the byte.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kaito_operator.api import labels
from kaito_operator.api.machine import Taint
from kaito_operator.provisioner import names
from kaito_operator.provisioner.claims import Claim
from kaito_operator.provisioner.faults import AzureError
from kaito_operator.provisioner.requirements import LaunchPlan

# Linux pool names: a letter, then letters and digits, 12 in all. Source: AKS naming rules.
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,11}")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_PROVIDER_ID: Final = re.compile(
    r"azure:///subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Compute"
    r"/virtualMachineScaleSets/(?P<set>[^/]+)/virtualMachines/[^/]+",
    re.IGNORECASE,
)
# AKS refuses node labels and taints of these domains, and sets the single ones itself.
_RESERVED_DOMAINS: Final = ("kubernetes.azure.com", "kubernetes.io", "k8s.io")
_RESERVED_LABELS: Final = frozenset(
    {names.LABEL_AGENT_POOL, labels.LABEL_ACCELERATOR, "storageprofile", "storagetier"}
)
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_OS_SKUS: Final = {"azurelinux": "AzureLinux"}


@dataclass(frozen=True)
class Identity:
    """The cluster that this provisioner fills, as it marks its pools.

    Attributes:
        cluster: subscription, resource group and name of the managed cluster.
        location: its region, or an empty text.
    """

    cluster: str
    location: str = ""


@dataclass(frozen=True)
class Pool:
    """One agent pool as Azure tells of it.

    Attributes:
        state: provisioningState, such as Creating, Succeeded, Failed, Deleting.
        error: why it failed, where Azure says so.
        operation: address of the operation that makes it, or an empty text; answers to a PUT have it.
    """

    name: str
    state: str
    vm_size: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    error: AzureError | None = None
    image_version: str = ""
    operation: str = ""

    @property
    def is_deleting(self) -> bool:
        """It is on its way out; a second DELETE says nothing new."""
        return "deleting" in self.state.lower()

    @property
    def is_failed(self) -> bool:
        """It will not become usable by waiting."""
        return self.state.lower() in ("failed", "canceled")

    @property
    def is_settled(self) -> bool:
        """It stands as asked for."""
        return self.state.lower() == "succeeded"

    def is_ours(self, identity: Identity) -> bool:
        """Made by this provisioner for this cluster."""
        tags = self.tags
        return (tags.get(names.TAG_MANAGER), tags.get(names.TAG_CLUSTER)) == (names.MANAGER, identity.cluster)


def pool_name(claim: Claim) -> str:
    """Name of the pool of a claim; see `name_for`."""
    return name_for(claim.name, claim.uid)


def name_for(claim_name: str, claim_uid: str) -> str:
    """The claim's own name where Azure takes it, else `ws` and ten base-36 digits of its uid's hash."""
    if _NAME.fullmatch(claim_name):
        return claim_name
    number = int.from_bytes(hashlib.sha256(claim_uid.encode()).digest()[:8], "big")
    digits = ""
    for _ in range(10):
        number, rest = divmod(number, 36)
        digits += _BASE36[rest]
    return f"ws{digits}"


def belongs_to(pool: Pool, claim: Claim, identity: Identity) -> bool:
    """The pool was made for this very claim.

    Also one without any mark whose node the claim's status already names: another provisioner made it for
    this claim before us, as an upgraded cluster has them.
    """
    if pool.is_ours(identity):
        return pool.tags.get(names.TAG_CLAIM_UID) == claim.uid
    unmarked = names.TAG_MANAGER not in pool.tags
    return unmarked and pool_of_provider_id(claim.status.provider_id) == pool.name


def pool_of_provider_id(provider_id: str) -> str:
    """Name of the pool that a VM of this id belongs to; empty for an id of another form."""
    match = _PROVIDER_ID.fullmatch(provider_id)
    parts = match["set"].split("-") if match else []
    return parts[1] if len(parts) > 2 and parts[0] == "aks" else ""


def pool_body(claim: Claim, plan: LaunchPlan, identity: Identity) -> dict[str, Any]:
    """The body of the PUT, with Azure's own field names.

    upgradeSettings: a pool of one paid GPU node is upgraded in place, since a surge node would need quota
    that is rarely there.
    """
    properties: dict[str, Any] = {
        "count": 1,
        "mode": "User",
        "type": "VirtualMachineScaleSets",
        "vmSize": plan.vm_size,
        "osType": "Linux",
        "osSKU": _OS_SKUS.get(claim.annotations.get(names.ANNOTATION_IMAGE_FAMILY, "").lower(), "Ubuntu"),
        "nodeLabels": node_labels(claim, plan),
        "nodeTaints": [taint_text(t) for t in claim.spec.taints if not is_reserved(t.key)],
        "tags": _tags(claim, identity),
        "upgradeSettings": {"maxSurge": "0", "maxUnavailable": "1"},
    }
    if plan.disk_gib is not None:
        properties["osDiskSizeGB"] = plan.disk_gib
    if plan.zones:
        properties["availabilityZones"] = list(plan.zones)
    if plan.spot:
        # -1: up to the on-demand price; never evicted for its price, only for capacity.
        properties |= {"scaleSetPriority": "Spot", "scaleSetEvictionPolicy": "Delete", "spotMaxPrice": -1.0}
    return {"properties": properties}


def node_labels(claim: Claim, plan: LaunchPlan) -> dict[str, str]:
    """Labels that AKS is asked to put on the node, sorted; what it would refuse is left to registration."""
    marker = labels.LABEL_PROVISIONER_NAME if claim.is_machine else labels.LABEL_NODEPOOL
    wanted = {marker: "default" if claim.is_machine else "kaito"}
    wanted |= plan.labels
    wanted |= claim.labels
    if plan.gpu is not None:
        wanted[labels.LABEL_MACHINE_TYPE] = "gpu" if plan.gpu else "cpu"
    if claim.created and not claim.is_machine:
        wanted[names.LABEL_CREATION_TIMESTAMP] = claim.created.strftime("%Y-%m-%dT%H-%M-%SZ")
    wanted[names.LABEL_CLAIM_UID] = claim.uid
    return {k: v for k, v in sorted(wanted.items()) if not is_reserved(k) and _LABEL_VALUE.fullmatch(v)}


def is_reserved(key: str) -> bool:
    """AKS refuses a label or a taint of this key in a request."""
    domain, slash, _ = key.rpartition("/")
    if not slash:
        return key in _RESERVED_LABELS
    return any(domain == reserved or domain.endswith(f".{reserved}") for reserved in _RESERVED_DOMAINS)


def taint_text(taint: Taint) -> str:
    """A taint as AKS writes it: key=value:Effect, or key:Effect without a value."""
    return f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"


def _tags(claim: Claim, identity: Identity) -> dict[str, str]:
    return {
        names.TAG_CLAIM_KIND: claim.kind,
        names.TAG_CLAIM_NAME: claim.name,
        names.TAG_CLAIM_UID: claim.uid,
        names.TAG_CLUSTER: identity.cluster,
        names.TAG_MANAGER: names.MANAGER,
    }
