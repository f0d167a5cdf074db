"""Push small images to a registry, by the OCI distribution API 1.1."""

import io
import json
import os
import tarfile
import tempfile
from pathlib import Path

import httpx

from tools.localcluster.images import MANIFEST, Files, write_image


def push_image(
    registry: str, repository: str, tag: str, files: Files, account: tuple[str, str] | None = None
) -> str:
    """Make an image of these files, in one layer, and push it. Returns its digest.

    Args:
        registry: HOST:PORT that speaks plain HTTP.
        repository: name of the image in it.
        tag: of the image.
        files: path in the image, without a leading slash, to content and mode.
        account: user and password, where the registry asks for them.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        write_image(archive, f"{registry}/{repository}:{tag}", files, os.uname().machine)
        blobs = _members(archive)
    manifest = blobs.pop(_path(json.loads(blobs["index.json"])["manifests"][0]["digest"]))
    base = f"http://{registry}/v2/{repository}"
    with httpx.Client(auth=account, timeout=60, trust_env=False) as client:
        for name, content in blobs.items():
            if name.startswith("blobs/sha256/"):
                place = client.post(f"{base}/blobs/uploads/").raise_for_status().headers["Location"]
                url = httpx.URL(place).copy_merge_params({"digest": f"sha256:{name.rpartition('/')[2]}"})
                client.put(url, content=content).raise_for_status()
        headers = {"Content-Type": MANIFEST}
        pushed = client.put(f"{base}/manifests/{tag}", content=manifest, headers=headers).raise_for_status()
    return str(pushed.headers["Docker-Content-Digest"])


def _members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as tar:
        files = ((entry.name, tar.extractfile(entry)) for entry in tar)
        return {name: file.read() for name, file in files if file is not None}


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest.partition(':')[2]}"
