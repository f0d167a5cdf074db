"""Entry point: reads the arguments, imports what the one command needs, and gives the exit code.

A plan has to be there before a person looks up, so what a command does not need it does not import.
"""

import gc
import os
import sys
from collections.abc import Sequence
from typing import Final

from kaito_operator.cli.arguments import Options, parse_arguments

CLOSED_PIPE: Final = 141
"""What a shell reports of a program whose reader went away: 128 and the number of SIGPIPE."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None takes those of the process.

    Returns:
        0 done (`plan`: it fits); 2 bad input; 3 `plan`: it does not fit.
    """
    options = parse_arguments(arguments)
    gc.disable()  # it would look through all that is imported several times, and the process ends soon
    try:
        code = _run(options.command, options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing more can be written, not even by the interpreter.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    finally:
        gc.enable()
    return code


def _run(command: str, options: Options) -> int:
    if command == "plan":
        from kaito_operator.cli.plan import run_plan

        return run_plan(options)
    from kaito_operator.cli import tables

    return tables.presets(options) if command == "presets" else tables.instance_types(options)


if __name__ == "__main__":
    sys.exit(main())
