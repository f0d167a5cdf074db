"""One pull: from the name of an image to a folder with the adapter's two files."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference_server.adapter_sync.credentials import find_credentials
from inference_server.adapter_sync.errors import Abandoned, AdapterImageBad, AdapterTooLarge
from inference_server.adapter_sync.extract import WANTED, Extraction, check_files, is_archive
from inference_server.adapter_sync.manifest import Layer, digest_of, find_layers
from inference_server.adapter_sync.reference import parse_reference
from inference_server.adapter_sync.registry import CHUNK_BYTES, Repository
from inference_server.adapter_sync.store import Store

_BLOB: Final = ".blob"


@dataclass(frozen=True)
class Copy:
    """An adapter on the disk: its digest ("sha256:...") and its folder."""

    digest: str
    path: Path


@dataclass(frozen=True)
class Puller:
    """How adapters are pulled. `insecure` are the registries (HOST:PORT) that speak plain HTTP."""

    store: Store
    auth: Path
    insecure: frozenset[str]
    max_bytes: int

    def pull(self, name: str, image: str, unwanted: Callable[[], bool]) -> Copy:
        """Resolve the image, and bring it to the disk unless it is there. Blocks.

        Raises:
            PullError: any of them.
            Abandoned: `unwanted` became true; nothing is left on the disk.
        """
        reference = parse_reference(image)
        if reference.pinned and (path := self.store.folder(name, reference.version)).is_dir():
            return Copy(reference.version, path)
        insecure = reference.host in self.insecure
        repository = Repository(reference, find_credentials(self.auth, reference), insecure=insecure)
        body = repository.manifest(reference.version)
        digest = reference.version if reference.pinned else digest_of(body)
        path = self.store.folder(name, digest)
        if not path.is_dir():
            self._fetch(name, digest, repository, body, unwanted)
        return Copy(digest, path)

    def _fetch(
        self, name: str, digest: str, repository: Repository, body: bytes, unwanted: Callable[[], bool]
    ) -> None:
        layers = find_layers(repository, digest, body)
        try:
            with self.store.draft(name, digest) as draft:
                extraction = Extraction(draft, self.max_bytes)
                wanted = [layer for layer in layers if extraction.wants(layer)]
                self._check_room(wanted)
                for layer in wanted:
                    blob = draft / _BLOB
                    _download(repository, layer, blob, unwanted)
                    if is_archive(layer):
                        extraction.add_archive(blob)
                    else:
                        extraction.add_file(layer.title, blob)
                    blob.unlink(missing_ok=True)
                extraction.finish()
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise
            raise AdapterTooLarge("the volume is full; use a node with a larger disk") from None

    def _check_room(self, layers: list[Layer]) -> None:
        size = sum(layer.blob.size for layer in layers)
        if size > self.max_bytes:
            raise AdapterTooLarge(
                f"its layers have {size} bytes, the limit is {self.max_bytes}; "
                "build the image FROM scratch, or use an adapter of lower rank"
            )
        if size > (free := shutil.disk_usage(self.store.live).free):
            raise AdapterTooLarge(
                f"its layers have {size} bytes, the volume has {free} left; use a node with a larger disk"
            )


def _download(repository: Repository, layer: Layer, target: Path, unwanted: Callable[[], bool]) -> None:
    with target.open("wb") as file:
        for chunk in repository.blob(layer.blob):
            if unwanted():
                raise Abandoned
            file.write(chunk)


def look_in_pod(folder: Path, unwanted: Callable[[], bool]) -> Copy:
    """Return the adapter that the kubelet put into the pod; its digest is the sha256 over both files. Blocks.

    Raises:
        AdapterImageBad: the files are not there, or broken.
        Abandoned: `unwanted` became true.
    """
    sha = hashlib.sha256()
    try:
        check_files(folder)
        for name in WANTED:
            with (folder / name).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    if unwanted():
                        raise Abandoned
                    sha.update(chunk)
    except OSError as error:
        raise AdapterImageBad(
            f"{error.filename or folder} cannot be read ({error.strerror}); its image needs both in /data"
        ) from None
    return Copy(f"sha256:{sha.hexdigest()}", folder)
