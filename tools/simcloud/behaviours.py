"""What the simulated cloud can be told to do instead of creating a pool in good order.

A behaviour is data. It is used up by the requests it was meant for: each use counts one of its ``times``.
Codes are those of the service; sentences may hold ``{pool}``, ``{type}`` and ``{location}``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal


class Verb(StrEnum):
    """The kinds of requests that a behaviour can be meant for."""

    PUT = "PUT"
    GET = "GET"
    DELETE = "DELETE"
    LIST = "LIST"
    POLL = "POLL"
    """GET of an operation."""
    SKUS = "SKUS"
    USAGES = "USAGES"
    TOKEN = "TOKEN"  # noqa: S105 - the name of a request, not a secret


Verbs = frozenset[Verb]
CHANGES: Verbs = frozenset({Verb.PUT, Verb.DELETE})
ARM_CALLS: Verbs = frozenset(Verb) - {Verb.TOKEN}

After = Literal["dies", "is evicted", "is upgraded"]


@dataclass(frozen=True)
class Answer:
    """An error sent instead of doing what was asked."""

    status: int
    code: str
    message: str
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Launch:
    """How a pool that was accepted goes on.

    Attributes:
        seconds: until its VMs run, or until it fails; None takes the cloud's usual time.
        code: of the error with which it fails; None succeeds.
        message: of that error.
        joins: False for VMs that never become nodes.
        after: what happens to its nodes later.
        after_s: seconds from success to that.
    """

    seconds: float | None = None
    code: str | None = None
    message: str = ""
    joins: bool = True
    after: After | None = None
    after_s: float = 0


@dataclass(frozen=True)
class Behaviour:
    """One scripted step; made by the functions below.

    Attributes:
        on: the requests it is meant for; others pass it by.
        answer: sent in place of the request's effect.
        launch: how the pool that a PUT creates goes on.
        delete_s: how long a deletion takes.
        stall_s: seconds before the request is looked at.
        disconnect: the request has its effect, then the connection ends without an answer.
        times: uses until it is used up; None never is.
    """

    on: Verbs
    answer: Answer | None = None
    launch: Launch | None = None
    delete_s: float | None = None
    stall_s: float = 0
    disconnect: bool = False
    times: int | None = 1

    def always(self) -> "Behaviour":
        """The same, never used up."""
        return replace(self, times=None)


def slow(seconds: float) -> Behaviour:
    """The pool's creation takes this long."""
    return _launching(Launch(seconds))


def slow_delete(seconds: float) -> Behaviour:
    """Its deletion takes this long."""
    return Behaviour(frozenset({Verb.DELETE}), delete_s=seconds)


def quota_exceeded(*, late: bool = False, seconds: float | None = None) -> Behaviour:
    """The subscription's vCPUs do not suffice: told at once with a 400, or (late) when the VMs are made."""
    message = "Not enough vCPU quota for {type} in {location}: 0 left. Ask for a higher quota."
    if late:
        return failed("QuotaExceeded", message, seconds)
    return _refused(400, "ErrCode_InsufficientVCPUQuota", message)


def no_capacity(seconds: float | None = None) -> Behaviour:
    """The region has no such VM free; the operation fails with AllocationFailed."""
    return failed("AllocationFailed", "Allocation failed: {location} has no {type} free now.", seconds)


def sku_not_available() -> Behaviour:
    """The subscription may not have this VM size here."""
    message = "The VM size {type} is not allowed in your subscription in location '{location}'."
    return _refused(400, "SkuNotAvailable", message)


def subnet_full(*, late: bool = False, seconds: float | None = None) -> Behaviour:
    """The subnet has no address left: told at once with a 400, or (late) when the VMs are made."""
    message = "The subnet of agent pool {pool} has no free address left."
    if late:
        return failed("SubnetIsFull", message, seconds)
    return _refused(400, "InsufficientSubnetSize", message)


def pool_limit_reached() -> Behaviour:
    """The cluster has as many pools as it may have."""
    message = "The cluster has the maximum number of agent pools; {pool} would be one more."
    return _refused(400, "MaxAgentPoolCountReached", message)


def in_progress(times: int = 1, retry_after_s: int | None = None) -> Behaviour:
    """Another operation runs on the cluster: 409 to a PUT or a DELETE."""
    answer = Answer(409, "OperationNotAllowed", IN_PROGRESS, retry_after_s)
    return Behaviour(CHANGES, answer, times=times)


