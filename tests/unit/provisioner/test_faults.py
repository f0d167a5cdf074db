"""Azure's errors, one row each (reference/provisioner.md 3.4)."""

import pytest

from kaito_operator.api.claim_reasons import CLAIM_REASONS
from kaito_operator.provisioner.faults import AzureError, classify, is_pool_missing

IN_PROGRESS = "Operation is not allowed because there's an in progress create node pool operation."
VMSS = 'Code="VMExtensionProvisioningError" Message="..." Details: {"code":"AllocationFailed","message":"x"}'

ROWS = [
    (0, "", "connection refused", "AzureUnavailable", False),
    (200, "QuotaExceeded", "", "AzureQuotaExceeded", True),
    (200, "AllocationFailed", "", "AzureNoCapacity", True),
    (200, "ZonalAllocationFailed", "", "AzureNoCapacity", True),
    (200, "ReconcileVMSSAgentPoolFailed", VMSS, "AzureNoCapacity", True),
    (200, "ReconcileVMSSAgentPoolFailed", 'Code=\\"SkuNotAvailable\\" no', "AzureSkuNotAvailable", True),
    (200, "InternalOperationError", "", "PoolFailed", True),
    (400, "ErrCode_InsufficientVCPUQuota", "", "AzureQuotaExceeded", True),
    (400, "OperationNotAllowed", "exceeding approved Total Regional Cores quota", "AzureQuotaExceeded", True),
    (400, "VMSizeNotSupported", "", "AzureSkuNotAvailable", True),
    (
        400,
        "BadRequest",
        "The VM size of X is not allowed in your subscription in location 'y'",
        "AzureSkuNotAvailable",
        True,
    ),
    (400, "InsufficientSubnetSize", "", "AzureSubnetFull", True),
    (400, "SubnetIsFull", "", "AzureSubnetFull", True),
    (400, "MaxAgentPoolCountReached", "", "PoolLimitReached", False),
    (400, "BadRequest", "exceeds the maximum number of agent pools", "PoolLimitReached", False),
    (400, "InvalidParameter", "nodeLabels", "AzureRequestRefused", True),
    (401, "InvalidAuthenticationToken", "", "AzureAuthFailed", False),
    (401, "", "AADSTS70021: no matching federated identity record", "AzureAuthFailed", False),
    (403, "AuthorizationFailed", "", "AzureAuthFailed", False),
    (403, "RequestDisallowedByPolicy", "", "AzureRequestRefused", True),
    (404, "ResourceNotFound", "", "AzureClusterNotFound", False),
    (404, "ParentResourceNotFound", "", "AzureClusterNotFound", False),
    (404, "ResourceGroupNotFound", "", "AzureClusterNotFound", False),
    (404, "SubscriptionNotFound", "", "AzureClusterNotFound", False),
    (404, "NotFound", "", "AzureClusterNotFound", False),
    (404, "", "<html>", "AzureUnavailable", False),
    (409, "OperationNotAllowed", IN_PROGRESS, "OperationInProgress", False),
    (409, "Conflict", "", "OperationInProgress", False),
    (429, "TooManyRequests", "", "AzureThrottled", False),
    (500, "InternalServerError", "", "AzureUnavailable", False),
    (503, "", "", "AzureUnavailable", False),
]


@pytest.mark.parametrize(("status", "code", "message", "reason", "final"), ROWS)
def test_an_error_has_a_reason(status: int, code: str, message: str, reason: str, final: bool) -> None:
    fault = classify(AzureError(status, code, message, 7.0))
    assert (fault.reason, fault.final, fault.retry_after_s) == (reason, final, 7.0)
    assert fault.detail
    assert CLAIM_REASONS[fault.reason].message(pool="p", type="t", cluster="c", detail="d")


@pytest.mark.parametrize(
    ("status", "code", "message", "missing"),
    [
        (404, "NotFound", "Agent Pool not found", True),
        (404, "AgentPoolNotFound", "", True),
        (404, "NotFound", "", True),
        (404, "NotFound", "Could not find managed cluster x", False),
        (404, "ResourceNotFound", "The Resource .../managedClusters/x was not found.", False),
        (404, "ParentResourceNotFound", "", False),
        (404, "", "<html>404</html>", False),
        (200, "NotFound", "", False),
        (410, "NotFound", "", False),
    ],
)
def test_only_azures_word_about_the_pool_itself_says_that_it_is_gone(
    status: int, code: str, message: str, missing: bool
) -> None:
    assert is_pool_missing(AzureError(status, code, message)) is missing
