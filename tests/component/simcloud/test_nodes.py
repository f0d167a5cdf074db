"""What becomes of the nodes of a pool, and of everything when the cloud is started again."""

import asyncio
import re
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError

from tests.component.simcloud.azure import TYPE, azure, body, code, until
from tests.component.simcloud.conftest import Clouds, NotedNodes
from tools.simcloud import SimCloud, SimCloudError

pytestmark = pytest.mark.component


async def test_a_node_has_the_names_of_aks_and_the_labels_and_taints_of_its_pool(
    cloud: SimCloud, nodes: NotedNodes
) -> None:
    labels = {"kaito.sh/workspace": "w", "karpenter.sh/nodepool": "kaito"}
    asked = body(nodeLabels=labels, nodeTaints=["sku=gpu:NoSchedule"], scaleSetPriority="Spot")
    async with azure(cloud) as client:
        await client.create("ws1", asked)
    (name, provider_id), pool = next(iter(nodes.nodes.items())), nodes.pools[0]
    scale_set = re.fullmatch(r"(aks-ws1-\d{8}-vmss)000000", name)
    assert scale_set
    assert provider_id == (
        f"azure:///subscriptions/{cloud.environment['ARM_SUBSCRIPTION_ID']}/resourceGroups/MC_sim_sim_eastus"
        f"/providers/Microsoft.Compute/virtualMachineScaleSets/{scale_set[1]}/virtualMachines/0"
    )
    found = pool.labels()
    assert labels.items() <= found.items()
    assert found["agentpool"] == found["kubernetes.azure.com/agentpool"] == "ws1"
    assert found["node.kubernetes.io/instance-type"] == TYPE
    assert found["kubernetes.azure.com/cluster"] == "MC_sim_sim_eastus"
    taints = {f"{taint.key}={taint.value}:{taint.effect}" for taint in pool.taints()}
    assert taints == {"sku=gpu:NoSchedule", "kubernetes.azure.com/scalesetpriority=spot:NoSchedule"}
    assert pool.gpus == 1


async def test_a_pool_is_creating_until_its_node_has_joined(cloud: SimCloud, nodes: NotedNodes) -> None:
    nodes.gate.clear()
    async with azure(cloud) as client:
        await client.start("ws1")
        await asyncio.sleep(0.3)
        assert (await client.get("ws1")).provisioning_state == "Creating"
        nodes.gate.set()
        assert (await client.create("ws1")).provisioning_state == "Succeeded"
    assert len(nodes.nodes) == 1


async def test_a_pool_deleted_while_its_node_boots_leaves_no_node(cloud: SimCloud, nodes: NotedNodes) -> None:
    nodes.gate.clear()
    async with azure(cloud) as client:
        await client.start("ws1")
        await until(lambda: bool(cloud.pools()["ws1"].nodes))
        asyncio.get_running_loop().call_later(0.2, nodes.gate.set)
        await client.delete("ws1")
    assert [what for what, _ in nodes.history] == ["boot", "remove"]
    assert not nodes.nodes


async def test_a_vm_that_does_not_boot_fails_its_pool(cloud: SimCloud, nodes: NotedNodes) -> None:
    nodes.refuses = "the disk is full"
    async with azure(cloud) as client:
        with pytest.raises(HttpResponseError, match="the disk is full") as caught:
            await client.create("ws1")
        assert (await client.get("ws1")).provisioning_state == "Failed"
    assert code(caught.value) == "VMExtensionProvisioningError"


async def test_a_vm_that_does_not_go_fails_its_pool_and_goes_with_the_next_delete(
    cloud: SimCloud, nodes: NotedNodes
) -> None:
    async with azure(cloud) as client:
        await client.create("ws1")
        nodes.refuses = "the machine hangs"
        with pytest.raises(HttpResponseError, match="the machine hangs"):
            await client.delete("ws1")
        assert (await client.get("ws1")).provisioning_state == "Failed"
        with pytest.raises(SimCloudError, match="the machine hangs"):
            await asyncio.to_thread(cloud.down)
        nodes.refuses = None
        await client.delete("ws1")
    assert not nodes.nodes
    assert not cloud.pools()


async def test_a_pool_has_as_many_nodes_as_its_count(cloud: SimCloud, nodes: NotedNodes) -> None:
    async with azure(cloud) as client:
        await client.create("ws1", body(count=3))
    assert sorted(name[-1] for name in nodes.nodes) == ["0", "1", "2"]


async def test_during_an_upgrade_both_nodes_are_there(cloud: SimCloud, nodes: NotedNodes) -> None:
    async with azure(cloud) as client:
        await client.create("ws1")
        upgrade = asyncio.create_task(asyncio.to_thread(cloud.upgrade, "ws1", 2))
        await until(lambda: len(nodes.nodes) == 2)
        assert (await client.get("ws1")).provisioning_state == "UpgradingNodeImageVersion"
        await upgrade
        assert (await client.get("ws1")).provisioning_state == "Succeeded"
    assert [name[-1] for name in nodes.nodes] == ["1"]


