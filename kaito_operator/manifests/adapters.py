"""Adapters of a server: a ConfigMap that lists them, and a sidecar that pulls what the list names.

A pod's volumes cannot change, so the list is not in the pod template, and changing it rolls nothing. Adapters
that only the node may pull, or that the engine takes at its start only, are in the pod all the same.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kaito_operator.api.meta import ObjectMeta
from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.images import ImageFolder, Mounted, as_copies, as_image_volumes
from kaito_operator.manifests.ownership import Obj, child_metadata, content_hash, sealed
from kaito_operator.manifests.weights import Delivery
from kaito_operator.planner.plan import Plan
from kaito_operator.settings import RuntimeSettings

ADAPTERS_PATH: Final = "/mnt/adapter"
LIVE_NAME: Final = "live"
LIVE_PATH: Final = f"{ADAPTERS_PATH}/{LIVE_NAME}"
LIVE_VOLUME: Final = "adapters-live"
LIST_KEY: Final = "adapters.json"
SIDECAR: Final = "adapters"
_PATH_IN_IMAGE: Final = "/data"
_LIST_PATH: Final = "/etc/kaito/adapters"
_SECRETS_PATH: Final = "/etc/kaito/pull-secrets"
_SECRET_KEY: Final = ".dockerconfigjson"  # noqa: S105 - the name of a key in a Secret
_LABEL_LENGTH: Final = 63
_COMBINATION: Final = "cat"  # the exact weighted sum, for any mix of ranks


@dataclass(frozen=True)
class WantedAdapter:
    """One entry of `inference.adapters` that can be rendered.

    Attributes:
        strength: from 0 to 1.
        pull_secrets: names of Secrets, sorted.
    """

    name: str
    image: str
    strength: float
    pull_secrets: tuple[str, ...]

    @property
    def source_hash(self) -> str:
        """Changes when another pull of it may go another way."""
        return content_hash([self.image, self.pull_secrets])

    @property
    def label(self) -> str:
        """A DNS label for its volume and container: names may be as long as a label themselves."""
        label = f"adapter-{self.name}"
        return label if len(label) <= _LABEL_LENGTH else f"{label[:46]}-{content_hash(self.name)}"


def wanted_adapters(workspace: Workspace) -> tuple[WantedAdapter, ...]:
    """The adapters of a preset, each name once: v0.3.0 stored repeated ones."""
    if workspace.inference is None or workspace.inference.preset is None:
        return ()
    found: dict[str, WantedAdapter] = {}
    for adapter in workspace.inference.adapters:
        source = adapter.source
        if source and source.name and source.image:
            secrets = tuple(sorted(set(source.image_pull_secrets)))
            wanted = WantedAdapter(source.name, source.image, _strength(adapter.strength), secrets)
            found.setdefault(source.name, wanted)
    return tuple(found.values())


def _strength(text: str | None) -> float:
    """The default also for what v0.3.0 stored unchecked and took for the default."""
    try:
        number = float(text) if text else 1.0
    except ValueError:
        return 1.0
    return number if math.isfinite(number) and 0 <= number <= 1 else 1.0


def takes_adapters(plan: Plan) -> bool:
    """Whether the servers of this plan can have adapters.

    Every one of these has the sidecar, so that the first adapter needs no new pod.
    """
    return plan.kind == "preset" and not plan.is_group


def list_name(workspace: str) -> str:
    """Name of the ConfigMap."""
    return f"{workspace}-adapters"


def list_text(adapters: Sequence[WantedAdapter], in_pod: frozenset[str]) -> str:
    """What the sidecar reads; equal adapters give an equal text."""
    entries = [
        {"name": a.name, "image": a.image, "strength": a.strength, "inPod": a.name in in_pod}
        for a in adapters
    ]
    return json.dumps({"adapters": entries, "combination": _COMBINATION}, indent=1)


def generation_of(text: str) -> str:
    """By which servers tell which list they have."""
    return hashlib.sha256(text.encode()).hexdigest()


def adapter_list(owner: ObjectMeta, text: str) -> Obj:
    """The ConfigMap."""
    return sealed(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": child_metadata(owner, name=list_name(owner.name)),
            "data": {LIST_KEY: text},
        }
    )


def adapters_in_pod(
    adapters: Sequence[WantedAdapter], way: Delivery, runtime: RuntimeSettings, security: Obj
) -> Mounted:
    """The folders of those that the pod brings itself."""
    folders = tuple(
        ImageFolder(a.label, a.image, _PATH_IN_IMAGE, f"{ADAPTERS_PATH}/{a.name}") for a in adapters
    )
    if way == "image":
        return as_image_volumes(folders)
    return as_copies(folders, runtime.runtime_image, security)


def live_adapters(
    workspace: Workspace, secrets: Sequence[str], in_pod: Mounted, runtime: RuntimeSettings, security: Obj
) -> Mounted:
    """The sidecar, and the folder that it and the server share.

    It starts after the copies, whose folders it reads. The server's mount is writable: it tells the sidecar
    which folders are in use, so that none is removed under it.
    """
    live = {"name": LIVE_VOLUME, "mountPath": LIVE_PATH}
    command = ["python3", "-m", "inference_server.adapter_sync", "--config", _LIST_PATH]
    command += ["--to", ADAPTERS_PATH, "--auth", _SECRETS_PATH]
    for registry in runtime.insecure_registries:
        command += ["--insecure-registry", registry]
    sidecar: Obj = {
        "name": SIDECAR,
        "image": runtime.runtime_image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": command,
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - the container's own emptyDir
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "volumeMounts": [
            {"name": "adapters-list", "mountPath": _LIST_PATH, "readOnly": True},
            {"name": "pull-secrets", "mountPath": _SECRETS_PATH, "readOnly": True},
            {"name": "adapters-tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own emptyDir
            live,
            *in_pod.mounts,
        ],
        "securityContext": security,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    volumes: tuple[Obj, ...] = (
        {"name": "adapters-list", "configMap": {"name": list_name(workspace.metadata.name)}},
        {"name": "adapters-tmp", "emptyDir": {}},
        {"name": LIVE_VOLUME, "emptyDir": {}},
        _pull_secrets(secrets),
    )
    return Mounted(volumes, (live,), (sidecar,))


def _pull_secrets(names: Sequence[str]) -> Obj:
    """The same Secrets that the node pulls with; one that is missing must not keep the model from serving."""
    if not names:
        return {"name": "pull-secrets", "emptyDir": {}}
    sources = [
        {
            "secret": {
                "name": name,
                "optional": True,
                "items": [{"key": _SECRET_KEY, "path": f"{name}/{_SECRET_KEY}"}],
            }
        }
        for name in names
    ]
    return {"name": "pull-secrets", "projected": {"sources": sources, "defaultMode": 0o440}}
