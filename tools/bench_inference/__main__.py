"""`python -m tools.bench_inference`: the inference server beside the servers that one might take instead."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop
from rich.console import Console

from tools.bench.errors import BenchError
from tools.bench_inference import costs
from tools.bench_inference.options import PARTS, Options
from tools.bench_inference.paths import FOLDER, IMAGES, PAGE
from tools.bench_inference.peers import llama_field, torch_field
from tools.bench_inference.picture import draw
from tools.bench_inference.report import TITLES, Found, put_into, rows, table
from tools.bench_inference.result import Costs, Sides
from tools.bench_inference.sides import LlamaMeasuring, Measuring
from tools.bench_inference.supplies import Supplies, get_supplies
from tools.images.errors import ImageError

progress = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> int:
    """Exit codes: 0 done, whatever the times, 1 tokens were lost or the run failed, 130 interrupted."""
    asked = _parser().parse_args()
    options = Options(parts=tuple(asked.parts), runs=asked.runs, quiet_s=asked.quiet)
    try:
        found = _read(options.parts) if asked.saved else _measure(options)
        if asked.docs:
            _write_docs(found)
    except (BenchError, ImageError) as error:
        progress.print(f"[red]bench-inference:[/red] {error}")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        progress.print("bench-inference: interrupted; the servers are stopped")
        return 130
    if asked.json:
        print(json.dumps({part: result.to_dict() for part, result in found.items()}, indent=2))
    else:
        screen = Console(width=None if sys.stdout.isatty() else 140)
        for part, result in found.items():
            screen.print(table(part, result))
    judged = [row for part, result in found.items() for row in rows(part, result)]
    return 1 if any(row.verdict == "broken" for row in judged) else 0


def _measure(options: Options) -> dict[str, Found]:
    """Measure part after part; each is kept in a file as soon as it is done."""
    supplies = get_supplies(_say)
    found: dict[str, Found] = {}
    for part in options.parts:
        found[part] = uvloop.run(_part(part, options, supplies))
        _file(part).write_text(json.dumps(found[part].to_dict(), indent=2))
    return found


async def _part(part: str, options: Options, supplies: Supplies) -> Found:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this runs in one
    # Without it the servers would outlive a run that is told to end.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    cores = len(os.sched_getaffinity(0))
    if part == "torch":
        return await Measuring(options, torch_field(supplies), _say).run()
    if part == "llama":
        return await LlamaMeasuring(options, llama_field(supplies, cores), _say, gguf=supplies.gguf).run()
    return await costs.measure(options, supplies.weights, _say)


def _read(parts: Sequence[str]) -> dict[str, Found]:
    """Read what the last run of each part gave.

    Raises:
        BenchError: there was none.
    """
    found: dict[str, Found] = {}
    for part in parts:
        if not _file(part).exists():
            raise BenchError(f"there are no figures of {part} yet; run without --saved first")
        kept = json.loads(_file(part).read_text())
        found[part] = Costs.from_dict(kept) if part == "costs" else Sides.from_dict(kept)
    return found


def _write_docs(found: Mapping[str, Found]) -> None:
    for part, result in found.items():
        put_into(PAGE, part, result)
        if isinstance(result, Sides):
            IMAGES.mkdir(parents=True, exist_ok=True)
            picture = draw(f"Tokens per second, {TITLES[part]}", result)
            (IMAGES / f"bench-{part}.svg").write_text(picture)


def _file(part: str) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    return FOLDER / f"{part}.json"


def _say(line: str) -> None:
    progress.print(f"bench-inference: {line}", markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.bench_inference", description=__doc__)
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure; default: all"
    )
    parser.add_argument("--runs", type=_count, default=5, metavar="N", help="of each server; default 5")
    parser.add_argument(
        "--quiet",
        type=float,
        default=120.0,
        metavar="S",
        help="seconds that a measurement may wait for other programs to rest; default 120",
    )
    parser.add_argument("--saved", action="store_true", help="show the figures of the last run")
    parser.add_argument("--json", action="store_true", help="all figures, for programs")
    parser.add_argument("--docs", action="store_true", help="write tables and pictures into docs/ too")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 to 100")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
