"""The narrow places of a batch, for batch_probe.py: little room, rules, adapters, leaving rows."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from inference_server.engine import NewRow, Sampling, Token
from inference_server.transformers_engine.asides import Asides
from inference_server.transformers_engine.batch import TransformersBatch
from inference_server.transformers_engine.forward import Forward
from inference_server.transformers_engine.group import NoAdapters
from inference_server.transformers_engine.parts import Parts
from inference_server.transformers_engine.trial import slab_works

Logits = Callable[[Sequence[int]], torch.Tensor]


class Bench:
    """A batch of a model, with what a case wants to look at: set-backs, pieces, failures on demand."""

    def __init__(
        self, model: Any, *, capacity: int = 4000, piece: int = 24, eos: Sequence[int] = (), **kinds: Any
    ) -> None:
        adapters = kinds.get("adapters") or NoAdapters()
        tokenizer: Any = kinds.get("tokenizer")
        size = int(model.config.vocab_size)
        parts = Parts(model, tokenizer, adapters, tuple(eos), 0, size)
        self.forward = Forward(model, adapters)
        assert slab_works(model, self.forward, size)
        self.asides = Asides(parts, all_rows=False)
        self.batch = TransformersBatch(
            parts, self.forward, self.asides, capacity=capacity, piece_tokens=piece
        )
        self.set_back = 0
        original = self.batch._set_back

        def counted(place: Any) -> None:
            self.set_back += 1
            original(place)

        self.batch._set_back = counted  # type: ignore[method-assign]

    def run(self, rows: Sequence[NewRow]) -> dict[int, list[Token] | str]:
        """Add all rows at once, whether they fit or not, and generate until all are over."""
        found: dict[int, list[Token] | str] = {row.id: [] for row in rows}
        limits = {row.id: row.sampling.max_new_tokens for row in rows}
        for row in rows:
            self.batch.add(row)
        for _ in range(5000):
            if not limits:
                return found
            for row_id, outcome in self.batch.step().items():
                said = found[row_id]
                if not isinstance(outcome, Token):
                    found[row_id] = f"{type(outcome).__name__}: {outcome}"
                    del limits[row_id]
                    continue
                assert isinstance(said, list)
                said.append(outcome)
                if outcome.is_end or len(said) >= limits[row_id]:
                    self.batch.remove(row_id)
                    del limits[row_id]
        raise AssertionError("the batch does not get on")


def ids(said: list[Token] | str) -> list[int] | str:
    return said if isinstance(said, str) else [token.id for token in said]


def row(number: int, prompt: Sequence[int], new: int = 10, group: int | None = None, **rules: Any) -> NewRow:
    adapter = rules.pop("adapter", "")
    sampling = Sampling(max_new_tokens=new, **{"do_sample": False, **rules})
    return NewRow(number, number if group is None else group, tuple(prompt), sampling, adapter)


def plain(model: Any) -> Logits:
    """The logits of the next token, computed without keys and values that are kept."""

    def logits(tokens: Sequence[int]) -> torch.Tensor:
        with torch.inference_mode():
            return model(torch.tensor([list(tokens)]), use_cache=False).logits[0, -1].float()  # type: ignore[no-any-return]

    return logits


def greedy(logits: Logits, prompt: Sequence[int], new: int, change: Any = None) -> list[int]:
    """Take the likeliest token again and again; `change` may alter the scores, given the answer so far."""
    said: list[int] = []
    for _ in range(new):
        scores = logits([*prompt, *said])
        said.append(int((scores if change is None else change(scores, said)).argmax()))
    return said


def little_room(model: Any, lines: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Rows of several requests, three of one, grow far beyond what the slab holds."""
    rows = [row(index, line, 90) for index, line in enumerate(lines[:3])]
    draws = {"do_sample": True, "temperature": 0.8, "top_k": 0}
    rows += [row(10 + seed, lines[3], 90, 9, seed=seed, **draws) for seed in range(3)]
    roomy, tight = Bench(model), Bench(model, capacity=300)
    wanted, found = roomy.run(rows), tight.run(rows)
    logits = plain(model)
    return {
        "set back": tight.set_back,
        "with room": roomy.set_back,
        "same": sum(ids(found[key]) == ids(wanted[key]) for key in wanted),
        "as the model says": sum(ids(found[i]) == greedy(logits, lines[i], 90) for i in range(3)),
        "used": tight.batch.usage().used_tokens,
    }


