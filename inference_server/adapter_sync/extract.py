"""Take an adapter's two files out of an image's layers, and nothing else.

Layers come from strangers. No name in them becomes a path on this disk, no link is followed or made, no byte
beyond the limit is written, and a file that could run code when it is loaded is never taken.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from inference_server.adapter_sync.errors import AdapterImageBad, AdapterTooLarge
from inference_server.adapter_sync.manifest import Layer

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
WANTED: Final = (CONFIG, WEIGHTS)
_PICKLES: Final = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_CHUNK_BYTES: Final = 1 << 20
_CONFIG_LIMIT: Final = 1 << 20
_OPAQUE: Final = ".wh..wh..opq"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class _Limited:
    """Reads a stream and stops at a number of bytes: a small archive can unpack to terabytes."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream, self._left, self._limit = stream, limit, limit

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size if size >= 0 else _CHUNK_BYTES)
        self._left -= len(data)
        if self._left < 0:
            raise AdapterTooLarge(
                f"a layer unpacks to more than {self._limit} bytes; build the image FROM scratch"
            )
        return data


@dataclass
class Extraction:
    """Layers, lowest first, put on top of each other in `folder`; `max_bytes` bounds each and the result."""

    folder: Path
    max_bytes: int
    _pickles: set[str] = field(default_factory=set)

    def add_archive(self, path: Path) -> None:
        """Put a tar archive, plain or gzip, on top.

        Raises:
            AdapterImageBad, AdapterTooLarge: see the classes.
            OSError: the volume is full.
        """
        with path.open("rb") as file:
            magic = file.read(4)
            if magic == _ZSTD:
                raise AdapterImageBad(
                    "a layer is compressed with zstd; build the image with gzip compression"
                )
            file.seek(0)
            layer = self.folder / ".layer"
            layer.mkdir()
            try:
                self._unpack(_open(file, magic, self.max_bytes), layer)
            except (
                tarfile.TarError,
                gzip.BadGzipFile,
                EOFError,
                zlib.error,
                UnicodeError,
                ValueError,
            ) as error:
                raise AdapterImageBad(
                    f"a layer is not a readable tar archive ({type(error).__name__}); push the image anew"
                ) from None
            finally:
                shutil.rmtree(layer)

    def wants(self, layer: Layer) -> bool:
        """Whether anything in the layer can matter: plain files with other names are not pulled."""
        return is_archive(layer) or _within_data(layer.title) in WANTED or self._note_pickle(layer.title)

    def add_file(self, title: str, path: Path) -> None:
        """Put one plain file on top, if it is one of the two; the file moves."""
        name = _within_data(title)
        if name in WANTED:
            path.replace(self.folder / name)

    def _note_pickle(self, title: str) -> bool:
        name = _within_data(title) or ""
        if name.endswith(_PICKLES):
            self._pickles.add(name)
        return False

    def finish(self) -> None:
        """Check that both files are there and what they should be.

        Raises:
            AdapterImageBad: see there.
        """
        missing = [name for name in WANTED if not (self.folder / name).is_file()]
        if WEIGHTS in missing and self._pickles:
            raise AdapterImageBad(
                f"it has {min(self._pickles)} and no {WEIGHTS}; a pickle can run code when it is loaded, "
                "so save the adapter with safe_serialization=True"
            )
        if missing:
            raise AdapterImageBad(f"it has no {' and no '.join(missing)} in /data; put both files there")
        check_files(self.folder)

    def _unpack(self, archive: tarfile.TarFile, layer: Path) -> None:
        removed: set[str] = set()
        with archive:
            for member in archive:
                name = _within_data(member.name)
                if name is None:
                    continue
                if name.endswith(_PICKLES):
                    self._pickles.add(name)
                if name in WANTED:
                    self._write(archive, member, layer / name)
                removed |= _whiteouts(name)
                if name == "" and not member.isdir():
                    _refuse_kind("data")
        # A layer's removals are about the layers below it, never about its own files.
        for name in removed:
            (self.folder / name).unlink(missing_ok=True)
        for path in layer.iterdir():
            path.replace(self.folder / path.name)

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
        if not member.isreg() or member.issparse():
            _refuse_kind(member.name)
        tarfile.data_filter(member, str(target.parent))  # whatever else Python has learned to distrust
        if member.size > self.max_bytes:
            raise AdapterTooLarge(
                f"{target.name} has {member.size} bytes, the limit is {self.max_bytes}; use one of lower rank"
            )
        if member.size > shutil.disk_usage(self.folder).free:
            raise AdapterTooLarge(
                f"the volume has no room for {member.size} bytes; use a node with a larger disk"
            )
        source = archive.extractfile(member)
        if source is None:
            _refuse_kind(member.name)
            return
        with source, target.open("wb") as file:  # the same name twice in a layer: the last one counts
            shutil.copyfileobj(source, file, _CHUNK_BYTES)


def is_archive(layer: Layer) -> bool:
    """Whether a layer is a tar archive: those of images are, and folders that oras pushed.

    The media type alone does not tell: some clients give plain files that of archives.
    """
    if layer.title.endswith((*WANTED, *_PICKLES)):
        return False
    return not layer.title or layer.media_type.endswith("gzip")


def check_files(folder: Path) -> None:
    """Check the two files cheaply: the configuration parses, the weights are whole.

    Raises:
        AdapterImageBad: they are not. Names, shapes and numbers are for the server to check.
    """
    config, weights = folder / CONFIG, folder / WEIGHTS
    try:
        valid = config.stat().st_size <= _CONFIG_LIMIT and isinstance(json.loads(config.read_bytes()), dict)
    except (ValueError, RecursionError):
        valid = False
    if not valid:
        raise AdapterImageBad(f"{CONFIG} is not a JSON object of at most 1 MiB; save the adapter anew")
    size = weights.stat().st_size
    try:
        with weights.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
            tensors = json.loads(file.read(header)) if 2 <= header <= min(size - 8, 16 << 20) else {}
        ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"]
        whole = bool(ends) and 8 + header + max(ends) == size
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise AdapterImageBad(f"{WEIGHTS} is cut off or not in the safetensors format; save the adapter anew")


def _open(file: BinaryIO, magic: bytes, limit: int) -> tarfile.TarFile:
    plain: BinaryIO = gzip.GzipFile(fileobj=file) if magic.startswith(_GZIP) else file  # type: ignore[assignment]
    return tarfile.open(fileobj=_Limited(plain, limit), mode="r|")  # type: ignore[call-overload,no-any-return]


def _within_data(name: str) -> str | None:
    """Return the path below data/ or, without data/, of the two files themselves; None for anything else.

    "" is data itself. Raises AdapterImageBad for a name that leads upwards.
    """
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise AdapterImageBad("a layer has a file whose name leads upwards ('..'); build the image anew")
    if parts[:1] == ["data"]:
        return "/".join(parts[1:])
    if len(parts) == 1 and (parts[0].startswith(".wh.") or parts[0] in WANTED or parts[0].endswith(_PICKLES)):
        return parts[0]
    return None


def _whiteouts(name: str) -> set[str]:
    """Return which of the two files of lower layers an entry removes."""
    if name in {_OPAQUE, ".wh.data"}:
        return set(WANTED)
    return {wanted for wanted in WANTED if name == f".wh.{wanted}"}


def _refuse_kind(name: str) -> None:
    raise AdapterImageBad(
        f"{name!r:.100} in a layer is a link, a device or sparse; copy plain files into the image"
    )
