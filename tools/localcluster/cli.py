"""The command line: python -m tools.localcluster COMMAND."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.localcluster.cluster import Cluster
from tools.localcluster.errors import ClusterError
from tools.localcluster.nodespec import parse_labels, parse_taints
from tools.localcluster.paths import CHECKOUT_KUBECONFIG
from tools.localcluster.settings import RELEASES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 1 after an error was printed."""
    options = parser().parse_args(arguments)
    try:
        _run(options)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run the command again, it goes on from here.", file=sys.stderr)
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.command == "up":
        Cluster(options.kubernetes, kubeconfig=options.kubeconfig, say=_say).up()
        return
    cluster = Cluster(say=_say)
    match options.command:
        case "down":
            cluster.down(purge=options.purge)
        case "status":
            status = cluster.status()
            print(json.dumps(status.to_dict(), indent=2) if options.json else "\n".join(status.lines()))
        case "add-node":
            cluster.add_node(
                options.name,
                labels=parse_labels(options.labels),
                taints=parse_taints(options.taints),
                gpus=options.gpus,
                instance_type=options.instance_type,
                pluggable_gpus=options.pluggable_gpus,
            )
        case "remove-node":
            cluster.remove_node(options.name)
        case "load-image":
            cluster.load_image(options.reference, options.archive)


def _say(line: str) -> None:
    print(line, flush=True)


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    top = argparse.ArgumentParser(prog="python -m tools.localcluster", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    up = commands.add_parser("up", help="start the cluster, or repair it")
    up.add_argument("--kubernetes", metavar="VERSION", help=f"one of {', '.join(RELEASES)}")
    up.add_argument("--kubeconfig", type=Path, default=CHECKOUT_KUBECONFIG, help="where to write it")

    down = commands.add_parser("down", help="remove the cluster")
    down.add_argument("--purge", action="store_true", help="also images and registry content kept for later")

    status = commands.add_parser("status", help="show the cluster's parts")
    status.add_argument("--json", action="store_true", help="for programs")

    add = commands.add_parser("add-node", help="boot one more node")
    add.add_argument("name")
    add.add_argument("--labels", default="", metavar="KEY=VALUE,...")
    add.add_argument("--taints", default="", metavar="KEY=VALUE:EFFECT,...")
    add.add_argument("--gpus", type=int, default=0, help="nvidia.com/gpu that it pretends to have")
    add.add_argument(
        "--pluggable-gpus", type=int, default=0, metavar="N", help="GPUs that a device plugin will register"
    )
    add.add_argument("--instance-type", help="its label node.kubernetes.io/instance-type")

    remove = commands.add_parser("remove-node", help="remove a node")
    remove.add_argument("name")

    load = commands.add_parser("load-image", help="bring an image to every node")
    load.add_argument("reference", help="the image's full name")
    load.add_argument(
        "--archive", type=Path, help="an OCI or Docker archive; default: pull from the registry"
    )
    return top
