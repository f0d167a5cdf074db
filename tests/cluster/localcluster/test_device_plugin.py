"""Nodes of one machine are machines of their own to a device plugin: it runs on each, unchanged."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.kube import Api, Obj, eventually
from tools.deviceplugin import NAME, NAMESPACE, manifest
from tools.kubectl import Kubectl, KubectlError
from tools.localcluster import Cluster, Taint
from tools.localcluster.mounts import MOUNTINFO, below
from tools.localcluster.node import kubelet_daemon
from tools.localcluster.processes import Processes

GPU = "nvidia.com/gpu"
LABELS = {"test.kaito.sh/pool": "plugin", "accelerator": "nvidia"}
TAINTS = [Taint("sku", "gpu", "NoSchedule")]
SHOW = "import os; print(os.environ.get('KAITO_SIMULATED_GPU'), os.environ.get('NVIDIA_VISIBLE_DEVICES'))"
AddNode = Callable[[str, int], None]


@pytest.fixture
def cluster(testbed: Obj) -> Cluster:
    if testbed["cluster"] != "local":
        pytest.skip("only the local cluster can add nodes")
    return Cluster(kubeconfig=Path(testbed["kubeconfig"]))


@pytest.fixture
def add_node(cluster: Cluster) -> Iterator[AddNode]:
    """Adds GPU nodes, and removes them at the end."""
    names: list[str] = []

    def add(name: str, gpus: int) -> None:
        names.append(name)
        cluster.add_node(name, labels=LABELS, taints=TAINTS, pluggable_gpus=gpus)

    yield add
    for name in names:
        cluster.remove_node(name)


@pytest.fixture
def deploy(kubectl: Kubectl, testbed: Obj) -> Iterator[Callable[[], None]]:
    """Deploys the device plugin, and removes it at the end, before its nodes."""
    image = testbed["images"]["device-plugin"]

    def apply() -> None:
        kubectl.run("apply", "-f", "-", stdin=json.dumps(manifest(image)))

    yield apply
    kubectl.run("delete", "daemonset", NAME, "-n", NAMESPACE, "--ignore-not-found", "--wait=true")


def gpus(api: Api, node: str) -> str:
    """The node's allocatable GPUs, empty while it has never had any."""
    found: Obj = (api.find("nodes", None, node) or {}).get("status", {}).get("allocatable", {})
    return str(found.get(GPU, ""))


def a_pod(name: str, image: str, **changes: object) -> Obj:
    """A restricted pod that prints what a device plugin told it, on a GPU node."""
    container: Obj = {
        "name": "c",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", SHOW],
        "resources": {"limits": {GPU: "1"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **changes,
    }
    return {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": {"test.kaito.sh/pool": "plugin"},
            "tolerations": [{"key": "sku", "operator": "Exists"}],
            "containers": [container],
        },
    }


def phase(api: Api, namespace: str, name: str) -> str:
    return str(api.get("pods", namespace, name)["status"].get("phase", ""))


def refused_for(api: Api, namespace: str, name: str) -> str:
    """Why the scheduler finds no node for a pod; empty while it has not said."""
    conditions = api.get("pods", namespace, name)["status"].get("conditions", [])
    found = [entry["message"] for entry in conditions if entry.get("reason") == "Unschedulable"]
    return found[0] if found else ""


def test_a_gpu_appears_only_when_the_device_plugin_registers_it(
    api: Api,
    kubectl: Kubectl,
    namespace: str,
    testbed: Obj,
    add_node: AddNode,
    deploy: Callable[[], None],
) -> None:
    add_node("plugin-1", 1)
    api.create("pods", namespace, a_pod("asks", testbed["images"]["inference-cpu"]))
    eventually(lambda: refused_for(api, namespace, "asks"), timeout_s=20)
    assert f"Insufficient {GPU}" in refused_for(api, namespace, "asks")
    assert gpus(api, "plugin-1") == ""

    deploy()

    eventually(lambda: gpus(api, "plugin-1") == "1", timeout_s=60)
    eventually(lambda: phase(api, namespace, "asks") == "Succeeded", timeout_s=60)
    assert kubectl.run("logs", "asks", "-n", namespace).split() == ["true", "simulated-0"]


def test_each_node_has_a_kubelet_folder_of_its_own_also_when_its_kubelet_starts_anew(
    api: Api, kubectl: Kubectl, cluster: Cluster, add_node: AddNode, deploy: Callable[[], None]
) -> None:
    counts = {"plugin-1": "1", "plugin-2": "2"}
    for name, count in counts.items():
        add_node(name, int(count))
    deploy()
    eventually(lambda: {name: gpus(api, name) for name in counts} == counts, timeout_s=60)

    pods = api.list("pods", NAMESPACE, labelSelector=f"app.kubernetes.io/name={NAME}")
    plugins = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in pods}
    Processes(cluster.paths.processes, cluster.paths.logs).stop(kubelet_daemon("plugin-2"))
    cluster.up()

    def registered() -> list[str]:
        try:
            log = kubectl.run("logs", plugins["plugin-2"], "-n", NAMESPACE).splitlines()
        except KubectlError:  # a kubelet that has just started does not know its pods yet
            return []
        return [line for line in log if f"registered 2 x {GPU}" in line]

    eventually(lambda: len(registered()) == 2, timeout_s=60, what=registered)
    eventually(lambda: {name: gpus(api, name) for name in counts} == counts, timeout_s=60)


def test_a_new_node_has_the_first_ones_images_and_leaves_nothing_behind(
    api: Api, cluster: Cluster, namespace: str, testbed: Obj, add_node: AddNode
) -> None:
    image = testbed["images"]["inference-cpu"]
    add_node("plugin-1", 0)
    running = a_pod("stays", image, imagePullPolicy="Never", command=["sleep", "300"], resources={})
    api.create("pods", namespace, running)
    eventually(lambda: phase(api, namespace, "stays") == "Running", timeout_s=60)

    cluster.remove_node("plugin-1")

    folders = [cluster.paths.node("plugin-1").state, cluster.paths.node("plugin-1").run]
    assert below(folders, MOUNTINFO.read_text()) == []
    assert [folder for folder in folders if folder.exists()] == []
    assert cluster.status().healthy
