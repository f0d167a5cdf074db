"""A model over several nodes: a StatefulSet whose pods form one process group, and where they meet."""

from kaito_operator.api import labels
from kaito_operator.api.meta import ObjectMeta
from kaito_operator.manifests.ownership import Obj, child_metadata
from kaito_operator.manifests.service import TORCH_PORT
from kaito_operator.planner.plan import Plan

INDEX_LABEL = "apps.kubernetes.io/pod-index"


def headless_name(name: str) -> str:
    """Name of the Service through which the pods of a group find each other; v0.3.0's."""
    return f"{name}-headless"


def stateful_set(owner: ObjectMeta, plan: Plan, template: Obj, annotations: Obj) -> Obj:
    """All pods start at once and are replaced together, by us: one of another version could not join."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": child_metadata(owner, annotations),
        "spec": {
            "replicas": plan.replicas,
            "serviceName": headless_name(owner.name),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": {labels.LABEL_WORKSPACE: owner.name}},
            "template": template,
        },
    }


def headless_service(owner: ObjectMeta) -> Obj:
    """Names for the pods from their first second on: the group meets before any of them is ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(owner, name=headless_name(owner.name)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {labels.LABEL_WORKSPACE: owner.name},
            "ports": [{"name": "torchrun", "port": TORCH_PORT, "targetPort": TORCH_PORT, "protocol": "TCP"}],
        },
    }


def group_command(owner: ObjectMeta, plan: Plan) -> list[str]:
    """Torchrun starts one process per GPU, and all processes of all pods meet at pod 0.

    By its module: distributions leave the program of that name out of PATH. What follows are the arguments
    of the server.
    """
    first = f"{owner.name}-0.{headless_name(owner.name)}.{owner.namespace}.svc"
    return [
        "python3",
        "-m",
        "torch.distributed.run",
        f"--nnodes={plan.replicas}",
        f"--nproc-per-node={max(plan.gpus_per_pod, 1)}",
        "--node-rank=$(POD_INDEX)",
        f"--master-addr={first}",
        f"--master-port={TORCH_PORT}",
        "--module",
        "inference_server",
    ]


def group_environment() -> list[Obj]:
    """The pod's place in the group."""
    field = {"fieldPath": f"metadata.labels['{INDEX_LABEL}']"}
    return [{"name": "POD_INDEX", "valueFrom": {"fieldRef": field}}]
