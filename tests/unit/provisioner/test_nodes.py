"""What is written on a node, which node a claim follows, and what still keeps it from being usable."""

from typing import Any

import pytest

from kaito_operator.provisioner.nodes import (
    bound_node,
    drain_patch,
    obstacle,
    read_node,
    registration_patch,
    release_patch,
)
from kaito_operator.provisioner.requirements import LaunchPlan
from tests.support.patches import as_merge_patch
from tests.support.world import merged
from tests.unit.provisioner.objects import a_machine, a_node, a_node_claim, at, parsed, readiness

POOL = "ws0123abcde"
PLAN = LaunchPlan("size", labels={"example.com/team": "x"})


def registered(
    node: dict[str, Any], machine: dict[str, Any] | None = None, *, initialized: bool = True
) -> Any:
    patch = registration_patch(parsed(machine or a_machine()), read_node(node), PLAN, initialized=initialized)
    return merged(node, patch) if patch else node


def test_a_registered_node_carries_what_karpenter_puts_on_it() -> None:
    claim = a_node_claim()
    node = registered(a_node(POOL), claim)
    labels = node["metadata"]["labels"]
    assert labels.items() >= claim["metadata"]["labels"].items()
    assert labels["karpenter.sh/registered"] == labels["karpenter.sh/initialized"] == "true"
    assert labels["example.com/team"] == "x"
    assert node["metadata"]["annotations"] == claim["metadata"]["annotations"]
    assert node["metadata"]["finalizers"] == ["karpenter.sh/termination"]
    assert node["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodeClaim",
            "name": POOL,
            "uid": f"uid-{POOL}",
            "blockOwnerDeletion": True,
        }
    ]


def test_a_registered_node_is_not_written_again() -> None:
    once = registered(a_node(POOL))
    assert registration_patch(parsed(a_machine()), read_node(once), PLAN, initialized=True) is None


def test_a_node_that_is_not_usable_yet_is_registered_without_being_initialized() -> None:
    labels = registered(a_node(POOL), initialized=False)["metadata"]["labels"]
    assert labels["karpenter.sh/registered"] == "true"
    assert "karpenter.sh/initialized" not in labels


def test_missing_taints_are_added_once_and_startup_taints_stay_away_when_taken() -> None:
    machine = a_machine(startupTaints=[{"key": "agent", "value": "x", "effect": "NoSchedule"}])
    node = a_node(POOL)
    node["spec"]["taints"] = [{"key": "karpenter.sh/unregistered", "effect": "NoExecute"}]
    node = registered(node, machine, initialized=False)
    assert node["spec"]["taints"] == [
        {"key": "sku", "value": "gpu", "effect": "NoSchedule"},
        {"key": "agent", "value": "x", "effect": "NoSchedule"},
    ]
    node["spec"]["taints"].pop()
    assert registered(node, machine)["spec"]["taints"] == [
        {"key": "sku", "value": "gpu", "effect": "NoSchedule"}
    ]


def test_a_node_may_ask_to_be_left_with_its_taints() -> None:
    node = a_node(POOL, labels={"karpenter.sh/do-not-sync-taints": "true"})
    node["spec"]["taints"] = []
    assert registered(node)["spec"]["taints"] == []


def with_taint(key: str, effect: str, value: str = "") -> dict[str, Any]:
    node = a_node(POOL)
    node["spec"]["taints"].append({"key": key, "effect": effect, **({"value": value} if value else {})})
    return node


UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"


