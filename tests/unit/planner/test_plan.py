"""The plan: what a pod asks for, where its weights come from, and that no Workspace is without one."""

from dataclasses import replace
from typing import Any

import pytest

from kaito_operator.api.quantities import GIB
from kaito_operator.api.workspace import Workspace
from kaito_operator.planner.memory import Sizing
from kaito_operator.planner.plan import ClaimWeights, HubWeights, ImageWeights, Plan, plan_workspace
from kaito_operator.planner.timing import UNKNOWN_TIMING
from kaito_operator.settings import Provisioning, RuntimeSettings
from presets.catalog import load_catalog

CATALOG = load_catalog()
HERE = RuntimeSettings(
    runtime_image="registry.example/kaito-inference:1", project_registry="registry.example"
)
BARE = RuntimeSettings(runtime_image="registry.example/kaito-inference:1")
SMALL = "smollm2-135m-instruct"
SMALL_HUB = HubWeights(
    "HuggingFaceTB/SmolLM2-135M-Instruct", "12fd25f77366fa6b3b4b768ec3050bf629380bac", token_secret=None
)


def plan_of(name: str, count: int = 1, runtime: RuntimeSettings = HERE, **options: object) -> Plan:
    preset = {"name": name, "presetOptions": options}
    return plan(runtime, resource={"count": count}, inference={"preset": preset})


def placed(
    name: str,
    instance_type: str | None = None,
    *,
    count: int = 1,
    provisioning: Provisioning = "machine",
    **options: object,
) -> Plan:
    resource = {"count": count, **({"instanceType": instance_type} if instance_type else {})}
    runtime = replace(HERE, provisioning=provisioning)
    return plan(runtime, resource=resource, inference={"preset": {"name": name, "presetOptions": options}})


def plan(runtime: RuntimeSettings = HERE, **parts: object) -> Plan:
    workspace = Workspace.model_validate({"metadata": {"name": "w", "namespace": "default"}, **parts})
    return plan_workspace(workspace, CATALOG, runtime)


def test_a_cpu_model_runs_in_float32_and_asks_for_all_the_memory_it_needs() -> None:
    small = plan_of(SMALL)
    assert small.memory is not None
    assert (small.gpus_per_pod, small.dtype, small.cpu_request) == (0, "float32", "500m")
    assert small.memory_request_bytes == small.memory.total_bytes
    assert small.memory.weights_bytes == 538_060_032


@pytest.mark.parametrize(
    ("name", "gpus", "dtype", "cpu"),
    [
        ("phi-2", 1, "float16", "1"),
        ("phi-3-mini-4k-instruct", 1, "bfloat16", "1"),
        ("falcon-40b", 2, "bfloat16", "2"),
        ("llama-2-70b", 8, "float16", "8"),
    ],
)
def test_a_gpu_model_keeps_its_type_and_asks_for_little_main_memory(
    name: str, gpus: int, dtype: str, cpu: str
) -> None:
    large = plan_of(name, volumeClaim="models")
    assert (large.gpus_per_pod, large.dtype, large.cpu_request) == (gpus, dtype, cpu)
    assert large.memory_request_bytes == 4 * GIB


def test_every_node_gets_a_replica() -> None:
    assert plan_of("phi-2", count=3).replicas == 3


@pytest.mark.parametrize(("count", "replicas"), [(0, 1), (-4, 1), (2**62, 1000)])
def test_a_count_that_v0_3_0_stored_is_brought_into_range(count: int, replicas: int) -> None:
    assert plan_of("phi-2", count=count).replicas == replicas


def test_the_server_answers_to_the_presets_own_name() -> None:
    assert plan_of("PHI-2").model_name == "phi-2"


def test_code_of_the_weights_author_runs_only_when_asked_for() -> None:
    assert not plan_of("phi-3-mini-4k-instruct").trust_remote_code
    assert plan_of("phi-3-mini-4k-instruct", trustRemoteCode=True).trust_remote_code


def test_a_template_asks_for_nothing_itself() -> None:
    template = plan(resource={"count": 2}, inference={"template": {"spec": {"containers": []}}})
    assert template == Plan("template", 2)
    assert (template.weights, template.timing) == (None, UNKNOWN_TIMING)


def test_an_unknown_preset_keeps_its_name_and_asks_for_nothing() -> None:
    assert plan_of("phi-5") == Plan("preset", 1, model_name="phi-5")


@pytest.mark.parametrize("parts", [{}, {"inference": {}}, {"tuning": {"preset": {"name": "phi-2"}}}])
def test_what_does_not_serve_has_a_plan_of_nothing(parts: dict[str, Any]) -> None:
    assert plan(**parts) == Plan("none", 1)


# Where the weights come from.


