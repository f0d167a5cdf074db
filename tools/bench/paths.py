"""Names and URL paths that the benchmark uses."""

from pathlib import Path
from typing import Final

from kaito_operator.api.labels import API_VERSION, LABEL_WORKSPACE_NAMESPACE, PLURAL
from kaito_operator.api.machine import MACHINE_API_VERSION, MACHINE_PLURAL

CHECKOUT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = CHECKOUT / ".local" / "bench"
"""Logs and the simulated cloud's files, of the last run."""

NAMESPACE: Final = "kaito-bench"
"""Of the Workspaces, and of both programs' Leases."""
PART_OF: Final = {"app.kubernetes.io/part-of": NAMESPACE}
"""On the cluster-wide objects of a run."""
OURS: Final = f"{LABEL_WORKSPACE_NAMESPACE}={NAMESPACE}"
"""Selects the claims, nodes and pods that a run leads to."""

WORKSPACES: Final = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
SERVICES: Final = f"/api/v1/namespaces/{NAMESPACE}/services"
PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"
MACHINES: Final = f"/apis/{MACHINE_API_VERSION}/{MACHINE_PLURAL}"
NODES: Final = "/api/v1/nodes"
