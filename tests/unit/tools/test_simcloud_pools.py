"""Pools of the simulated cloud: names, labels, what is refused, and what survives in the state file."""

from pathlib import Path
from typing import Any

import pytest

from tools.simcloud import SimCloudError
from tools.simcloud.admission import check_idle, check_quota, used
from tools.simcloud.errors import ArmError
from tools.simcloud.operations import Operation
from tools.simcloud.pool import Home, Pool
from tools.simcloud.request import check
from tools.simcloud.sizes import Size, family, offered
from tools.simcloud.store import Store

HOME = Home("5f1d3a7e-0b2c-4d6e-8f90-a1b2c3d4e5f6", "rg", "c", "eastus")
SIZE = Size("Standard_X", "xFamily", vcpus=24)


def pool(name: str = "ws1", **properties: Any) -> Pool:
    return Pool(name, HOME, {"vmSize": "Standard_X", **properties})


def test_each_vm_of_a_pool_has_a_number_of_its_own_also_after_another_has_gone() -> None:
    found = pool()
    first = found.new_node()
    found.nodes.remove(first)
    second = found.new_node()
    assert (first.name[-6:], second.name[-6:]) == ("000000", "000001")
    assert second.provider_id.endswith("/virtualMachines/1")
    assert second.name.startswith(f"aks-ws1-{HOME.digits}-vmss")


def test_the_service_decides_the_labels_that_are_its_own() -> None:
    labels = pool(nodeLabels={"agentpool": "other", "app": "x"}, availabilityZones=["2"]).labels()
    assert (labels["agentpool"], labels["app"]) == ("ws1", "x")
    assert labels["topology.kubernetes.io/zone"] == "eastus-2"


def test_read_only_properties_are_the_services() -> None:
    answer = pool(provisioningState="Mine").resource()["properties"]
    assert (answer["provisioningState"], answer["mode"]) == ("Creating", "User")


@pytest.mark.parametrize(
    ("name", "properties", "words"),
    [
        ("Ws1", {}, "name"),
        ("1ws", {}, "name"),
        ("ws12345678901", {}, "name"),
        ("ws1", {"vmSize": None}, "vmSize"),
        ("ws1", {"count": -1}, "count"),
        ("ws1", {"osDiskSizeGB": 29}, "osDiskSizeGB"),
        ("ws1", {"osDiskSizeGB": 2049}, "osDiskSizeGB"),
        ("ws1", {"availabilityZones": ["4"]}, "availabilityZones"),
        ("ws1", {"nodeLabels": {"a b": "c"}}, "nodeLabels"),
        ("ws1", {"nodeLabels": {"a": "b:c"}}, "nodeLabels"),
        ("ws1", {"nodeLabels": {"a": "x" * 64}}, "nodeLabels"),
        ("ws1", {"nodeLabels": {"kubernetes.azure.com/mode": "x"}}, "reserved"),
        ("ws1", {"nodeLabels": {"kubernetes.io/os": "x"}}, "reserved"),
        ("ws1", {"nodeTaints": ["sku=gpu"]}, "nodeTaints"),
    ],
)
def test_a_pool_that_azure_would_refuse_is_refused(name: str, properties: dict[str, Any], words: str) -> None:
    with pytest.raises(ArmError, match=words) as caught:
        check(name, {"vmSize": "Standard_X", **properties})
    assert (caught.value.status, caught.value.code) == (400, "InvalidParameter")


@pytest.mark.parametrize(
    "properties",
    [
        {"osDiskSizeGB": 0},
        {"osDiskSizeGB": 2048},
        {"nodeLabels": {"kaito.sh/workspace": "w", "karpenter.sh/nodepool": "kaito", "empty": ""}},
        {"nodeTaints": ["sku=gpu:NoSchedule", "a:NoExecute"], "availabilityZones": ["1", "3"]},
    ],
)
def test_a_pool_that_azure_would_take_is_taken(properties: dict[str, Any]) -> None:
    check("ws123456789", {"vmSize": "Standard_X", **properties})


def test_the_name_of_a_quota_is_the_size_without_its_vcpus() -> None:
    assert family("Standard_NC24ads_A100_v4") == "standardNCADSA100v4Family"
    assert family("Standard_NC96ads_A100_v4") == family("Standard_NC24ads_A100_v4")


def test_offered_sizes_are_azures_only_and_a_retired_one_is_restricted_unless_asked_for() -> None:
    sizes = offered()
    assert sizes["standard_nc6s_v3"].restricted
    assert "p4d.24xlarge" not in sizes
    assert not offered(["standard_nc6s_v3"])["standard_nc6s_v3"].restricted


def test_vcpus_are_counted_by_family_and_those_of_spot_pools_apart() -> None:
    failed = pool("ws3")
    failed.state = "Failed"
    pools = [pool("ws1", count=2), pool("ws2", scaleSetPriority="Spot"), failed]
    counts = used(pools, {"standard_x": SIZE})
    assert counts == {"cores": 48, "xFamily": 48, "lowPriorityCores": 24}


@pytest.mark.parametrize(("limit", "fits"), [(72, True), (71, False)])
def test_a_pool_fits_into_what_is_left_of_the_quota(limit: int, fits: bool) -> None:
    counts = {"xFamily": 48}
    if fits:
        check_quota(SIZE, {}, counts, {"xfamily": limit})
        return
    with pytest.raises(ArmError, match="requested 24, remaining 23"):
        check_quota(SIZE, {}, counts, {"xfamily": limit})


def test_the_region_has_a_quota_too() -> None:
    with pytest.raises(ArmError, match="remaining 10 of cores"):
        check_quota(SIZE, {}, {}, {"cores": 10})


def test_another_pools_operation_is_in_the_way_only_where_operations_are_serialised() -> None:
    running = [Operation.start("delete", "ws1")]
    check_idle(running, "ws2", serialised=False)
    for name, serialised in (("ws1", False), ("ws2", True)):
        with pytest.raises(ArmError, match="in progress delete node pool operation") as caught:
            check_idle(running, name, serialised=serialised)
        assert (caught.value.status, caught.value.code) == (409, "OperationNotAllowed")


def test_pools_and_operations_are_read_as_they_were_written(tmp_path: Path) -> None:
    store = Store(tmp_path, HOME)
    saved, operation = pool(nodeLabels={"a": "b"}), Operation.start("create", "ws1")
    saved.new_node().joined = True
    store.save({"ws1": saved}, [operation])
    assert store.load() == ({"ws1": saved}, {operation.id: operation})


def test_state_of_another_cluster_is_refused(tmp_path: Path) -> None:
    Store(tmp_path, HOME).save({"ws1": pool()}, [])
    other = Home(HOME.subscription, "rg", "other", "eastus")
    with pytest.raises(SimCloudError, match="another folder"):
        Store(tmp_path, other).load()


def test_without_a_state_file_there_is_nothing(tmp_path: Path) -> None:
    assert Store(tmp_path, HOME).load() == ({}, {})
