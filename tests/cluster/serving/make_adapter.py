"""Make LoRA adapters with random weights for a model's folder: python -m ... BASE FOLDER NAME=SEED ...

Each lies in FOLDER/NAME. Seed 0 gives one that does not fit: it is cut for a model of half the width.
"""

import sys
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file


def main(base: Path, folder: Path, seeds: dict[str, int]) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    for name, seed in seeds.items():
        torch.manual_seed(seed)
        adapted = peft.get_peft_model(
            model, peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
        )
        with torch.no_grad():
            for tensor, parameter in adapted.named_parameters():
                if ".lora_" in tensor:
                    parameter.normal_(0, 0.2)  # B too: a new one is zero and changes nothing
        adapted.save_pretrained(str(folder / name))
        model = adapted.unload()
        if seed == 0:
            narrow(folder / name / "adapter_model.safetensors")


def narrow(path: Path) -> None:
    """Halve the inputs of every A."""
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if "lora_A" in name:
            tensors[name] = tensor[:, : tensor.shape[1] // 2].contiguous()
    save_file(tensors, path)


if __name__ == "__main__":
    given = dict(text.split("=") for text in sys.argv[3:])
    main(Path(sys.argv[1]), Path(sys.argv[2]), {name: int(seed) for name, seed in given.items()})
