"""Image archives written by hand, for images of a few files."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

Descriptor = dict[str, object]
Files = Mapping[str, tuple[bytes, int]]
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
# Names in Go, which image configurations use, for what uname calls the machine.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_program_image(archive: Path, reference: str, program: Path, machine: str) -> None:
    """Write an OCI archive of an image that holds one program at ``/NAME`` and runs it as user 65535.

    Args:
        archive: the tar file to write; the layout is the one of the OCI image specification 1.1.
        reference: the image's full name.
        program: the static binary.
        machine: what uname calls its architecture.
    """
    files = {program.name: (program.read_bytes(), 0o755)}
    write_image(
        archive, reference, files, machine, {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"}
    )


def write_image(
    archive: Path,
    reference: str,
    files: Files,
    machine: str,
    settings: Mapping[str, object] | None = None,
) -> None:
    """Write an OCI archive of an image that holds these files in one layer.

    Args:
        archive: the tar file to write.
        reference: the image's full name.
        files: path inside the image, without a leading slash, to content and mode.
        machine: what uname calls its architecture.
        settings: the image's own configuration, such as its Entrypoint.
    """
    layer = _tar(files)
    blobs = [layer]

    def add(content: object) -> bytes:
        blobs.append(json.dumps(content).encode())
        return blobs[-1]

    config = add(
        {
            "architecture": ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": dict(settings or {}),
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = add(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, config),
            "layers": [_descriptor(LAYER, layer)],
        }
    )
    named = _descriptor(MANIFEST, manifest) | {"annotations": {"io.containerd.image.name": reference}}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}
    layout = {
        "oci-layout": (b'{"imageLayoutVersion":"1.0.0"}', 0o644),
        "index.json": (json.dumps(index).encode(), 0o644),
        **{f"blobs/sha256/{_digest(blob)[7:]}": (blob, 0o644) for blob in blobs},
    }
    archive.write_bytes(_tar(layout))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> Descriptor:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _tar(files: Files) -> bytes:
    """Pack files; owner root and time zero, so that equal content has an equal digest."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
