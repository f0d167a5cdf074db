"""The operator's own settings, and the presets that an installation adds."""

import json
from pathlib import Path

import pytest

from kaito_operator.app import catalog_of
from kaito_operator.settings import SettingError, Settings
from presets.catalog import load_catalog


def read(**environment: str) -> Settings:
    return Settings.from_environment({"KAITO_RUNTIME_IMAGE": "r/i:1", **environment})


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", ()),
        ("reg.local:5000", ("reg.local:5000",)),
        (" a:1 , 10.0.0.1:5000,[::1]:5000,", ("a:1", "10.0.0.1:5000", "[::1]:5000")),
    ],
)
def test_insecure_registries_are_a_list_of_hosts(text: str, hosts: tuple[str, ...]) -> None:
    assert read(KAITO_INSECURE_REGISTRIES=text).runtime.insecure_registries == hosts


@pytest.mark.parametrize("text", ["http://a:1", "a b", "a:port", "--auth", "a/b"])
def test_what_is_no_host_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingError, match="KAITO_INSECURE_REGISTRIES holds"):
        read(KAITO_INSECURE_REGISTRIES=text)


def rows_of(name: str, **fields: object) -> str:
    """A models.yaml with the row of SmolLM2 under another name."""
    row = load_catalog()["smollm2-135m-instruct"].model_dump(mode="json", exclude_none=True)
    return json.dumps({"models": [{**row, "hub": {**row["hub"], "gated": False}, "name": name, **fields}]})


def test_presets_of_the_installation_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(rows_of("my-group", distributed=True))
    catalog = catalog_of(str(file))
    assert catalog["my-group"].distributed
    assert set(catalog) == {*load_catalog(), "my-group"}
    assert catalog.instance_types is load_catalog().instance_types


def test_without_a_file_the_shipped_ones_are_all() -> None:
    assert catalog_of("") is load_catalog()


@pytest.mark.parametrize("content", ["", "models: []", rows_of("phi-2"), rows_of("Bad Name")])
def test_a_file_that_cannot_be_used_is_refused_by_the_settings_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(content)
    with pytest.raises(SettingError, match="KAITO_EXTRA_PRESETS"):
        catalog_of(str(file))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="No such file"):
        catalog_of(str(tmp_path / "none.yaml"))
