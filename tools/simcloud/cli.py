"""The command line: python -m tools.simcloud COMMAND."""

import argparse
import json
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tools.localcluster import Cluster, ClusterError
from tools.localcluster.paths import write_private
from tools.simcloud.apinodes import ApiNodes
from tools.simcloud.booter import NodeBooter
from tools.simcloud.cloud import SimCloud
from tools.simcloud.errors import SimCloudError
from tools.simcloud.localnodes import LocalNodes
from tools.simcloud.script import BEHAVIOURS, parse

FOLDER = Path(".local") / "simcloud"
OPTIONS = "serve.json"
"""What the folder's cloud was served with, so that ``down`` needs only the folder."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 1 after an error was printed."""
    options = parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    try:
        if options.command == "serve":
            _serve(options)
        else:
            _down(options.folder)
    except (SimCloudError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(options: argparse.Namespace) -> None:
    scripted = [parse(text) for text in options.script]
    interrupted = threading.Event()
    # Handled, not blocked: a kubelet that is started would inherit a mask and could not be stopped.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    with _cloud(options, _booter(options.nodes, options.kubeconfig)) as cloud:
        for match, behaviour in scripted:
            cloud.script(match, behaviour)
        _remember(options)
        for name, value in cloud.environment.items():
            print(f"export {name}={shlex.quote(value)}")
        print(
            f"# The simulated cloud answers at {cloud.endpoint}. Ctrl-C ends it; its nodes stay.", flush=True
        )
        interrupted.wait()


def _down(folder: Path) -> None:
    try:
        remembered = json.loads((folder / OPTIONS).read_text())
    except FileNotFoundError:
        print(f"No cloud was served from {folder}: there is nothing to remove.")
        return
    options = argparse.Namespace(**remembered)
    options.folder, options.port, options.address = folder, 0, []
    kubeconfig = Path(options.kubeconfig) if options.kubeconfig else None
    with _cloud(options, _booter(options.nodes, kubeconfig), restores=False) as cloud:
        names = sorted(cloud.pools())
        cloud.down()
    print(f"Removed agent pools: {', '.join(names) or 'there were none'}.")


def _cloud(options: argparse.Namespace, nodes: NodeBooter | None, *, restores: bool = True) -> SimCloud:
    return SimCloud(
        options.folder,
        nodes,
        addresses=options.address or ["127.0.0.1"],
        port=options.port,
        resource_group=options.resource_group,
        cluster=options.cluster,
        location=options.location,
        create_s=options.create_s,
        delete_s=options.delete_s,
        serialised=options.serialised,
        offers=options.offer,
        restores=restores,
    )


def _booter(kind: str, kubeconfig: Path | None) -> NodeBooter | None:
    match kind:
        case "local":
            return LocalNodes(Cluster(say=_say))
        case "api":
            named = kubeconfig or Path(os.environ.get("KUBECONFIG", ""))
            if not named.is_file():
                raise SimCloudError("--nodes api needs the cluster's kubeconfig: name it with --kubeconfig.")
            return ApiNodes(named)
        case _:
            return None


def _remember(options: argparse.Namespace) -> None:
    kept = {
        name: str(value.absolute()) if isinstance(value, Path) else value
        for name, value in vars(options).items()
        if name not in {"command", "folder", "script"}
    }
    write_private(options.folder / OPTIONS, json.dumps(kept))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    top = argparse.ArgumentParser(prog="python -m tools.simcloud", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    serve = commands.add_parser("serve", help="answer as the cloud until interrupted; pools and nodes stay")
    serve.add_argument("--folder", type=Path, default=FOLDER, help=f"for its files; default {FOLDER}")
    serve.add_argument("--address", action="append", help="to listen on; may be repeated; default 127.0.0.1")
    serve.add_argument("--port", type=int, default=0, help="default: a free one")
    serve.add_argument(
        "--nodes",
        choices=["local", "api", "none"],
        default="none",
        help="what a VM becomes: a real node of the local cluster, a Node object without kubelet, or nothing",
    )
    serve.add_argument("--kubeconfig", type=Path, help="for --nodes api; default $KUBECONFIG")
    serve.add_argument(
        "--script",
        action="append",
        default=[],
        metavar="MATCH=BEHAVIOUR",
        help="MATCH is a pool, a VM size or *; BEHAVIOUR is NAME[:ARGUMENT,...][!], ! for ever, "
        f"NAME one of {', '.join(BEHAVIOURS)}; may be repeated",
    )
    serve.add_argument("--resource-group", default="sim")
    serve.add_argument("--cluster", default="sim", help="its name in Azure")
    serve.add_argument("--location", default="eastus")
    serve.add_argument("--create-s", type=float, default=0.5, help="seconds until a pool's VM boots")
    serve.add_argument("--delete-s", type=float, default=0.3, help="seconds until a deleted pool's VM goes")
    serve.add_argument("--serialised", action="store_true", help="one operation at a time, others get 409")
    serve.add_argument(
        "--offer",
        action="append",
        default=[],
        metavar="SIZE",
        help="a VM size to offer though the table does not",
    )

    down = commands.add_parser("down", help="remove all pools of a folder, and their nodes")
    down.add_argument("--folder", type=Path, default=FOLDER, help=f"default {FOLDER}")
    return top
