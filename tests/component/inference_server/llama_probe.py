"""Run the llama.cpp engine on a tiny model in one process, and print what it does as JSON.

    python -m tests.component.inference_server.llama_probe FOLDER

FOLDER is where the model is written. Rules are compared with the transformers engine's on the same logits.
With a GGUF file as a second argument only batches are tried, on that model.
"""

from __future__ import annotations

import json
import math
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from inference_server.engine import Grammar, KvUsage, NewRow, Phase, Sampling, Token
from inference_server.errors import ProcessError, RequestError
from inference_server.llama_engine.batch import LlamaBatch
from inference_server.llama_engine.decoder import Decoder
from inference_server.llama_engine.engine import LlamaEngine
from inference_server.llama_engine.matcher import Matchers
from inference_server.llama_engine.model import GgufModel, load_model
from inference_server.llama_engine.sampler import Candidates, RowSampler
from inference_server.llama_engine.tokenizer import LlamaTokenizer
from inference_server.options import ServerOptions
from tests.component.inference_server.tiny_gguf import ADDED, write_tiny_gguf

WORDS = ["the", "win", "than", "sea", "a boat", "in", "then", "wind", "hat", "and", "tin", "when"]
SCHEMA = (
    '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}'
)
NEW = 24  # tokens
TIE = 0.02  # of the logits' range; rounding moves those of a model in 4 bits by this much
GREEDY = Sampling(max_new_tokens=NEW, do_sample=False)


@dataclass
class Bench:
    """A loaded model, and batches on it."""

    model: GgufModel
    tokenizer: LlamaTokenizer

    def batch(self, *, tokens: int = 4096, sequences: int = 12, piece: int = 32) -> LlamaBatch:
        decoder = Decoder(self.model, tokens=tokens, sequences=sequences, threads=1, piece_tokens=piece)
        matchers = Matchers(self.model, self.tokenizer.eos)
        return LlamaBatch(self.model, decoder, self.tokenizer.eos, matchers, clock=lambda: 0.0)

    def prompt(self, index: int) -> tuple[int, ...]:
        words = " ".join(WORDS[(index * 5 + place) % len(WORDS)] for place in range(3 + index * 2 % 11))
        return tuple(self.tokenizer.encode(f"{index} {words}", add_special_tokens=True))

    def row(self, index: int, group: int | None = None, **sampling: Any) -> NewRow:
        rules = Sampling(**{"max_new_tokens": NEW, "do_sample": False, **sampling})
        return NewRow(index, index if group is None else group, self.prompt(group or index), rules)


Answers = dict[int, list[int]]


def run(batch: LlamaBatch, rows: Sequence[NewRow], width: int = 12) -> Answers:
    """Generate all rows, at most `width` at a time; -1 is an error."""
    waiting, limits = list(rows), {row.id: row.sampling.max_new_tokens for row in rows}
    answers: Answers = {row.id: [] for row in rows}
    live: set[int] = set()
    while waiting or live:
        while waiting and len(live) < width and batch.fits(waiting[0]):
            live.add(waiting[0].id)
            batch.add(waiting.pop(0))
        for row_id, outcome in batch.step().items():
            token = outcome if isinstance(outcome, Token) else None
            answers[row_id].append(token.id if token else -1)
            if token is None or token.is_end or len(answers[row_id]) == limits[row_id]:
                batch.remove(row_id)
                live.discard(row_id)
    return answers


