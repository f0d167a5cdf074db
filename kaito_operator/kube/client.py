"""The only code that writes to the API server: a thin, typed face of the few calls the operator makes.

Every write passes the fence first: it is refused here, before it is sent, unless this replica still
holds the Lease, and its timeout never reaches past the end of the Lease.
"""

import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from kaito_operator.api.labels import FIELD_MANAGER
from kaito_operator.api.machine import (
    MACHINE_API_VERSION,
    MACHINE_KIND,
    MACHINE_PLURAL,
    NODE_CLAIM_API_VERSION,
    NODE_CLAIM_KIND,
    NODE_CLAIM_PLURAL,
)
from kaito_operator.kube.errors import ApiError, NotLeader, Unavailable, error_for
from kaito_operator.kube.login import Credentials

Obj = dict[str, Any]

APPLY = "application/apply-patch+yaml"  # a JSON body is valid YAML
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
WRITE_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 15.0

_PLURALS: Mapping[tuple[str, str], str] = {
    ("v1", "Service"): "services",
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "Event"): "events",
    ("v1", "Pod"): "pods",
    ("v1", "Node"): "nodes",
    ("apps/v1", "Deployment"): "deployments",
    ("apps/v1", "StatefulSet"): "statefulsets",
    (MACHINE_API_VERSION, MACHINE_KIND): MACHINE_PLURAL,
    (NODE_CLAIM_API_VERSION, NODE_CLAIM_KIND): NODE_CLAIM_PLURAL,
    ("coordination.k8s.io/v1", "Lease"): "leases",
    ("kaito.sh/v1alpha1", "Workspace"): "workspaces",
}


def path_of(api_version: str, plural: str, namespace: str | None = None, name: str | None = None) -> str:
    """URL path of a collection, or of one object when `name` is given."""
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    parts = [root]
    if namespace:
        parts.append(f"namespaces/{namespace}")
    parts.append(plural)
    if name:
        parts.append(name)
    return "/".join(parts)


def path_of_object(obj: Mapping[str, Any]) -> str:
    """URL path of an object by its own apiVersion, kind, namespace and name.

    Raises:
        KeyError: the operator does not write objects of this kind.
    """
    plural = _PLURALS[(obj["apiVersion"], obj["kind"])]
    metadata = obj["metadata"]
    return path_of(obj["apiVersion"], plural, metadata.get("namespace"), metadata["name"])


def path_of_kind(kind: str, namespace: str | None, name: str) -> str:
    """URL path of an object of a kind that the operator writes, of which there is one version each.

    Raises:
        KeyError: the operator does not write objects of this kind.
    """
    (api_version, plural), *_ = ((k[0], v) for k, v in _PLURALS.items() if k[1] == kind)
    return path_of(api_version, plural, namespace, name)


