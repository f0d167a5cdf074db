"""Load the real engine several times in one process, and print what it does as JSON.

    python -m tests.component.inference_server.engine_probe FOLDER

FOLDER is what tiny_model.py wrote. One process for all: importing torch takes longer than the tests.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from inference_server.engine import Sampling
from inference_server.errors import BadRequest, ProcessError
from inference_server.options import ServerOptions
from inference_server.protocol import ChatRequest
from inference_server.service import Service
from inference_server.transformers_engine import TransformersEngine
from inference_server.weights import load_weights


def answer(folder: Path, word: str, **options: Any) -> str:
    """Load with `options`, and answer `word` greedily."""
    given = {"model": folder / "model", "dtype": "float32", "adapters": folder / "none", **options}
    engine = TransformersEngine(ServerOptions(**given))
    try:
        engine.load(lambda phase: None)
    except ProcessError as error:
        return f"{error.reason}: {error}"
    prompt = engine.tokenizer.encode(
        engine.tokenizer.render([{"role": "user", "content": word}]), add_special_tokens=False
    )
    result = engine.generate(prompt, Sampling(max_new_tokens=40, do_sample=False), threading.Event())
    return result.answers[0].text


def simulated_dtype(folder: Path) -> str:
    """Say in which type weights are loaded where the type was meant for a GPU that does not exist."""
    given = ServerOptions(model=folder / "model", dtype="float16", gpus=1, simulated_gpus=True)
    return str(load_weights(given).model.dtype)


def base_model(folder: Path) -> dict[str, Any]:
    """Say how a model without chat template treats a prompt and messages."""
    service = Service(ServerOptions(), engine := TransformersEngine(_base_options(folder)))
    service.load()
    request = ChatRequest.model_validate(
        {"prompt": "w3 w4", "generate_kwargs": {"do_sample": False, "max_new_tokens": 3}}
    )
    prompt, sampling = service.prepare(request)
    result = engine.generate(prompt.token_ids, sampling, threading.Event())
    try:
        service.prepare(ChatRequest.model_validate({"messages": [{"role": "user", "content": "w1"}]}))
        refused = ""
    except BadRequest as error:
        refused = str(error)
    return {
        "tokens": len(prompt.token_ids),
        "text": service.result_text(request, prompt, result),
        "refused": refused,
    }


def _base_options(folder: Path) -> ServerOptions:
    return ServerOptions(model=folder / "base", dtype="float32", adapters=folder / "none", max_model_len=64)


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


def with_code(folder: Path) -> Path:
    """Copy the model, of a type that only the Python file beside it knows; to import that leaves a trace."""
    code = {"AutoConfig": "mine.MyConfig", "AutoModelForCausalLM": "mine.MyModel"}
    target = changed(folder, "code", model_type="mine", auto_map=code)
    trace = target / "ran"
    (target / "mine.py").write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n")
    return target


def main(folder: Path) -> None:
    word = json.loads((folder / "expected.json").read_text())["endless"]
    adapters = folder / "adapters"
    only_first = folder / "only-first"
    shutil.copytree(adapters / "first", only_first / "first")
    binary = pickled(folder)
    found = {
        "half and full": answer(folder, word, adapters=adapters, adapter_strengths={"first": 0.5}),
        "none": answer(folder, word, adapters=adapters, adapter_strengths={"first": 0.0, "second": 0.0}),
        "one": answer(folder, word, adapters=only_first),
        "one at zero": answer(folder, word, adapters=only_first, adapter_strengths={"first": 0.0}),
        "narrow": answer(folder, word, adapters=folder / "other", served_model_name="tiny"),
        "deep": answer(folder, word, adapters=folder / "deeper", served_model_name="tiny"),
        "pickled": answer(folder, word, model=binary),
        "pickled allowed": answer(folder, word, model=binary, allow_pickled_weights=True),
        "deeper config": answer(folder, word, model=changed(folder, "lacking", num_hidden_layers=3)),
        "own code": answer(folder, word, model=with_code(folder)),
        "no gpu": answer(folder, word, gpus=1000),
        "simulated gpu": answer(folder, word, gpus=1000, simulated_gpus=True, dtype="float16"),
        "simulated dtype": simulated_dtype(folder),
        "bfloat16": answer(folder, word, dtype="bfloat16", adapters=adapters),
        "base model": base_model(folder),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
