"""docs/simulated-cloud.md names what there is."""

import re
from pathlib import Path

import pytest

from tools.simcloud import SimCloud, cli
from tools.simcloud.script import BEHAVIOURS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "simulated-cloud.md").read_text(encoding="utf-8")


def test_every_behaviour_is_explained_and_no_other() -> None:
    table = PAGE.partition("## Behaviours")[2].partition("## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)", " ".join(rows))) == set(BEHAVIOURS)


def test_every_option_on_the_page_exists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known


def test_every_method_on_the_page_exists() -> None:
    table = PAGE.partition("| of `SimCloud` |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    names = set(re.findall(r"`(\w+)", " ".join(cells)))
    instance_only = {"ca_file"}
    assert names
    assert all(hasattr(SimCloud, name) for name in names - instance_only), names
