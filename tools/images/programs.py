"""The build context of an image that holds one program of our own."""

from pathlib import Path

from tools.images.errors import ImageError
from tools.images.recipes import CHECKOUT, Program
from tools.images.steps import Report
from tools.localcluster.binaries import ensure_program
from tools.localcluster.errors import ClusterError


def program_context(program: Program, cache: Path, report: Report) -> Path:
    """Give a folder that holds the program, built from the checkout's source.

    Args:
        program: a Go module of the checkout.
        cache: the folder lies in its folder programs.
        report: gets a line before and after a build.

    Raises:
        ImageError: Go is missing or the build failed; with the end of its log.
    """
    source = CHECKOUT / program.module
    target = cache / "programs" / source.name / source.name
    try:
        ensure_program(source, target, program.takes, report)
    except ClusterError as error:
        raise ImageError(str(error)) from None
    return target.parent
