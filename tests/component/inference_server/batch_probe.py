"""Serve tiny random models of many architectures as one batch, and print how that compares with generate().

    python -m tests.component.inference_server.batch_probe

A process of its own: importing torch takes longer than the tests. The last line is JSON.
"""

from __future__ import annotations

import json
import random
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from inference_server.engine import NewRow, Outcome, Sampling, Token, Whole
from inference_server.transformers_engine.asides import Asides
from inference_server.transformers_engine.batch import TransformersBatch
from inference_server.transformers_engine.forward import Forward
from inference_server.transformers_engine.group import NoAdapters
from inference_server.transformers_engine.parts import Parts
from inference_server.transformers_engine.trial import slab_works
from tests.component.inference_server import batch_cases
from tests.component.inference_server.architectures import ARCHITECTURES, COMMON, VOCABULARY
from tests.component.inference_server.batch_grammars import grammars
from tests.component.inference_server.batch_memory import beside_fails, little_memory

CAPACITY = 4000


def make(kind: str) -> Any:
    """A random model that says all sorts of things."""
    torch.manual_seed(11)
    config = transformers.AutoConfig.for_model(kind, **{**COMMON, **ARCHITECTURES[kind]})
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    model.generation_config.eos_token_id = None
    return model


def make_batch(model: Any, capacity: int = CAPACITY, eos: Sequence[int] = ()) -> TransformersBatch:
    """The batch of a model, as the engine makes it."""
    adapters = NoAdapters()
    parts = Parts(model, None, adapters, tuple(eos), 0, VOCABULARY)  # type: ignore[arg-type] # text is not asked
    forward = Forward(model, adapters)
    works = slab_works(model, forward, VOCABULARY)
    return TransformersBatch(
        parts, forward, Asides(parts, all_rows=not works), capacity=capacity, piece_tokens=24
    )


def prompts(count: int, seed: int = 5) -> list[list[int]]:
    """Prompts of mixed length: some need several pieces."""
    draw = random.Random(seed)
    return [
        [draw.randrange(3, VOCABULARY) for _ in range(draw.choice([1, 3, 9, 17, 40]))] for _ in range(count)
    ]


def run(batch: TransformersBatch, rows: Sequence[NewRow], width: int) -> tuple[dict[int, Any], int]:
    """Generate all rows, at most `width` together; a new one joins as one leaves. Counts the steps."""
    found: dict[int, Any] = {row.id: [] for row in rows}
    limits = {row.id: row.sampling.max_new_tokens for row in rows}
    waiting, live, steps = list(rows), set[int](), 0
    while waiting or live:
        while waiting and len(live) < width and batch.fits(waiting[0]):
            row = waiting.pop(0)
            batch.add(row)
            live.add(row.id)
        for row_id, outcome in batch.step().items():
            if _take(found, row_id, outcome, limits[row_id]):
                batch.remove(row_id)
                live.discard(row_id)
        steps += 1
        assert steps < 5000, "the batch does not get on"
    return found, steps


def _take(found: dict[int, Any], row_id: int, outcome: Outcome, limit: int) -> bool:
    if isinstance(outcome, Token):
        found[row_id].append(outcome.id)
        return outcome.is_end or len(found[row_id]) >= limit
    if isinstance(outcome, Whole):
        found[row_id] = [[token.id for token in answer] for answer in outcome.answers]
    else:
        found[row_id] = f"{type(outcome).__name__}: {outcome}"
    return True


def wanted(model: Any, prompt: Sequence[int], new: int, **options: Any) -> list[list[int]]:
    """What the library answers to one prompt."""
    ids = torch.tensor([list(prompt)])
    with torch.inference_mode():
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            **{"max_new_tokens": new, "do_sample": False, "pad_token_id": 0, **options},
        )
    return [row[len(prompt) :] for row in out.tolist()]


def greedy_rows(lines: Sequence[Sequence[int]], new: Sequence[int], **options: Any) -> list[NewRow]:
    """Greedy rows, each a request of its own."""
    return [
        NewRow(index, index, tuple(line), Sampling(max_new_tokens=count, do_sample=False, **options))
        for index, (line, count) in enumerate(zip(lines, new, strict=True))
    ]


