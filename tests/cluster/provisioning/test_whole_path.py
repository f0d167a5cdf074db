"""The whole path with a real node: Machine, agent pool, kubelet, device plugin, an answer, and back."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.provisioning.conftest import Scene, a_workspace
from tests.support.kube import Obj, eventually
from tools.demo.question import Client
from tools.deviceplugin import NAME, NAMESPACE, manifest
from tools.kubectl import Kubectl
from tools.localcluster import Cluster
from tools.simcloud import SimCloud
from tools.simcloud.localnodes import LocalNodes


@pytest.fixture
def cloud(testbed: Obj, tmp_path: Path) -> Iterator[SimCloud]:
    """A cloud whose pools boot real nodes."""
    if testbed["cluster"] != "local":
        pytest.skip("only the local cluster can add nodes")
    nodes = LocalNodes(Cluster(kubeconfig=Path(testbed["kubeconfig"])))
    with SimCloud(tmp_path / "cloud", nodes, create_s=0.5) as cloud:
        yield cloud
        cloud.down()


@pytest.fixture
def provisioner_settings() -> dict[str, str]:
    return {"POOL_POLL_SECONDS": "0.5", "GC_SECONDS": "5"}


@pytest.fixture
def plugin(kubectl: Kubectl, testbed: Obj) -> Iterator[str]:
    """The device plugin's manifest; what is applied of it goes at the end."""
    yield json.dumps(manifest(testbed["images"]["device-plugin"]))
    kubectl.run("delete", "daemonset", NAME, "-n", NAMESPACE, "--ignore-not-found", "--wait=true")


@pytest.mark.timeout(400)
def test_a_node_without_its_device_plugin_is_told_and_with_it_the_model_answers(
    scene: Scene, kubectl: Kubectl, plugin: str, testbed: Obj
) -> None:
    scene.create(a_workspace())
    # A minute of grace, in which a plugin's image is pulled, then the cause and its cure.
    told = scene.until_reason("GpuNotRegistered", timeout_s=120)
    assert "device plugin" in told["nextAction"]
    kubectl.run("apply", "-f", "-", stdin=plugin)
    eventually(lambda: scene.condition("WorkspaceReady")[0] == "True", timeout_s=120, what=scene.words)
    (node,) = scene.nodes()
    (pod,) = scene.api.list("pods", scene.namespace, labelSelector="kaito.sh/workspace=ws")
    assert pod["spec"]["nodeName"] == node["metadata"]["name"]
    (server,) = pod["spec"]["containers"]
    assert server["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    answer = Client(kubectl, testbed["images"]["operator"], scene.namespace).ask(
        "ws", "What is the capital of France?"
    )
    assert "Paris" in answer

    scene.delete()
    eventually(
        lambda: not scene.claims() and not scene.nodes() and not scene.cloud.pools(),
        timeout_s=90,
        what=scene.words,
    )
    assert len(scene.puts()) == len(scene.deletes()) == 1
