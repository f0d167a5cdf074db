"""Rows that keep to a grammar, for batch_probe.py: a random model over a tokenizer of single bytes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import tokenizers
import torch
import transformers

from inference_server.engine import Grammar, NewRow
from inference_server.errors import BadRequest
from tests.component.inference_server.batch_cases import Bench, ids, row

SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Oslo"]}, "hot": {"type": "boolean"}},
    "required": ["city", "hot"],
    "additionalProperties": False,
}


def make_tokenizer() -> Any:
    """One token a byte, and two end tokens: only the second is the tokenizer's own."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate(["<pad>", "<turn>", "<end>", *alphabet])}
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=words, merges=[]))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens(["<pad>", "<turn>", "<end>"])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", pad_token="<pad>")


def grammars() -> dict[str, Any]:
    """Draw texts of a schema, beside a row without one; with rules that speak against ending."""
    tokenizer = make_tokenizer()
    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.3,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    bench = Bench(model, eos=(1, 2), tokenizer=SimpleNamespace(library=tokenizer))
    schema = Grammar("json_schema", json.dumps(SCHEMA))
    draws = {"do_sample": True, "top_k": 0}
    rules: list[dict[str, Any]] = [
        {},
        {"seed": 4, "top_p": 0.9, "logprobs": 3},
        {"ignore_eos": True},
        {"min_new_tokens": 190},
        {"eos_token_ids": (7,)},
        {"presence_penalty": 1.0, "repetition_penalty": 1.3},
    ]
    rows: list[NewRow] = [
        row(number, [20, 30, 40], 200, grammar=schema, **{**draws, **rule})
        for number, rule in enumerate(rules)
    ]
    found = bench.run([*rows, row(50, [20, 30, 40], 20, ignore_eos=True)])
    texts = [tokenizer.decode(ids(found[number]), skip_special_tokens=True) for number in range(len(rules))]
    return {
        "keys": [sorted(json.loads(text)) for text in texts],
        "ends": [bool(found[number][-1].is_end) for number in range(len(rules))],  # type: ignore[union-attr]
        "longest": max(len(found[number]) for number in range(len(rules))),
        "free": len(found[50]),
        "refused": _refused(bench),
    }


def _refused(bench: Bench) -> list[str]:
    said = []
    for text in ('{"type": "nothing"}', "[", '{"type": "string", "pattern": "("}'):
        try:
            bench.batch.check(row(99, [3], grammar=Grammar("json_schema", text)))
        except BadRequest as error:
            said.append(type(error).__name__)
    return said
