"""Load the real engine several times in one process, and print what it does as JSON.

    python -m tests.component.inference_server.engine_probe FOLDER

FOLDER is what tiny_model.py wrote. One process for all: importing torch takes longer than the tests.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from inference_server import cpu
from inference_server.engine import BASE, AdapterFiles, Phase, Sampling
from inference_server.errors import BadRequest, ProcessError
from inference_server.http.chat import prepare, result_text
from inference_server.http.protocol import ChatRequest
from inference_server.options import ServerOptions
from inference_server.prompts import prompt_from_messages
from inference_server.scheduling.row import Job
from inference_server.scheduling.steps import Steps
from inference_server.scheduling.stream import Generation, GenerationResult, Stream
from inference_server.service import Service
from inference_server.transformers_engine.engine import TransformersEngine
from inference_server.transformers_engine.mapped import inside, mapped_ranges
from inference_server.transformers_engine.progress import Progress
from inference_server.transformers_engine.weights import load_weights
from tests.component.inference_server.model_gguf import write_gguf


def options_for(folder: Path, **changed: Any) -> ServerOptions:
    """Options for the tiny model in float32 without adapters, but for what is `changed`."""
    return ServerOptions(
        **{"model": folder / "model", "dtype": "float32", "adapters": folder / "none", **changed}
    )


def loaded(options: ServerOptions) -> tuple[Service, TransformersEngine]:
    """A service on a loaded engine, its first token said."""
    service = Service(options, engine := TransformersEngine(options))
    service.load()
    return service, engine


def complete(engine: TransformersEngine, generation: Generation) -> GenerationResult:
    """Make steps until all rows have ended; raise what a row ended with."""
    first = generation.rows[0].sampling
    answers = first.num_return_sequences if first.num_beams > 1 else len(generation.rows)
    stream = Stream(answers, len(generation.rows[0].prompt), lambda: None)
    steps = Steps(engine, max_rows=16)
    arrived = [Job(generation, stream, 0.0, float("inf"))]
    while arrived or steps.busy:
        for _, deltas, error in steps.advance(arrived):
            if error is not None:
                raise error
            stream.deliver(deltas)
        arrived = []
    return collected(stream)


def collected(stream: Stream) -> GenerationResult:
    """Read a stream that is over, outside of an event loop."""
    reading = stream.collect()
    try:
        reading.send(None)
    except StopIteration as stopped:
        result: GenerationResult = stopped.value
        return result
    raise AssertionError("the stream is not over")


def said(service: Service, engine: TransformersEngine, word: str, revision: str = BASE) -> str:
    """Answer `word` greedily with 40 tokens."""
    prompt = prompt_from_messages([{"role": "user", "content": word}], engine.tokenizer)
    sampling = Sampling(max_new_tokens=40, do_sample=False)
    return complete(engine, service.generation(prompt, sampling, 1, revision)).answers[0].text


def answer(folder: Path, word: str, **options: Any) -> str:
    """Load with `options`, and answer; or the error of the load."""
    try:
        return said(*loaded(options_for(folder, **options)), word)
    except ProcessError as error:
        return f"{error.reason}: {error}"


def adapted(folder: Path, word: str, strengths: Mapping[str, float], **options: Any) -> str:
    """Answer with the combination of adapters, each times its strength."""
    service, engine = loaded(options_for(folder, **options))
    assert engine.adapters is not None
    for name in strengths:
        engine.adapters.load(AdapterFiles(name, f"{name}@1", folder / "adapters" / name))
    engine.adapters.combine("merge@1", {f"{name}@1": value for name, value in strengths.items()}, "cat")
    return said(service, engine, word, "merge@1")


def refused(folder: Path, path: str) -> dict[str, str]:
    """Try an adapter that does not belong to the model: what is said, and what the model says afterwards."""
    service, engine = loaded(options_for(folder))
    assert engine.adapters is not None
    word = json.loads((folder / "expected.json").read_text())["endless"]
    name = path.rpartition("/")[2]
    try:
        engine.adapters.load(AdapterFiles(name, f"{name}@1", folder / path))
    except ProcessError as error:
        return {"said": f"{error.reason}: {error}", "after": said(service, engine, word)}
    return {"said": "", "after": ""}


def simulated_dtype(folder: Path) -> str:
    """Say in which type weights are loaded where the type was meant for a GPU that does not exist."""
    given = ServerOptions(model=folder / "model", dtype="float16", gpus=1, simulated_gpus=True)
    return str(load_weights(given, lambda phase, done=None: None).model.dtype)


def base_model(folder: Path) -> dict[str, Any]:
    """Say how a model without chat template treats a prompt and messages."""
    service, engine = loaded(options_for(folder, model=folder / "base", max_model_len=64))
    request = ChatRequest.model_validate(
        {"prompt": "w3 w4", "generate_kwargs": {"do_sample": False, "max_new_tokens": 3}}
    )
    prompt, generation = prepare(service, request)
    result = complete(engine, generation)
    try:
        prepare(service, ChatRequest.model_validate({"messages": [{"role": "user", "content": "w1"}]}))
        refusal = ""
    except BadRequest as error:
        refusal = str(error)
    return {
        "tokens": len(prompt.token_ids),
        "text": result_text(service, request, prompt, result),
        "refused": refusal,
        "context": engine.context_tokens,
    }


def progress(folder: Path, **options: Any) -> dict[str, Any]:
    """Load, and say what was reported, and how much of the model is still a file."""
    reports: list[float] = []

    def report(phase: Phase, done: float | None = None) -> None:
        assert phase is Phase.WEIGHTS
        reports.append(-1.0 if done is None else done)

    counted: list[float] = []
    finish = Progress.finish

    def at_the_end(self: Progress) -> None:
        counted.append(self.share)
        finish(self)

    given = options_for(folder, **options)
    with patch.object(Progress, "finish", at_the_end):
        found = load_weights(given, report)
    files = {str(path.resolve()) for path in given.model.iterdir()}
    ranges = mapped_ranges(cpu.read_text("/proc/self/maps"), files)
    parameters = list(found.model.parameters())
    return {
        "reports": reports,
        "counted": counted,
        "mapped": sum(inside(parameter.data_ptr(), ranges) for parameter in parameters),
        "notes": found.notes,
        "dtype": str(found.model.dtype),
        "attention": found.model.config._attn_implementation,
        "kinds": sorted({type(module).__name__ for module in found.model.modules()}),
    }


def saved(folder: Path, name: str, **how: Any) -> Path:
    """Write the model again: in another type, in several files."""
    import torch
    import transformers

    target = folder / name
    shutil.copytree(folder / "model", target)
    (target / "model.safetensors").unlink()
    dtype = getattr(torch, how.pop("dtype", "float32"))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "model", dtype=dtype)
    model.generation_config.do_sample, model.generation_config.temperature = True, 0.1
    model.save_pretrained(target, **how)
    return target


def pickled(folder: Path) -> Path:
    """Write the model's weights as pickles, beside the same other files."""
    import torch
    from safetensors.torch import load_file

    target = folder / "pickled"
    shutil.copytree(folder / "model", target)
    torch.save(load_file(target / "model.safetensors"), target / "pytorch_model.bin")
    (target / "model.safetensors").unlink()
    return target


