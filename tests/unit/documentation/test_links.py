"""What pages point at exists: files, headings, verbs of the Makefile, modules."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.unit.documentation.pages import CHECKOUT, anchors, links, pages, text

MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
MODULE = re.compile(r"python3? -m ([\w.]+)")
CODE = re.compile(r"^```.*?^```$|`[^`]+`", re.MULTILINE | re.DOTALL)
INSTALLED_BY_SETUP = {"pytest"}


def marked_as_code(page: Path) -> str:
    return "\n".join(CODE.findall(page.read_text()))


def name(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    relative = [link for link in links(page.read_text()) if not re.match(r"[a-z]+:", link)]
    for link in relative:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}, which is not there"
        assert CHECKOUT in target.parents, f"{name(page)} links to {link}, outside of the checkout"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{name(page)} links to {link}: no such heading"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_verb_of_make_that_is_named_exists(page: Path) -> None:
    verbs = set(re.findall(r"^([a-z][a-z-]*):", text("Makefile"), re.MULTILINE))
    missing = set(MAKE.findall(marked_as_code(page))) - verbs
    assert not missing, f"{name(page)} names make {', '.join(missing)}"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_module_that_is_run_exists(page: Path) -> None:
    for module in set(MODULE.findall(marked_as_code(page))) - INSTALLED_BY_SETUP:
        assert importlib.util.find_spec(module) is not None, f"{name(page)} runs {module}"


def test_the_readme_leads_to_every_page_of_docs() -> None:
    linked = {(CHECKOUT / link.partition("#")[0]).resolve() for link in links(text("README.md"))}
    unlinked = {page for page in (CHECKOUT / "docs").glob("*.md") if page not in linked}
    assert not unlinked
