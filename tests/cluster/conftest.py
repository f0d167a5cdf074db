"""The cluster tier: a real API server, kubelet and scheduler, prepared by `python -m tools.testbed`.

Each test has a namespace of its own, and each operator process watches the whole cluster, so at most one
operator runs at a time: the fixtures see to it.
"""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kube import Api, Obj, eventually
from tests.support.operator import OperatorProcess
from tools.kubectl import Kubectl
from tools.localcluster import Cluster, Taint

CHECKOUT = Path(__file__).resolve().parents[2]
PREPARE = "run `make test`, or `python -m tools.testbed up` once and pytest as often as you like"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def testbed() -> Obj:
    """What the testbed prepared: kubeconfig, audit log, image references."""
    described = CHECKOUT / ".local" / "testbed.json"
    if reason := os.environ.get("KAITO_NO_CLUSTER"):
        pytest.skip(reason)
    bed: Obj = json.loads(described.read_text()) if described.exists() else {}
    if not bed or not Path(bed["kubeconfig"]).exists():
        pytest.skip(f"no testbed: {PREPARE}")
    return bed


@pytest.fixture(scope="session")
def kubeconfig(testbed: Obj) -> Path:
    return Path(testbed["kubeconfig"])


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    return Kubectl(kubeconfig)


@pytest.fixture(scope="session")
def api(kubeconfig: Path, kubectl: Kubectl) -> Iterator[Api]:
    """The API server, with the CRD of this checkout installed."""
    kubectl.run("apply", "--server-side", "--force-conflicts", "-k", str(CHECKOUT / "crds"))
    kubectl.run("wait", "--for=condition=Established", "crd/workspaces.kaito.sh", "--timeout=30s")
    with Api(kubeconfig) as api:
        yield api


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    """A namespace that allows restricted pods only, removed with all that is in it."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.create("namespaces", None, {"metadata": {"name": name, "labels": labels}})
    yield name
    for workspace in api.list("workspaces", name):
        api.delete("workspaces", name, workspace["metadata"]["name"])
    api.delete("namespaces", None, name)


@pytest.fixture
def lease_namespace(api: Api) -> Iterator[str]:
    """Where the operators of one test hold their Lease: a killed one would keep the next test waiting."""
    name = f"lease-{uuid.uuid4().hex[:8]}"
    api.create("namespaces", None, {"metadata": {"name": name}})
    yield name
    api.delete("namespaces", None, name)


@pytest.fixture
def operator(
    kubeconfig: Path, testbed: Obj, lease_namespace: str, tmp_path: Path
) -> Iterator[OperatorProcess]:
    """The operator of this checkout as a process, serving with the testbed's images."""
    process = OperatorProcess(
        kubeconfig,
        tmp_path / "operator.log",
        lease_namespace,
        KAITO_RUNTIME_IMAGE=testbed["images"]["inference-cpu"],
        KAITO_PROJECT_REGISTRY=testbed["registry"],
    )
    with process:
        yield process
    assert "Traceback" not in process.log.read_text(), "the operator's log has a traceback"


@pytest.fixture
def gone(api: Api) -> "Gone":
    return Gone(api)


class Gone:
    """Waits until nothing of a Workspace is left."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def wait(self, namespace: str, name: str) -> None:
        kinds = ("workspaces", "deployments", "services")

        def left() -> list[str]:
            found = [kind for kind in kinds if self._api.find(kind, namespace, name)]
            pods = self._api.list("pods", namespace, labelSelector=f"kaito.sh/workspace={name}")
            return found + [pod["metadata"]["name"] for pod in pods]

        eventually(lambda: not left(), timeout_s=60, what=left)


@pytest.fixture
def gpu_node(testbed: Obj, api: Api) -> Iterator[str]:
    """A second node with one simulated GPU and the taint of GPU nodes."""
    if testbed["cluster"] != "local":
        pytest.skip("only the local cluster can add a node with a simulated GPU")
    cluster = Cluster()
    name = "gpu-node"
    cluster.add_node(
        name, labels={"test.kaito.sh/pool": "gpu"}, taints=[Taint("sku", "gpu", "NoSchedule")], gpus=1
    )
    eventually(lambda: _has_gpu(api.find("nodes", None, name)), timeout_s=60)
    yield name
    cluster.remove_node(name)


def _has_gpu(node: Obj | None) -> bool:
    allocatable: Obj = (node or {}).get("status", {}).get("allocatable", {})
    return bool(allocatable.get("nvidia.com/gpu") == "1")
