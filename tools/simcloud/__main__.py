"""Entry of python -m tools.simcloud."""

import sys

from tools.simcloud.cli import main

sys.exit(main())
