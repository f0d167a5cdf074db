"""Text for a person: aligned tables, wrapped sentences, bars. No library: they take long to start."""

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Final, Literal

WIDTH: Final = 110
"""Columns of a sentence, or as many as the terminal has if that is less."""

BAR_WIDTH: Final = 40

Style = Literal["green", "yellow", "red"]
_CODES: Final = {"green": "1;32", "yellow": "1;33", "red": "1;31"}


def table(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> list[str]:
    """The rows as lines, with columns as wide as their widest cell, and no cell cut."""
    lines = [*([header] if header else []), *rows]
    columns = zip(*lines, strict=True)
    widths = [max(map(len, column)) for column in columns]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def sentence(text: str, indent: str = "") -> list[str]:
    """The text wrapped into lines; the second and later ones are indented, too."""
    width = min(WIDTH, _terminal_columns())
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def bar(amount: int, of: int, *, empty: bool = False) -> str:
    """A bar as long as `amount` is in `of`; 40 signs are the whole."""
    full, hollow = ("█", "░") if _can_write("█░") else ("#", ".")
    return (hollow if empty else full) * round(BAR_WIDTH * amount / of)


def styled(text: str, style: Style) -> str:
    """The text in bold colour where a person looks at it, who has not set NO_COLOR."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def write(lines: Iterable[str]) -> None:
    """Write the lines to the standard output."""
    sys.stdout.write("\n".join(lines) + "\n")


def _terminal_columns() -> int:
    try:
        return max(os.get_terminal_size(sys.stdout.fileno()).columns, 40)
    except (OSError, ValueError):  # a pipe, a file, or what a test puts in its place
        return WIDTH


def _can_write(signs: str) -> bool:
    try:
        signs.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
