"""What only the catalog can tell to be wrong, one row each, and that what is right is let through."""

from dataclasses import replace

import pytest

from kaito_operator.api.workspace import Workspace
from kaito_operator.planner.memory import Sizing
from kaito_operator.planner.validate import AS_INSTALLED, Problem, validate
from presets.catalog import load_catalog

CATALOG = load_catalog()
LLAMA_IMAGE = "registry.example/llama-2-7b:1"


def served(name: str, *, count: int = 1, private: bool = False, **options: object) -> Workspace:
    preset = {"name": name, "accessMode": "private" if private else "public", "presetOptions": options}
    return a_workspace(resource={"count": count}, inference={"preset": preset})


def group_with_adapters(name: str, **options: object) -> Workspace:
    options = options or {"volumeClaim": "llama"}
    preset = {"name": name, "accessMode": "private", "presetOptions": options}
    adapters = [{"source": {"name": "a", "image": "registry.example/a:1"}}]
    inference = {"preset": preset, "adapters": adapters}
    return a_workspace(resource={"count": 2}, inference=inference)


def a_workspace(**parts: object) -> Workspace:
    return Workspace.model_validate({"metadata": {"name": "w", "namespace": "default"}, **parts})


def only_problem(workspace: Workspace) -> Problem:
    (problem,) = validate(workspace, CATALOG)
    return problem


FINE = [
    served("phi-2"),
    served("Phi-3-Mini-4K-Instruct"),
    served("phi-2", count=3),
    served("phi-2", image="registry.example/phi-2:1"),
    served("phi-2", volumeClaim="models"),
    served("phi-2", weightsFrom="hub"),
    served("mistral-7b", weightsFrom="hub"),
    served("falcon-40b", count=2),
    served("smollm2-135m-instruct"),
    served("llama-2-7b", private=True, image=LLAMA_IMAGE, weightsPath="/weights"),
    served("llama-2-7b", private=True, volumeClaim="llama"),
    served("llama-2-7b", private=True, weightsFrom="hub", modelAccessSecret="hf"),
    served("llama-2-13b", private=True, volumeClaim="llama"),
    served("llama-2-13b", private=True, count=2, volumeClaim="llama"),
    a_workspace(inference={"template": {"spec": {"containers": [{"name": "c"}]}}}),
]


@pytest.mark.parametrize("workspace", FINE)
def test_what_can_be_served_has_no_problem(workspace: Workspace) -> None:
    assert validate(workspace, CATALOG) == ()


WRONG = [
    (served("phi-5"), "PresetUnknown", "inference.preset.name"),
    (served("microsoft/phi-2"), "PresetUnknown", "inference.preset.name"),
    (
        served("llama-2-7b", image=LLAMA_IMAGE, weightsPath="/w"),
        "PresetPrivate",
        "inference.preset.accessMode",
    ),
    (served("llama-2-7b"), "PresetPrivate", "inference.preset.accessMode"),
    (served("llama-2-7b", private=True), "PresetPrivate", "inference.preset.accessMode"),
    (
        served("llama-2-7b", private=True, image=LLAMA_IMAGE),
        "WeightsFormat",
        "inference.preset.presetOptions.image",
    ),
    (
        served("llama-2-70b-chat", private=True, weightsFrom="hub"),
        "HubTokenMissing",
        "inference.preset.presetOptions.modelAccessSecret",
    ),
    (group_with_adapters("llama-2-13b"), "AdaptersUnsupported", "inference.adapters"),
    (a_workspace(tuning={"preset": {"name": "phi-2"}}), "TuningUnsupported", "tuning"),
    (
        a_workspace(tuning={"preset": {"name": "falcon-7b-instruct"}}),
        "TuningUnsupported",
        "tuning.preset.name",
    ),
    (a_workspace(tuning={"preset": {"name": "phi"}}), "PresetUnknown", "tuning.preset.name"),
    (a_workspace(tuning={}), "TuningUnsupported", "tuning.preset"),
    (a_workspace(), "InvalidSpec", "inference"),
    (a_workspace(inference={}), "InvalidSpec", "inference"),
    (a_workspace(inference={"preset": {"name": "phi-2"}, "template": {}}), "InvalidSpec", "inference"),
]


@pytest.mark.parametrize(("workspace", "reason", "path"), WRONG)
def test_what_cannot_be_served_is_told_with_reason_and_field(
    workspace: Workspace, reason: str, path: str
) -> None:
    problem = only_problem(workspace)
    assert (problem.reason, problem.path) == (reason, path)


@pytest.mark.parametrize("workspace", [row[0] for row in WRONG], ids=[f"{row[1]}-{row[2]}" for row in WRONG])
def test_every_problem_has_words_without_a_hole(workspace: Workspace) -> None:
    problem = only_problem(workspace)
    for text in (problem.message, problem.next_action):
        assert text
        assert "<" not in text
        assert "{" not in text


def test_an_unknown_preset_is_told_the_three_nearest_names() -> None:
    message = only_problem(served("phi-3-mini")).message
    assert "phi-3-mini" in message
    assert "phi-3-mini-4k-instruct, " in message
    assert message.count(",") == 2


