"""The arguments of every command, read into one frozen object."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from kaito_operator.settings import PROVISIONING, Provisioning

Command = Literal["plan", "presets", "instance-types"]
Quantization = Literal["8bit", "4bit"]

EXIT_CODES: Final = "exit codes: 0 it fits, or nobody can tell; 2 bad input; 3 it does not fit"


@dataclass(frozen=True)
class Options:
    """What the user asks for.

    Attributes:
        command: one of the commands.
        json: write JSON instead of a table.
        file: of the manifest; "-" is the standard input.
        provisioning: how nodes are added; "none" plans for nodes that exist.
        oldest_gpu: compute capability of the oldest GPU that the runtime image runs on.
        context: tokens of one sequence; None for the planned default.
        concurrency: sequences whose cache is in memory at once.
        quantization: of the weights; None for the type in which they are stored.
    """

    command: Command
    json: bool = False
    file: str = "-"
    provisioning: Provisioning = "machine"
    oldest_gpu: str = "7.5"
    context: int | None = None
    concurrency: int = 1
    quantization: Quantization | None = None


def parse_arguments(arguments: Sequence[str] | None = None) -> Options:
    """Read the arguments; a wrong one ends the process with a message and exit code 2."""
    return Options(**vars(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kaito", description="Open language models on Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_plan(
        commands.add_parser(
            "plan",
            help="say whether, where, for how much and how soon a Workspace runs; needs no cluster",
            description="Say whether a Workspace fits, on which nodes, at what price, and when it is ready.",
            epilog=EXIT_CODES,
        )
    )
    for name, text in (
        ("presets", "list the models that a Workspace can name"),
        ("instance-types", "list the instance types that the planner knows"),
    ):
        _add_json(commands.add_parser(name, help=text, description=f"{text.capitalize()}."))
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-f", "--file", required=True, help="manifest; its first Workspace counts; - is standard input")
    _add_json(parser)
    add("--provisioning", choices=PROVISIONING, default="machine", help="the operator's KAITO_PROVISIONING")
    add(
        "--oldest-gpu",
        type=_capability,
        default="7.5",
        metavar="X.Y",
        help="the operator's KAITO_OLDEST_GPU",
    )
    add("--context", type=_positive, metavar="TOKENS", help="prompt and answer together")
    add("--concurrency", type=_positive, default=1, metavar="N", help="sequences at the same time")
    add("--quantization", choices=("8bit", "4bit"), help="what if the weights were quantized")


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 10**9:
        msg = f"{text!r} is not a whole number from 1 on"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _capability(text: str) -> str:
    if not re.fullmatch(r"\d{1,2}\.\d", text):
        msg = f"{text!r} is not a compute capability of NVIDIA's, such as 7.5"
        raise argparse.ArgumentTypeError(msg)
    return text
