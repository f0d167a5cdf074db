"""Folders that come out of an image: as an image volume, or copied by two init containers.

An image volume is mounted by the node, read-only, with the kubelet's credentials, mirrors and cache. Where
the cluster has none, our image puts a static copier into an emptyDir and the data image itself runs it, so
the same credentials, mirrors and cache apply and the data image needs no shell.
"""

from dataclasses import dataclass

from kaito_operator.manifests.ownership import Obj

COPIER_VOLUME = "copier"
COPIER_DIRECTORY = "/mnt/copier"
COPIER_IN_IMAGE = "/usr/local/bin/copier"


@dataclass(frozen=True)
class ImageFolder:
    """A folder inside an image that the server is to read.

    Attributes:
        name: of the volume and of the container that copies; a DNS label.
        path: of the folder inside the image.
        mount_path: where the server finds it.
    """

    name: str
    image: str
    path: str
    mount_path: str


@dataclass(frozen=True)
class Mounted:
    """What a pod needs for some folders."""

    volumes: tuple[Obj, ...]
    mounts: tuple[Obj, ...]
    init_containers: tuple[Obj, ...] = ()


def as_image_volumes(folders: tuple[ImageFolder, ...]) -> Mounted:
    """One image volume for each folder."""
    return Mounted(
        volumes=tuple(
            {"name": f.name, "image": {"reference": f.image, "pullPolicy": "IfNotPresent"}} for f in folders
        ),
        mounts=tuple(_mount(f.name, f.mount_path, sub_path=f.path.strip("/")) for f in folders),
    )


def as_copies(folders: tuple[ImageFolder, ...], copier_image: str, security: Obj) -> Mounted:
    """One init container that brings the copier, and one for each folder that runs it."""
    if not folders:
        return Mounted((), ())
    tool = {"name": COPIER_VOLUME, "mountPath": COPIER_DIRECTORY}
    copier = f"{COPIER_DIRECTORY}/copier"
    bring = {
        "name": COPIER_VOLUME,
        "image": copier_image,
        "imagePullPolicy": "IfNotPresent",
        "command": [COPIER_IN_IMAGE, "install", copier],
        "volumeMounts": [tool],
        "securityContext": security,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    copies = [
        {
            "name": folder.name,
            "image": folder.image,
            "imagePullPolicy": "IfNotPresent",
            "command": [copier, "copy", folder.path, folder.mount_path],
            "volumeMounts": [tool, {"name": folder.name, "mountPath": folder.mount_path}],
            "securityContext": security,
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }
        for folder in folders
    ]
    return Mounted(
        volumes=(
            {"name": COPIER_VOLUME, "emptyDir": {}},
            *({"name": f.name, "emptyDir": {}} for f in folders),
        ),
        mounts=tuple(_mount(f.name, f.mount_path) for f in folders),
        init_containers=(bring, *copies),
    )


def _mount(name: str, path: str, sub_path: str = "") -> Obj:
    mount: Obj = {"name": name, "mountPath": path, "readOnly": True}
    if sub_path:
        mount["subPath"] = sub_path
    return mount