class Kube:
    """One connection pool to the API server.

    Args:
        credentials: where and as whom.
        write_budget_s: seconds that a write may take now; zero or less means the Lease is not ours.
            None lifts the fence: for the elector itself, whose writes are the Lease.
        observe: called after each request with (verb, path, status, seconds), for metrics.
    """

    def __init__(
        self,
        credentials: Credentials,
        write_budget_s: Callable[[], float] | None = None,
        observe: Callable[[str, str, int], None] | None = None,
    ) -> None:
        self._credentials = credentials
        self._write_budget_s = write_budget_s
        self._observe = observe or (lambda _verb, _path, _status: None)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=32)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def get(self, path: str, *, timeout_s: float = READ_TIMEOUT_S, **query: str) -> Obj:
        """GET one object or list."""
        return await self._request("GET", path, query=query, timeout_s=timeout_s)

    async def list_metadata(self, path: str, **query: str) -> Obj:
        """LIST only the metadata of a collection, from the API server's cache."""
        return await self._request(
            "GET", path, query={"resourceVersion": "0", **query}, timeout_s=60.0, accept=METADATA_LIST
        )

    async def apply(self, obj: Mapping[str, Any]) -> Obj:
        """Server-side apply; creates the object when it is not there. Answers the object as stored."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._write("PATCH", path_of_object(obj), obj, content_type=APPLY, query=query)

    async def merge_status(self, path: str, resource_version: str, status: Mapping[str, Any]) -> Obj:
        """Merge `status`; Conflict when the object changed since `resource_version`."""
        body = {"metadata": {"resourceVersion": resource_version}, "status": status}
        query = {"fieldManager": FIELD_MANAGER}
        return await self._write("PATCH", f"{path}/status", body, content_type=MERGE, query=query)

    async def merge(self, path: str, patch: Mapping[str, Any]) -> Obj:
        """Merge a patch into an object."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._write("PATCH", path, patch, content_type=MERGE, query=query)

    async def strategic_merge(self, path: str, patch: Mapping[str, Any]) -> Obj:
        """Merge a patch into an object of Kubernetes' own, whose lists of finalizers and owners merge too."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._write("PATCH", path, patch, content_type=STRATEGIC, query=query)

    async def create(self, path: str, obj: Mapping[str, Any], *, timeout_s: float | None = None) -> Obj:
        """POST an object into a collection; Conflict when it exists."""
        return await self._write("POST", path, obj, timeout_s=timeout_s)

    async def replace(self, path: str, obj: Mapping[str, Any], *, timeout_s: float | None = None) -> Obj:
        """PUT an object; Conflict when its resourceVersion is not the stored one."""
        return await self._write("PUT", path, obj, timeout_s=timeout_s)

    async def delete(self, path: str, uid: str) -> Obj:
        """DELETE the object with this uid; NotFound or Conflict when another one has the name."""
        return await self._write("DELETE", path, {"preconditions": {"uid": uid}})

    async def _write(
        self,
        verb: str,
        path: str,
        body: Mapping[str, Any],
        *,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Obj:
        limit = timeout_s or WRITE_TIMEOUT_S
        if self._write_budget_s is not None:
            budget = self._write_budget_s()
            if budget <= 0:
                msg = f"{verb} {path} was not sent: this replica does not hold the Lease"
                raise NotLeader(msg)
            # A write must not be able to land after another replica may have taken over.
            limit = min(limit, budget)
        return await self._request(
            verb, path, body=body, content_type=content_type, query=query or {}, timeout_s=limit
        )

    async def _request(  # noqa: PLR0913 - one place where a request is put together
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str],
        timeout_s: float,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Obj:
        if self._session is None:
            msg = "the Kube client is used before it is entered with `async with`"
            raise RuntimeError(msg)
        headers = {"Accept": accept}
        if token := self._credentials.token():
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            async with self._session.request(
                verb,
                self._credentials.server + path,
                params=query,
                data=None if body is None else json.dumps(body),
                headers=headers,
                ssl=self._credentials.tls or False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(5.0, timeout_s)),
            ) as response:
                answer = await _answer(response)
                self._observe(verb, path, response.status)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self._observe(verb, path, 0)
            raise Unavailable(0, f"{verb} {path}: {str(error) or type(error).__name__}") from error
        if response.status >= 400:
            raise _error(response, answer, verb, path)
        return answer


async def _answer(response: aiohttp.ClientResponse) -> Obj:
    text = await response.text()
    try:
        answer = json.loads(text)
    except json.JSONDecodeError:
        return {"message": text[:300]}
    return answer if isinstance(answer, dict) else {}


def _error(response: aiohttp.ClientResponse, answer: Obj, verb: str, path: str) -> ApiError:
    # Only a Status is quoted: another payload could be the object itself, with what it holds.
    message = answer.get("message", "") if answer.get("kind", "Status") == "Status" else ""
    retry_after = response.headers.get("Retry-After", "")
    return error_for(
        response.status,
        message or f"{verb} {path} answered {response.status}",
        float(retry_after) if retry_after.isdecimal() else None,
    )
