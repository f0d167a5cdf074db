"""The server with an echo engine that takes its time for each character: half a second, or $TOKEN_SECONDS.

python -m tests.component.inference_server.slow_echo [flags of the server]
"""

from __future__ import annotations

import asyncio
import os
import sys

from inference_server.echo_engine import EchoEngine
from inference_server.logs import configure_logging
from inference_server.options import ServerOptions, parse_options
from inference_server.serve import serve
from inference_server.service import Service

TOKEN_SECONDS = float(os.environ.get("TOKEN_SECONDS", "0.5"))


async def run(options: ServerOptions) -> int:
    return await serve(Service(options, EchoEngine(TOKEN_SECONDS)), options)


if __name__ == "__main__":
    configure_logging("info")
    sys.exit(asyncio.run(run(parse_options(sys.argv[1:], os.environ))))