async def test_a_pool_deleted_while_its_upgrade_removes_the_old_node_is_deleted_to_the_end(
    cloud: SimCloud, nodes: NotedNodes
) -> None:
    async with azure(cloud) as client:
        await client.create("ws1")
        nodes.removals.clear()
        upgrade = asyncio.create_task(asyncio.to_thread(cloud.upgrade, "ws1", 0))
        await until(lambda: nodes.waiting)
        deletion = asyncio.create_task(client.delete("ws1"))
        await until(lambda: cloud.pools()["ws1"].state == "Deleting")
        nodes.removals.set()
        await asyncio.gather(upgrade, deletion)
    assert not nodes.nodes
    assert not cloud.pools()


async def test_evicting_killing_and_removing_by_hand_return_when_it_is_done(
    cloud: SimCloud, nodes: NotedNodes
) -> None:
    async with azure(cloud) as client:
        for name in ("ws1", "ws2", "ws3"):
            await client.create(name)
    await asyncio.to_thread(cloud.evict, "ws1")
    assert len(nodes.nodes) == 2
    await asyncio.to_thread(cloud.kill_node, "ws2")
    assert [name.split("-")[1] for name in nodes.dead] == ["ws2"]
    await asyncio.to_thread(cloud.remove_pool, "ws3")
    assert set(cloud.pools()) == {"ws1", "ws2"}
    with pytest.raises(SimCloudError, match="ws3"):
        await asyncio.to_thread(cloud.evict, "ws3")


async def test_a_pool_and_its_running_operation_outlive_the_server(tmp_path: Path, nodes: NotedNodes) -> None:
    first = SimCloud(tmp_path, nodes, create_s=30)
    with first:
        async with azure(first) as client:
            await client.start("ws1")
        operation = first.pools()["ws1"].operation
        port = int(first.endpoint.rpartition(":")[2])
    assert not nodes.nodes
    with SimCloud(tmp_path, nodes, create_s=2, port=port, retry_after_s=0) as second:
        async with azure(second) as client:
            await client.create("ws1")
        paths = [request.path for request in second.requests]
    assert any(path.endswith(operation) for path in paths)
    assert len(nodes.nodes) == 1


async def test_the_nodes_of_a_pool_boot_again_with_the_cloud_and_go_with_down(
    tmp_path: Path, nodes: NotedNodes
) -> None:
    with SimCloud(tmp_path, nodes, create_s=0.05, retry_after_s=0) as first:
        async with azure(first) as client:
            await client.create("ws1")
    assert len(nodes.nodes) == 1
    with SimCloud(tmp_path, nodes, delete_s=0.05) as second:
        second.down()
        assert not second.pools()
    assert [what for what, _ in nodes.history] == ["boot", "boot", "remove"]
    assert len({name for _, name in nodes.history}) == 1
    assert not nodes.nodes


async def test_an_access_token_outlives_the_server(tmp_path: Path) -> None:
    with SimCloud(tmp_path) as first:
        port = int(first.endpoint.rpartition(":")[2])
        async with azure(first) as client:
            await client.names()
            first.__exit__(None, None, None)
            with SimCloud(tmp_path, port=port) as second:
                assert await client.names() == []
                assert second.logins == []
            first.__enter__()


async def test_a_folder_of_another_cluster_is_refused_and_left_alone(tmp_path: Path) -> None:
    with SimCloud(tmp_path) as first:
        async with azure(first) as client:
            await client.start("ws1")
    with pytest.raises(SimCloudError, match="another cluster"), SimCloud(tmp_path, cluster="other"):
        pass
    with SimCloud(tmp_path) as again:
        assert set(again.pools()) == {"ws1"}


def test_a_port_that_is_taken_is_an_error(cloud: SimCloud, tmp_path: Path) -> None:
    port = int(cloud.endpoint.rpartition(":")[2])
    with pytest.raises(OSError, match=str(port)), SimCloud(tmp_path / "second", port=port):
        pass


def test_a_cloud_that_does_not_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(SimCloudError, match="does not run"):
        SimCloud(tmp_path).pools()


async def test_a_hundred_pools_are_there_within_seconds(clouds: Clouds, nodes: NotedNodes) -> None:
    cloud = clouds(create_s=0.05)
    async with azure(cloud) as client:
        await asyncio.gather(*(client.start(f"ws{number}") for number in range(100)))
        await until(lambda: len(nodes.nodes) == 100)
        assert len(await client.names()) == 100
