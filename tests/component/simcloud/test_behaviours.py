"""Every behaviour that can be scripted, as the real SDK meets it."""

import time
from collections.abc import Awaitable, Callable

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)

from tests.component.simcloud.azure import TYPE, Azure, azure, body, code, until
from tests.component.simcloud.conftest import NotedNodes
from tools.simcloud import Behaviour, SimCloud, Verb, behaviours
from tools.simcloud.script import BEHAVIOURS

pytestmark = pytest.mark.component


@pytest.mark.parametrize(
    ("behaviour", "status", "expected"),
    [
        (behaviours.quota_exceeded(), 400, "ErrCode_InsufficientVCPUQuota"),
        (behaviours.sku_not_available(), 400, "SkuNotAvailable"),
        (behaviours.subnet_full(), 400, "InsufficientSubnetSize"),
        (behaviours.pool_limit_reached(), 400, "MaxAgentPoolCountReached"),
        (behaviours.in_progress(), 409, "OperationNotAllowed"),
        (behaviours.not_registered(), 409, "MissingSubscriptionRegistration"),
        (behaviours.throttled(), 429, "TooManyRequests"),
        (behaviours.server_error(), 503, "InternalServerError"),
        (behaviours.server_error(status=500), 500, "InternalServerError"),
        (behaviours.unauthorized(), 401, "InvalidAuthenticationToken"),
        (behaviours.forbidden(), 403, "AuthorizationFailed"),
        (behaviours.cluster_missing(), 404, "ResourceNotFound"),
    ],
)
async def test_a_put_is_refused_as_scripted_and_leaves_no_pool(
    cloud: SimCloud, behaviour: Behaviour, status: int, expected: str
) -> None:
    cloud.script("ws1", behaviour)
    async with azure(cloud) as client:
        with pytest.raises(HttpResponseError) as caught:
            await client.start("ws1")
        assert (caught.value.status_code, code(caught.value)) == (status, expected)
        assert not cloud.pools()
        assert (await client.create("ws1")).provisioning_state == "Succeeded"  # used up


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (behaviours.quota_exceeded(late=True), "QuotaExceeded"),
        (behaviours.no_capacity(), "AllocationFailed"),
        (behaviours.subnet_full(late=True), "SubnetIsFull"),
        (behaviours.failed("Oops", "It broke."), "Oops"),
    ],
)
async def test_a_pool_fails_after_creating_and_stays_failed(
    cloud: SimCloud, nodes: NotedNodes, behaviour: Behaviour, expected: str
) -> None:
    cloud.script(TYPE, behaviour)
    async with azure(cloud) as client:
        with pytest.raises(HttpResponseError) as caught:
            await client.create("ws1")
        assert (caught.value.status_code, code(caught.value)) == (200, expected)
        assert (await client.get("ws1")).provisioning_state == "Failed"
        await client.delete("ws1")
    assert not cloud.pools()
    assert not nodes.history


async def test_a_sentence_names_pool_type_and_place(cloud: SimCloud) -> None:
    cloud.script("ws1", behaviours.quota_exceeded(), behaviours.no_capacity())
    async with azure(cloud) as client:
        with pytest.raises(HttpResponseError, match=f"{TYPE} in eastus"):
            await client.start("ws1")
        with pytest.raises(HttpResponseError, match=f"eastus has no {TYPE}"):
            await client.create("ws1")


async def test_a_failed_pool_is_tried_again_by_another_put(cloud: SimCloud, nodes: NotedNodes) -> None:
    cloud.script("ws1", behaviours.no_capacity())
    async with azure(cloud) as client:
        with pytest.raises(HttpResponseError):
            await client.create("ws1")
        assert (await client.create("ws1")).provisioning_state == "Succeeded"
    assert len(nodes.nodes) == 1


async def test_a_throttled_put_is_repeated_by_the_sdk_when_it_may(cloud: SimCloud) -> None:
    cloud.script("ws1", behaviours.throttled(times=2, retry_after_s=1))
    began = time.monotonic()
    async with azure(cloud, retry_total=3) as client:
        await client.start("ws1")
    assert [request.status for request in cloud.requests] == [429, 429, 201]
    assert time.monotonic() - began >= 2


async def test_a_refused_token_is_an_authentication_error_before_any_call(cloud: SimCloud) -> None:
    cloud.script("*", behaviours.token_refused())
    async with azure(cloud) as client:
        with pytest.raises(ClientAuthenticationError, match="AADSTS70021"):
            await client.start("ws1")
        assert not cloud.requests
        await client.start("ws1")
    assert cloud.logins == [401, 200]


async def test_a_slow_pool_is_creating_for_that_long(cloud: SimCloud) -> None:
    cloud.script("ws1", behaviours.slow(0.6))
    async with azure(cloud) as client:
        began = time.monotonic()
        await client.create("ws1")
    assert time.monotonic() - began >= 0.6


async def test_a_slow_deletion_is_deleting_for_that_long(cloud: SimCloud) -> None:
    cloud.script("ws1", behaviours.slow_delete(0.6))
    async with azure(cloud) as client:
        await client.create("ws1")
        began = time.monotonic()
        await client.delete("ws1")
    assert time.monotonic() - began >= 0.6


