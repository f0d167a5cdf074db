"""KAITO v0.3.0's own examples: what it says of them, what we say, and why the verdicts differ."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from kaito_operator.api.workspace import Workspace
from kaito_operator.planner.misfit import describe
from kaito_operator.planner.placement import Wanted, find_places
from kaito_operator.planner.validate import validate
from presets.catalog import load_catalog
from presets.instance_types import InstanceType

CATALOG = load_catalog()
ROWS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "golden" / "v0_3_0_examples.yaml").read_text(encoding="utf-8")
)
GIB = 1024**3
GB = 1000**3

# GPUs, GiB in all, GiB per GPU, as v0.3.0 declares them for its presets.
DECLARED = {
    "falcon-7b": (1, 14, 0),
    "falcon-7b-instruct": (1, 14, 0),
    "falcon-40b": (2, 90, 0),
    "falcon-40b-instruct": (2, 90, 0),
    "llama-2-7b": (1, 14, 14),
    "llama-2-7b-chat": (1, 16, 14),
    "llama-2-13b": (2, 30, 15),
    "llama-2-13b-chat": (2, 30, 15),
    "llama-2-70b": (8, 152, 19),
    "llama-2-70b-chat": (8, 192, 19),
    "mistral-7b": (1, 14, 0),
    "mistral-7b-instruct": (1, 16, 0),
    "phi-2": (1, 12, 0),
    "phi-3-mini-4k-instruct": (1, 9, 0),
    "phi-3-mini-128k-instruct": (1, 9, 0),
    "phi-3-medium-4k-instruct": (1, 16, 0),
    "phi-3-medium-128k-instruct": (1, 16, 0),
}


def memory_of(row: InstanceType) -> tuple[int, int]:
    """GPUs of a node, and the memory of all of them together in the unit that v0.3.0 calls GB."""
    assert row.accelerators is not None
    return row.accelerators.count, int(row.accelerators.count * row.accelerators.memory_gib)


def upstream(preset: str, row: InstanceType, count: int) -> str:
    """Rule R1 as it is, with its faults."""
    gpus, total, per_gpu = DECLARED[preset]
    own_gpus, own_memory = memory_of(row)
    if count * own_gpus < gpus:
        return "refused: GPUs"
    if own_memory // own_gpus < math.ceil(per_gpu * GIB / GB):
        return "refused: per GPU"
    if count * own_memory * own_gpus < math.ceil(total * GIB / GB):
        return "refused: total"
    return "accepted"


def corrected(preset: str, row: InstanceType, count: int) -> str:
    """The same rule: the node's memory is a total, and GiB are compared with GiB."""
    gpus, total, per_gpu = DECLARED[preset]
    own_gpus, own_memory = memory_of(row)
    if count * own_gpus < gpus:
        return "refused: GPUs"
    if own_memory / own_gpus < per_gpu:
        return "refused: per GPU"
    return "accepted" if count * own_memory >= total else "refused: total"


def ours(preset: str, instance_type: str, count: int) -> str:
    resource = {"count": count, "instanceType": instance_type}
    workspace = Workspace.model_validate(
        {"metadata": {"name": "w"}, "resource": resource, "inference": {"preset": {"name": preset}}}
    )
    about_type = [p.reason for p in validate(workspace, CATALOG) if p.path == "resource.instanceType"]
    return about_type[0] if about_type else "fits"


def memory(preset: str, instance_type: str, count: int) -> str:
    places = find_places(CATALOG[preset], CATALOG.instance_types, Wanted(count, "7.0", instance_type))
    placement, rejection = places.placement(instance_type), places.rejection(instance_type)
    if placement:
        return describe(placement).removeprefix(f"{instance_type} (").removesuffix(")")
    assert rejection is not None
    return rejection.reason


def name(row: dict[str, Any]) -> str:
    return f"{row['preset']}-{row['type']}-{row['count']}"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_the_example_gets_this_verdict(row: dict[str, Any]) -> None:
    where = CATALOG.instance_types[row["type"]]
    found = {
        "upstream": upstream(row["preset"], where, row["count"]),
        "corrected": corrected(row["preset"], where, row["count"]),
        "ours": ours(row["preset"], row["type"], row["count"]),
        "memory": memory(row["preset"], row["type"], row["count"]),
    }
    assert found == {key: row[key] for key in found}


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_where_the_verdicts_differ_the_file_says_why(row: dict[str, Any]) -> None:
    same = (row["upstream"] == "accepted") == (row["ours"] == "fits") and row["upstream"] == row["corrected"]
    assert same or row["why"]


def test_every_preset_that_v0_3_0_ships_an_example_of_is_there() -> None:
    without_example = {"phi-3-medium-4k-instruct", "phi-3-medium-128k-instruct"}
    shown = {row["preset"] for row in ROWS if row["example"] != "none"}
    assert shown == DECLARED.keys() - without_example
