"""The golden tables of placement, as text. `python -m tests.unit.planner.golden_tables` writes them anew.

A changed fact or formula shows in them as a changed line: look whether it is meant before committing it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from kaito_operator.api.quantities import format_gib
from kaito_operator.planner.capacity import format_gib_down
from kaito_operator.planner.placement import Placement, Places, Wanted, find_places
from presets.catalog import Preset, load_catalog

GOLDEN = Path(__file__).parent / "golden"
CATALOG = load_catalog()
OLDEST_GPU = "7.5"

TYPES = (
    "Standard_D2s_v5",
    "Standard_D16s_v5",
    "Standard_NC4as_T4_v3",
    "Standard_NC64as_T4_v3",
    "Standard_NV12ads_A10_v5",
    "Standard_NV36ads_A10_v5",
    "Standard_NV72ads_A10_v5",
    "Standard_NC24ads_A100_v4",
    "Standard_NC96ads_A100_v4",
    "Standard_NC40ads_H100_v5",
    "Standard_NC80adis_H100_v5",
    "Standard_ND96isr_H100_v5",
    "Standard_NC6s_v3",
)


def places_of(preset: Preset, nodes: int = 1) -> Places:
    return find_places(preset, CATALOG.instance_types, Wanted(nodes, OLDEST_GPU))


def fit() -> str:
    """Which preset fits which type, and on how many of its GPUs."""
    short = [name.removeprefix("Standard_") for name in TYPES]
    lines = [
        "# GPUs that one replica takes of a node's; cpu: it runs in main memory; a word says why it is not.",
        _line("", short),
    ]
    for preset in CATALOG.values():
        places = places_of(preset)
        lines.append(_line(preset.name, [_cell(places, name) for name in TYPES]))
    return "\n".join(lines) + "\n"


def _line(name: str, cells: list[str]) -> str:
    return f"{name:<31}{' '.join(f'{cell:<16}' for cell in cells)}".rstrip()


def _cell(places: Places, name: str) -> str:
    placement, rejection = places.placement(name), places.rejection(name)
    if placement:
        return f"{placement.gpus_per_pod} of {placement.gpus_per_node}" if placement.gpus_per_pod else "cpu"
    return rejection.cause if rejection else "?"


def chosen() -> str:
    """What is taken where the user names no type, and the next one; then the presets that form groups."""
    lines = [
        "# nodes, preset: the type that is chosen, GPUs per pod, split, dtype, GiB per GPU, USD per hour"
    ]
    for preset in CATALOG.values():
        for nodes in (1, 2) if preset.distributed else (1,):
            fitting = places_of(preset, nodes).fitting[:2]
            lines += [f"{nodes} {preset.name}: {_shown(placement)}" for placement in fitting] or [
                "nothing fits"
            ]
    return "\n".join(lines) + "\n"


def _shown(placement: Placement) -> str:
    needed = format_gib(placement.needed_bytes_per_gpu)
    usable = format_gib_down(placement.usable_bytes_per_gpu)
    shape = f"tp {placement.tensor_parallel} pp {placement.pipeline_parallel} {placement.dtype}"
    price = placement.price_usd_per_hour
    return f"{placement.instance_type}, {placement.gpus_per_pod} {shape}, {needed} of {usable}, {price}"


TABLES: Mapping[str, Callable[[], str]] = {"fit.txt": fit, "chosen.txt": chosen}

if __name__ == "__main__":
    for file, table in TABLES.items():
        (GOLDEN / file).write_text(table(), encoding="utf-8")
