"""Azure's lists of VM sizes and of usage, where we may read them; kept, since the first is megabytes long."""

import asyncio
import importlib
import logging
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError

from kaito_operator.provisioner.faults import Fault
from kaito_operator.provisioner.quota import Size, Usage, refusal
from kaito_operator.provisioner.requirements import LaunchPlan
from kaito_operator.provisioner.settings import AzureSettings

_SIZES_KEPT_S = 6 * 3600.0
_USAGES_KEPT_S = 60.0
_SKIPPED_S = 3600.0
_TIMEOUT_S = 20

logger = logging.getLogger(__name__)


class Compute:
    """Asks azure-mgmt-compute, which is imported with the first question (14 MB)."""

    def __init__(self, azure: AzureSettings, credential: AsyncTokenCredential) -> None:
        self._azure = azure
        self._credential = credential
        self._client: Any = None
        self._sizes: dict[str, Size] = {}
        self._usages: dict[str, Usage] = {}
        self._sizes_at = self._usages_at = self._skip_until = float("-inf")

    async def refusal(self, plan: LaunchPlan) -> Fault | None:
        """Why the plan would fail; None also when that cannot be known."""
        now = monotonic()
        if now < self._skip_until:
            return None
        if not self._azure.location:
            self._skip("LOCATION is not set")
            return None
        try:
            if now - self._sizes_at > _SIZES_KEPT_S:
                self._sizes = _sizes(await self._listed("resource_skus"))
                self._sizes_at = now
            if now - self._usages_at > _USAGES_KEPT_S:
                self._usages = _usages(await self._listed("usage"))
                self._usages_at = now
        except AzureError as error:
            self._skip(str(error)[:300])
            return None
        return refusal(plan, self._sizes, self._usages)

    async def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            await self._client.close()

    def _skip(self, why: str) -> None:
        self._skip_until = monotonic() + _SKIPPED_S
        logger.warning("sizes and quota are not checked before a pool is asked for", extra={"why": why})

    async def _listed(self, what: str) -> list[Any]:
        if self._client is None:
            # A second of work on a small machine: not on the event loop.
            library = await asyncio.to_thread(importlib.import_module, "azure.mgmt.compute.aio")
            self._client = library.ComputeManagementClient(
                self._credential,
                self._azure.subscription,
                base_url=self._azure.endpoint,
                credential_scopes=[f"{self._azure.audience}/.default"],
                connection_verify=str(self._azure.ca_bundle) if self._azure.ca_bundle else True,
                connection_timeout=5,
                read_timeout=_TIMEOUT_S,
                retry_total=0,
            )
        if what == "usage":
            pages = self._client.usage.list(self._azure.location)
        else:
            pages = self._client.resource_skus.list(filter=f"location eq '{self._azure.location}'")
        return [item async for item in pages]


def _sizes(items: Iterable[Any]) -> dict[str, Size]:
    rows = (_size(item.as_dict()) for item in items)
    return {row.name.lower(): row for row in rows if row is not None}


def _size(item: Mapping[str, Any]) -> Size | None:
    if _of(item, "resourceType") != "virtualMachines":
        return None
    capabilities = {c.get("name"): c.get("value") for c in item.get("capabilities") or ()}
    refused, closed = "", set[str]()
    for restriction in item.get("restrictions") or ():
        if restriction.get("type") == "Location":
            refused = str(_of(restriction, "reasonCode") or "restricted")
        else:
            info = _of(restriction, "restrictionInfo") or {}
            closed |= set(info.get("zones") or ())
    vcpus = str(capabilities.get("vCPUs") or "0")
    return Size(
        name=str(item.get("name") or ""),
        family=str(item.get("family") or "").lower(),
        vcpus=int(vcpus) if vcpus.isdecimal() else 0,
        refused=refused,
        closed_zones=frozenset(closed),
    )


def _usages(items: Iterable[Any]) -> dict[str, Usage]:
    rows = (item.as_dict() for item in items)
    return {
        str((row.get("name") or {}).get("value") or "").lower(): Usage(
            int(_of(row, "currentValue") or 0), int(row.get("limit") or 0)
        )
        for row in rows
    }


def _of(item: Mapping[str, Any], wire_name: str) -> Any:  # noqa: ANN401 - JSON
    """A field by its wire name; older generations of the SDK spell it in snake case."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in wire_name)
    return item[wire_name] if wire_name in item else item.get(snake)
