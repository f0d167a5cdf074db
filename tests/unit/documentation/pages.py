"""The pages of this repository, and what can be read from them: tables, code blocks, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"
# Not ours: installed, generated or kept out of git.
SKIPPED = {".venv", ".local", ".git", "node_modules"}

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


def pages() -> list[Path]:
    """Every Markdown file of the checkout."""
    found = CHECKOUT.rglob("*.md")
    return sorted(path for path in found if SKIPPED.isdisjoint(path.relative_to(CHECKOUT).parts))


def text(name: str) -> str:
    """The text of a page, named from the root of the checkout."""
    return (CHECKOUT / name).read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, f"no heading {heading!r}"
    return found[1]


def rows(part: str) -> list[list[str]]:
    """The cells of all table rows, without headers and rules; code marks are kept."""
    lines = [line for line in part.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in lines]
    rules = [at for at, line in enumerate(lines) if set(line) <= set("|-: ")]
    headers = {at - 1 for at in rules} | set(rules)
    return [row for at, row in enumerate(cells) if at not in headers]


def code(cell: str) -> list[str]:
    """The pieces of a cell that are marked as code."""
    return _CODE.findall(cell)


def first_cells(part: str) -> list[str]:
    """The first piece of code in the first cell of every row that begins with one."""
    return [code(row[0])[0] for row in rows(part) if row[0].startswith("`")]


def blocks(page: str, language: str) -> list[str]:
    """The fenced code blocks of a language; '' is those without one."""
    return [body for found, body in _FENCED.findall(page) if found == language]


def links(page: str) -> list[str]:
    """The targets of the links that stand outside of code."""
    return _LINK.findall(_CODE.sub("", _FENCED.sub("", page)))


def anchors(page: str) -> set[str]:
    """What the headings of a page are called in links, as code hosts make it of them."""
    headings = (heading.lower().replace("`", "") for heading in _HEADING.findall(_FENCED.sub("", page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@dataclass(frozen=True)
class Manifest:
    """One YAML document of a page or of an example, with the text it was read from."""

    where: str
    source: str
    content: dict[str, Any]


def workspaces() -> Iterator[Manifest]:
    """Every Workspace in a page's YAML blocks and in examples/."""
    sources = [(page, block) for page in pages() for block in blocks(page.read_text(), "yaml")]
    sources += [(path, path.read_text()) for path in sorted((CHECKOUT / "examples").rglob("*.yaml"))]
    for path, source in sources:
        for content in yaml.safe_load_all(source):
            if content["kind"] == "Workspace":
                where = f"{path.relative_to(CHECKOUT)}:{content['metadata']['name']}"
                yield Manifest(where, source, content)
