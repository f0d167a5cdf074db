"""The objects that ask for a node, letter by letter, since programs of others read them."""

import re

import pytest

from kaito_operator.api.meta import ObjectMeta
from kaito_operator.api.quantities import GIB
from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.claims import NodeNeed, claim, claim_name
from kaito_operator.settings import NodeClass, Provisioning, RuntimeSettings
from tests.support.objects import Obj, a_workspace

FALCON = {
    "metadata": {"name": "workspace-falcon-7b", "namespace": "default", "uid": "1-2-3"},
    "resource": {
        "instanceType": "Standard_NC12s_v3",
        "labelSelector": {"matchLabels": {"apps": "falcon-7b"}},
    },
    "inference": {"preset": {"name": "falcon-7b"}},
}
GPU = NodeNeed("Standard_NC12s_v3", gpus=2, disk_bytes=50 * GIB)
NAME = "ws123456789"


def a_claim(
    mode: Provisioning, need: NodeNeed = GPU, node_class: NodeClass | None = None, **resource: object
) -> Obj:
    raw = {**a_workspace(), **FALCON}
    raw["resource"] = {**raw["resource"], **resource}
    runtime = RuntimeSettings("i", provisioning=mode, node_class=node_class or NodeClass())
    return claim(Workspace.model_validate(raw), NAME, need, runtime)


def is_in(key: str, value: str) -> Obj:
    return {"key": key, "operator": "In", "values": [value]}


def test_a_machine_is_what_v0_3_0_writes_and_names_its_owner() -> None:
    assert a_claim("machine") == {
        "apiVersion": "karpenter.sh/v1alpha5",
        "kind": "Machine",
        "metadata": {
            "name": NAME,
            "labels": {
                "apps": "falcon-7b",
                "accelerator": "nvidia",
                "karpenter.sh/provisioner-name": "default",
                "kaito.sh/workspace": "workspace-falcon-7b",
                "kaito.sh/workspacenamespace": "default",
            },
            "annotations": {"kaito.sh/workspace-uid": "1-2-3"},
        },
        "spec": {
            "machineTemplateRef": {"name": NAME},
            "requirements": [
                is_in("node.kubernetes.io/instance-type", "Standard_NC12s_v3"),
                is_in("karpenter.sh/provisioner-name", "default"),
                is_in("kaito.sh/machine-type", "gpu"),
                is_in("kubernetes.io/arch", "amd64"),
                is_in("kubernetes.io/os", "linux"),
            ],
            "taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
            "resources": {"requests": {"storage": "50Gi"}},
        },
    }


def test_a_node_claim_is_what_kaito_writes_for_the_gpu_provisioner() -> None:
    assert a_claim("nodeclaim") == {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": NAME,
            "labels": {
                "apps": "falcon-7b",
                "accelerator": "nvidia",
                "karpenter.sh/nodepool": "kaito",
                "kaito.sh/workspace": "workspace-falcon-7b",
                "kaito.sh/workspacenamespace": "default",
            },
            "annotations": {"kaito.sh/workspace-uid": "1-2-3", "karpenter.sh/do-not-disrupt": "true"},
        },
        "spec": {
            "nodeClassRef": {"group": "kaito.sh", "kind": "KaitoNodeClass", "name": "default"},
            "requirements": [
                is_in("karpenter.sh/nodepool", "kaito"),
                is_in("node.kubernetes.io/instance-type", "Standard_NC12s_v3"),
                is_in("kubernetes.io/os", "linux"),
            ],
            "taints": [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
            "resources": {"requests": {"storage": "50Gi"}},
        },
    }


def test_karpenter_itself_is_asked_for_no_storage_that_no_node_offers_and_for_a_node_that_stays() -> None:
    node_class = NodeClass("karpenter.azure.com", "AKSNodeClass", "default")
    spec = a_claim("nodeclaim", node_class=node_class)["spec"]
    assert spec["resources"] == {"requests": {"ephemeral-storage": "50Gi"}}
    assert spec["expireAfter"] == "Never"
    assert spec["nodeClassRef"]["kind"] == "AKSNodeClass"


@pytest.mark.parametrize("mode", ["machine", "nodeclaim"])
def test_the_users_labels_never_overwrite_ours(mode: Provisioning) -> None:
    pool = {"machine": "karpenter.sh/provisioner-name", "nodeclaim": "karpenter.sh/nodepool"}[mode]
    ours = a_claim(mode)["metadata"]["labels"]
    theirs = {
        "apps": "x",
        "kaito.sh/workspace": "other",
        "kaito.sh/workspacenamespace": "other",
        pool: "other",
        "accelerator": "amd",
    }
    assert a_claim(mode, labelSelector={"matchLabels": theirs})["metadata"]["labels"] == {**ours, "apps": "x"}


def test_a_node_of_a_cpu_type_is_not_said_to_have_an_accelerator() -> None:
    cpu = a_claim("machine", NodeNeed("Standard_D4s_v5", gpus=0, disk_bytes=GIB))
    assert "accelerator" not in cpu["metadata"]["labels"]
    assert is_in("kaito.sh/machine-type", "cpu") in cpu["spec"]["requirements"]


def test_a_type_that_is_not_in_the_table_is_taken_for_one_with_gpus() -> None:
    unknown = a_claim("machine", NodeNeed("Standard_New", gpus=None, disk_bytes=GIB))
    assert unknown["metadata"]["labels"]["accelerator"] == "nvidia"


DISKS = [(0, "128Gi"), (50 * GIB, "50Gi"), (158 * GIB, "158Gi")]


@pytest.mark.parametrize(("disk_bytes", "text"), DISKS)
def test_the_disk_is_asked_for_in_gi(disk_bytes: int, text: str) -> None:
    need = NodeNeed("T", gpus=1, disk_bytes=disk_bytes)
    assert a_claim("machine", need)["spec"]["resources"]["requests"] == {"storage": text}


def test_a_name_follows_from_the_owner_the_ordinal_and_the_attempt_alone() -> None:
    owner = ObjectMeta(name="ws", namespace="ns", uid="u")
    # sha256("ns/ws/u/0/0") begins with these 9 hex digits
    assert claim_name(owner, 0, 0) == "wsb70ddd39d"
    others = [
        claim_name(owner, 1, 0),
        claim_name(owner, 0, 1),
        claim_name(owner.model_copy(update={"uid": "v"}), 0, 0),
        claim_name(owner.model_copy(update={"name": "w"}), 0, 0),
        claim_name(owner.model_copy(update={"namespace": "n"}), 0, 0),
    ]
    assert len({claim_name(owner, 0, 0), *others}) == 6


def test_every_name_is_a_valid_name_of_an_agent_pool() -> None:
    owner = ObjectMeta(name="ws", namespace="ns", uid="u")
    names = [claim_name(owner, ordinal, attempt) for ordinal in range(100) for attempt in range(5)]
    assert all(re.fullmatch("[a-z][a-z0-9]{0,11}", found) for found in names)
