"""The node booters, against a small API server."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.component.simcloud.azure import TYPE, azure, body, until
from tests.component.simcloud.conftest import Clouds
from tests.component.simcloud.kube import TinyKube
from tools.localcluster import ClusterError, Taint
from tools.localcluster.paths import Paths, write_private
from tools.localcluster.processes import Record, boot_id, stat
from tools.simcloud import SimCloudError
from tools.simcloud.apinodes import ApiNodes
from tools.simcloud.localnodes import LocalNodes
from tools.simcloud.pool import Home, Pool

pytestmark = pytest.mark.component

LABELS = {"kaito.sh/workspace": "w"}


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[TinyKube]:
    with TinyKube(tmp_path) as kube:
        yield kube


@pytest.fixture
def api_nodes(kube: TinyKube) -> Iterator[ApiNodes]:
    booter = ApiNodes(kube.kubeconfig, renew_s=0.05)
    yield booter
    booter.close()


def pool(name: str = "ws1", gpus: int = 2) -> Pool:
    home = Home("5f1d3a7e-0b2c-4d6e-8f90-a1b2c3d4e5f6", "sim", "sim", "eastus")
    properties = {"vmSize": TYPE, "nodeLabels": LABELS, "nodeTaints": ["sku=gpu:NoSchedule"]}
    return Pool(name, home, properties, gpus)


def ready(node: Mapping[str, Any]) -> str:
    conditions = node["status"]["conditions"]
    return next(str(item["status"]) for item in conditions if item["type"] == "Ready")


async def renewed(kube: TinyKube, name: str) -> None:
    """Wait until a node's Lease has been renewed once more."""
    old = kube.named("leases")[name]["spec"]["renewTime"]
    await until(lambda: bool(kube.named("leases")[name]["spec"]["renewTime"] > old))


class FakeCluster:
    """Stands for the local cluster: makes Node objects in the small API server."""

    def __init__(self, kube: TinyKube, paths: Paths) -> None:
        self._kube, self.paths = kube, paths
        self.added: list[dict[str, Any]] = []
        self.broken = False

    @property
    def kubeconfig(self) -> Path:
        return self._kube.kubeconfig

    def add_node(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Taint] = (),
        instance_type: str | None = None,
        pluggable_gpus: int = 0,
    ) -> None:
        if self.broken:
            raise ClusterError("There is no local cluster.")
        self.added.append({"name": name, "labels": labels, "taints": taints, "gpus": pluggable_gpus})
        manifest = {"metadata": {"name": name, "labels": labels}}
        self._kube.answer("POST", "/api/v1/nodes", manifest)

    def remove_node(self, name: str) -> None:
        self._kube.answer("DELETE", f"/api/v1/nodes/{name}", None)


