"""Claims as we write them, and as provisioners leave them."""

from datetime import UTC, datetime

from kaito_operator.api.machine import (
    ClaimResources,
    Machine,
    MachineSpec,
    MachineTemplateRef,
    NodeClaim,
    NodeClaimSpec,
    NodeClassRef,
    Requirement,
    Taint,
)
from kaito_operator.api.meta import ObjectMeta

GPU_TAINT = Taint(key="sku", value="gpu", effect="NoSchedule")


def one_of(key: str, value: str) -> Requirement:
    return Requirement(key=key, operator="In", values=[value])


def test_a_machine_is_written_as_v0_3_0_writes_it() -> None:
    labels = {
        "karpenter.sh/provisioner-name": "default",
        "kaito.sh/workspace": "workspace-falcon-7b",
        "kaito.sh/workspacenamespace": "default",
        "apps": "falcon-7b",
    }
    machine = Machine(
        metadata=ObjectMeta(name="ws0123abcde", labels=labels),
        spec=MachineSpec(
            machine_template_ref=MachineTemplateRef(name="ws0123abcde"),
            requirements=[one_of("kubernetes.io/os", "linux")],
            taints=[GPU_TAINT],
            resources=ClaimResources(requests={"storage": "50Gi"}),
        ),
    )
    assert machine.to_manifest() == {
        "apiVersion": "karpenter.sh/v1alpha5",
        "kind": "Machine",
        "metadata": {"name": "ws0123abcde", "labels": labels},
        "spec": {
            "machineTemplateRef": {"name": "ws0123abcde"},
            "requirements": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}],
            "taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
            "resources": {"requests": {"storage": "50Gi"}},
        },
    }


def test_a_node_claim_without_storage_has_no_resources() -> None:
    claim = NodeClaim(
        metadata=ObjectMeta(name="ws0123abcde", annotations={"karpenter.sh/do-not-disrupt": "true"}),
        spec=NodeClaimSpec(
            node_class_ref=NodeClassRef(group="kaito.sh", kind="KaitoNodeClass", name="default"),
            requirements=[one_of("karpenter.sh/nodepool", "kaito")],
            expire_after="Never",
        ),
    )
    assert claim.to_manifest() == {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {"name": "ws0123abcde", "annotations": {"karpenter.sh/do-not-disrupt": "true"}},
        "spec": {
            "nodeClassRef": {"group": "kaito.sh", "kind": "KaitoNodeClass", "name": "default"},
            "requirements": [{"key": "karpenter.sh/nodepool", "operator": "In", "values": ["kaito"]}],
            "expireAfter": "Never",
        },
    }


def test_a_machine_of_another_hand_can_be_read() -> None:
    machine = Machine.model_validate(
        {
            "metadata": {"name": "x"},
            "spec": {"resources": {"requests": {"storage": 300}}, "kubelet": {"maxPods": 3}},
            "status": {
                "nodeName": "aks-1",
                "providerID": "azure:///x",
                "capacity": {"nvidia.com/gpu": 1},
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True",
                        "severity": "",
                        "lastTransitionTime": "2030-01-02T03:04:05Z",
                    }
                ],
            },
        }
    )
    assert machine.spec.resources.requests == {"storage": "300"}
    assert machine.status.provider_id == "azure:///x"
    assert machine.status.capacity == {"nvidia.com/gpu": "1"}
    assert machine.status.conditions[0].last_transition_time == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_claim_that_nobody_has_looked_at_can_be_read() -> None:
    claim = NodeClaim.model_validate({"metadata": {"name": "x"}, "spec": {}})
    assert claim.status.node_name == ""
    assert claim.status.conditions == []
