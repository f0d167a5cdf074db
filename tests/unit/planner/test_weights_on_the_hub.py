"""Presets whose weights are in no image: they come from the hub, unless the user brings them."""

import pytest

from kaito_operator.api.workspace import Workspace
from kaito_operator.planner.plan import (
    ClaimWeights,
    HubWeights,
    ImageWeights,
    WeightsSource,
    weights_candidates,
)
from kaito_operator.planner.validate import Problem, validate
from kaito_operator.settings import RuntimeSettings
from presets.catalog import load_catalog

CATALOG = load_catalog()
HERE = RuntimeSettings(runtime_image="registry.example/kaito-inference:1", preset_registry="mirror.example")
OPEN = "qwen2.5-7b-instruct"
OPEN_HUB = HubWeights("Qwen/Qwen2.5-7B-Instruct", "a09a35458c702b33eeacc393d103063234e8bc28", None)
GATED = "llama-3.1-8b-instruct"
GATED_HUB = HubWeights(
    "meta-llama/Llama-3.1-8B-Instruct", "0e9e39f249a16976918f6564b8830bc894c89659", token_secret="hf"
)
OWN = "registry.example/own:1"


def served(name: str, **options: object) -> Workspace:
    preset = {"name": name, "presetOptions": options}
    return Workspace.model_validate({"metadata": {"name": "w"}, "inference": {"preset": preset}})


def candidates(name: str, **options: object) -> tuple[WeightsSource, ...]:
    inference = served(name, **options).inference
    assert inference is not None
    assert inference.preset is not None
    return weights_candidates(inference.preset.preset_options, CATALOG[name], HERE)


def of_weights(name: str, **options: object) -> list[Problem]:
    weights = {"HubTokenMissing", "PresetPrivate", "WeightsFormat"}
    return [problem for problem in validate(served(name, **options), CATALOG) if problem.reason in weights]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        (OPEN, {}, (OPEN_HUB,)),
        (OPEN, {"weightsFrom": "image"}, (OPEN_HUB,)),
        (OPEN, {"image": OWN}, (ImageWeights(OWN, "/weights"), OPEN_HUB)),
        (OPEN, {"image": OWN, "weightsPath": "models/qwen"}, (ImageWeights(OWN, "/models/qwen"), OPEN_HUB)),
        (OPEN, {"image": OWN, "weightsFrom": "hub"}, (OPEN_HUB,)),
        (OPEN, {"volumeClaim": "models"}, (ClaimWeights("models", ""), OPEN_HUB)),
        (GATED, {}, ()),
        (GATED, {"modelAccessSecret": "hf"}, (GATED_HUB,)),
        (GATED, {"volumeClaim": "models"}, (ClaimWeights("models", ""),)),
    ],
)
def test_the_weights_come_from_the_hub_unless_the_user_brings_them(
    name: str, options: dict[str, object], expected: tuple[WeightsSource, ...]
) -> None:
    assert candidates(name, **options) == expected


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (OPEN, {}),
        (OPEN, {"weightsFrom": "hub"}),
        (GATED, {"modelAccessSecret": "hf"}),
        (GATED, {"volumeClaim": "models"}),
        (GATED, {"image": OWN}),
    ],
)
def test_what_the_hub_or_the_user_gives_has_no_problem(name: str, options: dict[str, object]) -> None:
    assert of_weights(name, **options) == []


@pytest.mark.parametrize("options", [{}, {"weightsFrom": "hub"}, {"weightsFrom": "image"}])
def test_a_gated_model_without_a_token_is_told_before_it_starts(options: dict[str, object]) -> None:
    (problem,) = of_weights(GATED, **options)
    assert problem.reason == "HubTokenMissing"
    assert problem.path == "inference.preset.presetOptions.modelAccessSecret"
    assert "meta-llama/Llama-3.1-8B-Instruct" in problem.message


def test_every_preset_has_weights_when_the_user_brings_no_more_than_a_token() -> None:
    without = {name for name in CATALOG if not candidates(name, modelAccessSecret="hf")}
    assert without == set()
