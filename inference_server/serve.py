"""The life of the process: open the port, load beside it, serve, drain, end with an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from inference_server.engine import Phase
from inference_server.errors import AddressInUse, ExitCode, ProcessError
from inference_server.http.app import build_app
from inference_server.options import ServerOptions
from inference_server.service import Service
from inference_server.termination import write_termination_log

_log = logging.getLogger(__name__)
_LAST_BYTES_S = 3  # after draining: the time for answers to leave their sockets


async def serve(service: Service, options: ServerOptions) -> ExitCode:
    """Answer probes at once, load in a thread, and return when the process should end.

    SIGTERM or SIGINT drains: readiness turns false, accepted requests finish for up to `drain_seconds`,
    the code is 0 (5 if the engine had failed before). A second signal ends the wait. A failed load ends
    with the error's code.

    Raises:
        AddressInUse: the port cannot be opened.
    """
    listener = open_listener(options.host, options.port)
    _log.info("listening", extra={"port": listener.getsockname()[1], "model": options.model_name})
    server = HttpServer(build_app(service, options))
    end: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()
    _drain_on_signals(service, options, end)
    _load_in_thread(service, options, end)
    ending = asyncio.ensure_future(_end_when_broken(service, end))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    first: list[asyncio.Future[Any]] = [end, serving]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    ending.cancel()
    await service.stop()
    return end.result() if end.done() else ExitCode.UNEXPECTED


def open_listener(host: str, port: int) -> socket.socket:
    """Listen on `host`, or for '' on all addresses, IPv6 and IPv4, as far as the machine has them.

    Raises:
        AddressInUse: with the system's words.
    """
    if not host and socket.has_dualstack_ipv6():
        # A kernel may know IPv6 and have it switched off: then IPv4 alone is right.
        with contextlib.suppress(OSError):
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=2048)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise AddressInUse(
            f"cannot listen on port {port}: {error.strerror or error}; free it or choose another with --port"
        ) from error


class HttpServer(uvicorn.Server):
    """uvicorn without its signal handling, which would end requests at once and exit by the signal."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                lifespan="off",
                http="httptools",  # half the CPU of uvicorn's own parser for each streamed token
                server_header=False,
                timeout_graceful_shutdown=_LAST_BYTES_S,
            )
        )

    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield


def _drain_on_signals(service: Service, options: ServerOptions, end: asyncio.Future[ExitCode]) -> None:
    loop = asyncio.get_running_loop()
    draining: list[asyncio.Task[None]] = []  # holds the task: the loop alone would let it be collected

    def on_signal() -> None:
        if draining:
            service.scheduler.cancel_all()
        else:
            draining.append(asyncio.ensure_future(_drain(service, options.drain_seconds, end)))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


async def _drain(service: Service, seconds: float, end: asyncio.Future[ExitCode]) -> None:
    service.health.enter(Phase.DRAINING)
    service.scheduler.close()
    _log.info("draining", extra={"in_flight": service.scheduler.depth, "seconds": seconds})
    if not await service.scheduler.wait_idle(seconds):
        _log.warning("cut off after the drain time", extra={"in_flight": service.scheduler.depth})
        service.scheduler.cancel_all()
        await service.scheduler.wait_idle(_LAST_BYTES_S)
    # The engine may have failed before, or just now: draining is left for that alone.
    finish(end, ExitCode.ENGINE if service.health.phase is Phase.FAILED else ExitCode.OK)


async def _end_when_broken(service: Service, end: asyncio.Future[ExitCode]) -> None:
    """End the process soon after its engine: waiting for the liveness probe would take a minute more."""
    await service.broken.wait()
    await asyncio.sleep(_LAST_BYTES_S)
    finish(end, ExitCode.ENGINE)


def _load_in_thread(service: Service, options: ServerOptions, end: asyncio.Future[ExitCode]) -> None:
    loop = asyncio.get_running_loop()
    starting: list[asyncio.Task[None]] = []  # holds the task: the loop alone would let it be collected

    def load() -> None:
        try:
            service.load()
        except ProcessError as error:
            code, reason = error.exit_code, error.reason
            _log.error("cannot start", extra={"reason": reason, "error": str(error)})
            write_termination_log(options.termination_log, reason, str(error))
        except Exception as error:  # noqa: BLE001 - a thread: what it raised would be lost, and nothing end
            code, reason = ExitCode.UNEXPECTED, type(error).__name__
            _log.exception("cannot start")
            write_termination_log(options.termination_log, reason, str(error))
        else:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: starting.append(asyncio.ensure_future(service.start())))
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending already
            loop.call_soon_threadsafe(finish, end, code)

    # A daemon: nothing can interrupt a load, and SIGTERM must not wait minutes for it.
    threading.Thread(target=load, name="load", daemon=True).start()


def finish(end: asyncio.Future[ExitCode], code: ExitCode) -> None:
    """Let the process end with `code`, unless its end is decided already."""
    if not end.done():
        end.set_result(code)