def test_a_node_without_kubelet_is_ready_with_labels_taints_gpus_and_provider_id(
    kube: TinyKube, api_nodes: ApiNodes
) -> None:
    api_nodes.boot(pool(), "n1", "azure:///1")
    node = kube.named("nodes")["n1"]
    assert ready(node) == "True"
    assert LABELS.items() <= node["metadata"]["labels"].items()
    assert node["metadata"]["labels"]["node.kubernetes.io/instance-type"] == TYPE
    assert node["spec"]["providerID"] == "azure:///1"
    assert node["spec"]["taints"] == [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "2"


def test_a_node_without_gpus_does_not_tell_of_any(kube: TinyKube, api_nodes: ApiNodes) -> None:
    api_nodes.boot(pool(gpus=0), "n1", "azure:///1")
    assert "nvidia.com/gpu" not in kube.named("nodes")["n1"]["status"]["capacity"]


async def test_leases_are_renewed_and_nodes_are_not_written_again(
    kube: TinyKube, api_nodes: ApiNodes
) -> None:
    for number in range(3):
        api_nodes.boot(pool(), f"n{number}", f"azure:///{number}")
    first = {name: item["spec"]["renewTime"] for name, item in kube.named("leases").items()}
    assert len(first) == 3
    kube.requests.clear()
    await until(
        lambda: all(item["spec"]["renewTime"] > first[name] for name, item in kube.named("leases").items())
    )
    assert {verb for verb, _ in kube.requests} == {"PATCH"}
    assert not [path for _, path in kube.requests if "/nodes" in path.removeprefix("/apis")]


async def test_a_lease_is_renewed_again_after_the_api_server_was_away(
    kube: TinyKube, api_nodes: ApiNodes
) -> None:
    api_nodes.boot(pool(), "n1", "azure:///1")
    kube.down = True
    before = len(kube.requests)
    await until(lambda: len(kube.requests) > before)
    kube.down = False
    await renewed(kube, "n1")


def test_booting_a_node_that_is_there_changes_nothing(kube: TinyKube, api_nodes: ApiNodes) -> None:
    api_nodes.boot(pool(), "n1", "azure:///1")
    kube.named("nodes")["n1"]["metadata"]["labels"]["added"] = "later"
    api_nodes.boot(pool(), "n1", "azure:///1")
    assert kube.named("nodes")["n1"]["metadata"]["labels"]["added"] == "later"


async def test_a_killed_node_is_not_ready_and_its_lease_runs_out(kube: TinyKube, api_nodes: ApiNodes) -> None:
    api_nodes.boot(pool(), "n1", "azure:///1")
    api_nodes.boot(pool(), "n2", "azure:///2")
    api_nodes.kill("n1")
    assert ready(kube.named("nodes")["n1"]) == "Unknown"
    await renewed(kube, "n2")  # a round that had begun before the death may still renew both
    dead = kube.named("leases")["n1"]["spec"]["renewTime"]
    await renewed(kube, "n2")
    await renewed(kube, "n2")
    assert kube.named("leases")["n1"]["spec"]["renewTime"] == dead


def test_a_removed_node_is_gone_with_its_lease_and_removing_it_again_is_fine(
    kube: TinyKube, api_nodes: ApiNodes
) -> None:
    api_nodes.boot(pool(), "n1", "azure:///1")
    api_nodes.remove("n1")
    api_nodes.remove("n1")
    assert not kube.objects


def test_an_api_server_that_refuses_is_an_error_with_its_words(kube: TinyKube, api_nodes: ApiNodes) -> None:
    kube.down = True
    with pytest.raises(SimCloudError, match="the database is away"):
        api_nodes.boot(pool(), "n1", "azure:///1")


def test_a_kubeconfig_without_a_context_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("clusters: []")
    with pytest.raises(SimCloudError, match=str(path)):
        ApiNodes(path)


async def test_a_pool_of_the_cloud_becomes_a_node_of_the_cluster_and_goes(
    clouds: Clouds, kube: TinyKube
) -> None:
    cloud = clouds(nodes=ApiNodes(kube.kubeconfig))
    async with azure(cloud) as client:
        await client.create("ws1", body(nodeLabels=LABELS))
        (name,) = kube.named("nodes")
        assert name.startswith("aks-ws1-")
        await client.delete("ws1")
    assert not kube.objects


def test_a_real_node_boots_with_pluggable_gpus_and_then_gets_its_provider_id(
    kube: TinyKube, tmp_path: Path
) -> None:
    cluster = FakeCluster(kube, Paths(tmp_path))
    LocalNodes(cluster).boot(pool(), "n1", "azure:///1")
    (added,) = cluster.added
    assert (added["name"], added["gpus"]) == ("n1", 2)
    assert LABELS.items() <= added["labels"].items()
    assert added["taints"] == (Taint("sku", "gpu", "NoSchedule"),)
    assert kube.named("nodes")["n1"]["spec"] == {"providerID": "azure:///1"}


def test_a_real_node_is_removed_from_the_local_cluster_while_that_is_there(
    kube: TinyKube, tmp_path: Path
) -> None:
    paths = Paths(tmp_path)
    booter = LocalNodes(FakeCluster(kube, paths))
    booter.boot(pool(), "n1", "azure:///1")
    booter.remove("n1")
    assert kube.objects  # nobody to ask
    paths.record.parent.mkdir(parents=True)
    paths.record.touch()
    booter.remove("n1")
    assert not kube.objects


def test_the_kubelet_of_a_real_node_that_dies_is_stopped(kube: TinyKube, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found = stat(process.pid)
        assert found
        content = Record(process.pid, found.started_ticks, boot_id(), sys.executable)
        write_private(paths.processes / "kubelet-n1.json", json.dumps(asdict(content)))
        try:
            LocalNodes(FakeCluster(kube, paths)).kill("n1")
            assert stat(process.pid) is None
        finally:
            process.kill()


async def test_a_cluster_that_is_not_up_fails_the_pool_with_its_words(
    clouds: Clouds, kube: TinyKube, tmp_path: Path
) -> None:
    cluster = FakeCluster(kube, Paths(tmp_path))
    cluster.broken = True
    cloud = clouds(nodes=LocalNodes(cluster))
    async with azure(cloud) as client:
        await client.start("ws1")
        await until(lambda: cloud.pools()["ws1"].state == "Failed")
