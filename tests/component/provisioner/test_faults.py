"""One test for each thing that may go wrong: the claim names it, and nothing is left in the end."""

import httpx
import pytest

from tests.component.provisioner.conftest import Stage
from tests.support.kube import condition, eventually
from tests.unit.provisioner.objects import a_machine, a_node_claim
from tools.simcloud import Behaviour, Verb
from tools.simcloud import behaviours as sim

pytestmark = pytest.mark.component

FOR_GOOD = [
    ("wsquota", sim.quota_exceeded(), "AzureQuotaExceeded", 1),
    ("wslatequota", sim.quota_exceeded(late=True), "AzureQuotaExceeded", 1),
    ("wscapacity", sim.no_capacity(), "AzureNoCapacity", 1),
    ("wssku", sim.sku_not_available(), "AzureSkuNotAvailable", 1),
    ("wssubnet", sim.subnet_full(), "AzureSubnetFull", 1),
    ("wsfailed", sim.failed(), "PoolFailed", 1),
]


@pytest.mark.parametrize(("name", "behaviour", "reason", "puts"), FOR_GOOD)
def test_a_claim_that_azure_refuses_for_good_says_why_and_costs_nothing(
    stage: Stage, name: str, behaviour: Behaviour, reason: str, puts: int
) -> None:
    stage.cloud.script(name, behaviour)
    stage.create(a_machine(name))
    stage.until_ready("machines", name, "False", reason)
    eventually(lambda: name not in stage.cloud.pools())
    assert len(stage.arm("PUT", name)) == puts
    stage.end("machines", name)


FOR_A_WHILE = [
    ("wsbusy", sim.in_progress(2), "OperationInProgress"),
    ("wsthrottled", sim.throttled(1, on=[Verb.PUT]), "AzureThrottled"),
    ("wsdown", sim.server_error(2, on=[Verb.PUT]), "AzureUnavailable"),
    ("wsforbidden", sim.forbidden(1, on=[Verb.PUT]), "AzureAuthFailed"),
    ("wsnocluster", sim.cluster_missing(1, on=[Verb.PUT]), "AzureClusterNotFound"),
    ("wslimit", sim.pool_limit_reached(), "PoolLimitReached"),
    ("wsdropped", sim.dropped(2), ""),
    ("wslost", sim.dropped(1), ""),
    ("wsslow", sim.slow(1.5), "PoolCreating"),
]


@pytest.mark.parametrize(("name", "behaviour", "reason"), FOR_A_WHILE)
def test_a_claim_that_azure_does_not_serve_at_once_is_served_later_with_one_pool(
    stage: Stage, name: str, behaviour: Behaviour, reason: str
) -> None:
    def said() -> bool:
        launched = condition(stage.api.find("nodeclaims", name), "Launched")
        return bool(launched.get("reason") == reason)

    stage.cloud.script(name, behaviour)
    stage.create(a_node_claim(name))
    if reason:
        eventually(said, what=lambda: (stage.api.find("nodeclaims", name), stage.provisioner.words()))
    stage.until_ready("nodeclaims", name)
    assert [status for status in stage.arm("PUT", name) if status in (200, 201)] in ([201], [])
    stage.end("nodeclaims", name)


@pytest.mark.parametrize(
    ("name", "behaviour"),
    [
        ("wsgobusy", sim.in_progress(1)),
        ("wsgodown", sim.server_error(2, on=[Verb.DELETE])),
        ("wsgolost", sim.dropped(2, on=[Verb.DELETE])),
    ],
)
def test_a_pool_whose_deletion_is_refused_at_first_goes_all_the_same(
    stage: Stage, name: str, behaviour: Behaviour
) -> None:
    stage.create(a_machine(name))
    stage.until_ready("machines", name)
    stage.cloud.script(name, behaviour)
    stage.end("machines", name)


def test_a_dead_node_makes_the_claim_not_ready_and_its_return_ready(stage: Stage) -> None:
    name = stage.create(a_machine("wsdead"))
    machine = stage.until_ready("machines", name)
    stage.cloud.kill_node(name)
    stage.until_ready("machines", name, "False", "NodeNotReady")
    well = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    stage.api.patch("nodes", machine["status"]["nodeName"], {"status": {"conditions": [well]}})
    stage.until_ready("machines", name)
    stage.end("machines", name)


def test_an_upgraded_node_is_followed(stage: Stage) -> None:
    name = stage.create(a_machine("wsupgraded"))
    before = stage.until_ready("machines", name)["status"]["nodeName"]
    stage.cloud.upgrade(name, overlap_s=0.3)
    eventually(
        lambda: [n["metadata"]["name"] for n in stage.nodes(name)] != [before] and len(stage.nodes(name)) == 1
    )
    (node,) = stage.nodes(name)

    def follows() -> bool:
        status = (stage.api.find("machines", name) or {}).get("status", {})
        return bool(status.get("nodeName") == node["metadata"]["name"])

    eventually(follows, what=lambda: (stage.api.find("machines", name), stage.provisioner.words()))
    stage.until_ready("machines", name)
    assert len(stage.arm("PUT", name)) == 1
    stage.end("machines", name)


def test_an_evicted_node_leaves_a_claim_that_is_not_ready(stage: Stage) -> None:
    name = stage.create(a_machine("wsevicted"))
    stage.until_ready("machines", name)
    stage.cloud.evict(name)
    stage.until_ready("machines", name, "False")
    assert stage.api.find("machines", name) is not None
    stage.end("machines", name)


def test_a_pool_that_somebody_deletes_is_told(stage: Stage) -> None:
    name = stage.create(a_machine("wsremoved"))
    stage.until_ready("machines", name)
    stage.cloud.remove_pool(name)
    stage.until_ready("machines", name, "False", "PoolRemoved")
    stage.end("machines", name)


def test_a_pool_without_a_claim_is_collected(stage: Stage) -> None:
    name = stage.create(a_machine("wsstray"))
    stage.until_ready("machines", name)
    stage.provisioner.kill()
    stage.api.patch("machines", name, {"metadata": {"finalizers": []}})
    stage.api.delete("machines", name)
    stage.provisioner.start()
    eventually(lambda: name not in stage.cloud.pools(), timeout_s=30, what=stage.provisioner.words)
    eventually(lambda: not stage.nodes(name))


def test_a_provisioner_that_azure_does_not_know_is_not_ready(stage: Stage) -> None:
    stage.provisioner.kill()
    stage.cloud.script("*", sim.token_refused(3))
    stage.provisioner.start(wait=False)
    name = stage.create(a_machine("wsauth"))
    address = f"http://127.0.0.1:{stage.provisioner.port}/readyz"

    def refused() -> bool:
        try:
            return "does not accept" in httpx.get(address).text
        except httpx.HTTPError:
            return False

    eventually(refused, what=stage.provisioner.words)
    stage.until_ready("machines", name)
    assert httpx.get(address).status_code == 200
    stage.end("machines", name)
    words = stage.provisioner.log.read_text()
    assert "AADSTS70021" in words
    assert "client_assertion" not in words
    assert "Bearer" not in words
