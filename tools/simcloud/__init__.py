"""A simulated cloud: Azure Resource Manager over TLS, agent pools that boot nodes, and faults on demand."""

from tools.simcloud import behaviours
from tools.simcloud.behaviours import Behaviour, Verb
from tools.simcloud.booter import NodeBooter
from tools.simcloud.cloud import SimCloud
from tools.simcloud.errors import SimCloudError
from tools.simcloud.pool import Pool
from tools.simcloud.server import Request

__all__ = ["Behaviour", "NodeBooter", "Pool", "Request", "SimCloud", "SimCloudError", "Verb", "behaviours"]
