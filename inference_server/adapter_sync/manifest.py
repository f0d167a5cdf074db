"""Manifests and indexes of images: which layers hold the adapter."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from typing import Any, Final

from inference_server.adapter_sync.errors import AdapterImageBad
from inference_server.adapter_sync.reference import DIGEST
from inference_server.adapter_sync.registry import Blob, Repository

TITLE: Final = "org.opencontainers.image.title"
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Layer:
    """One layer: its content, its media type, and the file's name where the layer is one plain file."""

    blob: Blob
    media_type: str
    title: str


def digest_of(body: bytes) -> str:
    """Return the name of a manifest by its content."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def find_layers(repository: Repository, version: str, body: bytes) -> tuple[Layer, ...]:
    """Return the layers of a manifest, or of the index's manifest for this machine, lowest first.

    Raises:
        AdapterImageBad: it is neither, or has no layers.
        PullError: the registry does not give the manifest that the index names.
    """
    content = _read(version, body)
    if isinstance(content.get("manifests"), list):
        digest = _choose(version, content["manifests"])
        content = _read(digest, repository.manifest(digest))
    layers = content.get("layers")
    if not isinstance(layers, list) or not layers:
        raise AdapterImageBad(
            f"{version} has no layers (an old format, or an empty image); build it anew with a current tool"
        )
    return tuple(_layer(version, item) for item in layers)


def _read(version: str, body: bytes) -> dict[str, Any]:
    """Check the digest, where there is one, and parse."""
    if version.startswith("sha256:") and digest_of(body) != version:
        raise AdapterImageBad(f"the registry gave other content for {version}; push the image anew")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise AdapterImageBad(f"the manifest of {version} is not a JSON object; push the image anew")
    return content


def _choose(version: str, manifests: list[Any]) -> str:
    """Prefer this machine's; else the first real one, since an adapter is the same on all machines."""
    ours = ("linux", _MACHINES.get(platform.machine(), platform.machine()))
    real: list[str] = []
    for item in manifests:
        digest = item.get("digest") if isinstance(item, dict) else None
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            continue
        place = item.get("platform") if isinstance(item.get("platform"), dict) else {}
        found = (place.get("os"), place.get("architecture"))
        if found == ours:
            return digest
        if found != ("unknown", "unknown"):  # buildx puts attestations there
            real.append(digest)
    if not real:
        raise AdapterImageBad(f"index {version} lists no image; push the image anew")
    return real[0]


def _layer(version: str, item: object) -> Layer:
    if not isinstance(item, dict):
        raise AdapterImageBad(f"the manifest of {version} has a layer that is not an object; push it anew")
    digest, size, annotations = item.get("digest"), item.get("size"), item.get("annotations")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise AdapterImageBad(f"the manifest of {version} has a layer without a sha256 digest; push it anew")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise AdapterImageBad(f"the manifest of {version} has a layer without a size; push it anew")
    title = annotations.get(TITLE) if isinstance(annotations, dict) else None
    return Layer(Blob(digest, size), str(item.get("mediaType", "")), title if isinstance(title, str) else "")
