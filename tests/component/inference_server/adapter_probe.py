"""Put adapters of many kinds on tiny models, and print how the answers compare with peft's as JSON.

    python -m tests.component.inference_server.adapter_probe FOLDER

Writes adapters to FOLDER. A process of its own: importing torch takes longer than the tests.
"""

from __future__ import annotations

import copy
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import peft
import torch
import transformers

from inference_server.engine import BASE, AdapterFiles, Combination, NewRow, Sampling
from inference_server.errors import AdapterRefused
from inference_server.transformers_engine.adapters import PeftHost
from inference_server.transformers_engine.asides import Asides
from inference_server.transformers_engine.batch import TransformersBatch
from inference_server.transformers_engine.forward import Forward
from inference_server.transformers_engine.parts import Parts
from tests.component.inference_server.adapter_kinds import (
    BROKEN,
    KINDS,
    VOCABULARY,
    changed_copy,
    make_adapter,
    make_model,
    unchanged,
    without_a_layer,
)
from tests.component.inference_server.adapter_names import BROKEN_NAMES, KIND_NAMES
from tests.component.inference_server.batch_probe import run

IDS = torch.randint(0, VOCABULARY, (6, 11), generator=torch.Generator().manual_seed(3))
PARTS = {"plain": 0.5, "rslora": 0.7, "patterns": 1.0, "elsewhere": 0.3}
MIXED = [BASE, "plain", "dora", "plain", "saved", "embedding"]  # the rows of `plain` do not lie side by side


def load(host: PeftHost, folder: Path, *names: str) -> list[str]:
    """Load adapters under their own names; what was said of each."""
    return [host.load(AdapterFiles(name, name, folder / name)) for name in names]


@torch.inference_mode()
def logits(model: Any, host: PeftHost, revisions: Sequence[str]) -> torch.Tensor:
    with host.use(revisions):
        return model(input_ids=IDS[: len(revisions)]).logits  # type: ignore[no-any-return]


