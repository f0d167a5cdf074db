"""python -m inference_server: serve one model. See errors.ExitCode for how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from inference_server.engine import Engine
from inference_server.engine_choice import engine_for
from inference_server.errors import ExitCode, ProcessError
from inference_server.logs import configure_logging
from inference_server.options import ServerOptions, parse_options
from inference_server.serve import serve
from inference_server.service import Service
from inference_server.termination import TERMINATION_LOG, write_termination_log

_log = logging.getLogger("inference_server")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> ExitCode:
    """Read the options, serve until told to stop, and return the exit code."""
    configure_logging("info")
    termination_log = TERMINATION_LOG
    try:
        options = parse_options(arguments, environment)
        termination_log = options.termination_log
        configure_logging(options.log_level)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_run(options))
    except ProcessError as error:
        _log.error("cannot start", extra={"reason": error.reason, "error": str(error)})
        write_termination_log(termination_log, error.reason, str(error))
        return error.exit_code


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the faster event loop where it is installed; None is the library's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _run(options: ServerOptions) -> ExitCode:
    if options.rank > 0:
        from inference_server.follower import follow
        from inference_server.transformers_engine.engine import TransformersEngine

        return await follow(TransformersEngine(options), options)
    return await serve(Service(options, make_engine(options)), options)


def make_engine(options: ServerOptions) -> Engine:
    """Return the engine for the options and the weights, not loaded. Imports no library before load()."""
    kind, note = engine_for(options)
    notes = [note] if note else []
    if kind == "echo":
        from inference_server.echo_engine import EchoEngine

        return EchoEngine()
    if kind == "llama":
        from inference_server.llama_engine.engine import LlamaEngine

        return LlamaEngine(options, notes)
    from inference_server.transformers_engine.engine import TransformersEngine

    return TransformersEngine(options, notes)


if __name__ == "__main__":
    code = main(sys.argv[1:], os.environ)
    logging.shutdown()
    sys.stdout.flush()
    # Not sys.exit: a load that is still running holds C++ threads that abort in the interpreter's teardown.
    os._exit(code)
