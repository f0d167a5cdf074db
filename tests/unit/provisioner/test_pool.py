"""The request for a pool is what the reference says, and the same to the byte each time."""

import json
from dataclasses import replace
from typing import Any

import pytest

from kaito_operator.provisioner.pool import (
    Identity,
    Pool,
    belongs_to,
    is_reserved,
    name_for,
    pool_body,
    pool_of_provider_id,
)
from kaito_operator.provisioner.requirements import launch_plan
from tests.unit.provisioner.objects import CLUSTER, a_machine, a_node_claim, one_of, parsed, provider_id

IDENTITY = Identity(CLUSTER, "eastus")


def body_of(obj: dict[str, Any]) -> dict[str, Any]:
    claim = parsed(obj)
    return dict(pool_body(claim, launch_plan(claim, "eastus"), IDENTITY)["properties"])


def tags(kind: str) -> dict[str, str]:
    return {
        "kaito-claim-kind": kind,
        "kaito-claim-name": "ws0123abcde",
        "kaito-claim-uid": "uid-ws0123abcde",
        "kaito-cluster": CLUSTER,
        "kaito-manager": "kaito-gpu-provisioner",
    }


def test_the_pool_of_a_machine_of_v0_3_0() -> None:
    assert body_of(a_machine()) == {
        "count": 1,
        "mode": "User",
        "type": "VirtualMachineScaleSets",
        "vmSize": "Standard_NC24ads_A100_v4",
        "osType": "Linux",
        "osSKU": "Ubuntu",
        "osDiskSizeGB": 50,
        "nodeLabels": {
            "apps": "falcon-7b",
            "kaito.sh/claim-uid": "uid-ws0123abcde",
            "kaito.sh/machine-type": "gpu",
            "kaito.sh/workspace": "workspace-falcon-7b",
            "kaito.sh/workspacenamespace": "default",
            "karpenter.sh/provisioner-name": "default",
        },
        "nodeTaints": ["sku=gpu:NoSchedule"],
        "tags": tags("Machine"),
        "upgradeSettings": {"maxSurge": "0", "maxUnavailable": "1"},
    }


def test_the_pool_of_a_node_claim_of_kaitos_head() -> None:
    assert body_of(a_node_claim()) == {
        "count": 1,
        "mode": "User",
        "type": "VirtualMachineScaleSets",
        "vmSize": "Standard_NC24ads_A100_v4",
        "osType": "Linux",
        "osSKU": "AzureLinux",
        "osDiskSizeGB": 1024,
        "nodeLabels": {
            "apps": "falcon-7b",
            "kaito.sh/claim-uid": "uid-ws0123abcde",
            "kaito.sh/creation-timestamp": "2026-01-02T03-04-05Z",
            "kaito.sh/machine-type": "gpu",
            "kaito.sh/workspace": "workspace-falcon-7b",
            "kaito.sh/workspacenamespace": "default",
            "karpenter.sh/nodepool": "kaito",
        },
        "nodeTaints": ["sku=gpu:NoSchedule"],
        "tags": tags("NodeClaim"),
        "upgradeSettings": {"maxSurge": "0", "maxUnavailable": "1"},
    }


def test_the_order_of_a_claims_labels_does_not_change_a_byte() -> None:
    one, other = a_machine(), a_machine()
    other["metadata"]["labels"] = dict(reversed(other["metadata"]["labels"].items()))
    assert json.dumps(body_of(one)) == json.dumps(body_of(other))


def test_spot_and_zones_are_asked_for() -> None:
    claim = a_machine()
    claim["spec"]["requirements"] += [
        one_of("karpenter.sh/capacity-type", "spot"),
        one_of("topology.kubernetes.io/zone", "eastus-3", "eastus-1"),
    ]
    body = body_of(claim)
    assert (body["scaleSetPriority"], body["scaleSetEvictionPolicy"]) == ("Spot", "Delete")
    assert body["spotMaxPrice"] == -1
    assert body["availabilityZones"] == ["1", "3"]


def test_what_aks_refuses_is_left_out_of_the_request() -> None:
    claim = a_machine()
    claim["metadata"]["labels"] |= {
        "kubernetes.azure.com/mode": "system",
        "node.kubernetes.io/role": "x",
        "node-role.kubernetes.io/gpu": "",
        "accelerator": "nvidia",
        "agentpool": "mine",
        "example.com/kept": "yes",
        "example.com/too-long": "x" * 64,
    }
    claim["spec"]["taints"] += [
        {"key": "kubernetes.azure.com/x", "effect": "NoSchedule"},
        {"key": "plain", "effect": "NoExecute"},
    ]
    body = body_of(claim)
    kept = set(body["nodeLabels"]) - set(body_of(a_machine())["nodeLabels"])
    assert kept == {"example.com/kept"}
    assert body["nodeTaints"] == ["sku=gpu:NoSchedule", "plain:NoExecute"]


def test_a_users_label_cannot_change_whose_a_node_is() -> None:
    claim = a_machine()
    claim["metadata"]["labels"]["kaito.sh/claim-uid"] = "of-another"
    assert body_of(claim)["nodeLabels"]["kaito.sh/claim-uid"] == "uid-ws0123abcde"


@pytest.mark.parametrize(
    ("key", "reserved"),
    [
        ("kubernetes.io/hostname", True),
        ("x.k8s.io/y", True),
        ("kubernetes.azure.com/mode", True),
        ("notkubernetes.io/x", False),
        ("karpenter.azure.com/sku-name", False),
        ("kaito.sh/workspace", False),
        ("agentpool", True),
    ],
)
def test_reserved_keys(key: str, reserved: bool) -> None:
    assert is_reserved(key) is reserved


@pytest.mark.parametrize("name", ["ws0123abcde", "a", "abcdefghij12"])
def test_a_name_that_azure_takes_is_kept(name: str) -> None:
    assert name_for(name, "u") == name


@pytest.mark.parametrize("name", ["my-claim", "ABC", "1abc", "abcdefghij123", "ws.x"])
def test_another_name_becomes_one_that_azure_takes_and_that_only_the_uid_decides(name: str) -> None:
    derived = name_for(name, "u")
    assert len(derived) == 12
    assert derived.startswith("ws")
    assert derived.isalnum()
    assert derived == derived.lower() == name_for("another-claim", "u")
    assert derived != name_for(name, "v")


def test_the_pool_is_read_from_the_id_of_a_vm() -> None:
    assert pool_of_provider_id(provider_id("ws1")) == "ws1"
    for other in ("", "aws:///x/i-1", provider_id("ws1").replace("aks-ws1-12345678-vmss", "mine")):
        assert pool_of_provider_id(other) == ""


def test_a_pool_belongs_to_the_claim_of_its_uid_only() -> None:
    claim = parsed(a_machine())
    pool = Pool("ws0123abcde", "Succeeded", tags=tags("Machine"))
    assert belongs_to(pool, claim, IDENTITY)
    for key, value in (("kaito-claim-uid", "x"), ("kaito-cluster", "x"), ("kaito-manager", "x")):
        assert not belongs_to(replace(pool, tags={**pool.tags, key: value}), claim, IDENTITY)
    assert not belongs_to(replace(pool, tags={}), claim, IDENTITY)


def test_an_unmarked_pool_belongs_to_the_claim_whose_status_names_its_vm() -> None:
    obj = a_machine()
    obj["status"] = {"providerID": provider_id("ws0123abcde")}
    unmarked = Pool("ws0123abcde", "Succeeded")
    assert belongs_to(unmarked, parsed(obj), IDENTITY)
    assert not belongs_to(replace(unmarked, name="other"), parsed(obj), IDENTITY)
