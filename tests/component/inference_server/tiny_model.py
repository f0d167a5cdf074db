"""Make a tiny Llama with random weights, two adapters for it, and what they must answer.

    python -m tests.component.inference_server.tiny_model FOLDER

A process of its own: the library's import and its warnings stay out of the test process, and the expected
answers come from the library's generate() alone, without a line of the server.
Writes FOLDER/{model,base,adapters,other}/ and FOLDER/expected.json.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import peft
import tokenizers
import torch
import transformers

WORDS = [f"w{number}" for number in range(90)]
SPECIAL = ["<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' and not loop.first %}"
    "{{ raise_exception('only the first message may be a system message') }}{% endif %}"
    "{{ '<|' + message['role'] + '|> ' + message['content'] + ' <|end|> ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
CONTEXT = 2048
STRENGTHS = {"first": 0.5, "second": 1.0}


def rendered(text: str) -> str:
    """Write one user message as the template does."""
    return f"<|user|> {text} <|end|> <|assistant|>"


def make_tokenizer() -> Any:
    vocabulary = {token: index for index, token in enumerate(SPECIAL + WORDS)}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens(SPECIAL)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=TEMPLATE,
        additional_special_tokens=SPECIAL[3:],
    )


def make_model(hidden: int, layers: int) -> Any:
    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=CONTEXT,
        initializer_range=0.4,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.lm_head.weight[: len(SPECIAL)] = (
            0  # no special token is ever the likeliest, but for the one below
        )
    return model


def greedy(model: Any, tokenizer: Any, text: str, new: int, eos: list[int]) -> tuple[list[int], str]:
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=eos or None,
        pad_token_id=0,
    )
    fresh = out[0, ids.shape[1] :].tolist()
    return fresh, tokenizer.decode(fresh, skip_special_tokens=True)


def choose_end_tokens(model: Any, tokenizer: Any) -> dict[str, Any]:
    """Find a prompt that runs for 200 tokens, and two that come by a token which the first never says.

    One such token becomes the generation config's end token; the other one's row in the head is given to
    `</s>`, a little longer, so that the tokenizer's end token is said in its stead.
    """
    words = WORDS[:16]
    batch = tokenizer([rendered(word) for word in words], add_special_tokens=False, return_tensors="pt")
    length = batch["input_ids"].shape[1]  # the same for all: one word each
    out = model.generate(**batch, max_new_tokens=200, do_sample=False, eos_token_id=None, pad_token_id=0)
    runs = dict(zip(words, out[:, length:].tolist(), strict=True))
    for endless, said in runs.items():
        pairs = {
            word: next((t for t in run[2:60] if t not in said and t not in run[:2]), None)
            for word, run in runs.items()
        }
        found = {word: token for word, token in pairs.items() if token is not None}
        for one, token in found.items():
            for other, second in found.items():
                if second != token and second not in runs[one] and token not in runs[other]:
                    return {"endless": endless, "config": (one, token), "tokenizer": (other, second)}
    raise SystemExit("no such prompts; change the seed")


def make_adapter(model: Any, folder: Path, name: str, rank: int, seed: int, base: str) -> None:
    torch.manual_seed(seed)
    config = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "down_proj"], use_rslora=name == "first"
    )
    wrapped = peft.get_peft_model(model, config, adapter_name=name)
    with torch.no_grad():
        for key, parameter in wrapped.named_parameters():
            if ".lora_" in key:
                parameter.normal_(0, 0.25)
    wrapped.save_pretrained(str(folder))
    if (folder / name).is_dir():
        for path in (folder / name).iterdir():
            shutil.move(path, folder / path.name)
        (folder / name).rmdir()
    config_file = folder / "adapter_config.json"
    content = json.loads(config_file.read_text())
    config_file.write_text(json.dumps({**content, "base_model_name_or_path": base}))
    wrapped.unload()


def add_weighted(model: Any, adapters: Path, strengths: dict[str, float]) -> None:
    """Add strength x scaling x B @ A to the weights: what the combination of adapters must amount to."""
    modules = dict(model.named_modules())
    for name, strength in strengths.items():
        config = json.loads((adapters / name / "adapter_config.json").read_text())
        root = config["r"] ** 0.5 if config["use_rslora"] else config["r"]
        from safetensors.torch import load_file

        tensors = load_file(adapters / name / "adapter_model.safetensors")
        for key in [key for key in tensors if ".lora_A" in key]:
            delta = tensors[key.replace("lora_A", "lora_B")] @ tensors[key]
            path = key.removeprefix("base_model.model.").partition(".lora_A")[0]
            modules[path].weight.data += strength * config["lora_alpha"] / root * delta


def main(out: Path) -> None:
    tokenizer = make_tokenizer()
    model = make_model(64, 2)
    chosen = choose_end_tokens(model, tokenizer)
    with torch.no_grad():
        model.lm_head.weight[2] = 1.01 * model.lm_head.weight[chosen["tokenizer"][1]]
    ends = [2, chosen["config"][1]]
    model.generation_config.eos_token_id = [chosen["config"][1]]
    model.generation_config.temperature = 0.1  # the model's own sampling defaults must not count
    model.generation_config.do_sample = True
    model.generation_config.min_p = 0.99  # with this every draw would be the likeliest token
    model.save_pretrained(out / "model")
    tokenizer.save_pretrained(out / "model")
    shutil.copytree(out / "model", out / "base")
    (out / "base" / "chat_template.jinja").unlink()
    model.generation_config.do_sample = False
    model.generation_config.temperature = None
    model.generation_config.min_p = None

    expected: dict[str, Any] = {"endless": chosen["endless"], "context": CONTEXT}
    for key in ("config", "tokenizer"):
        word = chosen[key][0]
        ids, _ = greedy(model, tokenizer, rendered(word), 200, ends)
        text = tokenizer.decode(ids[:-1], skip_special_tokens=True)  # an end token is no text, even a word
        expected[key] = {"word": word, "tokens": len(ids), "last": ids[-1], "text": text}
    expected["eos"] = {"config": chosen["config"][1], "tokenizer": 2}
    expected["text"] = greedy(model, tokenizer, rendered(chosen["endless"]), 40, ends)[1]
    runs = {word: greedy(model, tokenizer, rendered(word), 12, ends)[0] for word in WORDS[:4]}
    shown = {word: [token for token in run if token not in ends] for word, run in runs.items()}
    expected["greedy"] = {
        word: tokenizer.decode(run, skip_special_tokens=True) for word, run in shown.items()
    }

    make_adapter(model, out / "adapters" / "first", "first", 4, 1, "tiny/llama")
    make_adapter(model, out / "adapters" / "second", "second", 2, 2, "tiny/llama")
    make_adapter(make_model(32, 2), out / "other" / "narrow", "narrow", 2, 3, "tiny/narrow")
    make_adapter(make_model(64, 3), out / "deeper" / "deep", "deep", 2, 3, "tiny/deep")
    add_weighted(model, out / "adapters", STRENGTHS)
    expected["combined"] = greedy(model, tokenizer, rendered(chosen["endless"]), 40, ends)[1]
    (out / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
