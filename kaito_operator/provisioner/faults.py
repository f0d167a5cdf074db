"""What an error of Azure's means, by status, code and scope: one row of `api.claim_reasons` for each.

Source of the codes: Azure Resource Manager's and AKS's error references, and
`reference/provisioner.md` 3.4. Codes come first and texts last, since texts change.
"""

import re
from dataclasses import dataclass
from typing import Final

from kaito_operator.api.claim_reasons import is_final


@dataclass(frozen=True)
class AzureError:
    """An answer that says no.

    Attributes:
        status: HTTP status; 0 when there was no answer; 200 for an operation that ended Failed.
        code: Azure's error code, or an empty text.
        retry_after_s: what Azure asks for, or None.
    """

    status: int
    code: str = ""
    message: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Fault:
    """An error of Azure's in our words.

    Attributes:
        reason: code of a row of `api.claim_reasons`.
        detail: Azure's own words.
        retry_after_s: Azure's wish, or None.
    """

    reason: str
    detail: str
    retry_after_s: float | None = None

    @property
    def final(self) -> bool:
        """The claim gets no node however long one waits."""
        return is_final(self.reason)


QUOTA: Final = "AzureQuotaExceeded"
SKU: Final = "AzureSkuNotAvailable"
CAPACITY: Final = "AzureNoCapacity"
SUBNET: Final = "AzureSubnetFull"
THROTTLED: Final = "AzureThrottled"
AUTH: Final = "AzureAuthFailed"
CLUSTER: Final = "AzureClusterNotFound"
BUSY: Final = "OperationInProgress"
DOWN: Final = "AzureUnavailable"
REFUSED: Final = "AzureRequestRefused"
LIMIT: Final = "PoolLimitReached"
FAILED: Final = "PoolFailed"

_BY_CODE: Final = {
    "errcode_insufficientvcpuquota": QUOTA,
    "insufficientvcpuquota": QUOTA,
    "quotaexceeded": QUOTA,
    "skunotavailable": SKU,
    "vmsizenotsupported": SKU,
    "vmsizenotavailable": SKU,
    "invalidvmsize": SKU,
    "allocationfailed": CAPACITY,
    "zonalallocationfailed": CAPACITY,
    "overconstrainedallocationrequest": CAPACITY,
    "overconstrainedzonalallocationrequest": CAPACITY,
    "subnetisfull": SUBNET,
    "insufficientsubnetsize": SUBNET,
    "toomanyrequests": THROTTLED,
    "subscriptionrequeststhrottled": THROTTLED,
    "invalidauthenticationtoken": AUTH,
    "authorizationfailed": AUTH,
    "linkedauthorizationfailed": AUTH,
    "resourcenotfound": CLUSTER,
    "parentresourcenotfound": CLUSTER,
    "resourcegroupnotfound": CLUSTER,
    "subscriptionnotfound": CLUSTER,
    "operationpreempted": BUSY,
    "etagmismatch": BUSY,
    "conflictingoperation": BUSY,
    "requestdisallowedbypolicy": REFUSED,
    "maxagentpoolcountreached": LIMIT,
}
_BY_TEXT: Final = (
    (re.compile(r"is not allowed in your subscription in location", re.IGNORECASE), SKU),
    (re.compile(r"maximum (allowed )?(number|count) of (agent|node) ?pools", re.IGNORECASE), LIMIT),
    (re.compile(r"in[- ]progress", re.IGNORECASE), BUSY),
    (re.compile(r"quota", re.IGNORECASE), QUOTA),
)
# AKS wraps the error of the scale set: `Code="AllocationFailed" Message="..."`, or the same as JSON.
_INNER_CODE: Final = re.compile(r"\bcode\\*[\"']?\s*[=:]\s*\\*[\"']?(\w+)", re.IGNORECASE)
# Only where a code stands for several things is the text asked.
_VAGUE: Final = frozenset({"", "operationnotallowed", "badrequest", "invalidparameter", "conflict"})
_POOL_MISSING: Final = frozenset({"notfound", "agentpoolnotfound"})
_BY_STATUS: Final = {
    200: FAILED,
    400: REFUSED,
    401: AUTH,
    403: AUTH,
    405: REFUSED,
    409: BUSY,
    412: BUSY,
    413: REFUSED,
    415: REFUSED,
    422: REFUSED,
    429: THROTTLED,
}
_CLUSTER_TEXT: Final = re.compile(r"managed ?cluster", re.IGNORECASE)
_POOL_TEXT: Final = re.compile(r"agent ?pool", re.IGNORECASE)


def is_pool_missing(error: AzureError) -> bool:
    """True only when Azure says that this one pool does not exist.

    A missing cluster, resource group or subscription says nothing about the pool, and a page of a proxy
    says nothing at all: neither may ever pass for "the pool is deleted".
    """
    if error.status != 404 or error.code.lower() not in _POOL_MISSING:
        return False
    about_cluster = _CLUSTER_TEXT.search(error.message) and not _POOL_TEXT.search(error.message)
    return not about_cluster


def classify(error: AzureError) -> Fault:
    """The reason for an error."""
    detail = error.message or error.code or f"HTTP {error.status}"
    return Fault(_reason(error), detail, error.retry_after_s)


def _reason(error: AzureError) -> str:
    code = error.code.lower()
    inner = [found.lower() for found in _INNER_CODE.findall(error.message)]
    for known in (code, *inner):
        if known in _BY_CODE:
            return _BY_CODE[known]
    if code.startswith("aadsts"):
        return AUTH
    if code in _VAGUE:
        for pattern, reason in _BY_TEXT:
            if pattern.search(error.message):
                return reason
    return _by_status(error.status, code)


def _by_status(status: int, code: str) -> str:
    if status == 404 and code in _POOL_MISSING:
        return CLUSTER  # a request for a new pool found nothing to put it into
    return _BY_STATUS.get(status, DOWN)
