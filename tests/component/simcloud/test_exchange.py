"""The exchange that the real SDK expects, call by call."""

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)

from tests.component.simcloud.azure import TYPE, azure, body, code, compute
from tests.component.simcloud.conftest import Clouds, NotedNodes
from tools.simcloud import SimCloud, behaviours

pytestmark = pytest.mark.component


def calls(cloud: SimCloud) -> list[tuple[str, int]]:
    return [(request.method, request.status) for request in cloud.requests]


def plain(cloud: SimCloud) -> httpx.AsyncClient:
    """A client that knows nothing of Azure."""
    return httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(cloud.ca_file)))


async def test_a_put_is_answered_at_once_and_its_pool_is_creating(cloud: SimCloud) -> None:
    async with azure(cloud) as client:
        pool = await client.start("ws123456789", body(nodeLabels={"kaito.sh/workspace": "w"}))
    assert (pool.provisioning_state, pool.vm_size, pool.count) == ("Creating", TYPE, 1)
    assert pool.node_labels == {"kaito.sh/workspace": "w"}
    assert calls(cloud) == [("PUT", 201)]
    assert cloud.requests[0].path.endswith("/managedClusters/sim/agentPools/ws123456789")
    assert cloud.requests[0].body["properties"]["vmSize"] == TYPE


async def test_the_operation_of_a_put_is_polled_to_its_end_and_then_the_pool_is_read(cloud: SimCloud) -> None:
    async with azure(cloud) as client:
        pool = await client.create("ws1")
    assert pool.provisioning_state == "Succeeded"
    paths = [request.path for request in cloud.requests]
    assert all("/locations/eastus/operations/" in path for path in paths[1:-1])
    assert len(paths) > 2
    assert paths[0] == paths[-1]


async def test_a_poll_says_how_long_to_wait(clouds: Clouds) -> None:
    cloud = clouds(retry_after_s=7, create_s=30)
    async with azure(cloud) as client:
        await client.start("ws1")
    async with plain(cloud) as http:
        token = await _token(http, cloud)
        headers = {"Authorization": f"Bearer {token}"}
        operation = cloud.pools()["ws1"].operation
        scope = f"{cloud.endpoint}/subscriptions/{cloud.environment['ARM_SUBSCRIPTION_ID']}"
        path = f"/providers/Microsoft.ContainerService/locations/eastus/operations/{operation}"
        answer = await http.get(scope + path, params={"api-version": "2024-01-01"}, headers=headers)
    assert (answer.json()["status"], answer.headers["Retry-After"]) == ("InProgress", "7")


async def _token(http: httpx.AsyncClient, cloud: SimCloud) -> str:
    env = cloud.environment
    url = f"{env['AZURE_AUTHORITY_HOST']}/{env['AZURE_TENANT_ID']}/oauth2/v2.0/token"
    answer = await http.post(url, data=_form(env))
    return str(answer.json()["access_token"])


def _form(env: dict[str, str]) -> dict[str, str]:
    return {
        "client_assertion": Path(env["AZURE_FEDERATED_TOKEN_FILE"]).read_text(),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_id": env["AZURE_CLIENT_ID"],
        "grant_type": "client_credentials",
        "scope": "https://management.azure.com/.default",
    }


async def test_the_same_put_again_while_the_pool_is_creating_changes_nothing(clouds: Clouds) -> None:
    cloud = clouds(create_s=30)
    async with azure(cloud) as client:
        await client.start("ws1")
        again = await client.start("ws1")
    assert again.provisioning_state == "Creating"
    assert calls(cloud) == [("PUT", 201), ("PUT", 200)]


async def test_another_put_while_the_pool_is_creating_is_refused(clouds: Clouds) -> None:
    cloud = clouds(create_s=30)
    async with azure(cloud) as client:
        await client.start("ws1")
        with pytest.raises(ResourceExistsError, match="in progress create node pool operation") as caught:
            await client.start("ws1", body(count=2))
    assert (caught.value.status_code, code(caught.value)) == (409, "OperationNotAllowed")


async def test_a_put_of_a_new_pool_only_is_refused_where_there_is_one(cloud: SimCloud) -> None:
    missing = MatchConditions.IfMissing
    async with azure(cloud) as client:
        await client.create("ws1", match_condition=missing)
        with pytest.raises(ResourceExistsError) as caught:
            await client.start("ws1", match_condition=missing)
    assert caught.value.status_code == 412


