"""What is the same for all Workspaces at one moment."""

from dataclasses import dataclass
from datetime import datetime

from kaito_operator.settings import RuntimeSettings
from presets.catalog import Catalog


@dataclass(frozen=True)
class Context:
    """Catalog, installation and time."""

    catalog: Catalog
    runtime: RuntimeSettings
    now: datetime
