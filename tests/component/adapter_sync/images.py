"""Adapters, images of them, and a real registry to push them to."""

import base64
import gzip
import hashlib
import io
import json
import struct
import tarfile
from dataclasses import dataclass, field
from typing import Any

import requests

CONFIG = b'{"peft_type": "LORA", "r": 4}'
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def weights(fill: bytes = b"\x01", size: int = 64) -> bytes:
    """A safetensors file with one tensor of `size` bytes."""
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + fill * size


def tar(files: dict[str, bytes], links: dict[str, str] | None = None, packed: bool = True) -> bytes:
    """A layer of plain files and symbolic links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return gzip.compress(buffer.getvalue(), 1) if packed else buffer.getvalue()


def adapter_layer(fill: bytes = b"\x01", size: int = 64) -> bytes:
    return tar({"data/adapter_config.json": CONFIG, "data/adapter_model.safetensors": weights(fill, size)})


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Registry:
    """A registry on loopback. `account` is (user, password) or None."""

    host: str
    account: tuple[str, str] | None = field(default=None, repr=False)

    def push(self, repository: str, tag: str, layers: list[bytes], titles: list[str] | None = None) -> str:
        """Push an image and return its digest."""
        described = []
        for index, layer in enumerate(layers):
            entry = {"mediaType": LAYER, **self._blob(repository, layer)}
            if titles:
                entry["mediaType"] = "application/vnd.oci.image.layer.v1.tar"
                entry["annotations"] = {"org.opencontainers.image.title": titles[index]}
            described.append(entry)
        config = {"mediaType": "application/vnd.oci.image.config.v1+json", **self._blob(repository, b"{}")}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described}
        return self.push_manifest(repository, tag, manifest)

    def push_manifest(self, repository: str, tag: str, manifest: dict[str, Any]) -> str:
        body = json.dumps(manifest).encode()
        kind = {"Content-Type": manifest["mediaType"]}
        self._do("PUT", f"/v2/{repository}/manifests/{tag}", data=body, headers=kind)
        return sha256(body)

    def delete(self, repository: str, digest: str) -> None:
        self._do("DELETE", f"/v2/{repository}/manifests/{digest}")

    def docker_config(self, password: str | None = None) -> str:
        """The text of a pull secret for it."""
        assert self.account
        auth = base64.b64encode(f"{self.account[0]}:{password or self.account[1]}".encode()).decode()
        return json.dumps({"auths": {f"https://{self.host}/v1/": {"auth": auth}}})

    def _blob(self, repository: str, content: bytes) -> dict[str, Any]:
        digest = sha256(content)
        place = self._do("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        path = place.split(self.host, 1)[-1]
        joint = "&" if "?" in path else "?"
        self._do("PUT", f"{path}{joint}digest={digest}", data=content)
        return {"digest": digest, "size": len(content)}

    def _do(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        answer = requests.request(
            method, f"http://{self.host}{path}", auth=self.account, timeout=30, **kwargs
        )
        answer.raise_for_status()
        return answer