async def test_a_put_of_an_older_etag_is_refused(cloud: SimCloud) -> None:
    unmodified = MatchConditions.IfNotModified
    async with azure(cloud) as client:
        etag = (await client.create("ws1")).e_tag
        await client.create("ws1", body(count=2), etag=etag, match_condition=unmodified)
        with pytest.raises(HttpResponseError) as caught:
            await client.start("ws1", body(count=3), etag=etag, match_condition=unmodified)
    assert caught.value.status_code == 412
    assert cloud.pools()["ws1"].count == 2


async def test_a_delete_is_polled_to_its_end_and_the_pool_is_gone(cloud: SimCloud, nodes: NotedNodes) -> None:
    async with azure(cloud) as client:
        await client.create("ws1")
        assert len(nodes.nodes) == 1
        await client.delete("ws1")
        with pytest.raises(ResourceNotFoundError) as caught:
            await client.get("ws1")
    assert code(caught.value) == "NotFound"
    assert ("DELETE", 202) in calls(cloud)
    assert not nodes.nodes


async def test_a_pool_says_that_it_is_being_deleted(clouds: Clouds) -> None:
    cloud = clouds(delete_s=30)
    async with azure(cloud) as client:
        await client.create("ws1")
        await client.client.agent_pools.begin_delete(*client.place, "ws1", polling=False)
        assert (await client.get("ws1")).provisioning_state == "Deleting"


async def test_deleting_what_is_not_there_is_answered_with_204(cloud: SimCloud) -> None:
    async with azure(cloud) as client:
        await client.delete("ws1")
    assert calls(cloud) == [("DELETE", 204)]


async def test_a_pool_that_is_creating_can_be_deleted_and_never_boots(
    clouds: Clouds, nodes: NotedNodes
) -> None:
    cloud = clouds(create_s=1000)
    async with azure(cloud) as client:
        await client.start("ws1")
        async with asyncio.timeout(60):
            await client.delete("ws1")
    assert not cloud.pools()
    assert not [call for call in nodes.history if call[0] == "boot"]


async def test_pools_are_listed_over_pages(clouds: Clouds) -> None:
    cloud = clouds(page_size=2, create_s=30)
    async with azure(cloud) as client:
        for name in "abcde":
            await client.start(name)
        cloud.requests.clear()
        assert await client.names() == ["a", "b", "c", "d", "e"]
    assert calls(cloud) == [("GET", 200)] * 3


async def test_nothing_is_answered_without_a_token(cloud: SimCloud) -> None:
    async with plain(cloud) as http:
        answer = await http.get(f"{cloud.endpoint}/subscriptions/x/providers/y")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")


async def test_a_revoked_token_is_no_longer_accepted(cloud: SimCloud) -> None:
    async with azure(cloud) as client:
        await client.names()
        cloud.revoke_tokens()
        with pytest.raises(ClientAuthenticationError) as caught:
            await client.names()
    assert caught.value.status_code == 401
    assert cloud.logins == [200]


async def test_a_client_that_does_not_know_the_ca_does_not_connect(cloud: SimCloud) -> None:
    async with azure(cloud, connection_verify=True) as client:
        with pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.names()
    assert not cloud.requests


@pytest.mark.parametrize(
    ("group", "cluster", "expected"),
    [("other", "sim", "ResourceGroupNotFound"), ("sim", "other", "ResourceNotFound")],
)
async def test_a_cluster_that_is_not_there_is_told_apart_from_a_pool_that_is_not(
    cloud: SimCloud, group: str, cluster: str, expected: str
) -> None:
    async with azure(cloud) as client:
        with pytest.raises(ResourceNotFoundError) as caught:
            await client.client.agent_pools.get(group, cluster, "ws1")
    assert code(caught.value) == expected


async def test_skus_tell_vcpus_gpus_and_what_is_withdrawn(cloud: SimCloud) -> None:
    async with compute(cloud) as client:
        found = {sku.name: sku async for sku in client.resource_skus.list(filter="location eq 'eastus'")}
    capabilities = {item.name: item.value for item in found[TYPE].capabilities or []}
    assert (capabilities["vCPUs"], capabilities["GPUs"]) == ("24", "1")
    assert not found[TYPE].restrictions
    reasons = [item.reason_code for item in found["Standard_NC6s_v3"].restrictions or []]
    assert reasons == ["NotAvailableForSubscription"]


