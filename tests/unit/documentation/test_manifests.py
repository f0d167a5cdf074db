"""Every Workspace that the pages and examples show can be served, and the README shows what happens."""

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from kaito_operator.api import crd
from kaito_operator.api.workspace import Workspace
from kaito_operator.manifests.weights import delivery
from kaito_operator.planner.plan import plan_workspace
from kaito_operator.planner.validate import validate
from kaito_operator.settings import RuntimeSettings
from presets.catalog import load_catalog
from tests.support.objects import a_workspace
from tests.support.world import World
from tests.unit.documentation.pages import CHECKOUT, README, Manifest, blocks, text, workspaces

RUNTIME = RuntimeSettings(
    runtime_image="registry.example/kaito-inference:1", project_registry="registry.example"
)
ALL = list(workspaces())
SAYS_ITS_WAY = [manifest for manifest in ALL if "# status.plan.weightsFrom: " in manifest.source]
QUICK_START = CHECKOUT / "examples" / "inference" / "kaito_workspace_phi_3.yaml"


def where(manifest: Manifest) -> str:
    return manifest.where


def unknown_fields(content: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """The fields that kubectl's strict validation would refuse."""
    if isinstance(content, list):
        return [bad for item in content for bad in unknown_fields(item, schema["items"], path)]
    known = schema.get("properties")
    if not isinstance(content, dict) or known is None or path == ".metadata":
        return []
    found = [f"{path}.{key}" for key in content if key not in known]
    known_items = ((key, value) for key, value in content.items() if key in known)
    return found + [
        bad for key, value in known_items for bad in unknown_fields(value, known[key], f"{path}.{key}")
    ]


@pytest.mark.parametrize("manifest", ALL, ids=where)
def test_a_shown_workspace_has_only_fields_that_the_api_server_knows(manifest: Manifest) -> None:
    assert manifest.content["apiVersion"] == "kaito.sh/v1alpha1"
    assert unknown_fields(manifest.content, crd.workspace_schema()) == []


@pytest.mark.parametrize("manifest", ALL, ids=where)
def test_a_shown_workspace_can_be_served(manifest: Manifest) -> None:
    workspace = Workspace.model_validate(manifest.content)
    assert [problem.message for problem in validate(workspace, load_catalog())] == []
    plan = plan_workspace(workspace, load_catalog(), RUNTIME)
    assert plan.kind == "template" or plan.weights is not None


@pytest.mark.parametrize("manifest", SAYS_ITS_WAY, ids=where)
def test_the_weights_come_the_way_that_the_page_says(manifest: Manifest) -> None:
    told = re.search(r"^# status\.plan\.weightsFrom: (\w+)$", manifest.source, re.MULTILINE)
    assert told is not None
    plan = plan_workspace(Workspace.model_validate(manifest.content), load_catalog(), RUNTIME)
    assert delivery(plan, image_volumes=True) == told[1]


def test_the_page_on_weights_shows_every_way_but_the_copy_which_nobody_asks_for() -> None:
    shown = set(re.findall(r"^# status\.plan\.weightsFrom: (\w+)$", text("docs/weights.md"), re.MULTILINE))
    assert shown == {"image", "volumeClaim", "hub"}


def test_the_quick_start_is_the_example_that_it_applies() -> None:
    (shown,) = blocks(README.read_text(), "yaml")
    assert yaml.safe_load(shown) == yaml.safe_load(QUICK_START.read_text())
    assert f"kubectl apply -f {QUICK_START.relative_to(CHECKOUT)}" in README.read_text()


def columns() -> tuple[list[str], list[str]]:
    """The columns of `kubectl get workspace`, and those that -o wide adds."""
    definition = yaml.safe_load(text("crds/kaito.sh_workspaces.yaml"))
    (version,) = definition["spec"]["versions"]
    of = version["additionalPrinterColumns"]
    always = ["NAME", *(c["name"].upper() for c in of if not c.get("priority"))]
    return always, [c["name"].upper() for c in of if c.get("priority")]


def shown_headers() -> list[list[str]]:
    lines = [line.split() for line in README.read_text().splitlines() if line.startswith("NAME ")]
    return [line for line in lines if "INSTANCE" in line]


def test_the_columns_in_the_readme_are_those_of_the_definition() -> None:
    plain, wide = shown_headers()
    always, added = columns()
    assert plain == always
    assert [name for name in wide if name not in always and name != "..."] == added


def test_the_readme_shows_what_a_workspace_without_a_node_really_says() -> None:
    example = yaml.safe_load(QUICK_START.read_text())
    spec = {key: example[key] for key in ("resource", "inference")}
    runtime = replace(RUNTIME, provisioning="machine")
    world = World(a_workspace(example["metadata"]["name"], **spec), nodes=[], runtime=runtime)
    world.step()
    said = {"status": "False", "reason": "AzureQuotaExceeded", "message": "0 vCPUs left"}
    world.claims[0]["status"] = {"conditions": [{"type": "MachineLaunched", **said}]}
    world.step()
    blocked = world.status["blockedOn"]
    shown = README.read_text()
    (row,) = re.findall(r"^workspace-phi-3-mini .*Blocked.*$", shown, re.MULTILINE)
    assert row.split() == [
        example["metadata"]["name"],
        world.status["instanceType"],
        world.condition("ResourceReady")[0],
        "...",
        world.status["phase"],
        blocked["reason"],
    ]
    assert blocked["nextAction"] in " ".join(shown.split())
