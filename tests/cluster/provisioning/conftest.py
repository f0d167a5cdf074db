"""Nodes that arrive by themselves: the operator, the provisioner, a simulated Azure, a real API server.

The nodes are API objects without a kubelet, unless a test says otherwise.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.kube import Api, Obj, eventually
from tests.support.operator import OperatorProcess, ProvisionerProcess
from tools.kubectl import Kubectl
from tools.simcloud import SimCloud
from tools.simcloud.apinodes import ApiNodes

CHECKOUT = Path(__file__).resolve().parents[3]
MACHINES = CHECKOUT / "deploy" / "gpu-provisioner" / "karpenter.sh_machines.yaml"
TYPE = "Standard_NC4as_T4_v3"


def a_workspace(name: str = "ws", **resource: Any) -> Obj:
    wanted = {"instanceType": TYPE, "labelSelector": {"matchLabels": {"apps": name}}, **resource}
    return {
        "apiVersion": "kaito.sh/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": name},
        "resource": {key: value for key, value in wanted.items() if value is not None},
        "inference": {"preset": {"name": "smollm2-135m-instruct"}},
    }


@pytest.fixture(scope="session")
def claims(kubectl: Kubectl) -> None:
    """The definition of Machine."""
    kubectl.run("apply", "--server-side", "--force-conflicts", "-f", str(MACHINES))
    kubectl.run("wait", "--for=condition=Established", "crd/machines.karpenter.sh", "--timeout=30s")


@pytest.fixture
def nodes(kubeconfig: Path) -> Iterator[ApiNodes]:
    made = ApiNodes(kubeconfig)
    yield made
    made.close()


@pytest.fixture
def cloud(tmp_path: Path, nodes: ApiNodes) -> Iterator[SimCloud]:
    with SimCloud(tmp_path / "cloud", nodes, create_s=0.3, delete_s=0.2) as cloud:
        yield cloud
        cloud.down()


@pytest.fixture
def provisioner_settings() -> dict[str, str]:
    """Waits that are minutes in the cloud are seconds here."""
    return {
        "POOL_POLL_SECONDS": "0.3",
        "GC_SECONDS": "2",
        "AZURE_RETRY_SECONDS": "1",
        "DRAIN_BUDGET_SECONDS": "1",  # no kubelet here lets a pod go
    }


@pytest.fixture
def provisioner(
    kubeconfig: Path,
    cloud: SimCloud,
    claims: None,
    lease_namespace: str,
    tmp_path: Path,
    provisioner_settings: dict[str, str],
) -> Iterator[ProvisionerProcess]:
    settings = {**cloud.environment, **provisioner_settings}
    process = ProvisionerProcess(kubeconfig, tmp_path / "provisioner.log", lease_namespace, **settings)
    with process:
        yield process
    assert "Traceback" not in process.log.read_text(), "the provisioner's log has a traceback"


@pytest.fixture
def provisioning() -> str:
    """As what nodes are asked for."""
    return "machine"


@pytest.fixture
def operator(
    kubeconfig: Path, testbed: Obj, claims: None, provisioning: str, lease_namespace: str, tmp_path: Path
) -> Iterator[OperatorProcess]:
    process = OperatorProcess(
        kubeconfig,
        tmp_path / "operator.log",
        lease_namespace,
        KAITO_RUNTIME_IMAGE=testbed["images"]["inference-cpu"],
        KAITO_PROJECT_REGISTRY=testbed["registry"],
        KAITO_PROVISIONING=provisioning,
        KAITO_CLAIM_RETRY_SECONDS="2",
    )
    with process:
        yield process
    assert "Traceback" not in process.log.read_text(), "the operator's log has a traceback"


class Scene:
    """One namespace's Workspaces, the claims of the cluster and the pools of the cloud."""

    def __init__(self, api: Api, cloud: SimCloud, namespace: str, words: list[OperatorProcess]) -> None:
        self.api, self.cloud, self.namespace, self._processes = api, cloud, namespace, words

    def create(self, workspace: Obj) -> Obj:
        return self.api.create("workspaces", self.namespace, workspace)

    def status(self, name: str = "ws") -> Obj:
        found = self.api.find("workspaces", self.namespace, name) or {}
        return dict(found.get("status", {}))

    def blocked_on(self, name: str = "ws") -> Obj:
        return dict(self.status(name).get("blockedOn") or {})

    def condition(self, kind: str, name: str = "ws") -> tuple[str, str]:
        for entry in self.status(name).get("conditions", ()):
            if entry["type"] == kind:
                return entry["status"], entry["reason"]
        return "", ""

    def claims(self) -> list[Obj]:
        selector = f"kaito.sh/workspacenamespace={self.namespace}"
        return self.api.list("machines", None, labelSelector=selector)

    def nodes(self) -> list[Obj]:
        selector = f"kaito.sh/workspacenamespace={self.namespace}"
        return self.api.list("nodes", None, labelSelector=selector)

    def until_reason(self, reason: str, *, timeout_s: float = 30, name: str = "ws") -> Obj:
        """Wait until the status names this reason; the whole of blockedOn."""
        eventually(
            lambda: self.blocked_on(name).get("reason") == reason, timeout_s=timeout_s, what=self.words
        )
        return self.blocked_on(name)

    def until_nodes_ready(self, *, timeout_s: float = 40, name: str = "ws") -> None:
        eventually(
            lambda: self.condition("MachineReady", name)[0] == "True", timeout_s=timeout_s, what=self.words
        )

    def delete(self, name: str = "ws") -> None:
        self.api.delete("workspaces", self.namespace, name)

    def left(self) -> list[str]:
        """What is there without anybody who wants it."""
        owners = {w["metadata"]["name"] for w in self.api.list("workspaces", self.namespace)}
        claims = self.claims()
        orphans = [c for c in claims if c["metadata"]["labels"]["kaito.sh/workspace"] not in owners]
        names = {c["metadata"]["name"] for c in claims}
        pools = [pool for pool in self.cloud.pools() if pool not in names]
        return [f"claim {c['metadata']['name']}" for c in orphans] + [f"pool {pool}" for pool in pools]

    def puts(self) -> list[str]:
        return [r.path.rpartition("/")[2] for r in self.cloud.requests if r.method == "PUT"]

    def deletes(self) -> list[str]:
        return [r.path.rpartition("/")[2] for r in self.cloud.requests if r.method == "DELETE"]

    def words(self) -> str:
        """The last that is known, for a test that fails."""
        logs = "\n".join(f"{p.module}: {p.words()[-1500:]}" for p in self._processes)
        return f"{self.status()}\n{self.claims()}\n{self.cloud.pools()}\n{logs}"


@pytest.fixture
def scene(
    api: Api, cloud: SimCloud, namespace: str, operator: OperatorProcess, provisioner: ProvisionerProcess
) -> Iterator[Scene]:
    """Everything runs; afterwards nothing may be left, in the cluster and in the cloud."""
    scene = Scene(api, cloud, namespace, [operator, provisioner])
    yield scene
    for workspace in api.list("workspaces", namespace):
        scene.delete(workspace["metadata"]["name"])
    eventually(
        lambda: not scene.claims() and not cloud.pools() and not scene.nodes(), timeout_s=60, what=scene.words
    )
