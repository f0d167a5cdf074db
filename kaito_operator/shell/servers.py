"""Ask servers for their adapters: `GET /adapters` on each pod, by its address."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from kaito_operator.manifests.service import SERVER_PORT
from kaito_operator.reconcile.decision import ServerAddress
from kaito_operator.reconcile.observed import AdapterReport, ServerAdapter
from kaito_operator.shell.stores import Stores

TIMEOUT_S: Final = 2.0
_MOST_BYTES: Final = 262_144
_MOST_ADAPTERS: Final = 64
_AT_ONCE: Final = 16

logger = logging.getLogger(__name__)


class Servers:
    """The servers of all Workspaces, as far as the operator talks to them.

    Proxies of the environment are not used: pods are reached directly.
    """

    def __init__(
        self,
        stores: Stores,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        port: int = SERVER_PORT,
    ) -> None:
        self._stores = stores
        self._clock = clock
        self._port = port
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def ask(self, addresses: tuple[ServerAddress, ...]) -> None:
        """Ask all of them and remember what they say, or that they say nothing. Raises nothing."""
        await asyncio.gather(*(self._ask(address) for address in addresses))

    async def _ask(self, address: ServerAddress) -> None:
        async with self._turn:
            report = AdapterReport(self._clock(), address.generation, address.started)
            try:
                report = read_report(await self._get(address.ip), report)
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
                said = str(error) or type(error).__name__
                report = replace(report, trouble=f"its server does not answer the operator: {said[:200]}")
        before = self._stores.adapter_reports.get(address.pod.uid)
        if before and _same(before, report):
            report = replace(report, tries=before.tries + 1)
        elif report.trouble:
            logger.warning("no answer", extra={"pod": address.pod.name, "error": report.trouble})
        self._stores.remember_report(address.pod, report)

    async def _get(self, ip: str) -> str:
        if self._session is None:
            msg = "Servers is used before it is entered with `async with`"
            raise RuntimeError(msg)
        host = f"[{ip}]" if ":" in ip else ip
        async with self._session.get(f"http://{host}:{self._port}/adapters", allow_redirects=False) as answer:
            if answer.status != 200:
                msg = f"it answered {answer.status}"
                raise ValueError(msg)
            body = b""
            async for piece in answer.content.iter_chunked(65_536):
                body += piece
                if len(body) > _MOST_BYTES:
                    msg = f"its answer is longer than {_MOST_BYTES} bytes"
                    raise ValueError(msg)
            return body.decode(errors="replace")


def _same(a: AdapterReport, b: AdapterReport) -> bool:
    return replace(a, asked_at=b.asked_at, tries=b.tries) == b


def read_report(text: str, report: AdapterReport) -> AdapterReport:
    """`report` with what the answer says; a pod of a user's may answer anything.

    Raises:
        ValueError: the answer is no JSON object.
    """
    answer = json.loads(text)
    if not isinstance(answer, dict):
        msg = "its answer is no JSON object"
        raise ValueError(msg)
    listed = answer.get("adapters")
    entries = [e for e in listed if isinstance(e, dict)] if isinstance(listed, list) else []
    adapters = tuple(_adapter(entry) for entry in entries[:_MOST_ADAPTERS])
    return replace(report, generation=_text(answer.get("generation"), 64), adapters=adapters)


def _adapter(entry: dict[str, Any]) -> ServerAdapter:
    sizes = {"name": 253, "image": 512, "digest": 256, "state": 32, "reason": 128, "message": 1024}
    return ServerAdapter(**{key: _text(entry.get(key), size) for key, size in sizes.items()})


def _text(value: object, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""
