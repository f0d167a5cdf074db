"""`python -m tools.bench`: how fast and with how many requests many Workspaces become ready and go again."""

import argparse
import json
import sys

from rich.console import Console

from tools.bench.errors import BenchError
from tools.bench.goals import broken
from tools.bench.options import Options
from tools.bench.paths import CHECKOUT, FOLDER
from tools.bench.report import put_into, table
from tools.bench.result import Result
from tools.bench.run import run
from tools.kubectl import KubectlError
from tools.localcluster import Cluster, ClusterError
from tools.simcloud import SimCloudError

PAGE = CHECKOUT / "docs" / "benchmarks.md"
MOST = 100
"""Agent pools that a cluster may have, and each Workspace has one of its own."""
progress = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> int:
    """Exit codes: 0 done, whatever the times, 1 an invariant is broken or the run failed, 130 interrupted."""
    options = _parser().parse_args()
    try:
        result = _on_cluster(Options(count=options.workspaces, rest_s=options.rest))
        if options.docs:
            put_into(PAGE, result)
    except (BenchError, ClusterError, KubectlError, SimCloudError) as error:
        progress.print(f"[red]bench:[/red] {error}")
        progress.print(f"bench: logs of both programs: {FOLDER.relative_to(CHECKOUT)}", markup=False)
        return 1
    except KeyboardInterrupt:
        progress.print("bench: interrupted; what it made is removed")
        return 130
    if options.json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 140).print(table(result))
    return 1 if broken(result) else 0


def _on_cluster(options: Options) -> Result:
    """Run on the local cluster, which is removed afterwards unless it was up before."""
    cluster = Cluster(say=_say)
    was_up = cluster.status().healthy
    try:
        cluster.up()
        return run(options, cluster, _say)
    finally:
        if not was_up:
            cluster.down()


def _say(line: str) -> None:
    progress.print(f"bench: {line}", markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument(
        "--workspaces", type=_count, default=MOST, metavar="N", help=f"1 to {MOST}; default {MOST}"
    )
    parser.add_argument(
        "--rest", type=float, default=10.0, metavar="S", help="seconds in which nothing may be written"
    )
    parser.add_argument("--json", action="store_true", help="all figures, for programs")
    parser.add_argument(
        "--docs", action="store_true", help=f"write the table into {PAGE.relative_to(CHECKOUT)} too"
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 to {MOST}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
