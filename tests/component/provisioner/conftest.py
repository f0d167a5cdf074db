"""The provisioner as a process, an API server and the simulated cloud, all on loopback."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.component.provisioner.apiserver import ApiServer
from tests.support.kube import condition, eventually
from tests.support.operator import ProvisionerProcess
from tools.simcloud import Pool, SimCloud

Json = dict[str, Any]


@dataclass
class ServerNodes:
    """Boots Node objects into the API server."""

    api: ApiServer
    ready: bool = True

    def boot(self, pool: Pool, node_name: str, provider_id: str) -> None:
        if self.api.find("nodes", node_name) is not None:
            return
        labels = {
            "agentpool": pool.name,
            "kubernetes.azure.com/agentpool": pool.name,
            "kubernetes.io/os": "linux",
            **dict(pool.properties.get("nodeLabels") or {}),
        }
        self.api.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": node_name, "labels": labels},
                "spec": {"providerID": provider_id, "taints": []},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                    "capacity": {"cpu": "24", "nvidia.com/gpu": "1"},
                    "allocatable": {"cpu": "23", "nvidia.com/gpu": "1"},
                },
            }
        )

        self.api.create(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": node_name, "namespace": "kube-node-lease"},
                "spec": {"renewTime": "2999-01-01T00:00:00.000000Z"},
            }
        )

    def remove(self, node_name: str) -> None:
        self.api.delete("leases", node_name, "kube-node-lease")
        if self.api.find("nodes", node_name) is not None:
            self.api.delete("nodes", node_name)

    def kill(self, node_name: str) -> None:
        dead = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "silent"}
        self.api.patch("nodes", node_name, {"status": {"conditions": [dead]}})


@dataclass
class Stage:
    """All three. Tests share one, and tell their claims apart by name, which is the pool's name too."""

    api: ApiServer
    cloud: SimCloud
    provisioner: ProvisionerProcess

    def create(self, claim: Json) -> str:
        """Returns its name."""
        return str(self.api.create(claim)["metadata"]["name"])

    def until_ready(self, plural: str, name: str, status: str = "True", reason: str | None = None) -> Json:
        """Wait until the claim's Ready condition says so."""

        def said() -> bool:
            entry = condition(self.api.find(plural, name), "Ready")
            return entry.get("status") == status and reason in (None, entry.get("reason"))

        eventually(said, timeout_s=30, what=lambda: (self.api.find(plural, name), self.provisioner.words()))
        return self.api.find(plural, name) or {}

    def end(self, plural: str, name: str) -> None:
        """Delete the claim, and wait until nothing is left of it."""
        self.api.delete(plural, name)

        def gone() -> bool:
            return (
                self.api.find(plural, name) is None
                and name not in self.cloud.pools()
                and not self.nodes(name)
            )

        eventually(gone, timeout_s=30, what=lambda: (self.api.find(plural, name), self.provisioner.words()))

    def nodes(self, pool: str) -> list[Json]:
        return [n for n in self.api.all("nodes") if n["metadata"]["labels"].get("agentpool") == pool]

    def writes(self, name: str) -> list[tuple[str, str, str]]:
        """To the claim and to the nodes of its pool."""
        return [w for w in self.api.writes if w[2] == name or f"-{name}-" in w[2]]

    def arm(self, method: str, pool: str) -> list[int]:
        """The answers to requests of this kind about a pool."""
        return [r.status for r in self.cloud.requests if r.method == method and _name(r.path) == pool]


def _name(path: str) -> str:
    path = path.split("?")[0]
    return path.rsplit("/", 1)[-1] if "/agentPools/" in path else ""


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    with ExitStack() as stack:
        api = stack.enter_context(ApiServer(folder))
        cloud = stack.enter_context(
            SimCloud(folder / "cloud", ServerNodes(api), create_s=0.1, delete_s=0.1, retry_after_s=0)
        )
        quick = {
            "POOL_POLL_SECONDS": "0.2",
            "AZURE_RETRY_SECONDS": "0.2",
            "GC_SECONDS": "1",
            "NODE_DELETION_SECONDS": "1",
        }
        log = folder / "provisioner.log"
        process = ProvisionerProcess(api.kubeconfig, log, "kaito-system", **cloud.environment, **quick)
        yield Stage(api, cloud, stack.enter_context(process))
