"""Agent pools of the simulated cloud: what they are, how they are written, and the nodes they bring."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tools.localcluster import Taint
from tools.localcluster.nodespec import parse_taints

Json = dict[str, Any]


@dataclass(frozen=True)
class Home:
    """The cluster that pools belong to.

    Attributes:
        subscription: a GUID.
        resource_group: of the cluster.
        cluster: its name.
        location: the region.
    """

    subscription: str
    resource_group: str
    cluster: str
    location: str

    @property
    def path(self) -> str:
        """The cluster's resource id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.ContainerService/managedClusters/{self.cluster}"
        )

    @property
    def node_group(self) -> str:
        """The resource group that the service makes for the VMs."""
        return f"MC_{self.resource_group}_{self.cluster}_{self.location}"

    @property
    def digits(self) -> str:
        """Eight digits that are in the names of all VMs of this cluster."""
        return str(int(hashlib.sha256(self.path.encode()).hexdigest(), 16))[:8]


@dataclass
class SimNode:
    """One VM of a pool.

    Attributes:
        name: of the Node.
        provider_id: its spec.providerID.
        joined: it has been handed to the node booter.
        image: the node image it has; counts the pool's upgrades.
        alive: False once its kubelet has died.
    """

    name: str
    provider_id: str
    image: int = 0
    joined: bool = False
    alive: bool = True


@dataclass
class Pool:
    """One agent pool.

    Attributes:
        name: at most 12 letters and digits.
        home: the cluster.
        properties: as they were PUT, by wire names.
        gpus, vcpus, memory_gib: of each VM.
        state: provisioningState, such as Creating, Succeeded, Failed, Deleting.
        nodes: VMs of now.
        booted: VMs so far; each gets a number of its own.
        revision: counts changes, and is the ETag.
        image: counts upgrades of the node image.
        operation: id of the last operation.
    """

    name: str
    home: Home
    properties: Json
    gpus: int = 0
    vcpus: int = 4
    memory_gib: float = 16
    state: str = "Creating"
    nodes: list[SimNode] = field(default_factory=list)
    booted: int = 0
    revision: int = 1
    image: int = 0
    operation: str = ""

    @property
    def vm_size(self) -> str:
        """The VM size, such as it was asked for."""
        return str(self.properties["vmSize"])

    @property
    def count(self) -> int:
        """VMs that it is to have."""
        return int(self.properties.get("count", 1))

    @property
    def spot(self) -> bool:
        """Its VMs can be taken back at any time."""
        return self.properties.get("scaleSetPriority") == "Spot"

    @property
    def image_version(self) -> str:
        """The node image; changes with an upgrade."""
        return f"AKSUbuntu-2204gen2containerd-2026{self.image + 1:02}.01.0"

    @property
    def etag(self) -> str:
        """Changes with each change of the pool."""
        return f'"{self.revision:08x}"'

    def labels(self) -> dict[str, str]:
        """Labels of its nodes: the pool's, and those that the service sets on every node."""
        own: Mapping[str, str] = self.properties.get("nodeLabels") or {}
        return {**own, **self._service_labels()}

    def _service_labels(self) -> dict[str, str]:
        labels = {
            "agentpool": self.name,
            "kubernetes.azure.com/agentpool": self.name,
            "kubernetes.azure.com/cluster": self.home.node_group,
            "kubernetes.azure.com/mode": str(self.properties.get("mode", "User")).lower(),
            "kubernetes.azure.com/node-image-version": self.image_version,
            "kubernetes.azure.com/os-sku": str(self.properties.get("osSKU", "Ubuntu")),
            "kubernetes.azure.com/role": "agent",
            "node.kubernetes.io/instance-type": self.vm_size,
            "topology.kubernetes.io/region": self.home.location,
            "topology.kubernetes.io/zone": self._zone(),
        }
        if self.gpus:
            labels["kubernetes.azure.com/accelerator"] = "nvidia"
        if self.spot:
            labels["kubernetes.azure.com/scalesetpriority"] = "spot"
        return labels

    def _zone(self) -> str:
        zones = self.properties.get("availabilityZones") or []
        return f"{self.home.location}-{zones[0]}" if zones else "0"

    def taints(self) -> tuple[Taint, ...]:
        """Taints of its nodes."""
        own = parse_taints(",".join(self.properties.get("nodeTaints") or []))
        spot = Taint("kubernetes.azure.com/scalesetpriority", "spot", "NoSchedule")
        return (*own, spot) if self.spot else own

    def new_node(self) -> SimNode:
        """Add a VM with the next number."""
        number = self.booted
        self.booted += 1
        scale_set = f"aks-{self.name}-{self.home.digits}-vmss"
        provider_id = (
            f"azure:///subscriptions/{self.home.subscription}/resourceGroups/{self.home.node_group}"
            f"/providers/Microsoft.Compute/virtualMachineScaleSets/{scale_set}/virtualMachines/{number}"
        )
        node = SimNode(f"{scale_set}{number:06}", provider_id, self.image)
        self.nodes.append(node)
        return node

    def resource(self) -> Json:
        """Write it as the service answers it."""
        defaults = {"count": 1, "mode": "User", "osType": "Linux", "type": "VirtualMachineScaleSets"}
        read_only = {
            "provisioningState": self.state,
            "powerState": {"code": "Running"},
            "nodeImageVersion": self.image_version,
            "eTag": self.etag,
        }
        return {
            "id": f"{self.home.path}/agentPools/{self.name}",
            "name": self.name,
            "type": "Microsoft.ContainerService/managedClusters/agentPools",
            "properties": {**defaults, **self.properties, **read_only},
        }

    def snapshot(self) -> "Pool":
        """Copy it, for whoever reads it in another thread."""
        return copy.deepcopy(self)

    def to_dict(self) -> Json:
        """Write it for the state file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Json) -> "Pool":
        """Read what to_dict wrote."""
        nodes = [SimNode(**node) for node in content["nodes"]]
        return cls(**{**content, "home": Home(**content["home"]), "nodes": nodes})
