"""Compare 50 prompts in batches of 1 to 16 with generate(), on SmolLM2 in float32, and print it as JSON.

    python -m tests.component.inference_server.smollm2_probe FOLDER

Then the same model in bfloat16: how far its logits in a batch are from those of each prompt alone.
"""

from __future__ import annotations

import json
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers

from inference_server.transformers_engine.asides import Asides
from inference_server.transformers_engine.batch import TransformersBatch
from inference_server.transformers_engine.forward import Forward
from inference_server.transformers_engine.group import NoAdapters
from inference_server.transformers_engine.parts import Parts
from inference_server.transformers_engine.tokenizer import HfTokenizer
from tests.component.inference_server.batch_probe import greedy_rows, run, wanted

SUBJECTS = ["cats", "the sea", "a small village", "numbers", "the moon", "bread", "old maps", "rivers"]
VERBS = ["Describe", "Explain", "Write about", "Tell me of", "Compare things with"]
NEW = 10  # tokens


def prompts(tokenizer: Any, count: int) -> list[list[int]]:
    """Distinct prompts of 4 to about 120 tokens."""
    draw = random.Random(3)
    lines = [
        f"{draw.choice(VERBS)} {', '.join(draw.choices(SUBJECTS, k=draw.randint(1, 30)))}. {index}"
        for index in range(count)
    ]
    return [[int(token) for token in tokenizer.encode(line)] for line in lines]


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(2)
    library = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    lines = prompts(library, 50)
    adapters = NoAdapters()
    eos = [int(library.eos_token_id)]
    parts = Parts(model, HfTokenizer(library), adapters, tuple(eos), eos[0], len(library))
    alone = [wanted(model, line, NEW, eos_token_id=eos)[0] for line in lines]
    same = {}
    for width in (1, 2, 5, 16):
        forward = Forward(model, adapters)
        asides = Asides(parts, all_rows=False)
        batch = TransformersBatch(parts, forward, asides, capacity=8192, piece_tokens=256)
        rows, _ = run(batch, greedy_rows(lines, [NEW] * len(lines)), width)
        same[width] = sum(rows[index] == row for index, row in enumerate(alone))
    result = {"same": same, "sixteen bit": sixteen_bit(model.bfloat16(), lines[:16])}
    sys.stdout.write(json.dumps(result) + "\n")


@torch.inference_mode()
def sixteen_bit(model: Any, lines: list[list[int]]) -> float:
    """The largest difference of teacher-forced logits, as part of the spread of those of a prompt alone."""
    forward = Forward(model, NoAdapters())
    lengths = [len(line) - 4 for line in lines]
    width = max(lengths)
    forward.resize(len(lines), width + 8, 0, 0)
    filled = [[*line[:length], *[0] * (width - length)] for line, length in zip(lines, lengths, strict=True)]
    none = [""] * len(lines)
    forward.piece(0, 0, filled, none, [length - 1 for length in lengths])
    worst = 0.0
    for step in range(4):
        now = [length + step for length in lengths]
        tokens = [line[length] for line, length in zip(lines, now, strict=True)]
        logits = forward.column(0, tokens, now, none).float()
        for row, line in enumerate(lines):
            wanted_logits = (
                model(torch.tensor([line[: now[row] + 1]]), logits_to_keep=1).logits[0, -1].float()
            )
            spread = wanted_logits.max() - wanted_logits.min()
            worst = max(worst, float((logits[row] - wanted_logits).abs().max() / spread))
    return worst


if __name__ == "__main__":
    main(Path(sys.argv[1]))
