"""llama.cpp's own batched decode without HTTP: what the library gives, at most, on this machine.

Each stream has a sequence id. When one is done, the next prompt takes its place in the batch, so that the
work is the same as that of a server with as many clients. Reads prompts (a JSON list) from standard input,
writes {"tokens", "seconds", "cpu_s"} to standard output; the last counts the loading too.
"""

import argparse
import json
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, process_time

import llama_cpp as lib
from llama_cpp import Llama

BATCH_TOKENS = 512
CONTEXT_TOKENS = 1024
"""Of each sequence."""


@dataclass
class Stream:
    """One sequence: what still has to be decoded of it, and how far it is."""

    seq_id: int
    tokens: list[int]
    position: int = 0
    made: int = 0


@dataclass
class Decoder:
    """Decodes several sequences greedily in one batch. End tokens end nothing."""

    context: lib.llama_context_p
    max_tokens: int
    waiting: deque[list[int]]
    made: int = 0
    _running: list[Stream] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the batch and the sampler, which live as long as the process."""
        self._batch = lib.llama_batch_init(BATCH_TOKENS, 0, 1)
        self._greedy = lib.llama_sampler_init_greedy()

    def run(self, streams: int) -> None:
        """Decode until no prompt is left."""
        free = list(range(streams))
        while True:
            while free and self.waiting:
                self._running.append(Stream(free.pop(), self.waiting.popleft()))
            if not self._running:
                return
            for seq_id in self._step():
                lib.llama_memory_seq_rm(lib.llama_get_memory(self.context), seq_id, -1, -1)
                free.append(seq_id)

    def _step(self) -> list[int]:
        """Decode one batch; returns the sequences that are done."""
        sampled = self._fill()
        if code := lib.llama_decode(self.context, self._batch):
            raise RuntimeError(f"llama_decode returned {code}: the context is too small for these prompts")
        for stream, place in sampled:
            stream.tokens = [lib.llama_sampler_sample(self._greedy, self.context, place)]
            stream.made += 1
            self.made += 1
        done = [stream for stream, _ in sampled if stream.made == self.max_tokens]
        self._running = [stream for stream in self._running if stream not in done]
        return [stream.seq_id for stream in done]

    def _fill(self) -> list[tuple[Stream, int]]:
        """Put in what fits, those that are a token from their next first; returns who gets logits where."""
        batch, used, sampled = self._batch, 0, []
        for stream in sorted(self._running, key=lambda stream: len(stream.tokens)):
            part = stream.tokens[: BATCH_TOKENS - used]
            for token in part:
                batch.token[used] = token
                batch.pos[used] = stream.position
                batch.n_seq_id[used] = 1
                batch.seq_id[used][0] = stream.seq_id
                batch.logits[used] = 0
                stream.position += 1
                used += 1
            stream.tokens = stream.tokens[len(part) :]
            if part and not stream.tokens:
                batch.logits[used - 1] = 1
                sampled.append((stream, used - 1))
        batch.n_tokens = used
        return sampled


def context_of(model: Llama, streams: int, threads: int) -> lib.llama_context_p:
    """Make a context for several sequences; llama_cpp.Llama's own has one."""
    settings = lib.llama_context_default_params()
    settings.n_ctx = CONTEXT_TOKENS * streams
    settings.n_batch = settings.n_ubatch = BATCH_TOKENS
    settings.n_seq_max = streams
    settings.n_threads = settings.n_threads_batch = threads
    context: lib.llama_context_p | None = lib.llama_init_from_model(model.model, settings)
    if context is None:
        raise RuntimeError("llama.cpp could not make a context; the log above has the cause")
    return context


def chat_tokens(model: Llama, template: str, prompt: str) -> list[int]:
    """Put a prompt into the model's chat template, as a server would."""
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    ends = {kind: model.detokenize([token], special=True).decode() for kind, token in _marks(model).items()}
    formatter = Jinja2ChatFormatter(template, eos_token=ends["eos"], bos_token=ends["bos"])
    text = formatter(messages=[{"role": "user", "content": prompt}]).prompt
    tokens: list[int] = model.tokenize(text.encode(), add_bos=False, special=True)
    return tokens


def _marks(model: Llama) -> dict[str, int]:
    return {"eos": model.token_eos(), "bos": model.token_bos()}


def main() -> None:
    """Decode what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--max-tokens", type=int, required=True)
    options = parser.parse_args()
    prompts = json.load(sys.stdin)
    model = Llama(str(options.model), n_ctx=CONTEXT_TOKENS, verbose=False)
    context = context_of(model, options.streams, options.threads)
    template = model.metadata["tokenizer.chat_template"]
    waiting = deque(chat_tokens(model, template, prompt) for prompt in prompts)
    Decoder(context, 4, deque([list(waiting[0])])).run(1)  # to warm up
    decoder = Decoder(context, options.max_tokens, waiting)
    began = monotonic()
    decoder.run(options.streams)
    seconds = monotonic() - began
    print(json.dumps({"tokens": decoder.made, "seconds": seconds, "cpu_s": process_time()}))


if __name__ == "__main__":
    main()
