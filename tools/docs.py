"""Write the pages of docs/ that repeat facts of the code; `--check` fails when one is stale."""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kaito_operator.api.quantities import format_gib
from kaito_operator.api.reasons import REASONS, Reason
from kaito_operator.planner.memory import memory_need
from kaito_operator.planner.placement import CPU_DTYPE
from kaito_operator.shell.metrics import Metrics
from presets.catalog import PROJECT_REGISTRY, Preset, load_catalog
from presets.instance_types import InstanceType

DOCS = Path(__file__).resolve().parent.parent / "docs"
GENERATED = "<!-- Written by `make docs`; edit the source that it names instead. -->\n"


def main() -> int:
    """Exit codes: 0 done or fresh, 1 stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is stale")
    check = parser.parse_args().check
    stale = [name for name, page in PAGES.items() if not _is_fresh(name, page())]
    if check:
        for name in stale:
            print(f"docs/{name} is stale: run `make docs` and commit it")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


def _is_fresh(name: str, text: str) -> bool:
    path = DOCS / name
    return path.exists() and path.read_text(encoding="utf-8") == text


def troubleshooting() -> str:
    """Every reason that a Workspace can show, from kaito_operator/api/wording."""
    waiting = [r for r in REASONS.values() if r.phase != "Blocked"]
    blocked = [r for r in REASONS.values() if r.phase == "Blocked"]
    return (
        f"# Troubleshooting\n\n{GENERATED}"
        "<!-- Source: kaito_operator/api/wording -->\n\n"
        "`kubectl get workspace NAME -o wide` shows the phase and the reason.\n"
        "`kubectl describe workspace NAME` shows the sentence and the next action, in `status.blockedOn`\n"
        "and in the conditions. Words in capitals stand for what the operator fills in.\n\n"
        "## Blocked: somebody has to act\n\n"
        f"{_reason_sections(blocked)}\n"
        "## Waiting: nothing is wrong\n\n"
        f"{_reason_sections(waiting)}"
    )


def _reason_sections(reasons: Iterable[Reason]) -> str:
    return "\n".join(
        f"### {r.code}\n\n{_shown(r.sentence)}\n\n**What to do:** {_shown(r.next_action)}\n" for r in reasons
    )


def _shown(template: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda hole: hole.group(1).upper(), template)


def presets() -> str:
    """Every model that can be named, from presets/models.yaml."""
    rows = []
    for preset in load_catalog().values():
        need = memory_need(preset, preset.dtype if preset.gpus else CPU_DTYPE)
        rows.append(
            (
                f"`{preset.name}`",
                f"{preset.parameters / 1e9:.2f} B",
                preset.licence,
                "CPU" if preset.gpus == 0 else str(preset.gpus),
                f"{preset.architecture.max_context_tokens:,}",
                format_gib(need.weights_bytes),
                f"{need.kv_cache_bytes_per_token // 1024} KiB",
                _weights_from(preset),
            )
        )
    header = (
        "preset",
        "parameters",
        "licence",
        "GPUs",
        "context",
        "weights",
        "KV cache per token",
        "weights from",
    )
    return (
        f"# Presets\n\n{GENERATED}<!-- Source: presets/models.yaml -->\n\n"
        "The names for `inference.preset.name`. Weights and KV (the key-value cache) are what they\n"
        "take in memory. GPUs are those that hold the model at 80 GB each, or that v0.3.0 asked for; on\n"
        "another GPU the plan counts anew. Weights from the hub with a token need\n"
        "`presetOptions.modelAccessSecret`, a Secret of somebody who accepted the terms of the licence.\n\n"
        f"{_table(header, rows)}"
    )


def _weights_from(preset: Preset) -> str:
    registry = preset.weights.image.registry
    if preset.private:
        return "your own image"
    if registry is None:
        return "hub, with a token" if preset.hub.gated else "hub"
    return "`make images`, or hub" if registry == PROJECT_REGISTRY else "public image"


def instance_types() -> str:
    """Every instance type of the table, from presets/instance_types.yaml."""
    types = load_catalog().instance_types
    sections = [
        _types_section("Azure", [r for r in types.values() if r.provider == "azure" and r.offered]),
        _types_section(
            "Azure, not for choosing",
            [r for r in types.values() if r.provider == "azure" and not r.offered],
            note="Retired, announced to be, or a name that Azure does not list. One that is named in a\n"
            "Workspace is tried, with a warning.",
        ),
        _types_section("AKS on Azure Local", [r for r in types.values() if r.provider == "arc"]),
        _types_section(
            "AWS",
            [r for r in types.values() if r.provider == "aws"],
            note="Facts for clusters that have such nodes: none is chosen unless it is named.",
        ),
    ]
    return (
        f"# Instance types\n\n{GENERATED}<!-- Source: presets/instance_types.yaml -->\n\n"
        "The names for `resource.instanceType`. Without one the cheapest type that holds the model is\n"
        "chosen. Prices are on demand, for Linux, of the day and region beside them: what a cloud asks\n"
        "today may differ. GPU memory is nominal, for each GPU; a share of a GPU counts as one. Local disk\n"
        "is what the node has beside its system disk. A dash means that no source was found. The sources of\n"
        "all facts are at the top of presets/instance_types.yaml.\n\n" + "\n".join(sections)
    )


def _types_section(title: str, rows: Iterable[InstanceType], note: str = "") -> str:
    header = (
        "instance type",
        "GPUs",
        "GPU memory",
        "capability",
        "vCPUs",
        "memory",
        "local disk",
        "$/h",
        "as of",
    )
    words = f"{note}\n\n" if note else ""
    return f"## {title}\n\n{words}{_table(header, map(_type_cells, rows))}"


def _type_cells(row: InstanceType) -> tuple[str, ...]:
    gpus = row.accelerators
    price = row.price
    dated = f"{price.date} {price.region}" if price else "-"
    instead = f" {row.successor}" if row.successor else ""
    return (
        f"`{row.name}`",
        f"{gpus.count} x {gpus.model}" if gpus else "none",
        f"{gpus.memory_gib:g} GiB" if gpus else "-",
        (gpus.compute_capability if gpus else None) or "-",
        str(row.vcpus or "-"),
        f"{row.memory_gib:g} GiB" if row.memory_gib else "-",
        "-" if row.local_disk_gib is None else f"{row.local_disk_gib} GiB" if row.local_disk_gib else "none",
        str(price.usd_per_hour) if price else "-",
        f"retired {row.retired}:{instead}" if row.retired else f"take{instead}" if instead else dated,
    )


def metrics() -> str:
    """Every metric of the operator, from kaito_operator/shell/metrics.py."""
    rows = []
    for family in Metrics().registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", family.type, family.documentation))
    return (
        f"# Metrics\n\n{GENERATED}<!-- Source: kaito_operator/shell/metrics.py -->\n\n"
        "The operator serves these at `:8080/metrics`. That nothing is written while nothing changes\n"
        'is a query: `rate(kaito_api_requests_total{verb!="PUT"}[5m]) == 0` (PUT renews the Lease).\n\n'
        f"{_table(('metric', 'type', 'meaning'), sorted(rows))}"
    )


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join('---' for _ in header)}|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "troubleshooting.md": troubleshooting,
    "presets.md": presets,
    "instance-types.md": instance_types,
    "metrics.md": metrics,
}

if __name__ == "__main__":
    sys.exit(main())
