"""docs/settings.md has every variable that the programs read, with the default that they take."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest
from typing_extensions import override

from kaito_operator.settings import Settings
from tests.unit.documentation.pages import CHECKOUT, code, first_cells, rows, section, text
from tools.images.host import CERTIFICATE_VARIABLES

PAGE = text("docs/settings.md")
OPERATOR = section(PAGE, "The operator")
TOOLS = section(PAGE, "make, the demo, the tests")
# Of the machine, not of this project.
OF_THE_MACHINE = {"PATH", "HOSTNAME"}


class Recorder(dict[str, str]):
    """An environment that notes what it is asked for, and with which default."""

    def __init__(self) -> None:
        super().__init__(KAITO_RUNTIME_IMAGE="registry.example/kaito-inference:1")
        self.asked: dict[str, str] = {}

    @override
    def get(self, key: str, default: Any = None) -> Any:
        self.asked[key] = default or ""
        return super().get(key, default)


@pytest.fixture(scope="module")
def asked() -> dict[str, str]:
    recorder = Recorder()
    Settings.from_environment(recorder)
    return recorder.asked


def test_every_variable_of_the_operator_has_its_row_and_no_row_is_left_over(asked: dict[str, str]) -> None:
    assert sorted(first_cells(OPERATOR)) == sorted(set(asked) - OF_THE_MACHINE)


def test_the_defaults_are_those_of_the_code(asked: dict[str, str]) -> None:
    told = {code(row[0])[0]: row[1] for row in rows(OPERATOR)}
    plain = set(told) - {"KAITO_RUNTIME_IMAGE", "KAITO_IDENTITY"}
    assert {key: told[key].strip("`") for key in plain} == {key: asked[key] or "empty" for key in plain}


def test_a_choice_names_all_that_may_be_chosen() -> None:
    (row,) = (row for row in rows(OPERATOR) if "KAITO_IMAGE_VOLUMES" in row[0])
    for choice in ("auto", "on", "off"):
        environment = {"KAITO_RUNTIME_IMAGE": "x:1", "KAITO_IMAGE_VOLUMES": choice}
        assert Settings.from_environment(environment).runtime.image_volumes == choice
        assert choice in code(row[1] + row[2])


def variables_of(folder: str) -> Iterator[str]:
    """The names that Python code asks os.environ for."""
    for path in (CHECKOUT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case (
                    ast.Call(
                        func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"),
                        args=[ast.Constant(value=str(name)), *_],
                    )
                    | ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(name)))
                ):
                    yield name


def variables_of_make() -> Iterator[str]:
    """The names that the Makefile and the setup script read."""
    makefile = text("Makefile")
    yield from re.findall(r"^export ([A-Z_]+) \?=", makefile, re.MULTILINE)
    yield from re.findall(r"\$\((KAITO_[A-Z_]+)\)", makefile)
    yield from re.findall(r"\$\{([A-Z_]+):-", text("tools/setup.sh"))


def test_every_variable_of_the_tools_has_its_row_and_no_row_is_left_over() -> None:
    read = {*variables_of("tools"), *variables_of("tests/cluster"), *variables_of_make()}
    of_pytest = {"PYTEST_XDIST_WORKER"}
    assert set(first_cells(TOOLS)) == read - OF_THE_MACHINE - of_pytest


def test_the_certificates_of_an_image_build_are_named() -> None:
    assert [name for name in CERTIFICATE_VARIABLES if f"`{name}`" not in PAGE] == []


def test_the_installed_settings_are_settings() -> None:
    literals = re.findall(r"^\s+- ([A-Z_]+)=", text("deploy/kustomization.yaml"), re.MULTILINE)
    named = re.findall(r"- name: ([A-Z][A-Z_]+)$", text("deploy/deployment.yaml"), re.MULTILINE)
    assert literals
    assert named
    assert set(literals) | set(named) <= set(first_cells(OPERATOR))