def rules(model: Any, lines: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Penalties, biases and logprobs by their formulas, in one batch with rows that have none."""
    logits = plain(model)
    bias = {token: 3.0 * math.sin(token) for token in range(0, 120, 2)}

    def penalized(scores: torch.Tensor, said: list[int]) -> torch.Tensor:
        counts = torch.bincount(torch.tensor(said, dtype=torch.long), minlength=len(scores))
        return scores - 1.5 * (counts > 0) - 0.7 * counts

    def biased(scores: torch.Tensor, _: list[int]) -> torch.Tensor:
        return scores + torch.tensor([bias.get(token, 0.0) for token in range(len(scores))])

    rows = [
        row(0, lines[0], 14, presence_penalty=1.5, frequency_penalty=0.7),
        row(1, lines[1], 14, logit_bias=bias),
        row(2, lines[2], 14, logprobs=5),
        row(3, lines[3], 14),
    ]
    found = Bench(model).run(rows)
    text, off = [*lines[2]], 0.0
    for token in found[2]:
        assert isinstance(token, Token)
        assert token.logprob is not None
        own = torch.log_softmax(logits(text), -1)
        top = own.topk(5).values.tolist()
        near = [abs(token.logprob - float(own[token.id]))]
        near += [abs(one - other) for (_, one), other in zip(token.top, top, strict=True)]
        off = max(off, *near)
        text.append(token.id)
    return {
        "penalties": ids(found[0]) == greedy(logits, lines[0], 14, penalized),
        "bias": ids(found[1]) == greedy(logits, lines[1], 14, biased),
        "logprobs": ids(found[2]) == greedy(logits, lines[2], 14),
        "farthest logprob": off,
        "none": ids(found[3]) == greedy(logits, lines[3], 14),
    }


def extremes(model: Any, lines: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Values at the ends of what a request may say: they fail for nobody, least of all for others."""
    line, draws = lines[0], {"do_sample": True, "top_k": 0}
    likeliest = greedy(plain(model), line, 6)
    cold: list[dict[str, Any]] = [
        {"temperature": 1e-40},
        {"temperature": 1e-320, "top_k": 10},
        {"top_p": 1e-300},
        {"top_p": 1e-300, "top_k": 10},
        {"top_p": 1e-300, "seed": 1},
        {"temperature": 1e-40, "seed": 1, "typical_p": 0.5},
        {"min_p": 1.0},
    ]
    rows = [row(index, line, 6, **{**draws, **values}) for index, values in enumerate(cold)]
    rows.append(row(50, line, 6, **{**draws, "top_k": 10**6}))
    rows.append(row(51, line, 6, repetition_penalty=1e-42))
    rows.append(row(52, line, 6))
    found = Bench(model).run(rows)
    return {
        "cold": [ids(found[index]) == likeliest for index in range(len(cold))],
        "wide": len(found[50]),
        "penalty": str(found[51])[:10],
        "other": ids(found[52]) == likeliest,
    }


class Shifts:
    """Adapters that add a vector of their own to the first layer's output, for the rows that want them."""

    def __init__(self, model: Any) -> None:
        draw = torch.Generator().manual_seed(3)
        self._vectors = {name: torch.randn(32, generator=draw) for name in ("a", "b", "alone")}
        self._now: Sequence[str] = ()
        model.model.layers[0].mlp.register_forward_hook(self._hook)

    @contextlib.contextmanager
    def use(self, revisions: Sequence[str]) -> Iterator[None]:
        if unknown := [name for name in revisions if name and name not in self._vectors]:
            raise RuntimeError(f"not loaded: {unknown}")
        before, self._now = self._now, list(revisions)
        try:
            yield
        finally:
            self._now = before

    def exclusive(self, revision: str) -> bool:
        return revision == "alone"

    def _hook(self, _: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        if not self._now:
            return output
        assert len(self._now) == len(output)
        assert len(set(self._now)) == 1 or "alone" not in self._now
        shift = torch.stack([self._vectors.get(name, torch.zeros(32)) for name in self._now])
        return output + shift[:, None]


def adapters(model: Any, lines: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Rows with different adapters together, two of one request among them, with room and with little."""
    shifts = Shifts(model)
    names = ["a", "", "b", "alone", "a", "alone", ""]
    starts = [line[:3] for line in lines[:3]]  # short ones join together, and outgrow the room together
    rows = [row(index, starts[index % 3], 30, index % 3, adapter=name) for index, name in enumerate(names)]

    def alone(one: NewRow) -> list[int]:
        with shifts.use([one.adapter]):
            return greedy(plain(model), one.prompt, 30)

    wanted = [alone(one) for one in rows]
    roomy, tight = Bench(model, adapters=shifts), Bench(model, adapters=shifts, capacity=75)
    found, squeezed = roomy.run(rows), tight.run(rows)
    gone = ""
    try:
        roomy.batch.add(row(99, lines[0], adapter="unloaded"))
    except RuntimeError as error:
        gone = str(error)
    return {
        "same": sum(ids(found[index]) == text for index, text in enumerate(wanted)),
        "set back": tight.set_back,
        "same with little room": sum(ids(squeezed[index]) == text for index, text in enumerate(wanted)),
        "different": len({str(text) for text in wanted}),
        "gone": gone,
        "known": len(roomy.batch._known),
    }


def leaving(model: Any, lines: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Rows leave in every state; those that stay say what they would have said."""
    long = list(range(3, 103))
    bench = Bench(model)
    batch = bench.batch
    for number in range(4):  # one request, whose prompt takes five pieces
        batch.add(row(number, long, 12, 0))
    batch.add(row(10, lines[0], 12))
    batch.add(row(11, lines[1], 12))
    batch.step()
    batch.step()
    joining = [len(bench.batch._places.joining), bench.batch._places.rows]
    batch.remove(2)  # one that joins with another
    batch.remove(0)  # the one that brings the others along
    batch.remove(11)  # one that waits
    batch.remove(12345)
    found: dict[int, list[int]] = {1: [], 3: [], 10: []}
    while min(map(len, found.values())) < 12:
        for row_id, outcome in batch.step().items():
            assert isinstance(outcome, Token)
            found[row_id].append(outcome.id)
            if row_id == 3 and len(found[3]) == 5:
                batch.remove(3)
                found[3] += [0] * 7
            elif len(found[row_id]) == 12:
                batch.remove(row_id)
    logits = plain(model)
    return {
        "joining": joining,
        "stayed": found[1] == greedy(logits, long, 12) and found[10] == greedy(logits, lines[0], 12),
        "until it left": found[3][:5] == greedy(logits, long, 5),
        "left over": [len(batch._known), batch.usage().used_tokens, len(batch._places.running)],
        "beside": _beside(bench, lines[0]),
    }


def _beside(bench: Bench, line: Sequence[int]) -> list[int]:
    """Count the threads of rows of beams: not begun, in the middle, and after they were removed."""
    batch = bench.batch

    def threads() -> int:
        return sum(thread.name.startswith("aside-") for thread in threading.enumerate())

    for number in range(20, 23):
        batch.add(row(number, line, 8, num_beams=2))
    batch.remove(20)
    counts = [threads()]
    batch.step()
    counts.append(threads())
    batch.remove(21)
    batch.remove(22)
    return [*counts, threads(), bench.asides.count, bench.asides.tokens]
