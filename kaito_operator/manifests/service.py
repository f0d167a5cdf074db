"""The Service that clients call: the Workspace's name, port 80, only pods that are ready."""

from kaito_operator.api import labels
from kaito_operator.api.meta import ObjectMeta
from kaito_operator.manifests.ownership import Obj, child_metadata, sealed

SERVER_PORT = 5000
TORCH_PORT = 29500


def service(owner: ObjectMeta, *, first_pod_only: bool = False) -> Obj:
    """v0.3.0's ports and names; a LoadBalancer while the annotation kaito.sh/enablelb is "True".

    Of a group of pods only the first one serves.
    """
    balanced = owner.annotations.get(labels.ANNOTATION_ENABLE_LB) == "True"
    first = {labels.LABEL_POD_NAME: f"{owner.name}-0"} if first_pod_only else {}
    return sealed(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": child_metadata(owner),
            "spec": {
                "type": "LoadBalancer" if balanced else "ClusterIP",
                "selector": {labels.LABEL_WORKSPACE: owner.name, **first},
                "ports": [
                    _port("http", 80, SERVER_PORT),
                    _port("torch", TORCH_PORT, TORCH_PORT),
                ],
            },
        }
    )


def _port(name: str, port: int, target: int) -> Obj:
    return {"name": name, "protocol": "TCP", "port": port, "targetPort": target}
