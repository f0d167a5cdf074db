"""Settings come from the environment, and the page on the provisioner lists them all."""

import re
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from kaito_operator.api.claim_reasons import CLAIM_REASONS
from kaito_operator.provisioner.metrics import Metrics
from kaito_operator.provisioner.settings import Settings
from kaito_operator.settings import SettingError

NEEDED = {"ARM_SUBSCRIPTION_ID": "s", "ARM_RESOURCE_GROUP": "RG", "AZURE_CLUSTER_NAME": " Kaito\n"}
CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "gpu-provisioner.md").read_text()
DEPLOY = CHECKOUT / "deploy" / "gpu-provisioner"


class Recorder(dict[str, str]):
    """An environment that notes what it is asked for, and with which default."""

    def __init__(self) -> None:
        super().__init__(NEEDED)
        self.asked: dict[str, str] = {}

    @override
    def get(self, key: str, default: Any = None) -> Any:
        self.asked[key] = default or ""
        return super().get(key, default)


def first_cells(heading: str) -> dict[str, str]:
    """Code in the first cell of a table's rows, with the second cell."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[1].strip().strip("`"): row[2].strip().strip("`") for row in rows}


def test_every_setting_has_its_row_with_its_default_and_no_row_is_left_over() -> None:
    recorder = Recorder()
    Settings.from_environment(recorder)
    told = first_cells("Settings")
    assert sorted(told) == sorted(set(recorder.asked) - {"HOSTNAME"})
    plain = set(told) - set(NEEDED) - {"KAITO_IDENTITY"}
    assert {key: told[key] for key in plain} == {key: recorder.asked[key] or "empty" for key in plain}


def test_every_reason_has_its_row() -> None:
    assert sorted(first_cells("Reasons")) == sorted(CLAIM_REASONS)


def test_every_metric_has_its_row() -> None:
    metrics = Metrics()
    names = set()
    for family in metrics.registry.collect():
        names.add(family.name + ("_total" if family.type == "counter" else ""))
    assert set(first_cells("Metrics")) == names


def test_the_installed_settings_are_settings() -> None:
    literals = re.findall(r"^\s+- ([A-Z_]+)=", (DEPLOY / "kustomization.yaml").read_text(), re.MULTILINE)
    named = re.findall(r"- name: ([A-Z][A-Z_]+)$", (DEPLOY / "deployment.yaml").read_text(), re.MULTILINE)
    assert literals
    assert set(literals) | set(named) <= set(first_cells("Settings"))


def test_white_space_around_a_setting_is_dropped_and_azures_names_are_lowered() -> None:
    settings = Settings.from_environment({**NEEDED, "LOCATION": " East US "})
    assert settings.azure.cluster == "Kaito"
    assert settings.azure.identity.cluster == "s/rg/kaito"
    assert settings.azure.location == "eastus"


def test_repair_is_a_switch_with_a_time() -> None:
    assert Settings.from_environment(NEEDED).budgets.repair is None
    on = {**NEEDED, "NODE_REPAIR": "true", "NODE_REPAIR_SECONDS": "60"}
    assert Settings.from_environment(on).budgets.repair == 60


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ARM_SUBSCRIPTION_ID", "", "ARM_SUBSCRIPTION_ID is not set"),
        ("AZURE_CLUSTER_NAME", " ", "AZURE_CLUSTER_NAME is not set"),
        ("ARM_ENDPOINT", "http://127.0.0.1", "begins with https://"),
        ("ARM_CA_BUNDLE", "/nowhere.pem", "no file"),
        ("POOL_POLL_SECONDS", "0", "seconds above 0"),
        ("GC_SECONDS", "often", "seconds above 0"),
        ("NODE_REPAIR", "yes", "false, true"),
        ("AZURE_CREDENTIAL", "password", "auto, workload, managed, cli"),
        ("KAITO_WORKERS", "0", "from 1 to 256"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        Settings.from_environment({**NEEDED, name: value})
    assert name in str(caught.value)