def test_a_public_preset_comes_from_its_image_and_else_from_the_hub() -> None:
    revision = "b10c3eba545ad279e7208ee3a5d644566f001670"
    assert plan_of("phi-2").weights_candidates == (
        ImageWeights("mcr.microsoft.com/aks/kaito/kaito-phi-2:0.0.4", "/workspace/tfs/weights"),
        HubWeights("microsoft/phi-2", revision, token_secret=None),
    )


def test_a_mirror_replaces_the_registry_of_public_images() -> None:
    mirror = RuntimeSettings("registry.example/kaito-inference:1", preset_registry="mirror.example/kaito")
    image = ImageWeights("mirror.example/kaito/kaito-phi-2:0.0.4", "/workspace/tfs/weights")
    assert plan_of("phi-2", runtime=mirror).weights == image


def test_our_own_image_comes_from_the_registry_of_the_installation() -> None:
    tag = CATALOG[SMALL].weights.image.tag
    image = f"registry.example/kaito-weights-smollm2-135m-instruct:{tag}"
    assert plan_of(SMALL).weights == ImageWeights(image, "/weights")


@pytest.mark.parametrize("asked_for", [None, "image"])
def test_without_such_a_registry_the_same_weights_come_from_the_hub(asked_for: str | None) -> None:
    assert plan_of(SMALL, runtime=BARE, weightsFrom=asked_for).weights == SMALL_HUB


def test_a_volume_that_is_named_comes_before_the_image() -> None:
    assert plan_of("phi-2", volumeClaim="models", weightsPath="phi").weights == ClaimWeights("models", "phi")
    assert plan_of("phi-2", volumeClaim="models").weights == ClaimWeights("models", "")


def test_an_image_of_the_users_own_replaces_the_presets() -> None:
    own = "registry.example/mine:1"
    assert plan_of("phi-2", image=own).weights == ImageWeights(own, "/workspace/tfs/weights")
    assert plan_of("phi-2", image=own, weightsPath="data/phi/").weights == ImageWeights(own, "/data/phi")


def test_the_source_that_is_asked_for_is_the_only_one() -> None:
    assert plan_of(SMALL, weightsFrom="hub").weights_candidates == (SMALL_HUB,)


def test_a_token_for_the_hub_travels_with_the_plan() -> None:
    weights = plan_of("llama-2-7b", weightsFrom="hub", modelAccessSecret="hf").weights
    assert isinstance(weights, HubWeights)
    assert weights.token_secret == "hf"


def test_a_repository_that_refuses_strangers_is_no_fallback_without_a_token() -> None:
    own = ImageWeights("registry.example/llama:1", "/weights")
    assert plan_of("llama-2-7b", image=own.image, weightsPath=own.path).weights_candidates == (own,)
    assert plan_of("llama-2-7b").weights is None


def test_weights_that_are_on_a_volume_make_a_shorter_plan() -> None:
    assert plan_of("phi-2", volumeClaim="models").timing.start_s < plan_of("phi-2").timing.start_s


def test_a_preset_is_not_called_stuck_before_v0_3_0_would() -> None:
    assert plan_of("phi-2").timing.limit_s == 30 * 60


# Which instance type.


def test_the_cheapest_type_that_holds_the_model_is_chosen_where_nodes_can_be_added() -> None:
    chosen = placed("phi-2")
    assert chosen.instance_type == "Standard_NC4as_T4_v3"
    assert chosen.places is not None
    assert chosen.placement is chosen.places.fitting[0]


def test_without_provisioning_nothing_is_chosen_and_the_pod_asks_for_what_the_row_says() -> None:
    unchosen = placed("falcon-40b", provisioning="none")
    assert (unchosen.instance_type, unchosen.candidates, unchosen.placement) == (None, (), None)
    assert (unchosen.gpus_per_pod, unchosen.dtype) == (2, "bfloat16")
    assert unchosen.places is not None


@pytest.mark.parametrize("provisioning", ["machine", "nodeclaim", "none"])
def test_a_named_type_is_the_only_candidate_and_shapes_the_pod(provisioning: Provisioning) -> None:
    named = placed("mistral-7b", "Standard_NC64as_T4_v3", provisioning=provisioning)
    assert (named.instance_type, named.candidates) == ("Standard_NC64as_T4_v3", ("Standard_NC64as_T4_v3",))
    assert (named.gpus_per_pod, named.dtype, named.cpu_request) == (2, "float16", "2")
    assert any("do not calculate in bfloat16" in warning for warning in named.warnings)


def test_the_candidates_are_the_chosen_type_and_the_five_next_ones() -> None:
    for name in CATALOG:
        chosen = placed(name)
        assert chosen.places is not None
        assert chosen.candidates == tuple(fit.instance_type for fit in chosen.places.fitting[:6])


def test_a_small_model_on_a_named_gpu_type_asks_for_one_gpu_and_little_main_memory() -> None:
    small = placed(SMALL, "Standard_NC24ads_A100_v4")
    assert (small.gpus_per_pod, small.dtype, small.memory_request_bytes) == (1, "bfloat16", 4 * GIB)


