"""One test per fault of the cloud: the status names it and what to do, and ends when the fault does."""

import pytest

from tests.cluster.provisioning.conftest import TYPE, Scene, a_workspace
from tests.support.kube import eventually
from tools.simcloud import Behaviour, behaviours

# A claim that gets no node: told, given up, and asked for again under another name.
FINAL: dict[str, tuple[Behaviour, str]] = {
    "quota, told at once": (behaviours.quota_exceeded(), "AzureQuotaExceeded"),
    "quota, told late": (behaviours.quota_exceeded(late=True, seconds=0.3), "AzureQuotaExceeded"),
    "no capacity": (behaviours.no_capacity(seconds=0.3), "AzureNoCapacity"),
    "SKU not available": (behaviours.sku_not_available(), "AzureSkuNotAvailable"),
    "subnet full": (behaviours.subnet_full(), "AzureSubnetFull"),
    "failed after creating": (
        behaviours.failed("VMExtensionProvisioningError", "the extension of {pool} failed", 0.3),
        "PoolFailed",
    ),
}


@pytest.mark.parametrize("fault", FINAL)
def test_what_cannot_be_is_told_and_tried_again(scene: Scene, fault: str) -> None:
    behaviour, reason = FINAL[fault]
    scene.cloud.script(TYPE, behaviour)
    scene.create(a_workspace())
    told = scene.until_reason(reason)
    assert told["nextAction"], told
    assert scene.condition("MachineReady") == ("False", reason)
    scene.until_nodes_ready()  # the fault is over: the next claim gets its node
    assert len(scene.claims()) == 1
    assert scene.status()["claims"][0]["attempt"] == 1
    eventually(lambda: not scene.left(), what=scene.left)


# Trouble on the way to Azure: the same claim goes on when it is over.
PASSING: dict[str, Behaviour] = {
    "409": behaviours.in_progress(times=3),
    "429 with Retry-After": behaviours.throttled(times=8, retry_after_s=1),
    "5xx": behaviours.server_error(times=8),
    "the connection ends after the PUT": behaviours.dropped(),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_costs_no_second_machine(scene: Scene, fault: str) -> None:
    scene.cloud.script("*" if fault.startswith(("429", "5xx")) else TYPE, PASSING[fault])
    scene.create(a_workspace())
    scene.until_nodes_ready()
    assert [r["attempt"] for r in scene.status()["claims"]] == [0]
    assert set(scene.puts()) == {c["metadata"]["name"] for c in scene.claims()}


AUTH: dict[str, tuple[Behaviour, str]] = {
    "the role is missing": (behaviours.forbidden(times=6), "AzureAuthFailed"),
    "another cluster": (behaviours.cluster_missing(times=6), "AzureClusterNotFound"),
    "pool limit": (behaviours.pool_limit_reached(), "PoolLimitReached"),
}


@pytest.mark.parametrize("fault", AUTH)
def test_what_only_a_person_can_cure_is_told_while_the_claim_waits(scene: Scene, fault: str) -> None:
    behaviour, reason = AUTH[fault]
    scene.cloud.script(TYPE if fault == "pool limit" else "*", behaviour)
    scene.create(a_workspace())
    assert scene.until_reason(reason)["nextAction"]
    scene.until_nodes_ready()
    assert [r["attempt"] for r in scene.status()["claims"]] == [0]


def test_without_a_named_type_the_next_one_that_fits_is_tried(scene: Scene) -> None:
    name = "ws"
    first = scene.create(a_workspace(instanceType=None))
    assert first
    eventually(lambda: scene.status().get("instanceType"), what=scene.words)
    chosen = scene.status()["instanceType"]
    scene.until_nodes_ready()
    scene.delete(name)
    eventually(lambda: not scene.claims(), what=scene.words)

    scene.cloud.script(chosen, behaviours.no_capacity(seconds=0.2).always())
    scene.create(a_workspace(name, instanceType=None))
    scene.until_nodes_ready()
    assert scene.status()["instanceType"] not in (chosen, None)
    (claim,) = scene.claims()
    (requirement,) = [
        r for r in claim["spec"]["requirements"] if r["key"] == "node.kubernetes.io/instance-type"
    ]
    assert requirement["values"] == [scene.status()["instanceType"]]


class TestShortBudgets:
    """What takes a quarter of an hour in the cloud."""

    @pytest.fixture
    def provisioner_settings(self) -> dict[str, str]:
        return {
            "POOL_POLL_SECONDS": "0.3",
            "GC_SECONDS": "2",
            "AZURE_RETRY_SECONDS": "1",
            "DRAIN_BUDGET_SECONDS": "1",
            "REGISTRATION_BUDGET_SECONDS": "3",
            "LAUNCH_BUDGET_SECONDS": "4",
        }

    def test_a_node_that_never_joins_is_told_and_replaced(self, scene: Scene) -> None:
        scene.cloud.script(TYPE, behaviours.never_joins())
        scene.create(a_workspace())
        assert scene.until_reason("NodeNeverJoined")["nextAction"]
        scene.until_nodes_ready()

    def test_a_pool_that_takes_for_ever_is_told_and_replaced(self, scene: Scene) -> None:
        scene.cloud.script(TYPE, behaviours.slow(60))
        scene.create(a_workspace())
        assert scene.until_reason("LaunchTimeout")["nextAction"]
        scene.until_nodes_ready()


def test_a_node_that_dies_is_told_at_once(scene: Scene) -> None:
    scene.create(a_workspace())
    scene.until_nodes_ready()
    (claim,) = scene.claims()
    scene.cloud.kill_node(claim["metadata"]["name"])
    told = scene.until_reason("NodeNotReady", timeout_s=10)
    assert "Kubelet stopped" in told["message"]
    assert [r["attempt"] for r in scene.status()["claims"]] == [0], "not replaced before ten minutes"


def test_a_node_image_upgrade_keeps_the_claim(scene: Scene) -> None:
    scene.create(a_workspace())
    scene.until_nodes_ready()
    (before,) = scene.claims()
    scene.cloud.upgrade(before["metadata"]["name"])
    eventually(
        lambda: scene.claims()[0]["status"]["nodeName"] != before["status"]["nodeName"],
        timeout_s=30,
        what=scene.words,
    )
    scene.until_nodes_ready()
    (after,) = scene.claims()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert len(scene.puts()) == 1


def test_a_spot_eviction_is_told(scene: Scene) -> None:
    scene.create(a_workspace())
    scene.until_nodes_ready()
    (claim,) = scene.claims()
    scene.cloud.evict(claim["metadata"]["name"])
    told = scene.until_reason("NodeGone", timeout_s=15)
    assert claim["metadata"]["name"] in told["message"]
    # What the next action says: the claim goes, and another is made under another name.
    scene.api.delete("machines", None, claim["metadata"]["name"])
    eventually(lambda: scene.status()["claims"][0]["attempt"] == 1, what=scene.words)
    scene.until_nodes_ready()


def test_a_pool_that_somebody_removes_is_told_and_replaced(scene: Scene) -> None:
    scene.create(a_workspace())
    scene.until_nodes_ready()
    (claim,) = scene.claims()
    scene.cloud.remove_pool(claim["metadata"]["name"])
    eventually(
        lambda: [r["attempt"] for r in scene.status()["claims"]] == [1], timeout_s=30, what=scene.words
    )
    scene.until_nodes_ready()
