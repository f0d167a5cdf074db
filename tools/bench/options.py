"""What a run is made of."""

from dataclasses import dataclass
from typing import Any

from tools.bench.paths import NAMESPACE

Json = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
        count: Workspaces.
        instance_type: that they name.
        preset: that they name.
        create_s: seconds that the simulated cloud takes to make a pool.
        delete_s: seconds that it takes to delete one.
        poll_s: seconds between two looks of the provisioner at pools in motion.
        settle_s: seconds after the last Workspace is ready in which the last writes may come.
        rest_s: seconds in which nothing may be written.
    """

    count: int = 100
    instance_type: str = "Standard_NC4as_T4_v3"
    preset: str = "smollm2-135m-instruct"
    create_s: float = 0.5
    delete_s: float = 0.3
    poll_s: float = 1.0
    settle_s: float = 3.0
    rest_s: float = 10.0

    @property
    def timeout_s(self) -> float:
        """Bounds each wait: a few seconds for each Workspace at the slowest, and a start."""
        return 60.0 + 2.0 * self.count

    def workspace(self, number: int) -> Json:
        """Write one of the Workspaces."""
        return {
            "apiVersion": "kaito.sh/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": f"ws-{number:04}", "namespace": NAMESPACE},
            "resource": {
                "instanceType": self.instance_type,
                "labelSelector": {"matchLabels": {"apps": f"ws-{number:04}"}},
            },
            "inference": {"preset": {"name": self.preset}},
        }