def changed(folder: Path, name: str, **config: Any) -> Path:
    """Copy the model with another config."""
    target = folder / name
    shutil.copytree(folder / "model", target)
    content = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**content, **config}))
    return target


def as_gguf(folder: Path) -> dict[str, Any]:
    """Load the model from a GGUF file: how far its numbers are from the model's own, and the progress."""
    import torch

    target = folder / "gguf"
    target.mkdir()
    write_gguf(folder / "model", target / "tiny.gguf")
    ids = torch.tensor([[4, 20, 6, 5]])
    logits = [
        load_weights(options_for(folder, **changed), lambda phase, done=None: None).model(ids).logits
        for changed in ({}, {"model": target})
    ]
    found = progress(folder, model=target)
    _, engine = loaded(options_for(folder, model=target))
    return {
        **found,
        "apart": float((logits[0] - logits[1]).abs().max()),
        "tokens": engine.tokenizer.encode("w1", add_special_tokens=False),
        "quantized": answer(folder, "w1", model=target, quantization="4bit"),
    }


def cut_off(folder: Path) -> Path:
    """Copy the model, and end its file too early."""
    target = changed(folder, "cut")
    path = target / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    return target


def with_code(folder: Path) -> Path:
    """Copy the model, of a type that only the Python file beside it knows; to import that leaves a trace."""
    code = {"AutoConfig": "mine.MyConfig", "AutoModelForCausalLM": "mine.MyModel"}
    target = changed(folder, "code", model_type="mine", auto_map=code)
    trace = target / "ran"
    (target / "mine.py").write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n")
    return target


def loads(folder: Path, word: str) -> dict[str, Any]:
    """Everything about loading."""
    binary, shards = pickled(folder), saved(folder, "shards", max_shard_size="60KB")
    half = saved(folder, "half", dtype="bfloat16")
    return {
        "pickled": answer(folder, word, model=binary),
        "pickled allowed": answer(folder, word, model=binary, allow_pickled_weights=True),
        "shards": answer(folder, word, model=shards),
        "files": len(list(shards.glob("*.safetensors"))),
        "cut off": answer(folder, word, model=cut_off(folder)),
        "deeper config": answer(folder, word, model=changed(folder, "lacking", num_hidden_layers=3)),
        "own code": answer(folder, word, model=with_code(folder)),
        "no gpu": answer(folder, word, gpus=1000),
        "simulated gpu": answer(folder, word, gpus=1000, simulated_gpus=True, dtype="float16"),
        "simulated dtype": simulated_dtype(folder),
        "4bit": answer(folder, word, quantization="4bit"),
        "8bit": answer(folder, word, quantization="8bit"),
        "same type": progress(folder, model=half, dtype="bfloat16"),
        "other type": progress(folder, model=half, dtype="float32"),
        "several files": progress(folder, model=shards, dtype="float32"),
        "in 4 bits": progress(folder, model=half, dtype="bfloat16", quantization="4bit"),
        "gguf": as_gguf(folder),
        "auto": progress(folder, dtype="auto"),
        "no sdpa": progress(folder, model=without_sdpa(folder)),
    }


def without_sdpa(folder: Path) -> Path:
    """Take SDPA away from the tiny model's class, as some architectures lack it."""
    import transformers

    transformers.LlamaForCausalLM._supports_sdpa = False
    transformers.LlamaModel._supports_sdpa = False
    return changed(folder, "plain")


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    word = json.loads((folder / "expected.json").read_text())["endless"]
    found = {
        "half and full": adapted(folder, word, {"first": 0.5, "second": 1.0}),
        "none": adapted(folder, word, {"first": 0.0, "second": 0.0}),
        "one": adapted(folder, word, {"first": 1.0}),
        "one at zero": adapted(folder, word, {"first": 0.0}),
        "bfloat16": adapted(folder, word, {"first": 0.5, "second": 1.0}, dtype="bfloat16"),
        "narrow": refused(folder, "other/narrow"),
        "deep": refused(folder, "deeper/deep"),
        "base model": base_model(folder),
        **loads(folder, word),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
