"""The agent pools of one AKS cluster, through Azure's own SDK. The only place that knows its types.

polling=False everywhere: a request is sent and answered, and what becomes of it is seen by looking again.
Nothing is retried in here, since the queue does that without holding a worker.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError as SdkError
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ODataV4Format
from azure.core.rest import HttpRequest
from azure.mgmt.containerservice.aio import ContainerServiceClient

from kaito_operator.provisioner.cloud import CloudFault, PoolExists
from kaito_operator.provisioner.compute import Compute
from kaito_operator.provisioner.faults import AzureError, Fault, is_pool_missing
from kaito_operator.provisioner.pool import Pool
from kaito_operator.provisioner.requirements import LaunchPlan
from kaito_operator.provisioner.settings import AzureSettings

_CONNECT_S, _READ_S = 10, 45

# The SDK logs the headers of each request at INFO, and the identity library who it is.
for _name in ("azure.core.pipeline.policies.http_logging_policy", "azure", "msal"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class AzureCloud:
    """See `cloud.Cloud`. Use it with `async with`."""

    def __init__(self, azure: AzureSettings, credential: AsyncTokenCredential) -> None:
        self._cluster = (azure.resource_group, azure.cluster)
        self._credential = credential
        self._compute = Compute(azure, credential)
        self._client = ContainerServiceClient(
            credential,
            azure.subscription,
            base_url=azure.endpoint,
            credential_scopes=[f"{azure.audience}/.default"],
            connection_verify=str(azure.ca_bundle) if azure.ca_bundle else True,
            connection_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retry_total=0,
            user_agent="kaito-gpu-provisioner",
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._compute.close()
        await self._client.close()
        await self._credential.close()

    async def list_pools(self) -> list[Pool]:
        """See `cloud.Cloud`."""
        async with _faults():
            return [_pool(item) async for item in self._client.agent_pools.list(*self._cluster)]

    async def get_pool(self, name: str) -> Pool | None:
        """See `cloud.Cloud`."""
        try:
            async with _faults():
                return _pool(await self._client.agent_pools.get(*self._cluster, name))
        except CloudFault as fault:
            if is_pool_missing(fault.error):
                return None
            raise

    async def put_pool(self, name: str, body: Mapping[str, Any]) -> Pool:
        """See `cloud.Cloud`."""
        operations: list[str] = []

        def note(response: Any) -> None:  # noqa: ANN401 - a type of the pipeline's inside
            operations.append(response.http_response.headers.get("Azure-AsyncOperation", ""))

        parameters: Any = dict(body)  # with Azure's own field names it is sent as it is
        try:
            async with _faults():
                poller = await self._client.agent_pools.begin_create_or_update(
                    *self._cluster,
                    name,
                    parameters,
                    match_condition=MatchConditions.IfMissing,
                    polling=False,
                    raw_response_hook=note,
                )
                answer = await poller.result()
        except CloudFault as fault:
            if fault.error.status == 412:
                raise PoolExists(fault.error) from fault
            raise
        return replace(_pool(answer), name=name, operation=operations[-1] if operations else "")

    async def delete_pool(self, name: str, *, ignore_pdb: bool) -> None:
        """See `cloud.Cloud`."""
        try:
            async with _faults():
                await self._client.agent_pools.begin_delete(
                    *self._cluster, name, polling=False, ignore_pod_disruption_budget=ignore_pdb or None
                )
        except CloudFault as fault:
            if not is_pool_missing(fault.error):
                raise

    async def cause_of(self, name: str, operation: str) -> AzureError | None:
        """See `cloud.Cloud`."""
        if operation and (error := await self._operation_error(operation)):
            return error
        pool = await self.get_pool(name)
        return pool.error if pool else None

    async def refusal(self, plan: LaunchPlan) -> Fault | None:
        """See `cloud.Cloud`."""
        return await self._compute.refusal(plan)

    async def _operation_error(self, operation: str) -> AzureError | None:
        async with _faults():
            response = await self._client.send_request(HttpRequest("GET", operation))
        if response.status_code != 200:
            return None  # operations are forgotten after a while; the pool itself may know
        answer = response.json()
        error = answer.get("error") if isinstance(answer, dict) else None
        return _told(error) if error else None


@asynccontextmanager
async def _faults() -> AsyncIterator[None]:
    """Turn the SDK's exceptions into CloudFault."""
    try:
        yield
    except SdkError as error:
        raise CloudFault(_read_error(error)) from error


def _read_error(error: SdkError) -> AzureError:
    if isinstance(error, ClientAuthenticationError):  # of Azure itself, or of its login service
        refused = error.error
        code, message = (refused.code, _sentence(refused)) if refused else ("", str(error.message))
        return AzureError(401, code or "", message)
    if not isinstance(error, HttpResponseError):
        return AzureError(0, "", str(error.message) or type(error).__name__)
    told = error.error  # None when the answer is no error of Azure's, such as a proxy's page
    code = (told.code if told else "") or ""
    message = _sentence(told) if told else str(error.message)
    headers = getattr(error.response, "headers", None) or {}
    return AzureError(error.status_code or 0, code, message, _seconds(headers.get("Retry-After")))


def _sentence(told: ODataV4Format) -> str:
    inner = (f"{detail.message or ''} (code={detail.code or ''})" for detail in told.details or ())
    return " ".join((str(told.message or ""), *inner)).strip()


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None


def _told(error: Mapping[str, Any]) -> AzureError:
    """An error as an operation or a pool tells it; what is inside is kept, since it is the cause."""
    inner = " ".join(
        f"{detail.get('message') or ''} (code={detail.get('code') or ''})"
        for detail in error.get("details") or ()
        if isinstance(detail, Mapping)
    )
    return AzureError(200, str(error.get("code") or ""), f"{error.get('message') or ''} {inner}".strip())


def _pool(item: Any) -> Pool:  # noqa: ANN401 - a mapping type of the SDK's
    data = item.as_dict() if hasattr(item, "as_dict") else dict(item)
    properties = data.get("properties") or {}
    failure = (properties.get("status") or {}).get("provisioningError")
    return Pool(
        name=str(data.get("name") or ""),
        state=str(properties.get("provisioningState") or "Creating"),
        vm_size=str(properties.get("vmSize") or ""),
        tags=dict(properties.get("tags") or {}),
        error=_told(failure) if failure else None,
        image_version=str(properties.get("nodeImageVersion") or ""),
    )
