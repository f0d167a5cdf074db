"""`kaito presets` and `kaito instance-types`: the tables that the planner decides by."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel

from kaito_operator.api.quantities import format_gib
from kaito_operator.cli.arguments import Options
from kaito_operator.cli.drawing import table, write
from kaito_operator.planner.memory import weights_bytes
from presets.catalog import Preset, load_catalog
from presets.instance_types import InstanceType

_PRESET_HEADER: Final = ("preset", "parameters", "GPUs", "context", "weights", "tuning", "licence")
_TYPE_HEADER: Final = (
    "instance type",
    "cloud",
    "GPUs",
    "capability",
    "vCPUs",
    "memory",
    "USD per hour",
    "where and when",
    "retired",
)


def presets(options: Options) -> int:
    """List every model that a Workspace can name; the exit code."""
    rows = tuple(load_catalog().values())
    if options.json:
        _write_json("presets", rows)
    else:
        write(table(map(_preset, rows), _PRESET_HEADER))
    return 0


def instance_types(options: Options) -> int:
    """List every instance type that the planner knows; the exit code."""
    rows = tuple(load_catalog().instance_types.values())
    if options.json:
        _write_json("instanceTypes", rows)
    else:
        write(table(map(_instance_type, rows), _TYPE_HEADER))
    return 0


def _preset(row: Preset) -> tuple[str, ...]:
    return (
        row.name,
        f"{row.parameters / 1e9:.2f} B",
        str(row.gpus) if row.gpus else "CPU",
        f"{row.architecture.max_context_tokens:,}",
        format_gib(weights_bytes(row.parameters, row.dtype)),
        "yes" if row.tuning else "no",
        row.licence,
    )


def _instance_type(row: InstanceType) -> tuple[str, ...]:
    gpu = row.accelerators
    return (
        row.name,
        row.provider,
        f"{gpu.count} x {gpu.model} {gpu.memory_gib} GiB" if gpu else "",
        (gpu.compute_capability if gpu else None) or "",
        str(row.vcpus or ""),
        f"{row.memory_gib} GiB" if row.memory_gib else "",
        f"{row.price.usd_per_hour:f}" if row.price else "",
        f"{row.price.region} {row.price.date}" if row.price else "",
        str(row.retired) if row.retired else "",
    )


def _write_json(name: str, rows: Sequence[BaseModel]) -> None:
    data: Mapping[str, object] = {name: [row.model_dump(mode="json") for row in rows]}
    sys.stdout.write(json.dumps(data, indent=2) + "\n")