def test_a_preset_that_is_no_base_is_told_those_that_are() -> None:
    message = only_problem(a_workspace(tuning={"preset": {"name": "mistral-7b-instruct"}})).message
    assert "mistral-7b-instruct would be no base" in message
    assert "mistral-7b," in message


def test_a_group_that_is_given_adapters_is_told_to_go_without() -> None:
    problem = only_problem(group_with_adapters("llama-2-70b"))
    assert "llama-2-70b on 2 nodes" in problem.message
    assert "Remove inference.adapters" in problem.next_action


def test_all_problems_are_told_at_once() -> None:
    found = validate(group_with_adapters("llama-2-13b", image=LLAMA_IMAGE), CATALOG)
    assert [problem.reason for problem in found] == ["WeightsFormat", "AdaptersUnsupported"]


def test_a_workspace_that_tunes_and_serves_is_told_of_both() -> None:
    both = a_workspace(tuning={"preset": {"name": "phi-2"}}, inference={"preset": {"name": "phi-5"}})
    assert [problem.reason for problem in validate(both, CATALOG)] == ["TuningUnsupported", "PresetUnknown"]


# Named instance types.


def on_type(name: str, instance_type: str, count: int = 1) -> Workspace:
    resource = {"instanceType": instance_type, "count": count}
    return a_workspace(resource=resource, inference={"preset": {"name": name}})


@pytest.mark.parametrize(
    "workspace",
    [
        on_type("phi-2", "Standard_NC4as_T4_v3"),
        on_type("phi-2", "standard_nc4as_t4_v3"),
        on_type("phi-2", "p4d.24xlarge"),
        on_type("phi-2", "Standard_of_tomorrow"),
        on_type("smollm2-135m-instruct", "Standard_D4s_v5"),
        on_type("smollm2-135m-instruct", "Standard_NC4as_T4_v3"),
        a_workspace(resource={"instanceType": "Standard_NC6s_v3"}, inference={"template": {"spec": {}}}),
    ],
)
def test_a_named_type_that_may_hold_the_model_is_let_through(workspace: Workspace) -> None:
    assert validate(workspace, CATALOG) == ()


def test_nothing_is_said_of_a_type_where_preset_and_template_contradict() -> None:
    both = {"preset": {"name": "phi-2"}, "template": {}}
    workspace = a_workspace(resource={"instanceType": "Standard_NC6s_v3"}, inference=both)
    assert only_problem(workspace).reason == "InvalidSpec"


def test_a_named_type_that_is_too_small_is_told_with_numbers_and_the_smallest_that_fits() -> None:
    problem = only_problem(on_type("mistral-7b", "Standard_NC4as_T4_v3"))
    assert (problem.reason, problem.path) == ("ModelDoesNotFit", "resource.instanceType")
    assert problem.facts["detail"] == "needs 19.4 GiB on 1 GPU, has 14.5 GiB"
    assert problem.facts["smallest"] == "Standard_NV36ads_A10_v5 (needs 19.4 GiB of 21.8 GiB on 1 GPU)"


def test_a_gpu_model_on_a_cpu_type_is_told_to_need_a_gpu() -> None:
    problem = only_problem(on_type("phi-2", "Standard_D4s_v5"))
    assert problem.reason == "ModelDoesNotFit"
    assert problem.facts["detail"] == "needs an NVIDIA GPU, has none"


def test_a_gpu_that_the_image_cannot_use_is_told_with_a_type_that_holds_the_model() -> None:
    problem = only_problem(on_type("phi-2", "Standard_NC6s_v3"))
    assert problem.reason == "GpuTooOld"
    assert problem.facts == {
        "type": "Standard_NC6s_v3",
        "gpu": "V100",
        "capability": "7.0",
        "oldest": "7.5",
        "successor": "Standard_NC4as_T4_v3",
    }
    too_small_successor = only_problem(on_type("mistral-7b", "Standard_NC6s_v3"))
    assert too_small_successor.facts["successor"] == "Standard_NV36ads_A10_v5"


def test_an_image_for_older_gpus_lets_them_through_and_one_for_newer_refuses_more() -> None:
    old, new = (replace(AS_INSTALLED, oldest_gpu=oldest) for oldest in ("7.0", "9.0"))
    assert validate(on_type("phi-2", "Standard_NC6s_v3"), CATALOG, old) == ()
    (problem,) = validate(on_type("phi-2", "Standard_NC24ads_A100_v4"), CATALOG, new)
    assert problem.reason == "GpuTooOld"
    assert "9.0 and newer" in problem.message


@pytest.mark.parametrize("instance_type", ["Standard_NC6s_v3", "Standard_NV6ads_A10_v5", "Standard_D4s_v5"])
def test_the_words_about_a_type_have_no_hole(instance_type: str) -> None:
    problem = only_problem(on_type("phi-2", instance_type))
    for text in (problem.message, problem.next_action):
        assert text
        assert "<" not in text


def test_a_model_that_nothing_holds_is_told_so() -> None:
    heavy = Sizing(sequences=4096)
    (problem,) = validate(on_type("mistral-7b", "Standard_NC4as_T4_v3"), CATALOG, sizing=heavy)
    assert problem.facts["smallest"] == "none that this operator knows of"