async def test_a_node_that_never_joins_leaves_its_pool_succeeded(cloud: SimCloud, nodes: NotedNodes) -> None:
    cloud.script("ws1", behaviours.never_joins())
    async with azure(cloud) as client:
        assert (await client.create("ws1")).provisioning_state == "Succeeded"
        assert not nodes.nodes
        await client.delete("ws1")
    assert not nodes.history


async def test_a_node_that_dies_leaves_its_pool_succeeded(cloud: SimCloud, nodes: NotedNodes) -> None:
    cloud.script("ws1", behaviours.dies(after_s=0.05))
    async with azure(cloud) as client:
        await client.create("ws1")
        await until(lambda: nodes.dead == list(nodes.nodes) != [])
        assert (await client.get("ws1")).provisioning_state == "Succeeded"


async def test_an_evicted_vm_is_gone_and_its_pool_stays(cloud: SimCloud, nodes: NotedNodes) -> None:
    cloud.script("ws1", behaviours.evicted(after_s=0.05))
    async with azure(cloud) as client:
        await client.create("ws1", body(scaleSetPriority="Spot"))
        await until(lambda: [what for what, _ in nodes.history] == ["boot", "remove"])
        assert (await client.get("ws1")).provisioning_state == "Succeeded"


async def test_an_upgraded_image_brings_a_second_node_before_the_first_goes(
    cloud: SimCloud, nodes: NotedNodes
) -> None:
    cloud.script("ws1", behaviours.upgraded(after_s=0.05))
    async with azure(cloud) as client:
        before = (await client.create("ws1")).node_image_version
        await until(lambda: [what for what, _ in nodes.history] == ["boot", "boot", "remove"])
        await until(lambda: cloud.pools()["ws1"].state == "Succeeded")
        assert (await client.get("ws1")).node_image_version != before
    assert nodes.history[0][1] == nodes.history[2][1]
    assert [name[-6:] for name in nodes.nodes] == ["000001"]


async def test_a_dropped_connection_leaves_the_pool_that_was_asked_for(cloud: SimCloud) -> None:
    cloud.script("ws1", behaviours.dropped(times=2), behaviours.slow(30))
    async with azure(cloud) as client:
        with pytest.raises(ServiceRequestError, match="disconnected"):
            await client.start("ws1")
    assert set(cloud.pools()) == {"ws1"}
    assert {request.status for request in cloud.requests} == {0}


async def test_the_sdk_sends_a_put_again_when_its_connection_was_dropped_once(cloud: SimCloud) -> None:
    cloud.script("ws1", behaviours.dropped())
    async with azure(cloud) as client:
        await client.start("ws1")
    assert [(request.method, request.status) for request in cloud.requests] == [("PUT", 0), ("PUT", 200)]


async def test_a_stalled_request_is_answered_late(cloud: SimCloud) -> None:
    cloud.script("ws1", behaviours.stalled(0.5))
    async with azure(cloud) as client:
        began = time.monotonic()
        await client.start("ws1")
    assert time.monotonic() - began >= 0.5


LISTS: tuple[tuple[str, Verb, Callable[[Azure], Awaitable[object]]], ...] = (
    ("*", Verb.LIST, lambda client: client.names()),
    ("ws1", Verb.GET, lambda client: client.get("ws1")),
    ("ws1", Verb.DELETE, lambda client: client.delete("ws1")),
)


@pytest.mark.parametrize(("match", "verb", "call"), LISTS)
async def test_other_requests_than_puts_can_be_scripted_too(
    cloud: SimCloud, match: str, verb: Verb, call: Callable[[Azure], Awaitable[object]]
) -> None:
    async with azure(cloud) as client:
        await client.create("ws1")
        cloud.script(match, behaviours.server_error(on=[verb]))
        with pytest.raises(HttpResponseError) as caught:
            await call(client)
        assert caught.value.status_code == 503
        await call(client)


async def test_a_lost_cluster_answers_a_get_otherwise_than_a_lost_pool(cloud: SimCloud) -> None:
    cloud.script("*", behaviours.cluster_missing(on=[Verb.GET]))
    async with azure(cloud) as client:
        found = []
        for _ in range(2):
            with pytest.raises(ResourceNotFoundError) as caught:
                await client.get("ws1")
            found.append(code(caught.value))
    assert found == ["ResourceNotFound", "NotFound"]


async def test_behaviours_are_used_in_order_and_the_last_repeats_if_it_is_to(cloud: SimCloud) -> None:
    cloud.script("ws1", behaviours.in_progress(), behaviours.sku_not_available().always())
    async with azure(cloud) as client:
        found = []
        for _ in range(3):
            with pytest.raises((HttpResponseError, ResourceExistsError)) as caught:
                await client.start("ws1")
            found.append(code(caught.value))
        await client.start("ws2")  # another pool is not concerned
    assert found == ["OperationNotAllowed", "SkuNotAvailable", "SkuNotAvailable"]


def test_every_behaviour_can_be_named_on_the_command_line() -> None:
    made = {
        name
        for name, make in vars(behaviours).items()
        if callable(make)
        and not name.startswith("_")
        and getattr(make, "__annotations__", {}).get("return") is Behaviour
    }
    assert made == set(BEHAVIOURS)
