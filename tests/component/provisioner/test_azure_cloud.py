"""Azure's SDK and the simulated cloud: what each answer becomes."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kaito_operator.provisioner.azure_cloud import AzureCloud
from kaito_operator.provisioner.cloud import CloudFault, PoolExists
from kaito_operator.provisioner.faults import classify
from kaito_operator.provisioner.identity import credential
from kaito_operator.provisioner.requirements import LaunchPlan
from kaito_operator.provisioner.settings import Settings
from kaito_operator.settings import SettingError
from tests.support.kube import eventually
from tools.simcloud import SimCloud, Verb
from tools.simcloud import behaviours as sim

pytestmark = pytest.mark.component

SIZE = "Standard_NC24ads_A100_v4"
BODY = {
    "properties": {
        "count": 1,
        "vmSize": SIZE,
        "mode": "User",
        "type": "VirtualMachineScaleSets",
        "nodeLabels": {"a": "b"},
        "nodeTaints": ["sku=gpu:NoSchedule"],
        "tags": {"kaito-claim-uid": "u"},
        "upgradeSettings": {"maxSurge": "0", "maxUnavailable": "1"},
    }
}


@pytest.fixture
def sim_cloud(tmp_path: Path) -> Iterator[SimCloud]:
    with SimCloud(tmp_path, create_s=0.05, delete_s=0.05, retry_after_s=0, page_size=2) as cloud:
        yield cloud


@pytest.fixture
async def cloud(sim_cloud: SimCloud) -> AsyncIterator[AzureCloud]:
    settings = Settings.from_environment(sim_cloud.environment)
    async with AzureCloud(settings.azure, credential(settings.azure, in_cluster=True)) as cloud:
        yield cloud


async def test_a_pool_is_created_seen_and_deleted(sim_cloud: SimCloud, cloud: AzureCloud) -> None:
    assert await cloud.get_pool("p") is None
    pool = await cloud.put_pool("p", BODY)
    assert (pool.name, pool.state, pool.tags) == ("p", "Creating", {"kaito-claim-uid": "u"})
    assert pool.operation
    eventually(lambda: sim_cloud.pools()["p"].state == "Succeeded")
    seen = await cloud.get_pool("p")
    assert seen is not None
    assert (seen.state, seen.vm_size, seen.tags) == ("Succeeded", SIZE, {"kaito-claim-uid": "u"})
    await cloud.delete_pool("p", ignore_pdb=True)
    eventually(lambda: "p" not in sim_cloud.pools())
    await cloud.delete_pool("p", ignore_pdb=False)
    assert await cloud.get_pool("p") is None


async def test_the_request_has_exactly_the_fields_of_the_body(sim_cloud: SimCloud, cloud: AzureCloud) -> None:
    await cloud.put_pool("p", BODY)
    (request,) = (r for r in sim_cloud.requests if r.method == "PUT")
    assert request.body == BODY


async def test_a_listing_has_all_pages(sim_cloud: SimCloud, cloud: AzureCloud) -> None:
    for name in ("p1", "p2", "p3", "p4", "p5"):
        await cloud.put_pool(name, BODY)
    assert sorted(pool.name for pool in await cloud.list_pools()) == ["p1", "p2", "p3", "p4", "p5"]


async def test_a_pool_that_exists_is_never_changed(sim_cloud: SimCloud, cloud: AzureCloud) -> None:
    await cloud.put_pool("p", BODY)
    with pytest.raises(PoolExists):
        await cloud.put_pool("p", {"properties": {**BODY["properties"], "tags": {"kaito-claim-uid": "v"}}})
    assert sim_cloud.pools()["p"].properties["tags"] == {"kaito-claim-uid": "u"}


@pytest.mark.parametrize(
    ("behaviour", "reason", "retry_after_s"),
    [
        (sim.quota_exceeded(), "AzureQuotaExceeded", None),
        (sim.sku_not_available(), "AzureSkuNotAvailable", None),
        (sim.subnet_full(), "AzureSubnetFull", None),
        (sim.pool_limit_reached(), "PoolLimitReached", None),
        (sim.in_progress(1, 7), "OperationInProgress", 7),
        (sim.throttled(1, 5), "AzureThrottled", 5),
        (sim.server_error(1, 500), "AzureUnavailable", None),
        (sim.unauthorized(1), "AzureAuthFailed", None),
        (sim.forbidden(1), "AzureAuthFailed", None),
        (sim.cluster_missing(1), "AzureClusterNotFound", None),
    ],
)
async def test_an_answer_that_says_no_has_its_reason_and_is_not_tried_again_in_here(
    sim_cloud: SimCloud, cloud: AzureCloud, behaviour: Any, reason: str, retry_after_s: float | None
) -> None:
    sim_cloud.script("p", behaviour)
    with pytest.raises(CloudFault) as caught:
        await cloud.put_pool("p", BODY)
    fault = classify(caught.value.error)
    assert (fault.reason, fault.retry_after_s) == (reason, retry_after_s)
    assert "\n" not in fault.detail


async def test_a_request_whose_answer_was_lost_finds_its_own_pool(
    sim_cloud: SimCloud, cloud: AzureCloud
) -> None:
    sim_cloud.script("p", sim.dropped(1))
    with pytest.raises(PoolExists):  # the connection's own repetition of the request
        await cloud.put_pool("p", BODY)
    assert "p" in sim_cloud.pools()


async def test_a_missing_cluster_is_no_missing_pool(sim_cloud: SimCloud, cloud: AzureCloud) -> None:
    sim_cloud.script("p", sim.cluster_missing(2))
    with pytest.raises(CloudFault):
        await cloud.get_pool("p")
    with pytest.raises(CloudFault):
        await cloud.delete_pool("p", ignore_pdb=False)


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [(sim.no_capacity(), "AllocationFailed"), (sim.quota_exceeded(late=True), "QuotaExceeded")],
)
async def test_the_cause_of_a_failed_pool_is_found_by_its_operation(
    sim_cloud: SimCloud, cloud: AzureCloud, behaviour: Any, code: str
) -> None:
    sim_cloud.script("p", behaviour)
    pool = await cloud.put_pool("p", BODY)
    eventually(lambda: sim_cloud.pools()["p"].state == "Failed")
    cause = await cloud.cause_of("p", pool.operation)
    assert cause is not None
    assert cause.code == code
    assert cause.message


async def test_a_cause_that_azure_has_forgotten_is_none(sim_cloud: SimCloud, cloud: AzureCloud) -> None:
    pool = await cloud.put_pool("p", BODY)
    forgotten = pool.operation.replace("operations/", "operations/0")
    assert await cloud.cause_of("p", forgotten) is None
    assert await cloud.cause_of("gone", "") is None


async def test_an_identity_that_is_refused_is_told_as_that(sim_cloud: SimCloud, cloud: AzureCloud) -> None:
    sim_cloud.script("*", sim.token_refused(1))
    with pytest.raises(CloudFault) as caught:
        await cloud.list_pools()
    assert classify(caught.value.error).reason == "AzureAuthFailed"
    assert await cloud.list_pools() == []


async def test_a_quota_that_does_not_suffice_is_known_beforehand(
    sim_cloud: SimCloud, cloud: AzureCloud
) -> None:
    sim_cloud.quota(SIZE, 23)
    refusal = await cloud.refusal(LaunchPlan(SIZE))
    assert refusal is not None
    assert refusal.reason == "AzureQuotaExceeded"
    assert "needs 24 vCPU" in refusal.detail
    assert await cloud.refusal(LaunchPlan(SIZE, spot=True)) is None


async def test_where_the_lists_may_not_be_read_the_pool_is_tried(
    sim_cloud: SimCloud, cloud: AzureCloud, caplog: pytest.LogCaptureFixture
) -> None:
    sim_cloud.quota(SIZE, 0)
    sim_cloud.script("*", sim.forbidden(1, on=[Verb.SKUS]))
    assert await cloud.refusal(LaunchPlan(SIZE)) is None
    assert await cloud.refusal(LaunchPlan(SIZE)) is None
    assert len([r for r in caplog.records if "not checked" in r.message]) == 1


def test_half_a_workload_identity_is_refused_by_name(sim_cloud: SimCloud) -> None:
    azure = replace(Settings.from_environment(sim_cloud.environment).azure, client="")
    with pytest.raises(SettingError, match="AZURE_CLIENT_ID"):
        credential(azure, in_cluster=True)


@pytest.mark.parametrize(
    ("in_cluster", "kind"), [(True, "ManagedIdentityCredential"), (False, "AzureCliCredential")]
)
async def test_without_a_token_file_the_surroundings_decide(
    in_cluster: bool, kind: str, sim_cloud: SimCloud
) -> None:
    azure = replace(Settings.from_environment(sim_cloud.environment).azure, federated_token_file="")
    found = credential(azure, in_cluster=in_cluster)
    assert type(found).__name__ == kind
    await found.close()
