"""The HTTP side: paths, answers and errors of Azure Resource Manager, as far as agent pools need them."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tools.simcloud.admission import SPOT_QUOTA, check_conditions, used
from tools.simcloud.behaviours import Behaviour, Verb, worded
from tools.simcloud.errors import ArmError
from tools.simcloud.fabric import Fabric
from tools.simcloud.identity import Identity, LoginError
from tools.simcloud.operations import Operation
from tools.simcloud.pool import Pool
from tools.simcloud.script import Script
from tools.simcloud.sizes import UNLIMITED, usage

Json = dict[str, Any]
Do = Callable[[web.Request, Behaviour | None], web.Response]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
CLUSTER = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/{{cluster}}"
POOLS = f"{CLUSTER}/agentPools"
POOL = f"{POOLS}/{{pool}}"
OPERATION = f"{SUBSCRIPTION}/providers/Microsoft.ContainerService/locations/{{location}}/operations/{{id}}"
COMPUTE = f"{SUBSCRIPTION}/providers/Microsoft.Compute"
PROVIDER = f"{SUBSCRIPTION}/providers/{{namespace}}"

BODY = web.RequestKey("body", object)
DROPPED = web.RequestKey("dropped", bool)


@dataclass
class Request:
    """One call to the service, as it arrived.

    Attributes:
        at: seconds since the epoch.
        method: upper case.
        path: without the query.
        status: of the answer; 0 while there is none, or when the connection was dropped.
        body: as JSON, None without one.
        query: as it was sent.
    """

    at: float
    method: str
    path: str
    status: int
    body: Any
    query: str = ""


class Server:
    """Answers requests from the state of the cloud.

    Attributes:
        requests: every call but logins, in the order of arrival.
        logins: status of every login, in the order of arrival.

    Args:
        fabric: the state.
        identity: who may call.
        script: behaviours to use.
        page_size: pools in one answer of a list.
        retry_after_s: that a poll of a running operation is answered with; 0 leaves the header out.
    """

    def __init__(
        self, fabric: Fabric, identity: Identity, script: Script, *, page_size: int, retry_after_s: int
    ) -> None:
        self.requests: list[Request] = []
        self.logins: list[int] = []
        self._fabric, self._identity, self._script = fabric, identity, script
        self._page_size, self._retry_after_s = page_size, retry_after_s

    def application(self) -> web.Application:
        """Build the application with all paths."""
        app = web.Application(middlewares=[self._middleware])
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._login)
        routes: tuple[tuple[str, str, Verb | None, Do], ...] = (
            ("GET", CLUSTER, None, self._cluster),
            ("GET", POOLS, Verb.LIST, self._list),
            ("GET", POOL, Verb.GET, self._get),
            ("PUT", POOL, Verb.PUT, self._put),
            ("DELETE", POOL, Verb.DELETE, self._delete),
            ("GET", OPERATION, Verb.POLL, self._poll),
            ("GET", f"{COMPUTE}/skus", Verb.SKUS, self._skus),
            ("GET", f"{COMPUTE}/locations/{{location}}/usages", Verb.USAGES, self._usages),
            ("GET", PROVIDER, None, self._provider),
            ("POST", f"{PROVIDER}/register", None, self._provider),
        )
        for method, path, verb, do in routes:
            app.router.add_route(method, path, self._handler(verb, do))
        return app

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note every call, and turn errors into the service's envelope."""
        if request.path.endswith("/oauth2/v2.0/token"):
            return await handler(request)
        entry = Request(time.time(), request.method, request.path, 0, None, request.query_string)
        self.requests.append(entry)
        try:
            entry.body = await _body(request)
            request[BODY] = entry.body
            response = await handler(request)
        except ArmError as error:
            response = web.json_response(error.body(), status=error.status, headers=error.headers)
        except web.HTTPException as error:
            text = f"The simulated cloud has no {request.method} {request.path}."
            response = web.json_response(ArmError(error.status, "NotFound", text).body(), status=error.status)
        entry.status = 0 if request.get(DROPPED) else response.status
        return response

    def _handler(self, verb: Verb | None, do: Do) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._identity.check(request.headers.get("Authorization"))
            behaviour = self._script.take(verb, *self._names(request)) if verb else None
            if behaviour:
                await self._before(request, behaviour)
            self._check_scope(request)
            response = do(request, behaviour)
            if behaviour and behaviour.disconnect and request.transport:
                request[DROPPED] = True
                request.transport.abort()
            return response

        return handle

    def _names(self, request: web.Request) -> list[str]:
        """Name what the request is about, for the script: the pool, then its VM size."""
        operation = self._fabric.operations.get(request.match_info.get("id", ""))
        name = operation.pool if operation else request.match_info.get("pool")
        if name is None:
            return []
        pool = self._fabric.pools.get(name)
        sent = _properties(request) or {}
        size = sent.get("vmSize") or (pool.vm_size if pool else None)
        return [name, str(size)] if size else [name]

    async def _before(self, request: web.Request, behaviour: Behaviour) -> None:
        if behaviour.stall_s:
            await asyncio.sleep(behaviour.stall_s)
        if behaviour.answer:
            answer = behaviour.answer
            name, size, *_ = [*self._names(request), "?", "?"]
            text = worded(answer.message, name, size, self._fabric.home.location)
            after = answer.retry_after_s
            headers = {} if after is None else {"Retry-After": str(after)}
            raise ArmError(answer.status, answer.code, text, headers)

    def _check_scope(self, request: web.Request) -> None:
        """Refuse what names another subscription, group or cluster, or no API version."""
        if "api-version" not in request.query:
            text = "The api-version query parameter (?api-version=) is required for all requests."
            raise ArmError(400, "MissingApiVersionParameter", text)
        home, named = self._fabric.home, request.match_info
        subscription = named["subscription"]
        if subscription.lower() != home.subscription.lower():
            text = f"The subscription '{subscription}' could not be found."
            raise ArmError(404, "SubscriptionNotFound", text)
        group = named.get("group", home.resource_group)
        if group.lower() != home.resource_group.lower():
            raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        cluster = named.get("cluster", home.cluster)
        if cluster.lower() != home.cluster.lower():
            text = f"The managed cluster '{cluster}' under resource group '{group}' was not found."
            raise ArmError(404, "ResourceNotFound", text)

    def _cluster(self, _: web.Request, __: Behaviour | None) -> web.Response:
        home = self._fabric.home
        properties = {"provisioningState": "Succeeded", "nodeResourceGroup": home.node_group}
        return web.json_response(
            {"id": home.path, "name": home.cluster, "location": home.location, "properties": properties}
        )

    def _list(self, request: web.Request, _: Behaviour | None) -> web.Response:
        names = sorted(self._fabric.pools)
        start = request.query.get("skiptoken", "")
        rest = [name for name in names if name > start]
        page = rest[: self._page_size]
        body: Json = {"value": [self._fabric.pools[name].resource() for name in page]}
        if len(rest) > len(page):
            version = quote(request.query["api-version"])
            body["nextLink"] = f"{_base(request)}{request.path}?api-version={version}&skiptoken={page[-1]}"
        return web.json_response(body)

    def _get(self, request: web.Request, _: Behaviour | None) -> web.Response:
        pool = self._fabric.pools.get(request.match_info["pool"])
        if pool is None:
            raise ArmError(404, "NotFound", "Agent Pool not found.")
        return web.json_response(pool.resource(), headers={"ETag": pool.etag})

    def _put(self, request: web.Request, behaviour: Behaviour | None) -> web.Response:
        name, properties = request.match_info["pool"], _properties(request)
        if properties is None:
            raise ArmError(400, "InvalidRequestContent", "The request has no JSON object 'properties'.")
        conditions = request.headers.get("If-Match"), request.headers.get("If-None-Match")
        created = self._fabric.put(name, properties, behaviour.launch if behaviour else None, *conditions)
        pool = self._fabric.pools[name]
        headers = {**self._operation_header(request, pool), "ETag": pool.etag}
        return web.json_response(pool.resource(), status=201 if created else 200, headers=headers)

    def _delete(self, request: web.Request, behaviour: Behaviour | None) -> web.Response:
        name = request.match_info["pool"]
        pool = self._fabric.pools.get(name)
        if pool is None:
            return web.Response(status=204)
        check_conditions(pool, request.headers.get("If-Match"), None)
        self._fabric.delete(name, behaviour.delete_s if behaviour else None)
        headers = self._operation_header(request, pool)
        headers["Location"] = headers["Azure-AsyncOperation"]
        return web.Response(status=202, headers=headers)

    def _poll(self, request: web.Request, _: Behaviour | None) -> web.Response:
        operation: Operation | None = self._fabric.operations.get(request.match_info["id"])
        if operation is None:
            raise ArmError(404, "NotFound", "The operation was not found.")
        waits = operation.running and self._retry_after_s
        headers = {"Retry-After": str(self._retry_after_s)} if waits else {}
        return web.json_response(operation.resource(), headers=headers)

    def _skus(self, _: web.Request, __: Behaviour | None) -> web.Response:
        location = self._fabric.home.location
        return web.json_response({"value": [size.sku(location) for size in self._fabric.sizes.values()]})

    def _usages(self, _: web.Request, __: Behaviour | None) -> web.Response:
        counts = used(self._fabric.pools.values(), self._fabric.sizes)
        families = {size.family for size in self._fabric.sizes.values()}
        names = ["cores", SPOT_QUOTA, *sorted(families)]
        limits = self._fabric.quotas
        rows = [usage(name, counts.get(name, 0), limits.get(name.lower(), UNLIMITED)) for name in names]
        return web.json_response({"value": rows})

    def _provider(self, request: web.Request, _: Behaviour | None) -> web.Response:
        body = {"namespace": request.match_info["namespace"], "registrationState": "Registered"}
        return web.json_response(body)

    async def _login(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        behaviour = self._script.take(Verb.TOKEN)
        try:
            if behaviour and behaviour.answer:
                raise LoginError(behaviour.answer.code, behaviour.answer.message)
            answer = self._identity.login(request.match_info["tenant"], form)
        except LoginError as error:
            self.logins.append(401)
            answer = {"error": error.code, "error_description": error.message}
            return web.json_response(answer, status=401)
        self.logins.append(200)
        return web.json_response(answer)

    def _operation_header(self, request: web.Request, pool: Pool) -> dict[str, str]:
        home, version = self._fabric.home, quote(request.query["api-version"])
        path = OPERATION.format(subscription=home.subscription, location=home.location, id=pool.operation)
        return {"Azure-AsyncOperation": f"{_base(request)}{path}?api-version={version}"}


def _properties(request: web.Request) -> Json | None:
    """Read what a PUT sent; None where it is no pool at all."""
    body = request[BODY]
    properties = body.get("properties") if isinstance(body, dict) else None
    return properties if isinstance(properties, dict) else None


async def _body(request: web.Request) -> object:
    text = await request.text()
    try:
        content: object = json.loads(text) if text else None
    except json.JSONDecodeError:
        raise ArmError(400, "InvalidRequestContent", "The request content is no valid JSON.") from None
    return content


def _base(request: web.Request) -> str:
    return f"https://{request.host}"
