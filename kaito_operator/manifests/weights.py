"""How the weights reach the server: image volume, copy from the image, volume claim, or hub."""

from typing import Literal

from kaito_operator.manifests.images import ImageFolder, Mounted, as_copies, as_image_volumes
from kaito_operator.manifests.ownership import Obj
from kaito_operator.planner.plan import ClaimWeights, HubWeights, ImageWeights, Plan
from kaito_operator.settings import RuntimeSettings

WEIGHTS_VOLUME = "weights"
WEIGHTS_PATH = "/mnt/weights"
TOKEN_KEY = "HF_TOKEN"  # noqa: S105 - the name of a key in a Secret

Delivery = Literal["image", "imageCopy", "volumeClaim", "hub"]
"""As `status.plan.weightsFrom` tells it."""


def delivery(plan: Plan, *, image_volumes: bool) -> Delivery | None:
    """Which way this plan's weights take; None for a template, which brings its own.

    Args:
        plan: says where the weights are.
        image_volumes: the cluster and its nodes can mount images.
    """
    match plan.weights:
        case ImageWeights():
            return "image" if image_volumes else "imageCopy"
        case ClaimWeights():
            return "volumeClaim"
        case HubWeights():
            return "hub"
        case None:
            return None


def mounted_weights(plan: Plan, way: Delivery, runtime: RuntimeSettings, security: Obj) -> Mounted:
    """Volumes, mounts and init containers that put the weights folder at /mnt/weights."""
    match plan.weights:
        case ImageWeights(image=image, path=path):
            folder = (ImageFolder(WEIGHTS_VOLUME, image, path, WEIGHTS_PATH),)
            if way == "image":
                return as_image_volumes(folder)
            return as_copies(folder, runtime.runtime_image, security)
        case ClaimWeights() as claim:
            return _from_claim(claim)
        case HubWeights() as hub:
            return _from_hub(hub, plan, runtime, security)
        case None:
            return Mounted((), ())


def _from_claim(claim: ClaimWeights) -> Mounted:
    mount: Obj = {"name": WEIGHTS_VOLUME, "mountPath": WEIGHTS_PATH, "readOnly": True}
    if sub_path := claim.path.strip("/"):
        mount["subPath"] = sub_path
    source = {"claimName": claim.claim, "readOnly": True}
    return Mounted(({"name": WEIGHTS_VOLUME, "persistentVolumeClaim": source},), (mount,))


def _from_hub(hub: HubWeights, plan: Plan, runtime: RuntimeSettings, security: Obj) -> Mounted:
    environment: list[Obj] = [
        {"name": "HF_ENDPOINT", "value": runtime.hub_endpoint},
        {"name": "HF_HUB_OFFLINE", "value": "0"},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - the pod's own emptyDir
    ]
    if hub.token_secret:
        reference = {"name": hub.token_secret, "key": TOKEN_KEY}
        environment.append({"name": TOKEN_KEY, "valueFrom": {"secretKeyRef": reference}})
    fetch = ["python3", "-m", "inference_server.fetch", "--repo", hub.repository]
    fetch += ["--revision", hub.revision, "--to", WEIGHTS_PATH]
    if plan.trust_remote_code:
        fetch.append("--trust-remote-code")
    container = {
        "name": WEIGHTS_VOLUME,
        "image": runtime.runtime_image,
        "imagePullPolicy": "IfNotPresent",
        "command": fetch,
        "env": environment,
        "volumeMounts": [
            {"name": WEIGHTS_VOLUME, "mountPath": WEIGHTS_PATH},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
        ],
        "securityContext": security,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return Mounted(
        volumes=({"name": WEIGHTS_VOLUME, "emptyDir": {}},),
        mounts=({"name": WEIGHTS_VOLUME, "mountPath": WEIGHTS_PATH, "readOnly": True},),
        init_containers=(container,),
    )
