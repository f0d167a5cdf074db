"""What lies in a weights folder: which form, which files, how many bytes of which type. Reads headers only.

A weights folder holds config.json, *.safetensors (with model.safetensors.index.json where there are several),
tokenizer.json or the files of a slow tokenizer, tokenizer_config.json, and, if the model has them,
generation_config.json and chat_template.jinja. Or one GGUF file, which has all of this inside.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inference_server.errors import WeightsFormat

_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pth", "*.pt", "*.ckpt")
_NEXT_ACTION = "use the safetensors form of the model, or convert it"
_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


@dataclass(frozen=True)
class Stored:
    """One tensor in a file: its type in safetensors' words ("BF16"), its numbers, its bytes."""

    dtype: str
    elements: int
    bytes: int


@dataclass(frozen=True)
class WeightFiles:
    """The files that a load reads. `gguf` is the name of the one file of that form."""

    folder: Path
    form: Literal["safetensors", "gguf", "pickle"]
    paths: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        """Return how much lies on disk."""
        return sum(path.stat().st_size for path in self.paths)

    def stored(self) -> dict[str, Stored]:
        """Return every tensor by its name in the files; nothing for other forms than safetensors.

        Raises:
            WeightsFormat: a file is cut off, or is none of safetensors.
        """
        if self.form != "safetensors":
            return {}
        return {name: tensor for path in self.paths for name, tensor in _header(path)}


def check_folder(folder: Path, *, allow_pickled: bool) -> WeightFiles:
    """Look whether `folder` can be loaded, without loading it, and return what to load.

    Raises:
        WeightsFormat: what is missing or of the wrong kind, and what to do.
    """
    if not folder.is_dir():
        raise WeightsFormat(f"there is no folder {folder}; mount the weights there or set --model")
    names = sorted(path.name for path in folder.iterdir())
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    tensors = [
        name for name in names if name.endswith(".safetensors") and not name.startswith("consolidated")
    ]
    ggufs = [name for name in names if name.endswith(".gguf")]
    pickled = allow_pickled and "pytorch_model.bin" in pickles
    if not tensors and ggufs and not pickled:
        return WeightFiles(folder, "gguf", (folder / _one_gguf(folder, ggufs),))
    if not tensors and not pickled:
        raise WeightsFormat(_nothing_loadable(folder, names, pickles))
    if "config.json" not in names:
        raise WeightsFormat(f"{folder} has no config.json, which says what model it is; {_NEXT_ACTION}")
    if not tensors:
        return WeightFiles(folder, "pickle", (folder / "pytorch_model.bin",))
    return WeightFiles(folder, "safetensors", tuple(folder / name for name in _files(folder, tensors)))


def _one_gguf(folder: Path, names: list[str]) -> str:
    """Return the only GGUF file: the library reads neither several nor one in parts."""
    part = _PART.search(names[0])
    if part is not None and int(part[1]) > 1:
        raise WeightsFormat(
            f"{folder} holds a GGUF model in {int(part[1])} parts, which this engine reads only as one file; "
            "merge them with `llama-gguf-split --merge`, or serve it with --engine llama"
        )
    if len(names) > 1:
        raise WeightsFormat(
            f"{folder} holds {len(names)} GGUF files ({', '.join(names[:5])}), and one is served; "
            "keep only that one in the folder"
        )
    return names[0]


def _files(folder: Path, tensors: list[str]) -> list[str]:
    """Return the names of the files that the library will read, in its order of preference."""
    if _SINGLE in tensors or not (folder / _INDEX).is_file():
        return [_SINGLE] if _SINGLE in tensors else tensors
    shards = _shards(folder / _INDEX)
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise WeightsFormat(
            f"{folder} lacks {len(missing)} of the files that {_INDEX} lists, {missing[0]} among them; "
            "the copy is incomplete: make it again"
        )
    return shards


def _shards(index: Path) -> list[str]:
    try:
        return sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsFormat(
            f"{index} cannot be read ({error!r}); the copy is broken: make it again"
        ) from None


def _header(path: Path) -> Iterator[tuple[str, Stored]]:
    """Read the beginning of a safetensors file: 8 bytes of length, then JSON with every tensor's place."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _LONGEST_HEADER:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        last = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if (size := path.stat().st_size) < 8 + length + last:
            raise ValueError(f"{size} bytes of {8 + length + last}")
        found = [(name, _stored(entry)) for name, entry in header.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsFormat(
            f"{path} is not a whole safetensors file ({error}); the copy is broken: make it again"
        ) from None
    yield from found


def _stored(entry: dict[str, Any]) -> Stored:
    first, last = entry["data_offsets"]
    return Stored(entry["dtype"], math.prod(entry["shape"]), last - first)


def _nothing_loadable(folder: Path, names: list[str], pickles: list[str]) -> str:
    if pickles:
        found = "pickled weights, which can run code when they are read"
        names = pickles
    elif any(name.startswith("consolidated") for name in names):
        found = "only consolidated files, the form of the model's makers"
        names = [name for name in names if name.startswith("consolidated")]
    elif not names:
        return (
            f"{folder} is empty; the copy or the download into it did not happen: look at the init containers"
        )
    else:
        found = "no .safetensors"
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{folder} holds {found} ({listed}); {_NEXT_ACTION}"
