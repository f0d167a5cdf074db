"""The life of a process that is not the first of its group: load a part of the model, do what rank 0 says.

The first process of each pod answers probes on the port; questions go to rank 0 alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from typing import Protocol

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from inference_server.engine import Phase, Report
from inference_server.errors import ExitCode, ProcessError
from inference_server.health import Health
from inference_server.options import ServerOptions
from inference_server.serve import HttpServer, finish, open_listener
from inference_server.termination import write_termination_log

_log = logging.getLogger(__name__)


class Following(Protocol):
    """What this process needs of an engine."""

    def load(self, report: Report) -> None:
        """See engine.Engine."""
        ...

    def follow(self) -> None:
        """Do what rank 0 says until it says to leave; EngineFailed when another process is lost."""
        ...


async def follow(engine: Following, options: ServerOptions) -> ExitCode:
    """Load, follow, and return when rank 0 has left or is lost.

    Raises:
        AddressInUse: the port cannot be opened.
    """
    health = Health(options.model_name)
    loop = asyncio.get_running_loop()
    end: asyncio.Future[ExitCode] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Rank 0 drains first, and needs this process for it. Should it be lost, following ends by itself.
        loop.add_signal_handler(number, health.enter, Phase.DRAINING)
    threading.Thread(target=_work, args=(engine, options, health, loop, end), daemon=True).start()
    if options.local_rank:
        return await end
    server = HttpServer(_probes(health))
    serving = asyncio.ensure_future(server.serve(sockets=[open_listener(options.host, options.port)]))
    code = await end
    server.should_exit = True
    await serving
    return code


def _work(
    engine: Following,
    options: ServerOptions,
    health: Health,
    loop: asyncio.AbstractEventLoop,
    end: asyncio.Future[ExitCode],
) -> None:
    code = ExitCode.OK

    def report(phase: Phase, done: float | None = None) -> None:
        health.enter(phase, done)

    try:
        engine.load(report)
        health.enter(Phase.READY)
        _log.info("following", extra={"rank": options.rank})
        engine.follow()
    except ProcessError as error:
        code = error.exit_code
        health.fail(str(error))
        _log.error("cannot go on", extra={"reason": error.reason, "error": str(error)})
        write_termination_log(options.termination_log, error.reason, str(error))
    except Exception as error:  # noqa: BLE001 - a thread: what it raised would be lost, and nothing end
        code = ExitCode.UNEXPECTED
        health.fail(type(error).__name__)
        _log.exception("cannot go on")
        write_termination_log(options.termination_log, type(error).__name__, str(error))
    with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending already
        loop.call_soon_threadsafe(finish, end, code)


def _probes(health: Health) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        status, body = health.readiness()
        return JSONResponse(body, status_code=status)

    @app.get("/livez")
    async def livez() -> JSONResponse:
        status, body = health.liveness()
        return JSONResponse(body, status_code=status)

    return app
