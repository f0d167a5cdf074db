"""Claims of all kinds are served from nothing to a node and back, with Azure's own SDK over TLS."""

import os
import subprocess
import sys

import pytest

from tests.component.provisioner.conftest import Stage
from tests.support.kube import condition, eventually
from tests.unit.provisioner.objects import a_machine, a_node_claim

pytestmark = pytest.mark.component


def test_a_machine_of_kaito_v0_3_0_becomes_a_node_and_leaves_nothing_behind(stage: Stage) -> None:
    name = stage.create(a_machine("wsmachine"))
    machine = stage.until_ready("machines", name)
    (node,) = stage.nodes(name)
    assert machine["status"]["nodeName"] == node["metadata"]["name"]
    assert machine["status"]["providerID"] == node["spec"]["providerID"]
    labels = node["metadata"]["labels"]
    assert labels["kaito.sh/workspace"] == "workspace-falcon-7b"
    assert labels["karpenter.sh/registered"] == labels["karpenter.sh/initialized"] == "true"
    assert node["spec"]["taints"] == [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]
    assert node["metadata"]["finalizers"] == ["karpenter.sh/termination"]
    pool = stage.cloud.pools()[name].properties
    assert (pool["vmSize"], pool["osDiskSizeGB"]) == ("Standard_NC24ads_A100_v4", 50)
    assert pool["tags"]["kaito-claim-uid"] == machine["metadata"]["uid"]
    stage.end("machines", name)
    assert len(stage.writes(name)) <= 6, stage.writes(name)
    assert (len(stage.arm("PUT", name)), len(stage.arm("DELETE", name))) == (1, 1)


def test_a_node_claim_of_kaitos_head_becomes_a_node_and_leaves_nothing_behind(stage: Stage) -> None:
    name = stage.create(a_node_claim("wsnodeclaim"))
    claim = stage.until_ready("nodeclaims", name)
    ready = condition(claim, "Ready")
    assert (ready["reason"], ready["observedGeneration"]) == ("Ready", 1)
    assert stage.cloud.pools()[name].properties["osSKU"] == "AzureLinux"
    stage.end("nodeclaims", name)
    assert len(stage.writes(name)) <= 6, stage.writes(name)


def test_a_claim_whose_name_no_pool_can_have_is_served_all_the_same(stage: Stage) -> None:
    name = stage.create(a_node_claim("a-name-of-many-letters"))
    claim = stage.until_ready("nodeclaims", name)
    (pool,) = (p for p in stage.cloud.pools().values() if p.properties["tags"]["kaito-claim-name"] == name)
    assert f"-{pool.name}-" in claim["status"]["nodeName"]
    stage.end("nodeclaims", name)
    eventually(lambda: pool.name not in stage.cloud.pools())


def test_a_claim_of_anothers_class_stays_untouched(stage: Stage) -> None:
    other = {"group": "karpenter.azure.com", "kind": "AKSNodeClass", "name": "default"}
    theirs = a_node_claim("theirs", nodeClassRef=other)
    theirs["metadata"]["labels"] = {
        "karpenter.sh/nodepool": "general",
        "karpenter.kaito.sh/workspace-name": "w",
    }
    stored = stage.api.create(theirs)
    name = stage.create(a_node_claim("wsbeside"))
    stage.until_ready("nodeclaims", name)
    stage.end("nodeclaims", name)
    assert stage.api.find("nodeclaims", "theirs") == stored
    assert stage.arm("PUT", "theirs") == []


def test_a_person_who_deletes_the_node_means_the_machine(stage: Stage) -> None:
    name = stage.create(a_machine("wsnodegone"))
    machine = stage.until_ready("machines", name)
    stage.api.delete("nodes", machine["status"]["nodeName"])
    eventually(lambda: stage.api.find("machines", name) is None and name not in stage.cloud.pools())
    assert stage.nodes(name) == []


def test_a_pod_is_evicted_before_its_node_goes(stage: Stage) -> None:
    name = stage.create(a_machine("wsdrained"))
    machine = stage.until_ready("machines", name)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server", "namespace": "default"},
        "spec": {"nodeName": machine["status"]["nodeName"]},
    }
    stage.api.create(pod)
    stage.end("machines", name)
    assert ("POST/eviction", "pods", "server") in stage.api.writes


def test_many_claims_at_once_are_ready_within_seconds(stage: Stage) -> None:
    names = [stage.create(a_machine(f"wsmany{number:03}")) for number in range(30)]
    for name in names:
        stage.until_ready("machines", name)
    for name in names:
        stage.api.delete("machines", name)
    eventually(lambda: not set(names) & set(stage.cloud.pools()), timeout_s=30)
    eventually(lambda: not [name for name in names if stage.api.find("machines", name)], timeout_s=30)
    for name in names:
        assert (len(stage.arm("PUT", name)), len(stage.arm("DELETE", name))) == (1, 1)
        assert len(stage.writes(name)) <= 6, stage.writes(name)


MORE = [pytest.param(0.5, marks=pytest.mark.full), pytest.param(0.9, marks=pytest.mark.full)]


@pytest.mark.parametrize("when_s", [0.2, *MORE])
def test_a_killed_provisioner_goes_on_with_the_same_pool(stage: Stage, when_s: float) -> None:
    name = stage.create(a_machine(f"wskilled{when_s * 10:.0f}"))
    restart_after(stage, when_s)
    stage.until_ready("machines", name)
    stage.api.delete("machines", name)
    restart_after(stage, when_s)
    eventually(lambda: stage.api.find("machines", name) is None and name not in stage.cloud.pools())
    assert [status for status in stage.arm("PUT", name) if status < 300] == [201]


def restart_after(stage: Stage, seconds: float) -> None:
    began = len(stage.cloud.requests)
    assert seconds > 0
    eventually(lambda: len(stage.cloud.requests) >= began + seconds * 10, timeout_s=10)
    stage.provisioner.kill()
    stage.provisioner.start()


def test_a_provisioner_that_is_stopped_ends_well_and_the_next_one_leads_at_once(stage: Stage) -> None:
    assert stage.provisioner.stop() == 0
    stage.provisioner.start()
    name = stage.create(a_machine("wsafter"))
    stage.until_ready("machines", name)
    stage.end("machines", name)


def test_a_missing_setting_ends_the_process_with_its_name() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ARM_", "AZURE_"))}
    command = [sys.executable, "-m", "kaito_operator.provisioner"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("gpu-provisioner: ARM_SUBSCRIPTION_ID is not set")
