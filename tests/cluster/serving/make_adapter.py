"""Make a LoRA adapter with random weights for a model's folder: python -m ... BASE FOLDER."""

import sys
from pathlib import Path

import peft
import torch
import transformers


def main(base: Path, folder: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(3)
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if ".lora_" in name:
                parameter.normal_(0, 0.2)
    adapted.save_pretrained(str(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
