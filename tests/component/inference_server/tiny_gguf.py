"""Write a tiny GGUF model with random weights in float32, with a byte-level vocabulary and a chat template.

In float32 a batch gives the same logits as each row alone but for the last bits, so answers can be compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

LAYERS, WIDTH, HEADS, KV_HEADS, INNER = 2, 64, 4, 2, 96
CONTEXT = 512
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END = 2  # of SPECIAL
ADDED = "<tool_call>"
MERGES = ["t h", "th e", "Ġ the", "a n", "i n", "Ġ a", "Ġ w"]
TEMPLATE = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('no role ' + message['role']) }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] }}\n"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}\n"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_characters() -> list[str]:
    """GPT-2's character for each byte, in the order of the bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def vocabulary() -> tuple[list[str], list[int]]:
    """The tokens and their types."""
    merged = [merge.replace(" ", "") for merge in MERGES]
    tokens = [*SPECIAL, *byte_characters(), *merged, ADDED]
    control, added = int(gguf.TokenType.CONTROL), int(gguf.TokenType.USER_DEFINED)
    normal = int(gguf.TokenType.NORMAL)
    return tokens, [control] * len(SPECIAL) + [normal] * (len(tokens) - len(SPECIAL) - 1) + [added]


def tensors(size: int) -> dict[str, Any]:
    """Random weights; the logits spread far enough for a clear winner."""
    draw = np.random.default_rng(7)

    def matrix(rows: int, columns: int, scale: float) -> Any:
        return (draw.standard_normal((rows, columns)) * scale).astype(np.float32)

    kv = WIDTH // HEADS * KV_HEADS
    found: dict[str, Any] = {
        "token_embd.weight": matrix(size, WIDTH, 1.0),
        "output_norm.weight": np.ones(WIDTH, np.float32),
        "output.weight": matrix(size, WIDTH, 0.5),
    }
    for layer in range(LAYERS):
        shapes = {
            "attn_q": (WIDTH, WIDTH),
            "attn_k": (kv, WIDTH),
            "attn_v": (kv, WIDTH),
            "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (INNER, WIDTH),
            "ffn_up": (INNER, WIDTH),
            "ffn_down": (WIDTH, INNER),
        }
        for name, (rows, columns) in shapes.items():
            found[f"blk.{layer}.{name}.weight"] = matrix(rows, columns, 2 / columns**0.5)
        for name in ("attn_norm", "ffn_norm"):
            found[f"blk.{layer}.{name}.weight"] = np.ones(WIDTH, np.float32)
    return found


def write_tiny_gguf(folder: Path) -> Path:
    """Write tiny.gguf into `folder`, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    tokens, types = vocabulary()
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(TEMPLATE)
    for name, tensor in tensors(len(tokens)).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