IN_PROGRESS = "Operation is not allowed because there's an in progress create node pool operation."
"""The words that clients of the real service look for in this 409."""


def throttled(times: int = 1, retry_after_s: int = 1, on: Iterable[Verb] = ARM_CALLS) -> Behaviour:
    """429 with Retry-After, this often."""
    answer = Answer(429, "TooManyRequests", "Too many requests: wait for a while.", retry_after_s)
    return Behaviour(frozenset(on), answer, times=times)


def server_error(times: int = 1, status: int = 503, on: Iterable[Verb] = ARM_CALLS) -> Behaviour:
    """A 5xx, this often."""
    answer = Answer(status, "InternalServerError", "The service failed.")
    return Behaviour(frozenset(on), answer, times=times)


def token_refused(times: int = 1) -> Behaviour:
    """The login service does not trust the federated token; script it for ``*``."""
    message = "AADSTS70021: No matching federated identity record found for presented assertion."
    return Behaviour(frozenset({Verb.TOKEN}), Answer(401, "invalid_client", message), times=times)


def unauthorized(times: int = 1, on: Iterable[Verb] = ARM_CALLS) -> Behaviour:
    """The access token is not accepted: 401."""
    answer = Answer(401, "InvalidAuthenticationToken", "The access token is invalid.")
    return Behaviour(frozenset(on), answer, times=times)


def forbidden(times: int = 1, on: Iterable[Verb] = ARM_CALLS) -> Behaviour:
    """The identity lacks the role: 403."""
    message = "The client does not have authorization to perform this action on agent pool '{pool}'."
    return Behaviour(frozenset(on), Answer(403, "AuthorizationFailed", message), times=times)


def cluster_missing(times: int = 1, on: Iterable[Verb] = ARM_CALLS) -> Behaviour:
    """The service does not know the cluster: a 404 that says nothing about the pool."""
    answer = Answer(404, "ResourceNotFound", "The managed cluster under resource group was not found.")
    return Behaviour(frozenset(on), answer, times=times)


def not_registered() -> Behaviour:
    """The subscription has not registered the resource provider; the SDK registers it and asks again."""
    message = "The subscription is not registered to use namespace 'Microsoft.ContainerService'."
    return Behaviour(CHANGES, Answer(409, "MissingSubscriptionRegistration", message))


def failed(
    code: str = "InternalOperationError", message: str = "Pool {pool} failed.", seconds: float | None = None
) -> Behaviour:
    """The pool is accepted, is Creating, and ends Failed with this error."""
    return _launching(Launch(seconds, code, message))


def never_joins(seconds: float | None = None) -> Behaviour:
    """The pool succeeds, and no node of it ever joins the cluster."""
    return _launching(Launch(seconds, joins=False))


def dies(after_s: float = 0) -> Behaviour:
    """The node joins, and is dead this many seconds later; its pool does not notice."""
    return _launching(Launch(after="dies", after_s=after_s))


def evicted(after_s: float = 0) -> Behaviour:
    """The node's VM is taken back this many seconds after it joined: spot eviction."""
    return _launching(Launch(after="is evicted", after_s=after_s))


def upgraded(after_s: float = 0) -> Behaviour:
    """The node image is upgraded this many seconds after it joined: a second node, then the first goes."""
    return _launching(Launch(after="is upgraded", after_s=after_s))


def dropped(times: int = 1, on: Iterable[Verb] = (Verb.PUT,)) -> Behaviour:
    """The connection ends without an answer after the request has had its effect.

    aiohttp, and so the SDK's async client, sends such a request once more by itself: take ``times=2`` for an
    error that the caller sees.
    """
    return Behaviour(frozenset(on), disconnect=True, times=times)


def stalled(seconds: float, on: Iterable[Verb] = ARM_CALLS) -> Behaviour:
    """The request is not looked at for this long."""
    return Behaviour(frozenset(on), stall_s=seconds)


def _launching(launch: Launch) -> Behaviour:
    return Behaviour(frozenset({Verb.PUT}), launch=launch)


def _refused(status: int, code: str, message: str) -> Behaviour:
    return Behaviour(frozenset({Verb.PUT}), Answer(status, code, message))


def worded(message: str, pool: str, size: str, location: str) -> str:
    """Fill the holes of a behaviour's sentence."""
    holes = {"{pool}": pool, "{type}": size, "{location}": location}
    for hole, value in holes.items():
        message = message.replace(hole, value)
    return message
