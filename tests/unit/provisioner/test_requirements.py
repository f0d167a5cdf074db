"""A claim is obeyed or refused in words; nothing that it asks for is left out silently."""

from typing import Any

import pytest

from kaito_operator.provisioner.requirements import InvalidClaim, LaunchPlan, launch_plan
from tests.unit.provisioner.objects import a_machine, one_of, parsed

SIZE = "node.kubernetes.io/instance-type"
ZONE = "topology.kubernetes.io/zone"
CAPACITY = "karpenter.sh/capacity-type"


def plan(
    *requirements: dict[str, Any], storage: Any = "50Gi", location: str = "eastus", **metadata: Any
) -> LaunchPlan:
    obj = a_machine()
    obj["spec"]["requirements"] = list(requirements)
    obj["spec"]["resources"]["requests"] = {} if storage is None else {"storage": storage}
    obj["metadata"] |= metadata
    return launch_plan(parsed(obj), location)


def of(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("requirements", "size"),
    [
        ((one_of(SIZE, "b", "a"),), "b"),
        ((one_of(SIZE, "b", "a"), one_of(SIZE, "a", "c")), "a"),
        ((one_of(SIZE, "a", "b"), of(SIZE, "NotIn", "a")), "b"),
        ((one_of("karpenter.azure.com/sku-name", "only"),), "only"),
        ((one_of("karpenter.azure.com/sku-name", "second"), one_of(SIZE, "first")), "first"),
    ],
)
def test_the_first_type_that_satisfies_all_is_taken(
    requirements: tuple[dict[str, Any], ...], size: str
) -> None:
    assert plan(*requirements).vm_size == size


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ((), "names no instance type"),
        ((of(SIZE, "NotIn", "a"),), "names no instance type"),
        ((one_of(SIZE, "a"), one_of(SIZE, "b")), "no instance type satisfies"),
        ((one_of(SIZE, "a"), one_of("kubernetes.io/os", "windows")), "must be one of linux, not windows"),
        ((one_of(SIZE, "a"), one_of("kubernetes.io/arch", "s390x")), "amd64, arm64"),
        ((one_of(SIZE, "a"), one_of(CAPACITY, "reserved")), "on-demand or spot, not reserved"),
        ((one_of(SIZE, "a"), one_of(ZONE, "westus-1")), "write one as eastus-1"),
        ((one_of(SIZE, "a"), one_of("topology.kubernetes.io/region", "westus")), "must be one of eastus"),
        ((one_of(SIZE, "a"), of("example.com/x", "Gt", "3")), "example.com/x Gt 3"),
        ((one_of(SIZE, "a"), one_of("example.com/x", "1", "2")), "example.com/x In 1,2"),
    ],
)
def test_what_cannot_be_had_is_refused(requirements: tuple[dict[str, Any], ...], words: str) -> None:
    with pytest.raises(InvalidClaim, match=words):
        plan(*requirements)


@pytest.mark.parametrize(
    ("storage", "gib"),
    [
        ("50Gi", 50),
        ("158Gi", 158),
        ("50.5Gi", 51),
        ("1Gi", 30),
        ("1", 30),
        ("100G", 94),
        ("400", 400),  # as v0.3.0 writes GB
        (300, 300),
        ("0", None),
        (None, None),
        ("2Ti", 2048),
        ("2000000000000", 1863),
    ],
)
def test_the_disk_has_whole_gib_rounded_up_within_azures_bounds(storage: Any, gib: int | None) -> None:
    assert plan(one_of(SIZE, "a"), storage=storage).disk_gib == gib


@pytest.mark.parametrize("storage", ["3Ti", "-1Gi", "much"])
def test_a_disk_that_no_pool_has_is_refused(storage: str) -> None:
    with pytest.raises(InvalidClaim):
        plan(one_of(SIZE, "a"), storage=storage)


@pytest.mark.parametrize(
    ("types", "spot"),
    [(("spot",), True), (("on-demand",), False), (("spot", "on-demand"), False), ((), False)],
)
def test_spot_is_taken_only_where_nothing_else_will_do(types: tuple[str, ...], spot: bool) -> None:
    requirements = [one_of(CAPACITY, *types)] if types else []
    assert plan(one_of(SIZE, "a"), *requirements).spot is spot


@pytest.mark.parametrize(
    ("location", "zones", "found"),
    [
        ("eastus", ("eastus-2", "westus-1"), ("2",)),
        ("eastus", ("3", "1"), ("1", "3")),
        ("", ("anywhere-2",), ("2",)),
    ],
)
def test_zones_are_numbered_as_azure_does(
    location: str, zones: tuple[str, ...], found: tuple[str, ...]
) -> None:
    assert plan(one_of(SIZE, "a"), one_of(ZONE, *zones), location=location).zones == found


def test_requirements_with_one_value_become_labels_unless_they_choose_the_machine() -> None:
    found = plan(
        one_of(SIZE, "a"),
        one_of("example.com/team", "x"),
        one_of("kubernetes.io/os", "linux"),
        of("example.com/other", "DoesNotExist"),
        of("example.com/not", "NotIn", "y"),
    )
    assert found.labels == {"example.com/team": "x"}


def test_a_claim_for_a_vm_that_exists_is_refused() -> None:
    with pytest.raises(InvalidClaim, match="adopt a VM"):
        plan(one_of(SIZE, "a"), annotations={"karpenter.sh/linked": "azure:///x"})


def test_whether_a_node_has_gpus_is_what_the_claim_says() -> None:
    assert plan(one_of(SIZE, "Standard_N"), one_of("kaito.sh/machine-type", "cpu")).gpu is False
    assert plan(one_of(SIZE, "a"), one_of("kaito.sh/machine-type", "gpu")).gpu is True
    assert plan(one_of(SIZE, "a")).gpu is True  # by its taint sku=gpu
