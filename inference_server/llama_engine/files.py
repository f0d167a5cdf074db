"""Which files of a weights folder make up its GGUF model. Looks at names alone."""

from __future__ import annotations

import re
from pathlib import Path

from inference_server.errors import WeightsFormat

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_PROJECTOR = "mmproj"  # how the part of a model that sees pictures is named; it answers nothing by itself


def is_gguf_folder(names: list[str]) -> bool:
    """Say whether a folder with files of these names holds a GGUF model and no safetensors."""
    return any(map(_is_model, names)) and not any(name.endswith(".safetensors") for name in names)


def gguf_files(folder: Path) -> list[Path]:
    """Return the file of the folder's GGUF model, or all of its parts in their order.

    Raises:
        WeightsFormat: there is none, more than one, or a part is missing.
    """
    if not folder.is_dir():
        raise WeightsFormat(f"there is no folder {folder}; mount the weights there or set --model")
    names = sorted(path.name for path in folder.iterdir() if _is_model(path.name))
    if not names:
        raise WeightsFormat(
            f"{folder} holds no .gguf file, the only form that llama.cpp reads; "
            "serve it with --engine transformers, or convert it to GGUF"
        )
    part = _PART.search(names[0])
    if part is None:
        return [folder / _only(folder, names)]
    stem, count = names[0][: part.start()], int(part[2])
    wanted = [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise WeightsFormat(
            f"{folder} lacks {len(missing)} of the model's {count} parts, {missing[0]} among them; "
            "the copy is incomplete: make it again"
        )
    _only(folder, [names[0], *(name for name in names if name not in wanted)])
    return [folder / name for name in wanted]


def _is_model(name: str) -> bool:
    return name.endswith(".gguf") and not name.startswith(_PROJECTOR)


def _only(folder: Path, names: list[str]) -> str:
    if len(names) > 1:
        raise WeightsFormat(
            f"{folder} holds {len(names)} GGUF models ({', '.join(names[:5])}), and one is served; "
            "keep only that one in the folder"
        )
    return names[0]
