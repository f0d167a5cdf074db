"""Our server as it is shipped, on its weightless engine, with the pace of a model.

    python -m tools.bench_inference.programs.paced_echo TOKEN_SECONDS [options of inference_server ...]

Without a pace the engine would be ahead of its streams, and one event would carry many tokens: cheaper for
each of them than with any real model.
"""

import asyncio
import os
import sys

from inference_server.echo_engine import EchoEngine
from inference_server.logs import configure_logging
from inference_server.options import parse_options
from inference_server.serve import serve
from inference_server.service import Service


def main() -> int:
    """Serve until the process is told to end; the exit code is the server's own."""
    token_seconds, arguments = float(sys.argv[1]), sys.argv[2:]
    configure_logging("warning")
    options = parse_options(arguments, os.environ)

    async def run() -> int:
        return await serve(Service(options, EchoEngine(token_seconds)), options)

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