def refusal(action: Any) -> str:
    """The error of an action, by class and text."""
    try:
        action()
    except (RequestError, ProcessError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def ties(bench: Bench, row: NewRow, answer: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two answers are the same up to a place where their tokens are as good as each other.

    llama.cpp adds up attention in 16 bits and in the order of its memory, which depends on the other rows.
    """
    place = next(
        (index for index, pair in enumerate(zip(answer, other, strict=False)) if pair[0] != pair[1]), None
    )
    if place is None:
        return len(answer) == len(other)
    batch = bench.batch(piece=256)
    batch.add(replace(row, prompt=(*row.prompt, *answer[:place])))
    batch.step()
    logits = batch._decoder.logits()[0]
    gap = abs(float(logits[answer[place]] - logits[other[place]]))
    return gap < TIE * float(logits.max() - logits.min())


def compared(bench: Bench, rows: Sequence[NewRow], found: Answers, wanted: Answers) -> dict[str, int]:
    """How many answers are the same, and how many are but for ties."""
    return {
        "same": sum(found[row.id] == wanted[row.id] for row in rows),
        "near": sum(ties(bench, row, wanted[row.id], found[row.id]) for row in rows),
    }


def together(bench: Bench) -> dict[str, Any]:
    """Rows in batches of several sizes, and with so little memory that rows are set back."""
    rows = [bench.row(index) for index in range(12)]
    alone = {row.id: run(bench.batch(), [row])[row.id] for row in rows}
    narrow = bench.batch(tokens=256)
    backs: list[int] = []
    set_back = narrow._set_back_youngest

    def counted(*arguments: Any) -> Any:
        backs.append(1)
        return set_back(*arguments)

    narrow._set_back_youngest = counted  # type: ignore[method-assign,assignment]
    narrow.fits = lambda row: True  # type: ignore[method-assign]
    with_little = run(narrow, rows)
    return {
        "widths": {
            width: compared(bench, rows, run(bench.batch(), rows, width), alone) for width in (1, 2, 5, 12)
        },
        "with little memory": compared(bench, rows, with_little, alone),
        "set back": len(backs),
        "left over": narrow.usage().used_tokens,
        "different": len({tuple(answer) for answer in alone.values()}),
        **coming_and_going(bench, rows, alone),
    }


def coming_and_going(bench: Bench, rows: Sequence[NewRow], alone: Answers) -> dict[str, Any]:
    """Rows that join while others generate, and one that leaves in the middle."""
    batch = bench.batch()
    for row in rows[:6]:
        batch.add(row)
    found: Answers = {row.id: [] for row in rows}
    for step in range(NEW + 20):
        if step < 6:
            batch.add(rows[6 + step])
        if step == 3:
            batch.remove(0)
        for row_id, outcome in batch.step().items():
            assert isinstance(outcome, Token)
            found[row_id].append(outcome.id)
            if outcome.is_end or len(found[row_id]) == NEW:
                batch.remove(row_id)
    return {
        "joining": compared(bench, rows[1:], found, alone),
        "left": found[0] == alone[0][: len(found[0])] and len(found[0]) < NEW,
    }


def groups(bench: Bench) -> dict[str, Any]:
    """Rows of one request share their prompt, also one that comes later."""
    rows = [bench.row(100 + seed, group=5, do_sample=True, top_k=0, seed=seed) for seed in range(4)]
    alone = {row.id: run(bench.batch(), [row])[row.id] for row in rows}
    batch = bench.batch(piece=256)
    for row in rows[:3]:
        batch.add(row)
    batch.step()
    used: KvUsage = batch.usage()
    batch.add(rows[3])
    second = batch.step()
    for row in rows:
        batch.remove(row.id)
    pieces = bench.batch(piece=4)
    return {
        "same": run(bench.batch(), rows) == alone,
        "in pieces": run(pieces, rows) == alone,
        "prompt": len(rows[0].prompt),
        "used": used.used_tokens,
        "late": rows[3].id in second,
        "seeds differ": len({tuple(answer) for answer in alone.values()}) > 1,
        "again": run(bench.batch(), rows[1:2])[rows[1].id] == alone[rows[1].id],
    }


def rules(bench: Bench) -> dict[str, Any]:
    """The rules before the temperature against those of the transformers engine, on random logits."""
    import torch

    from inference_server.transformers_engine.sampler import RowSampler as TorchSampler

    size = bench.model.vocabulary_size
    draw = np.random.default_rng(5)
    prompt = [int(token) for token in draw.integers(3, 20, 30)]
    cases: dict[str, dict[str, Any]] = {
        "repetition": {"repetition_penalty": 1.7},
        "presence": {"presence_penalty": 1.5, "frequency_penalty": 0.5},
        "bias": {"logit_bias": {5: 40.0, 7: -100.0}},
        "ngrams": {"no_repeat_ngram_size": 2},
        "single tokens": {"no_repeat_ngram_size": 1},
        "minimum": {"min_new_tokens": 8},
        "no end": {"ignore_eos": True},
        "all": {
            "repetition_penalty": 0.8,
            "frequency_penalty": -0.5,
            "no_repeat_ngram_size": 3,
            "min_new_tokens": 4,
        },
    }
    found = {}
    for name, changed in cases.items():
        sampling = Sampling(max_new_tokens=12, do_sample=False, **changed)
        ours = RowSampler(sampling, prompt, bench.tokenizer.eos, None)
        theirs = TorchSampler(sampling, prompt, bench.tokenizer.eos, None)
        equal = True
        for _ in range(12):
            logits = draw.standard_normal(size).astype(np.float32) * 4
            scores = logits.copy()
            ours._process(scores)
            wanted = theirs.process(torch.from_numpy(logits.copy())[None])[0].numpy()
            equal = equal and np.allclose(scores, wanted, atol=1e-4)
            token_id = int(draw.integers(3, 20))
            ours._accept(token_id, None)
            theirs.accept(token_id, None)
        found[name] = equal
    return found


def drawn(bench: Bench) -> dict[str, Any]:
    """How far what is drawn lies from the transformers engine's probabilities, for each rule."""
    import torch

    from inference_server.transformers_engine.sampler import _distribution

    size = bench.model.vocabulary_size
    logits = np.random.default_rng(9).standard_normal(size).astype(np.float32) * 2
    logits[40:60] = -math.inf  # what a grammar forbids
    cases: dict[str, dict[str, Any]] = {
        "temperature": {"temperature": 0.6, "top_k": 0},
        "top_k": {"temperature": 1.3, "top_k": 5},
        "top_p": {"top_k": 0, "top_p": 0.7, "temperature": 1.5},
        "min_p": {"top_k": 0, "min_p": 0.1},
        "typical": {"top_k": 0, "typical_p": 0.6},
        "all": {"top_k": 30, "top_p": 0.9, "min_p": 0.02, "typical_p": 0.9, "temperature": 0.8},
    }
    room = Candidates(size)
    found = {}
    for name, changed in cases.items():
        sampling = Sampling(max_new_tokens=1, seed=3, **changed)
        sampler = RowSampler(sampling, [], bench.tokenizer.eos, None)
        count = 4000
        counts = Counter(room.draw(sampler._chain, logits) for _ in range(count))
        probabilities, tokens = _distribution(torch.from_numpy(logits)[None] / sampling.temperature, sampling)
        ids = range(size) if tokens is None else tokens[0].tolist()
        wanted = {int(i): float(p) for i, p in zip(ids, probabilities[0].tolist(), strict=True) if p > 0}
        distance = sum(abs(counts[i] / count - wanted.get(i, 0.0)) for i in {*counts, *wanted}) / 2
        found[name] = {"outside": len(set(counts) - set(wanted)), "distance": distance}
        sampler.close()
    return found


def alone_bad(bench: Bench) -> dict[str, Any]:
    """A row whose logits are no number, one that does not fit, and rules that leave nothing."""
    rows = [bench.row(index) for index in range(3)]
    fine = run(bench.batch(), rows)
    batch = bench.batch()
    logits = batch._decoder.logits

    def broken() -> Any:
        found = logits().copy()
        if len(found) == 3:
            found[1, 7] = math.nan
        return found

    batch._decoder.logits = broken  # type: ignore[method-assign]
    for row in rows:
        batch.add(row)
    errors: dict[int, str] = {}
    answers: Answers = {0: [], 1: [], 2: []}
    for _ in range(5):
        for row_id, outcome in batch.step().items():
            if isinstance(outcome, Token):
                answers[row_id].append(outcome.id)
            else:
                errors[row_id] = f"{type(outcome).__name__}: {outcome}"
    small = bench.batch(tokens=256)
    long = replace(bench.row(1), prompt=(20,) * 300)
    small.add(long)
    while not (too_long := small.step()):
        continue
    everything = dict.fromkeys(range(bench.model.vocabulary_size), -math.inf)
    nothing = bench.batch()
    nothing.add(bench.row(1, logit_bias=everything))
    return {
        "nan": errors,
        "others": all(answers[row_id] == fine[row_id][: len(answers[row_id])] for row_id in answers),
        "too long": f"{type(too_long[1]).__name__}: {too_long[1]}",
        "afterwards": run(small, [rows[2]]) == {2: fine[2]},
        "nothing left": str(nothing.step()[1]),
    }


def grammars(bench: Bench) -> dict[str, Any]:
    """Answers that keep to a schema, drawn and greedy; what cannot be kept to is refused."""
    batch = bench.batch()
    schema = Grammar("json_schema", SCHEMA)
    rows = [
        bench.row(index, do_sample=index > 0, seed=index, grammar=schema, max_new_tokens=60)
        for index in range(4)
    ]
    for row in rows:
        batch.check(row)
    answers = run(batch, rows)
    texts = [text(bench.tokenizer, answer) for answer in answers.values()]
    return {
        "texts": texts,
        "bad schema": refusal(
            lambda: batch.check(bench.row(1, grammar=Grammar("json_schema", '{"type": 3}')))
        ),
        "beams": refusal(lambda: batch.check(bench.row(1, num_beams=2))),
        "adapter": refusal(lambda: batch.check(replace(bench.row(1), adapter="a@1"))),
    }


def text(tokenizer: LlamaTokenizer, token_ids: Sequence[int], *, keep_special: bool = False) -> str:
    """The text of tokens, as a stream gives it."""
    stream = tokenizer.text_stream((), clean_up=False, keep_special=keep_special)
    return "".join(stream.push(token_id) for token_id in token_ids) + stream.flush()


def words(bench: Bench) -> dict[str, Any]:
    """The tokenizer."""
    tokenizer = bench.tokenizer
    line = "the wind, Ж € 🙂 and\n"
    ids = tokenizer.encode(line, add_special_tokens=True)
    stream = tokenizer.text_stream((), clean_up=False)
    marked = tokenizer.encode(f"<|im_start|>a{ADDED}<|im_end|>", add_special_tokens=False)
    threads = [threading.Thread(target=tokenizer.encode, args=(line,), kwargs={"add_special_tokens": True})]
    for thread in threads:
        thread.start()
        thread.join()
    tool = {"type": "function", "function": {"name": "f<", "parameters": {}}}
    message = {"role": "user", "content": "the"}
    return {
        "same": text(tokenizer, ids) == line,
        "fewer than bytes": len(ids) < len(line.encode()),
        "pieces": [stream.push(token_id) for token_id in tokenizer.encode("🙂", add_special_tokens=False)],
        "cut": text(tokenizer, tokenizer.encode("a🙂", add_special_tokens=False)[:-1]),
        "marked": len(marked),
        "hidden": text(tokenizer, marked),
        "shown": text(tokenizer, marked, keep_special=True),
        "bytes": tokenizer.token_bytes(ids[0]).decode(),
        "eos": list(tokenizer.eos),
        "bos": tokenizer.bos_token,
        "boundary": sorted(tokenizer.boundary_tokens),
        "added": sorted(tokenizer.added_tokens),
        "rendered": tokenizer.render([message]),
        "with tools": tokenizer.render([message], [tool]),
        "no role": refusal(lambda: tokenizer.render([{"role": "pirate", "content": "a"}])),
        "surrogate": refusal(lambda: tokenizer.encode("a\ud83d", add_special_tokens=False)),
    }


def probabilities(bench: Bench) -> dict[str, Any]:
    """Log probabilities: those of the model, whatever the rules."""
    batch = bench.batch(piece=100)
    seen: list[Any] = []
    logits = batch._decoder.logits

    def watched() -> Any:
        seen.append(logits().copy())
        return logits()

    batch._decoder.logits = watched  # type: ignore[method-assign]
    batch.add(bench.row(1, logprobs=3, repetition_penalty=2.0))
    batch.add(bench.row(2, logprobs=0))
    outcomes = batch.step()
    row, other = outcomes[1], outcomes[2]
    assert isinstance(row, Token)
    assert isinstance(other, Token)
    wanted = seen[0][0] - np.log(np.exp(seen[0][0].astype(np.float64)).sum())
    order = np.argsort(-wanted)[:3]
    return {
        "own": math.isclose(row.logprob or 0.0, float(wanted[row.id]), abs_tol=1e-4),
        "top": [token_id for token_id, _ in row.top] == order.tolist(),
        "none asked": other.top == () and other.logprob is not None,
    }


def loads(folder: Path) -> dict[str, Any]:
    """Loading: progress, context, memory, and files that are broken."""
    path = folder / "model" / "tiny.gguf"
    reports: list[tuple[str, float | None]] = []
    engine = LlamaEngine(ServerOptions(model=path.parent, max_model_len=300, max_concurrency=3))
    engine.load(lambda phase, done=None: reports.append((str(phase), done)))
    cut = folder / "cut"
    cut.mkdir()
    (cut / "tiny.gguf").write_bytes(path.read_bytes()[:-5000])
    parts = folder / "parts"
    parts.mkdir()
    (parts / "m-00001-of-00002.gguf").write_bytes(b"GGUF")
    done = [share for phase, share in reports if phase == Phase.WEIGHTS and share is not None]
    everything = LlamaEngine(ServerOptions(model=path.parent, max_concurrency=2))
    everything.load(lambda phase, done=None: None)

    def failing(where: Path) -> str:
        return refusal(lambda: LlamaEngine(ServerOptions(model=where)).load(lambda phase, done=None: None))

    return {
        "rising": done == sorted(done) and done[-1] == 1.0,
        "phases": list(dict.fromkeys(phase for phase, _ in reports)),
        "context": engine.context_tokens,
        "kv": engine.batch.usage().total_tokens,
        "own context": everything.context_tokens,
        "cut": failing(cut),
        "part": failing(parts),
        "empty": failing(folder),
    }


def real_model(path: Path) -> dict[str, Any]:
    """A quantized model: how near a batch's answers are to those of each row alone."""
    model = load_model([path], lambda done: None)
    bench = Bench(model, LlamaTokenizer(model))
    questions = ["What is the capital of France?", "List three fruits.", "Count to ten.", "Say hello."]
    prompts = [bench.tokenizer.render([{"role": "user", "content": question}]) for question in questions]
    rows = [
        NewRow(index, index, tuple(bench.tokenizer.encode(prompt, add_special_tokens=False)), GREEDY)
        for index, prompt in enumerate(prompts)
    ]
    alone = {row.id: run(bench.batch(), [row])[row.id] for row in rows}
    found = run(bench.batch(), rows)
    return {
        **compared(bench, rows, found, alone),
        "texts": [text(bench.tokenizer, found[row.id]) for row in rows],
    }


def main(folder: Path) -> None:
    path = write_tiny_gguf(folder / "model")
    model = load_model([path], lambda done: None)
    bench = Bench(model, LlamaTokenizer(model))
    found = {
        "together": together(bench),
        "groups": groups(bench),
        "rules": rules(bench),
        "drawn": drawn(bench),
        "bad": alone_bad(bench),
        "grammars": grammars(bench),
        "words": words(bench),
        "probabilities": probabilities(bench),
        "loads": loads(folder),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.stdout.write(json.dumps(real_model(Path(sys.argv[2]))) + "\n")
    else:
        main(Path(sys.argv[1]))
