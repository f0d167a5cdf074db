"""What is asked of Azure, as an interface: the real one is `azure_cloud`, tests bring their own."""

from collections.abc import Mapping
from typing import Any, Protocol

from kaito_operator.provisioner.faults import AzureError, Fault
from kaito_operator.provisioner.pool import Pool
from kaito_operator.provisioner.requirements import LaunchPlan


class CloudFault(Exception):  # noqa: N818 - an answer of Azure's rather than an error of ours
    """Azure did not do what was asked, or did not answer."""

    def __init__(self, error: AzureError) -> None:
        super().__init__(f"{error.status} {error.code}: {error.message}")
        self.error = error


class PoolExists(CloudFault):
    """A pool of this name is there already; nothing was changed."""


class Cloud(Protocol):
    """The agent pools of one cluster. Every call raises CloudFault when it was not answered as asked."""

    async def list_pools(self) -> list[Pool]:
        """All pools of the cluster."""

    async def get_pool(self, name: str) -> Pool | None:
        """One pool; None only when Azure says that this pool, and not its cluster, does not exist."""

    async def put_pool(self, name: str, body: Mapping[str, Any]) -> Pool:
        """Begin to create a pool; returns what it is now, which is hardly ever finished.

        Raises:
            PoolExists: and nothing was changed.
        """

    async def delete_pool(self, name: str, *, ignore_pdb: bool) -> None:
        """Begin to delete a pool; fine when there is none."""

    async def cause_of(self, name: str, operation: str) -> AzureError | None:
        """Why a pool failed, by the operation that made it (empty: not known) or by the pool itself.

        None when Azure does not say.
        """

    async def refusal(self, plan: LaunchPlan) -> Fault | None:
        """Why Azure would refuse this now (quota, restrictions), where one may ask; None: try it."""