def test_a_type_that_is_not_in_the_table_is_taken_as_it_is_with_a_warning() -> None:
    unknown = placed("phi-2", "Standard_NC4as_T4_v9")
    assert (unknown.instance_type, unknown.candidates) == ("Standard_NC4as_T4_v9", ("Standard_NC4as_T4_v9",))
    assert (unknown.places, unknown.placement, unknown.gpus_per_pod) == (None, None, 1)
    (warning,) = unknown.warnings
    assert "Standard_NC4as_T4_v9 is not in the table" in warning
    assert "Standard_NC4as_T4_v3" in warning


def test_another_spelling_of_a_known_type_is_kept_with_a_warning() -> None:
    shouted = placed("phi-2", "STANDARD_NC4AS_T4_V3")
    assert shouted.instance_type == "STANDARD_NC4AS_T4_V3"
    assert shouted.placement is not None
    assert "is spelled Standard_NC4as_T4_v3" in shouted.warnings[0]


def test_a_type_of_another_cloud_is_warned_of_where_only_azure_adds_nodes() -> None:
    assert "a type of aws" in placed("phi-2", "g5.xlarge").warnings[0]
    assert placed("phi-2", "g5.xlarge", provisioning="nodeclaim").warnings == ()


def test_a_template_keeps_its_named_type_as_the_only_candidate() -> None:
    parts = {"resource": {"instanceType": "Standard_X"}, "inference": {"template": {"spec": {}}}}
    template = plan(replace(HERE, provisioning="machine"), **parts)
    assert (template.kind, template.instance_type, template.candidates) == (
        "template",
        "Standard_X",
        ("Standard_X",),
    )
    assert template.timing.provisioning_s == 420


def test_a_group_asks_for_all_gpus_of_its_nodes() -> None:
    group = placed("llama-2-70b", "Standard_NC96ads_A100_v4", count=2, volumeClaim="m")
    assert (group.replicas, group.gpus_per_pod, group.distributed) == (2, 4, True)
    assert group.placement is not None
    assert group.placement.tensor_parallel == 8


def test_a_new_node_takes_its_time_and_moves_no_limit() -> None:
    new, existing = placed("phi-2"), placed("phi-2", provisioning="none")
    assert new.timing.provisioning_s == 420
    assert existing.timing.provisioning_s == 0
    assert new.timing.ready_s == existing.timing.ready_s + 420
    assert new.timing.limit_s == existing.timing.limit_s
    assert placed(SMALL).timing.provisioning_s == 300


def test_a_context_and_more_sequences_choose_a_larger_type() -> None:
    workspace = Workspace.model_validate({"metadata": {}, "inference": {"preset": {"name": "phi-2"}}})
    runtime = replace(HERE, provisioning="machine")
    large = plan_workspace(workspace, CATALOG, runtime, Sizing(sequences=32))
    assert large.memory is not None
    assert large.instance_type != placed("phi-2").instance_type
    assert large.memory.kv_cache_bytes == 32 * 2048 * 327_680


# Disk.


def test_the_disk_holds_every_copy_of_the_weights_and_never_less_than_the_row_asks_for() -> None:
    falcon = plan_of("falcon-7b")
    assert falcon.disk_bytes == 68 * GIB
    assert plan_of("falcon-7b", volumeClaim="m").disk_bytes == 50 * GIB
    assert plan_of(SMALL).disk_bytes > plan_of(SMALL, weightsFrom="hub").disk_bytes
    for name in CATALOG:
        assert plan_of(name, volumeClaim="m").disk_bytes >= CATALOG[name].disk_gib * GIB
        assert plan_of(name).disk_bytes % GIB == 0


def with_context(tokens: int | None, name: str = "smollm2-135m-instruct") -> Plan:
    server = {} if tokens is None else {"contextTokens": tokens}
    raw = {"metadata": {"name": "w"}, "inference": {"preset": {"name": name}, "server": server}}
    return plan_workspace(Workspace.model_validate(raw), CATALOG, HERE)


def test_the_context_that_a_workspace_names_is_planned_for() -> None:
    plain, short = with_context(None).memory, with_context(512).memory
    assert plain is not None
    assert short is not None
    assert plain.kv_cache_bytes == 16 * short.kv_cache_bytes
    assert with_context(512).memory_request_bytes < with_context(None).memory_request_bytes


@pytest.mark.parametrize("tokens", [8192, 10**9])
def test_a_context_beyond_what_the_model_knows_is_not_planned_for(tokens: int) -> None:
    assert with_context(tokens).memory == with_context(None).memory


@pytest.mark.parametrize("tokens", [0, -5])
def test_a_context_that_only_a_stored_object_can_have_is_planned_as_the_least(tokens: int) -> None:
    assert with_context(tokens).memory == with_context(2).memory
