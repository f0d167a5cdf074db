"""Write the pages of docs/ that repeat facts of the code; `--check` fails when one is stale."""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kaito_operator.api.quantities import format_gib
from kaito_operator.api.reasons import REASONS, Reason
from kaito_operator.planner.memory import memory_need
from kaito_operator.planner.plan import CPU_DTYPE
from kaito_operator.shell.metrics import Metrics
from presets.catalog import load_catalog

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
    """Every reason that a Workspace can show, from kaito_operator/api/reasons.py."""
    waiting = [r for r in REASONS.values() if r.phase != "Blocked"]
    blocked = [r for r in REASONS.values() if r.phase == "Blocked"]
    return (
        f"# Troubleshooting\n\n{GENERATED}"
        "<!-- Source: kaito_operator/api/reasons.py -->\n\n"
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
                "your own image" if preset.private else "public image" if preset.gpus else "`make images`",
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
        "take in memory.\n\n"
        f"{_table(header, rows)}"
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
    "metrics.md": metrics,
}

if __name__ == "__main__":
    sys.exit(main())
