"""No Workspace that can be read may stop the operator, whatever was stored."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from kaito_operator.api.quantities import MIB
from kaito_operator.api.workspace import Workspace
from kaito_operator.planner.plan import plan_workspace
from kaito_operator.planner.validate import validate
from kaito_operator.settings import RuntimeSettings
from presets.catalog import load_catalog

CATALOG = load_catalog()


TEXTS = st.text("aZ09-_./:@{}% \n\x00\u2603\U0001f642", max_size=40)


def either(usual: list[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(usual), TEXTS)


def some_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


NAMES = either([*CATALOG, *(name.upper() for name in CATALOG), *(p.hub.id for p in CATALOG.values())])
OPTIONS = some_of(
    image=either(["registry.example/a/b:1"]),
    imagePullSecrets=st.lists(TEXTS, max_size=3),
    trustRemoteCode=st.booleans(),
    modelAccessSecret=either(["hf"]),
    volumeClaim=either(["models"]),
    weightsPath=either(["/weights", "weights/model", "/"]),
    weightsFrom=st.sampled_from(["image", "volumeClaim", "hub"]),
)
PRESETS = st.fixed_dictionaries(
    {"name": NAMES}, optional={"accessMode": st.sampled_from(["public", "private"]), "presetOptions": OPTIONS}
)
BODIES = st.fixed_dictionaries(
    {"metadata": st.just({"name": "w", "namespace": "default"})},
    optional={
        "resource": some_of(
            count=st.integers(1, 8) | st.integers(-(2**63), 2**63 - 1),
            instanceType=either([*CATALOG.instance_types]),
        ),
        "inference": some_of(preset=PRESETS, template=st.dictionaries(TEXTS, st.none() | TEXTS, max_size=2)),
        "tuning": some_of(preset=PRESETS, method=either(["lora", "QLoRA"])),
    },
)
RUNTIMES = st.builds(
    RuntimeSettings,
    runtime_image=st.just("registry.example/kaito-inference:1"),
    project_registry=st.sampled_from(["", "registry.example"]),
    preset_registry=st.sampled_from(["", "mirror.example/kaito"]),
    provisioning=st.sampled_from(["machine", "nodeclaim", "none"]),
    oldest_gpu=st.sampled_from(["5.0", "7.5", "9.0"]),
)


@given(BODIES, RUNTIMES)
@example({"metadata": {}, "inference": {"preset": {"name": ""}}}, RuntimeSettings(""))
def test_any_workspace_has_a_plan_and_without_a_problem_one_that_can_be_rendered(
    body: dict[str, Any], runtime: RuntimeSettings
) -> None:
    workspace = Workspace.model_validate(body)
    problems = validate(workspace, CATALOG, runtime)
    plan = plan_workspace(workspace, CATALOG, runtime)
    assert 1 <= plan.replicas <= 1000
    assert plan.timing.limit_s >= plan.timing.ready_s
    for problem in problems:
        assert problem.path.startswith(("inference", "tuning", "resource"))
    if not problems:
        assert plan.kind in {"preset", "template"}
    if not problems and plan.kind == "preset":
        assert plan.weights is not None
        assert plan.memory_request_bytes > 100 * MIB


@given(BODIES, RUNTIMES)
def test_the_same_workspace_has_the_same_plan(body: dict[str, Any], runtime: RuntimeSettings) -> None:
    first, again = (plan_workspace(Workspace.model_validate(body), CATALOG, runtime) for _ in range(2))
    assert first == again


@given(BODIES, RUNTIMES)
def test_a_type_that_is_taken_holds_the_model_and_a_named_one_is_kept(
    body: dict[str, Any], runtime: RuntimeSettings
) -> None:
    plan = plan_workspace(Workspace.model_validate(body), CATALOG, runtime)
    named = body.get("resource", {}).get("instanceType")
    serves = plan.kind != "none"
    assert plan.instance_type == named or not (serves and named)
    assert len(plan.candidates) <= 6
    assert plan.candidates[:1] == ((plan.instance_type,) if plan.instance_type else ())
    assert len(set(plan.candidates)) == len(plan.candidates)
    if named:
        assert plan.candidates in {(), (named,)}
    if plan.placement is None:
        return
    fit = plan.placement
    assert fit.needed_bytes_per_gpu <= fit.usable_bytes_per_gpu
    assert (plan.gpus_per_pod, plan.dtype, plan.memory) == (fit.gpus_per_pod, fit.dtype, fit.memory)
    assert fit.gpus_per_pod <= fit.gpus_per_node
    assert fit.memory_per_gpu.total_bytes * max(fit.world_size, 1) >= fit.memory.total_bytes


@given(BODIES, RUNTIMES)
def test_a_named_type_that_is_known_is_taken_or_told_to_be_wrong(
    body: dict[str, Any], runtime: RuntimeSettings
) -> None:
    workspace = Workspace.model_validate(body)
    plan = plan_workspace(workspace, CATALOG, runtime)
    told = [p for p in validate(workspace, CATALOG, runtime) if p.path == "resource.instanceType"]
    known = plan.places is not None and body.get("resource", {}).get("instanceType")
    assert bool(told) == bool(known and plan.placement is None)
