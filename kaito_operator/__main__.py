"""`python3 -m kaito_operator`: settings from the environment, then the process of `app.py`."""

import asyncio
import sys

import uvloop

from kaito_operator.app import run
from kaito_operator.kube.login import LoginError
from kaito_operator.settings import SettingError, Settings
from kaito_operator.shell import logs


def main() -> int:
    """Exit codes: 0 stopped by SIGTERM, 1 a part failed, 2 settings or credentials are missing."""
    try:
        settings = Settings.from_environment()
        logs.configure(settings.log_level)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(settings))
    except (SettingError, LoginError) as error:
        sys.stderr.write(f"kaito-operator: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
