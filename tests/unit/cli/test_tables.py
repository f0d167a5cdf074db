"""`kaito presets` and `kaito instance-types`: every row is there, in both forms."""

import json

import pytest

from kaito_operator.cli.__main__ import main
from presets.catalog import load_catalog

CATALOG = load_catalog()


@pytest.mark.parametrize(
    ("command", "key", "names"),
    [
        ("presets", "presets", list(CATALOG)),
        ("instance-types", "instanceTypes", list(CATALOG.instance_types)),
    ],
)
def test_every_row_is_listed_as_json_and_as_text(
    command: str, key: str, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)[key]] == names
    assert main([command]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names
    assert header.startswith(key.removesuffix("s").replace("instanceType", "instance type"))


def test_a_price_is_shown_with_its_region_and_day_and_a_retired_type_with_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["instance-types"])
    rows = {line.split()[0]: " ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert rows["Standard_NC4as_T4_v3"].endswith("1 x T4 16 GiB 7.5 4 28 GiB 0.526 eastus 2026-06-18")
    assert rows["Standard_NC6s_v3"].endswith("2025-09-30")
