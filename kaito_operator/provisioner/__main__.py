"""`python3 -m kaito_operator.provisioner`: settings from the environment, then the process of `app.py`."""

import logging
import os
import sys
from typing import NoReturn

import uvloop

from kaito_operator.kube.login import LoginError
from kaito_operator.provisioner.app import run
from kaito_operator.provisioner.settings import Settings
from kaito_operator.settings import SettingError
from kaito_operator.shell import logs


def main() -> int:
    """Exit codes: 0 stopped by SIGTERM, 1 a part failed, 2 settings or credentials are missing."""
    try:
        settings = Settings.from_environment()
        logs.configure(settings.log_level)
        uvloop.run(_run(settings))
    except (SettingError, LoginError) as error:
        sys.stderr.write(f"gpu-provisioner: {error}\n")
    return 2


async def _run(settings: Settings) -> NoReturn:
    """Run and end the process, without waiting for kopf's watches; see the operator's `__main__`."""
    code = await run(settings)
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
