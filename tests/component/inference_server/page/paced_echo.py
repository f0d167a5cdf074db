"""The server with an echo engine that loads and speaks as slowly as the environment says.

LOAD_SECONDS=4 TOKEN_SECONDS=0.05 python -m tests.component.inference_server.page.paced_echo [FLAGS]
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from typing_extensions import override

from inference_server.echo_engine import EchoEngine
from inference_server.engine import Phase, Report
from inference_server.logs import configure_logging
from inference_server.options import ServerOptions, parse_options
from inference_server.serve import serve
from inference_server.service import Service

STEPS = 8  # of a load, each with its own progress


class PacedEcho(EchoEngine):
    """An echo with weights that take their time."""

    @override
    def load(self, report: Report) -> None:
        report(Phase.LIBRARIES)
        for done in range(STEPS):
            report(Phase.WEIGHTS, done / STEPS)
            time.sleep(float(os.environ.get("LOAD_SECONDS", "0")) / STEPS)


async def run(options: ServerOptions) -> int:
    engine = PacedEcho(float(os.environ.get("TOKEN_SECONDS", "0")))
    return await serve(Service(options, engine), options)


if __name__ == "__main__":
    configure_logging("info")
    sys.exit(asyncio.run(run(parse_options(sys.argv[1:], os.environ))))
