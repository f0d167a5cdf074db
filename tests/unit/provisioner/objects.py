"""Claims and nodes as the API server gives them, small."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kaito_operator.provisioner.claims import Claim, read_claim

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CLUSTER = "11111111-2222-3333-4444-555555555555/sim/sim"
Obj = dict[str, Any]


def at(seconds: float) -> str:
    """The moment so many seconds after START, as the API server writes it."""
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def one_of(key: str, *values: str) -> Obj:
    return {"key": key, "operator": "In", "values": list(values)}


def a_machine(
    name: str = "ws0123abcde", *, uid: str = "", size: str = "Standard_NC24ads_A100_v4", **spec: Any
) -> Obj:
    """A Machine as KAITO v0.3.0 writes it (reference/provisioner.md 6.1)."""
    return {
        "apiVersion": "karpenter.sh/v1alpha5",
        "kind": "Machine",
        "metadata": {
            "name": name,
            "uid": uid or f"uid-{name}",
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": at(0),
            "labels": {
                "karpenter.sh/provisioner-name": "default",
                "kaito.sh/workspace": "workspace-falcon-7b",
                "kaito.sh/workspacenamespace": "default",
                "apps": "falcon-7b",
            },
        },
        "spec": {
            "machineTemplateRef": {"name": name},
            "requirements": [
                one_of("node.kubernetes.io/instance-type", size),
                one_of("karpenter.sh/provisioner-name", "default"),
                one_of("kaito.sh/machine-type", "gpu"),
                one_of("kubernetes.io/arch", "amd64"),
                one_of("kubernetes.io/os", "linux"),
            ],
            "taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
            "resources": {"requests": {"storage": "50Gi"}},
            **spec,
        },
    }


def a_node_claim(name: str = "ws0123abcde", *, uid: str = "", **spec: Any) -> Obj:
    """A NodeClaim as KAITO's HEAD writes it (reference/provisioner.md 6.1)."""
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": name,
            "uid": uid or f"uid-{name}",
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": at(0),
            "labels": {
                "karpenter.sh/nodepool": "kaito",
                "kaito.sh/workspace": "workspace-falcon-7b",
                "kaito.sh/workspacenamespace": "default",
                "apps": "falcon-7b",
            },
            "annotations": {
                "karpenter.sh/do-not-disrupt": "true",
                "kaito.sh/node-image-family": "azurelinux",
            },
        },
        "spec": {
            "nodeClassRef": {"group": "kaito.sh", "kind": "KaitoNodeClass", "name": "default"},
            "requirements": [
                one_of("karpenter.sh/nodepool", "kaito"),
                one_of("node.kubernetes.io/instance-type", "Standard_NC24ads_A100_v4"),
                one_of("kubernetes.io/os", "linux"),
                one_of("karpenter.azure.com/sku-name", "Standard_NC24ads_A100_v4"),
            ],
            "taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
            "resources": {"requests": {"storage": "1024Gi"}},
            "expireAfter": "Never",
            **spec,
        },
    }


def provider_id(pool: str, number: int = 0) -> str:
    return (
        "azure:///subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/mc_sim_sim_eastus"
        f"/providers/Microsoft.Compute/virtualMachineScaleSets/aks-{pool}-12345678-vmss/virtualMachines/{number}"
    )


def a_node(pool: str, number: int = 0, *, ready: bool = True, created: float = 0, **metadata: Any) -> Obj:
    name = f"aks-{pool}-12345678-vmss{number:06d}"
    labels = {
        "agentpool": pool,
        "kubernetes.azure.com/agentpool": pool,
        "kubernetes.io/os": "linux",
        **metadata.pop("labels", {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}-{created:g}",
            "resourceVersion": "1",
            "creationTimestamp": at(created),
            "labels": labels,
            **metadata,
        },
        "spec": {
            "providerID": provider_id(pool, number),
            "taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
        },
        "status": {
            "conditions": [readiness(ready, created)],
            "capacity": {"cpu": "24", "memory": "220Gi"},
            "allocatable": {"cpu": "23", "memory": "210Gi"},
        },
    }


def readiness(ready: bool, since: float = 0) -> Obj:
    return {
        "type": "Ready",
        "status": "True" if ready else "Unknown",
        "reason": "KubeletReady" if ready else "NodeStatusUnknown",
        "message": "" if ready else "Kubelet stopped posting node status.",
        "lastTransitionTime": at(since),
    }


def parsed(obj: Obj) -> Claim:
    return read_claim(obj)
