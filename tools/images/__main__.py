"""`python -m tools.images build [NAME ...] --registry localhost:5000 [--push]`."""

import argparse
import sys
from collections.abc import Sequence

from tools.images.build import build_all
from tools.images.errors import ImageError
from tools.images.recipes import load_recipes


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the named images and print name and reference of each; 1 with the reason when one fails."""
    options = _parser().parse_args(arguments)
    try:
        references = build_all(
            options.registry,
            options.names,
            lambda line: print(line, flush=True),
            push=options.push,
            base_image=options.base_image,
        )
    except ImageError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    width = max(len(name) for name in references)
    for name, reference in references.items():
        print(f"{name:{width}}  {reference}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.images", description="Build the project's images.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    build = verbs.add_parser("build", help="build images; all of them when none is named")
    build.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(load_recipes())}")
    build.add_argument(
        "--registry", default="localhost:5000", help="where the references point (%(default)s)"
    )
    build.add_argument("--push", action="store_true", help="push what the registry does not have")
    build.add_argument("--base-image", help="stand on this image instead of the public one")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