async def test_usage_counts_the_vcpus_of_pools_against_the_family_of_their_size(cloud: SimCloud) -> None:
    cloud.quota(TYPE, 48)
    async with azure(cloud) as pools, compute(cloud) as client:
        await pools.create("ws1")
        usages = [item async for item in client.usage.list("eastus")]
        found = {str(item.name.value): (item.current_value, item.limit) for item in usages}
        skus = {sku.name: sku async for sku in client.resource_skus.list(filter="location eq 'eastus'")}
    assert found[str(skus[TYPE].family)] == (24, 48)
    assert found["cores"][0] == 24
    assert found["lowPriorityCores"][0] == 0


async def test_a_pool_beyond_the_quota_is_refused(cloud: SimCloud) -> None:
    cloud.quota(TYPE, 30)
    async with azure(cloud) as client:
        await client.start("ws1")
        with pytest.raises(HttpResponseError, match="requested 24, remaining 6") as caught:
            await client.start("ws2")
    assert (caught.value.status_code, code(caught.value)) == (400, "ErrCode_InsufficientVCPUQuota")


@pytest.mark.parametrize(
    ("size", "expected"),
    [("Standard_NC6s_v3", "SkuNotAvailable"), ("Standard_Nothing_v9", "VMSizeNotSupported")],
)
async def test_a_size_that_is_not_offered_is_refused(cloud: SimCloud, size: str, expected: str) -> None:
    async with azure(cloud) as client:
        with pytest.raises(HttpResponseError) as caught:
            await client.start("ws1", body(vmSize=size))
    assert (caught.value.status_code, code(caught.value)) == (400, expected)


async def test_a_retired_or_unknown_size_can_be_offered(clouds: Clouds) -> None:
    cloud = clouds(offers=["Standard_NC6s_v3", "Standard_Nothing_v9"])
    async with azure(cloud) as client:
        await client.start("ws1", body(vmSize="Standard_NC6s_v3"))
        await client.start("ws2", body(vmSize="Standard_Nothing_v9"))
    assert set(cloud.pools()) == {"ws1", "ws2"}


async def test_a_pool_too_many_is_refused(clouds: Clouds) -> None:
    cloud = clouds(pool_limit=1)
    async with azure(cloud) as client:
        await client.start("ws1")
        with pytest.raises(HttpResponseError) as caught:
            await client.start("ws2")
    assert code(caught.value) == "MaxAgentPoolCountReached"


async def test_a_serialised_cloud_refuses_a_second_operation_until_the_first_has_ended(
    clouds: Clouds,
) -> None:
    cloud = clouds(serialised=True, create_s=1)
    async with azure(cloud) as client:
        await client.start("ws1")
        with pytest.raises(ResourceExistsError) as caught:
            await client.start("ws2")
        await client.create("ws1")
        await client.start("ws2")
    assert code(caught.value) == "OperationNotAllowed"


async def test_two_operations_at_a_time_are_fine_otherwise(cloud: SimCloud) -> None:
    async with azure(cloud) as client:
        await client.start("ws1")
        await client.start("ws2")
    assert set(cloud.pools()) == {"ws1", "ws2"}


async def test_a_subscription_without_the_provider_is_told_and_can_be_registered(cloud: SimCloud) -> None:
    cloud.script("ws1", behaviours.not_registered())
    async with azure(cloud) as client:
        with pytest.raises(ResourceExistsError, match=r"'Microsoft\.ContainerService'") as caught:
            await client.start("ws1")
        await client.start("ws1")
    async with plain(cloud) as http:
        headers = {"Authorization": f"Bearer {await _token(http, cloud)}"}
        scope = f"{cloud.endpoint}/subscriptions/{cloud.environment['ARM_SUBSCRIPTION_ID']}"
        path = "/providers/Microsoft.ContainerService/register"
        answer = await http.post(scope + path, params={"api-version": "2016-02-01"}, headers=headers)
    assert code(caught.value) == "MissingSubscriptionRegistration"
    assert answer.json()["registrationState"] == "Registered"
    assert set(cloud.pools()) == {"ws1"}
