"""The ground of a run: what has to be in the cluster before, and what has to be gone after."""

from tools.bench.client import MERGE, Client, Json
from tools.bench.errors import BenchError
from tools.bench.paths import (
    CHECKOUT,
    DEPLOYMENTS,
    MACHINES,
    NAMESPACE,
    NODES,
    OURS,
    PODS,
    SERVICES,
    WORKSPACES,
)
from tools.bench.rights import manifests
from tools.kubectl import Kubectl

MACHINE_CRD = CHECKOUT / "deploy" / "gpu-provisioner" / "karpenter.sh_machines.yaml"
NO_FINALIZERS = {"metadata": {"finalizers": None}}


def check(kubectl: Kubectl) -> None:
    """Refuse a cluster in which another operator would serve the run's Workspaces.

    Raises:
        BenchError: naming it.
    """
    found = kubectl.get("deployments", "--all-namespaces")["items"]
    others = [
        f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in found
        if item["metadata"]["name"] in {"kaito-operator", "gpu-provisioner"}
    ]
    if others:
        raise BenchError(
            f"{', '.join(others)} would serve the benchmark's Workspaces too: remove it (make demo-down)."
        )


def prepare(kubectl: Kubectl) -> bool:
    """Install the definitions, the namespace and the rights. Returns True when Machine is new here."""
    is_new = not kubectl.run("get", "crd", "machines.karpenter.sh", "--ignore-not-found")
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", str(CHECKOUT / "crds"))
    kubectl.run("apply", "--server-side", "--force-conflicts", "-f", str(MACHINE_CRD))
    crds = "crd/workspaces.kaito.sh", "crd/machines.karpenter.sh"
    kubectl.run("wait", "--for=condition=Established", *crds, "--timeout=30s")
    kubectl.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifests())
    return is_new


async def left(client: Client) -> list[str]:
    """Name what a run should have taken away: Workspaces and all that was made for them."""
    found: dict[str, list[Json]] = {
        "Workspace": await client.items(WORKSPACES),
        "Machine": await client.items(MACHINES, labelSelector=OURS),
        "Node": await client.items(NODES, labelSelector=OURS),
        "Deployment": await client.items(DEPLOYMENTS),
        "Service": await client.items(SERVICES),
        "Pod": await client.items(PODS),
    }
    return [f"{kind} {item['metadata']['name']}" for kind, items in found.items() for item in items]


async def clear(client: Client, kubectl: Kubectl, *, drop_machines: bool) -> None:
    """Take away everything of a run, whatever state it is in; nobody serves finalizers any more.

    Args:
        client: may do everything.
        kubectl: likewise.
        drop_machines: remove the definition of Machine too.
    """
    selected = {"labelSelector": OURS}
    for path, query in ((WORKSPACES, {}), (MACHINES, selected), (NODES, selected)):
        for item in await client.items(path, **query):
            one = f"{path}/{item['metadata']['name']}"
            await client.patch(one, NO_FINALIZERS, MERGE)
            await client.delete(one)
    kubectl.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
    kubectl.run("delete", "pods", "-n", NAMESPACE, "--all", "--force", "--ignore-not-found", "--wait=false")
    kubectl.run("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=100s")
    roles = "clusterroles,clusterrolebindings", "-l", f"app.kubernetes.io/part-of={NAMESPACE}"
    kubectl.run("delete", *roles, "--ignore-not-found")
    if drop_machines:
        kubectl.run("delete", "crd", "machines.karpenter.sh", "--ignore-not-found")