def off(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference."""
    return float((found - wanted).abs().max())


def kinds(model: Any, folder: Path) -> dict[str, Any]:
    """Each kind alone and all of them in one forward, against peft with one adapter."""
    base = logits(model, PeftHost(model, "tiny"), [BASE] * 6)
    wanted = {name: make_adapter(model, folder / name, IDS, **config) for name, config in KINDS.items()}
    host = PeftHost(model, "tiny")
    said = load(host, folder, *KINDS)
    alone = {name: logits(model, host, [name] * 6) for name in KINDS}
    mixed = logits(model, host, MIXED)
    result = {
        "said": said,
        "mergeable": {name: host.mergeable(name) for name in KINDS},
        "moved": {name: off(of, base) for name, of in wanted.items()},
        "alone": {name: off(alone[name], wanted[name]) for name in KINDS},
        "mixed": [off(mixed[row], (alone | {BASE: base})[name][row]) for row, name in enumerate(MIXED)],
        "base row is the base's": torch.equal(mixed[0], base[0]),
        "bytes": host.bytes,
    }
    for name in KINDS:
        host.unload(name)
    hooks = sum(len(module._forward_hooks) for module in model.modules())
    same = torch.equal(logits(model, host, [BASE] * 6), base)
    return {**result, "bytes after": host.bytes, "hooks after": hooks, "same after": same}


def summed(model: Any, folder: Path, strengths: Mapping[str, float]) -> torch.Tensor:
    """The answer of a model whose weights are W + sum of strength x scaling x B A, computed plainly."""
    plain = copy.deepcopy(model)
    for name, strength in strengths.items():
        wrapped = peft.PeftModel.from_pretrained(copy.deepcopy(model), folder / name)
        for path, module in wrapped.base_model.model.named_modules():
            if hasattr(module, "get_delta_weight"):
                weight = plain.get_submodule(path).weight
                weight.data += strength * module.get_delta_weight("default")
    with torch.inference_mode():
        return plain(input_ids=IDS).logits  # type: ignore[no-any-return]


def sums(model: Any, folder: Path) -> dict[str, Any]:
    """Combinations of adapters with different ranks, scalings and layers."""
    host = PeftHost(model, "tiny")
    load(host, folder, *PARTS, "dora")
    base, found = logits(model, host, [BASE] * 6), dict[str, Any]()
    host.combine("cat", PARTS, "cat")
    found["cat"] = off(logits(model, host, ["cat"] * 6), summed(model, folder, PARTS))
    host.combine("one", {"plain": 0.25}, "svd")
    found["one"] = off(logits(model, host, ["one"] * 6), summed(model, folder, {"plain": 0.25}))
    host.combine("zero", {"plain": 0.0, "rslora": 0.0}, "cat")
    found["zero"] = torch.equal(logits(model, host, ["zero"] * 6), base)
    host.combine("left out", {"plain": 0.5, "dora": 0.0}, "cat")
    found["left out"] = off(logits(model, host, ["left out"] * 6), summed(model, folder, {"plain": 0.5}))
    found["dora"] = _refusal(lambda: host.combine("no", {"plain": 1.0, "dora": 0.5}, "cat"))
    found["unequal ranks"] = _refusal(lambda: host.combine("no", {"plain": 1.0, "rslora": 0.5}, "linear"))
    make_adapter(model, folder / "equal", IDS)
    load(host, folder, "equal")
    ways = [how for how in get_args(Combination) if not how.startswith("dare")]  # these drop values at random
    found["ways"] = {how: _against_peft(model, host, folder, how) for how in ways}
    found["random"] = {how: _twice(model, host, how) for how in get_args(Combination) if how not in ways}
    return found


def _against_peft(model: Any, host: PeftHost, folder: Path, how: Combination) -> float:
    """How far a combination of two adapters of one shape is from peft's own."""
    wrapped = peft.PeftModel.from_pretrained(copy.deepcopy(model), folder / "plain", adapter_name="plain")
    wrapped.load_adapter(folder / "equal", adapter_name="equal")
    torch.manual_seed(0)
    wrapped.base_model.add_weighted_adapter(["plain", "equal"], [0.5, 0.7], "w", how, density=0.5)
    wrapped.set_adapter("w")
    host.combine("w", {"plain": 0.5, "equal": 0.7}, how)
    with torch.inference_mode():
        return off(logits(model, host, ["w"] * 6), wrapped.eval()(input_ids=IDS).logits)


def _twice(model: Any, host: PeftHost, how: Combination) -> list[float]:
    """How far a random combination is from the base, and from itself when it is made again."""
    made = []
    for _ in range(2):
        host.combine("w", {"plain": 0.5, "equal": 0.7}, how)
        made.append(logits(model, host, ["w"] * 6))
    return [off(made[0], logits(model, host, [BASE] * 6)), off(made[0], made[1])]


def _refusal(function: Any) -> str:
    try:
        function()
    except AdapterRefused as error:
        return str(error)
    return ""


def refusals(model: Any, folder: Path) -> dict[str, Any]:
    """Adapters that are broken, each in one way, and the base afterwards."""
    host = PeftHost(model, "tiny")
    base = logits(model, host, [BASE] * 6)
    said: dict[str, str] = {}
    for name, break_it in BROKEN.items():
        path = changed_copy(folder / "plain", folder / "broken" / name, break_it)
        files = AdapterFiles(name, name, path)
        said[name] = _refusal(lambda files=files: host.load(files))
    (folder / "broken" / "cut").mkdir()
    for file in (folder / "plain").iterdir():
        (folder / "broken" / "cut" / file.name).write_bytes(
            file.read_bytes()[: -100 if "safe" in file.name else None]
        )
    said["cut"] = _refusal(lambda: load(host, folder / "broken", "cut"))
    host.load(AdapterFiles("wider", "wider", folder / "plain"))
    half = PeftHost(copy.deepcopy(model).half(), "tiny")
    huge = changed_copy(folder / "plain", folder / "huge", _enlarge)
    said["huge"] = _refusal(lambda: half.load(AdapterFiles("huge", "huge", huge)))
    same = torch.equal(logits(model, host, [BASE] * 6), base)
    return {"said": said, "loaded": len(host._loaded), "same": same}


def _enlarge(tensors: dict[str, torch.Tensor]) -> None:
    for key in tensors:
        tensors[key] *= 1e6


def warned(model: Any, folder: Path) -> dict[str, str]:
    """What is said of adapters that are loaded all the same."""
    host = PeftHost(model, "shop-model")
    other = changed_copy(
        folder / "plain", folder / "other", unchanged, base_model_name_or_path="org/other-model"
    )
    same = changed_copy(
        folder / "plain", folder / "same", unchanged, base_model_name_or_path="org/Shop-Model"
    )
    part = changed_copy(folder / "plain", folder / "part", without_a_layer)
    names = {"other": other, "same": same, "part": part}
    return {name: host.load(AdapterFiles(name, name, path)) for name, path in names.items()}


def make_batch(model: Any, host: PeftHost) -> TransformersBatch:
    parts = Parts(model, None, host, (), 0, VOCABULARY)  # type: ignore[arg-type] # text is not asked
    return TransformersBatch(
        parts, Forward(model, host), Asides(parts, all_rows=False), capacity=4000, piece_tokens=24
    )


def rows(revisions: Sequence[str], **sampling: Any) -> list[NewRow]:
    given: dict[str, Any] = {"max_new_tokens": 12, "do_sample": False, "ignore_eos": True, **sampling}
    prompts = [IDS[row % 6, : 4 + row].tolist() for row in range(len(revisions))]
    return [
        NewRow(row, row, tuple(prompts[row]), Sampling(**given), revision)
        for row, revision in enumerate(revisions)
    ]


def together(model: Any, host: PeftHost, revisions: Sequence[str]) -> dict[str, Any]:
    """Rows of several adapters in one batch, with beams beside it, against each row in a batch of its own."""
    wanted = [run(make_batch(model, host), [row], 1)[0][row.id] for row in rows(revisions)]
    mixed, _ = run(make_batch(model, host), rows(revisions), 6)
    beams = [
        NewRow(100 + row.id, 100, row.prompt, row.sampling, row.adapter)
        for row in rows(revisions, num_beams=3)
    ]
    beside, _ = run(make_batch(model, host), [*rows(revisions), *beams], 12)
    alone = [run(make_batch(model, host), [row], 1)[0][row.id] for row in beams]
    return {
        "same": [mixed[row] == of for row, of in enumerate(wanted)],
        "beside": [beside[row] == of for row, of in enumerate(wanted)],
        "beams": [beside[100 + row] == of for row, of in enumerate(alone)],
        "different": len({tuple(of) for of in wanted}),
    }


def routed(folder: Path) -> dict[str, Any]:
    """A model whose experts see tokens and no rows."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "initializer_range": 0.2}
    experts = {"num_experts": 4, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 32}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = transformers.Qwen2MoeConfig(vocab_size=VOCABULARY, **sizes, **experts, **heads)
    model = transformers.Qwen2MoeForCausalLM(config).eval()
    make_adapter(model, folder / "shared", IDS, target_modules=["up_proj", "down_proj"])
    make_adapter(model, folder / "attention", IDS, target_modules=["q_proj"])
    host = PeftHost(model, "moe")
    load(host, folder, "shared", "attention")
    exclusive = [name for name in (BASE, "shared", "attention") if host.exclusive(name)]
    return {"exclusive": exclusive, **together(model, host, ["shared", BASE, "attention", "shared"])}


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    assert (tuple(KINDS), tuple(BROKEN)) == (KIND_NAMES, BROKEN_NAMES)
    model = make_model()
    found = {"kinds": kinds(model, folder), "sums": sums(model, folder), "refused": refusals(model, folder)}
    found["warned"] = warned(model, folder)
    host = PeftHost(model, "tiny")
    load(host, folder, "plain", "elsewhere", "dora")
    found["together"] = together(model, host, ["plain", BASE, "dora", "plain", "elsewhere", BASE])
    found["routed"] = routed(folder)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