def architecture(kind: str) -> dict[str, Any]:
    """Compare 12 rows, joining and leaving, with generate() one by one; and again with little room."""
    model = make(kind)
    lines = prompts(12)
    new = [4 + 3 * (index % 5) for index in range(12)]
    alone = [wanted(model, line, count)[0] for line, count in zip(lines, new, strict=True)]
    batch = make_batch(model)
    together, _ = run(batch, greedy_rows(lines, new), 5)
    tight = make_batch(model, capacity=180)
    squeezed, _ = run(tight, greedy_rows(lines, new), 5)
    return {
        "batched": not batch._asides.takes(greedy_rows([[1]], [1])[0]),
        "same": sum(together[index] == row for index, row in enumerate(alone)),
        "same with little room": sum(squeezed[index] == row for index, row in enumerate(alone)),
        "left over": batch.usage().used_tokens + tight.usage().used_tokens,
    }


def processors(model: Any) -> dict[str, Any]:
    """Compare the rules on logits with the library's, each on rows of one batch."""
    rules: dict[str, dict[str, Any]] = {
        "repetition": {"repetition_penalty": 1.7},
        "ngrams": {"no_repeat_ngram_size": 2},
        "minimum": {"min_new_tokens": 9, "eos_token_ids": tuple(range(3, 60))},
    }
    lines = prompts(6, seed=8)
    found = {}
    for name, rule in rules.items():
        rows, _ = run(make_batch(model), greedy_rows(lines, [12] * 6, **rule), 6)
        options = {key: value for key, value in rule.items() if key != "eos_token_ids"}
        if "eos_token_ids" in rule:
            options["eos_token_id"] = list(rule["eos_token_ids"])
        found[name] = sum(
            rows[index] == wanted(model, line, 12, **options)[0] for index, line in enumerate(lines)
        )
    return found


def sampling(model: Any) -> dict[str, Any]:
    """Seeds, copies of one prompt, and how often which token is drawn."""
    line = tuple(prompts(1, seed=3)[0])

    def rows(seeds: Sequence[int | None], **options: Any) -> list[NewRow]:
        given = {"max_new_tokens": 6, "temperature": 0.8, "top_k": 0, **options}
        return [NewRow(index, 1, line, Sampling(seed=seed, **given)) for index, seed in enumerate(seeds)]

    with_seed, _ = run(make_batch(model), rows([4, 5, 4, 5]), 4)
    later, _ = run(make_batch(model), rows([5]), 1)
    counts = {}
    rules: dict[str, dict[str, Any]] = {
        "shared": {"top_k": 4},
        "top_p": {"top_p": 0.7},
        "min_p": {"min_p": 0.2},
        "typical": {"typical_p": 0.6},
    }
    for name, options in rules.items():
        drawn, _ = run(make_batch(model), rows([None] * 300, max_new_tokens=1, **options), 300)
        allowed = _allowed(model, line, **options)
        counts[name] = {
            "outside": sum(row[0] not in allowed for row in drawn.values()),
            "distance": _distance([row[0] for row in drawn.values()], allowed),
        }
    return {
        "same seed": with_seed[0] == with_seed[2] and with_seed[1] == with_seed[3] == later[0],
        "other seed": with_seed[0] != with_seed[1],
        "draws": counts,
    }


def mixed_draws(model: Any) -> dict[str, float]:
    """Rows with different limits draw in one batch: how far each kind is from the library's distribution."""
    line = tuple(prompts(1, seed=3)[0])
    kinds: list[dict[str, Any]] = [{}, {"top_k": 4}, {"top_p": 0.7}, {"top_k": 30, "top_p": 0.8}]
    options = [kinds[index % 4] for index in range(1600)]
    rows = [
        NewRow(index, 1, line, Sampling(max_new_tokens=1, temperature=0.8, **{"top_k": 0, **own}))
        for index, own in enumerate(options)
    ]
    found, _ = run(make_batch(model, capacity=10**6), rows, 1600)
    worst = {}
    for number, own in enumerate(kinds):
        drawn = [found[index][0] for index in range(number, 1600, 4)]
        allowed = _allowed(model, line, **own)
        outside = sum(token not in allowed for token in drawn)
        worst[str(own)] = outside + _distance(drawn, allowed)
    return worst


