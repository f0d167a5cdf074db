"""docs/local-cluster.md names the commands, versions, packages and ports that the code has."""

import argparse
import re

import pytest

from tests.unit.documentation.pages import code, section, text
from tools.localcluster.cli import parser
from tools.localcluster.command import DEBIAN_PACKAGES
from tools.localcluster.preflight import NEEDED_PORTS
from tools.localcluster.settings import (
    CLUSTERDNS_VERSION,
    CONTAINERD_VERSION,
    DNS_SERVICE,
    PODS,
    RELEASES,
    SERVICES,
)

PAGE = text("docs/local-cluster.md")


def commands() -> dict[str, list[str]]:
    """The commands of the program, each with its flags."""
    (choices,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return {
        name: [f for a in sub._actions for f in a.option_strings if f.startswith("--") and f != "--help"]
        for name, sub in choices.choices.items()
    }


@pytest.mark.parametrize("command", commands())
def test_every_command_has_its_row(command: str) -> None:
    assert re.search(rf"^\| `{command}\b", section(PAGE, "Commands"), re.MULTILINE)


@pytest.mark.parametrize(("command", "flag"), [(c, f) for c, flags in commands().items() for f in flags])
def test_every_flag_is_shown_with_its_command(command: str, flag: str) -> None:
    shown = " ".join(code(PAGE.replace("\\\n", " ")) + PAGE.replace("\\\n", " ").splitlines())
    assert re.search(rf"{command}\b[^|`]* {flag}\b", shown)


def test_every_version_and_package_that_is_installed_is_named() -> None:
    part = section(PAGE, "What it installs")
    versions = [CONTAINERD_VERSION, CLUSTERDNS_VERSION, *(r.version for r in RELEASES.values())]
    assert [v for v in versions if v not in part] == []
    assert [p for p in DEBIAN_PACKAGES.values() if f"`{p}`" not in part] == []


def test_every_port_and_network_is_named() -> None:
    part = section(PAGE, "Addresses and ports")
    assert [port for _, port in NEEDED_PORTS if not re.search(rf"(:|port ){port}\b", part)] == []
    assert [word for word in map(str, (PODS, SERVICES, DNS_SERVICE)) if word not in part] == []