@pytest.mark.parametrize(
    ("node", "found"),
    [
        (a_node(POOL), None),
        (
            a_node(POOL, ready=False),
            ("NodeNotReady", "NodeStatusUnknown: Kubelet stopped posting node status."),
        ),
        (
            with_taint("node.kubernetes.io/not-ready", "NoExecute"),
            ("KnownEphemeralTaintsExist", '"node.kubernetes.io/not-ready:NoExecute"'),
        ),
        (
            with_taint(UNINITIALIZED, "NoSchedule", "true"),
            ("KnownEphemeralTaintsExist", f'"{UNINITIALIZED}=true:NoSchedule"'),
        ),
        (with_taint("node.kubernetes.io/memory-pressure", "NoSchedule"), None),
    ],
)
def test_what_keeps_a_node_from_being_usable(node: dict[str, Any], found: tuple[str, str] | None) -> None:
    assert obstacle(parsed(a_machine()), read_node(node)) == found


def test_startup_taints_are_waited_for_before_they_are_even_written() -> None:
    machine = a_machine(startupTaints=[{"key": "agent", "value": "x", "effect": "NoSchedule"}])
    found = obstacle(parsed(machine), read_node(a_node(POOL)))
    assert found == ("StartupTaintsExist", '"agent=x:NoSchedule"')


def test_requested_resources_are_waited_for_but_never_the_disk() -> None:
    machine = a_machine(resources={"requests": {"storage": "50Gi", "nvidia.com/gpu": "1"}})
    node = a_node(POOL)
    assert obstacle(parsed(machine), read_node(node)) == ("ResourceNotRegistered", "nvidia.com/gpu")
    node["status"]["allocatable"]["nvidia.com/gpu"] = "1"
    assert obstacle(parsed(machine), read_node(node)) is None


@pytest.mark.parametrize(
    ("nodes", "bound", "number"),
    [
        ([a_node(POOL, 0)], "", 0),
        ([a_node(POOL, 0), a_node(POOL, 1, created=50)], "", 0),
        ([a_node(POOL, 0), a_node(POOL, 1, created=50)], a_node(POOL, 1)["metadata"]["name"], 1),
        ([a_node(POOL, 0, ready=False), a_node(POOL, 1, created=50)], a_node(POOL, 0)["metadata"]["name"], 1),
        (
            [a_node(POOL, 0, deletionTimestamp=at(60)), a_node(POOL, 1, created=50)],
            a_node(POOL, 0)["metadata"]["name"],
            1,
        ),
    ],
)
def test_a_claim_follows_a_ready_node_that_stays(
    nodes: list[dict[str, Any]], bound: str, number: int
) -> None:
    found = bound_node([read_node(node) for node in nodes], bound)
    assert found is not None
    assert found.name == a_node(POOL, number)["metadata"]["name"]


def test_a_node_without_a_vm_is_not_followed() -> None:
    node = a_node(POOL)
    del node["spec"]["providerID"]
    assert bound_node([read_node(node)], "") is None


def test_a_node_that_goes_takes_no_new_pods_and_is_let_go_of_in_one_write() -> None:
    node = registered(a_node(POOL))
    patch = drain_patch(read_node(node))
    assert patch is not None
    drained = merged(node, as_merge_patch(patch, node))
    assert {"key": "karpenter.sh/disrupted", "effect": "NoSchedule"} in drained["spec"]["taints"]
    assert (
        drained["metadata"]["labels"]["node.kubernetes.io/exclude-from-external-load-balancers"]
        == "karpenter"
    )
    assert drained["metadata"]["finalizers"] == []
    assert drain_patch(read_node(drained)) is None


def test_only_our_finalizer_is_taken_off() -> None:
    node = a_node(POOL, finalizers=["other/x", "karpenter.sh/termination"])
    patch = as_merge_patch(release_patch(read_node(node)), node)
    assert merged(node, patch)["metadata"]["finalizers"] == ["other/x"]


def test_a_node_whose_kubelet_never_spoke_is_not_ready() -> None:
    node = a_node(POOL)
    node["status"] = {}
    assert obstacle(parsed(a_machine()), read_node(node)) == (
        "NodeNotReady",
        "the kubelet has not reported yet",
    )
    node["status"] = {"conditions": [readiness(False)]}
    assert read_node(node).ready is False