def _allowed(model: Any, line: Sequence[int], **options: Any) -> dict[int, float]:
    """The library's own distribution of the next token."""
    config = transformers.GenerationConfig(do_sample=True, temperature=0.8, **{"top_k": 0, **options})
    warpers = model._get_logits_processor(config)
    with torch.inference_mode():
        ids = torch.tensor([list(line)])
        probabilities = torch.softmax(warpers(ids, model(ids).logits[:, -1]), -1)[0]
    return {index: float(value) for index, value in enumerate(probabilities) if value > 0}


def _distance(drawn: Sequence[int], allowed: dict[int, float]) -> float:
    """Half the sum of differences between frequencies and probabilities: 0 equal, 1 disjoint."""
    share = {token: drawn.count(token) / len(drawn) for token in {*drawn, *allowed}}
    return sum(abs(value - allowed.get(token, 0.0)) for token, value in share.items()) / 2


def beside(model: Any) -> dict[str, Any]:
    """Rows of beams beside greedy rows, which must not notice."""
    lines = prompts(4, seed=13)
    rows = greedy_rows(lines, [10] * 4)
    beams: dict[str, Any] = {"do_sample": False, "num_beams": 3, "num_return_sequences": 2}
    rows.append(NewRow(99, 99, tuple(lines[1]), Sampling(max_new_tokens=10, **beams)))
    found, _ = run(make_batch(model), rows, 5)
    return {
        "beams": found[99] == wanted(model, lines[1], 10, **beams),
        "rows": [found[index] for index in range(4)] == [wanted(model, line, 10)[0] for line in lines],
    }


def failing(model: Any) -> dict[str, Any]:
    """A row whose logits are no numbers fails alone, and what it leaves behind hurts nobody."""
    lines = prompts(5, seed=21)
    lines[2] = [7] * 9
    embedding = model.get_input_embeddings().weight
    with torch.no_grad():
        before = embedding[7].clone()
        embedding[7] = float("nan")
        sound = {index: line for index, line in enumerate(lines) if 7 not in line}
        others = [wanted(model, line, 10)[0] for line in sound.values()]
        found, _ = run(make_batch(model), greedy_rows(lines, [10] * 5), 5)
        embedding[7] = before
    kept = [found[index] for index in sound]
    return {"bad": str(found[2]), "others": kept == others, "compared": len(others)}


def sixteen_bit() -> dict[str, float]:
    """In bfloat16, the largest difference of logits from those of each row alone, as part of their spread."""
    model = make("llama").bfloat16()
    forward = Forward(model, NoAdapters())
    lines = [[*line, *line][:9] for line in prompts(8, seed=2)]
    lengths = [len(line) for line in lines]
    width = max(lengths)
    worst = 0.0
    with torch.inference_mode():
        forward.resize(8, 64, 0, 0)
        filled = [line + [0] * (width - len(line)) for line in lines]
        forward.piece(0, 0, filled, [""] * 8, [length - 1 for length in lengths])
        for _ in range(12):  # teacher-forced: the same tokens for all ways
            tokens = [(11 * length) % VOCABULARY for length in lengths]
            logits = forward.column(0, tokens, lengths, [""] * 8)
            lines = [[*line, token] for line, token in zip(lines, tokens, strict=True)]
            lengths = [length + 1 for length in lengths]
            for row, line in enumerate(lines):
                alone = model(torch.tensor([line])).logits[0, -1].float()
                worst = max(
                    worst, float((logits[row].float() - alone).abs().max() / (alone.max() - alone.min()))
                )
    return {"worst": worst}


def main() -> None:
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(2)
    found: dict[str, Any] = {"architectures": {}}
    for kind in ARCHITECTURES:
        found["architectures"][kind] = architecture(kind)
    model = make("llama")
    found["processors"] = processors(model)
    found["sampling"] = sampling(model)
    found["beside"] = beside(model)
    found["failing"] = failing(model)
    found["sixteen bit"] = sixteen_bit()
    lines = prompts(8, seed=31)
    # The last one leaves its hook on the model.
    for name in ("little_room", "rules", "extremes", "leaving", "adapters"):
        found[name] = getattr(batch_cases, name)(model, lines)
    found["little_memory"] = little_memory(make("llama"), lines)
    found["beside_fails"] = beside_fails(make("llama"), lines)
    found["grammars"] = grammars()
    found["mixed draws"] = mixed_draws(make("llama"))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
