"""No object can stop the operator: whatever a Workspace or a pod holds, there is a Decision."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from presets.catalog import load_catalog
from tests.support.objects import a_pod, a_workspace
from tests.support.world import World

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def mostly(*good: Any) -> st.SearchStrategy[Any]:
    """One of these values, now and then something else entirely."""
    return st.one_of(*(st.just(value) for value in good), *(st.just(value) for value in good), ANYTHING)


def an_object(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=fields) | ANYTHING


OPTIONS = an_object(
    image=mostly("r/i:1"),
    imagePullSecrets=mostly(["s"]),
    volumeClaim=mostly("claim"),
    weightsPath=mostly("/w", ""),
    weightsFrom=mostly("hub", "image", "volumeClaim"),
    modelAccessSecret=mostly("hf"),
    trustRemoteCode=mostly(True),
)
PRESET = an_object(
    name=st.sampled_from(sorted(load_catalog())) | mostly("nope"),
    accessMode=mostly("public", "private"),
    presetOptions=OPTIONS,
)
ADAPTER = an_object(
    source=an_object(name=mostly("a"), image=mostly("r/a:1")), strength=mostly("0.5", "x", "nan")
)
TEMPLATE = an_object(
    metadata=an_object(labels=ANYTHING, annotations=ANYTHING),
    spec=an_object(affinity=ANYTHING, tolerations=ANYTHING, containers=ANYTHING),
)
PAYLOAD = st.fixed_dictionaries(
    {},
    optional={
        "resource": an_object(
            count=mostly(1, 2, 10**9, -1),
            instanceType=mostly("T"),
            labelSelector=an_object(matchLabels=mostly({"a": "b"}), matchExpressions=ANYTHING),
            preferredNodes=mostly(["n"]),
        ),
        "inference": an_object(
            preset=PRESET, template=TEMPLATE, adapters=st.lists(ADAPTER, max_size=3) | ANYTHING
        ),
        "tuning": an_object(preset=PRESET, method=mostly("lora"), input=ANYTHING, output=ANYTHING),
        "status": an_object(
            phase=mostly("Ready"), conditions=ANYTHING, blockedOn=ANYTHING, timeline=ANYTHING, plan=ANYTHING
        ),
    },
)
CONTAINERS: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.just("c"),
            "state": st.sampled_from(
                [
                    {},
                    None,
                    {"running": {"startedAt": "2026-01-02T03:04:00Z"}},
                    {"running": {}},
                    {"waiting": {"reason": "CrashLoopBackOff"}},
                    {"waiting": {}},
                    {"terminated": {"exitCode": 1, "message": "\n"}},
                ]
            ),
            "lastState": st.sampled_from(
                [{}, None, {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}]
            ),
            "ready": st.booleans(),
        },
    ),
    max_size=2,
)


@settings(max_examples=300, deadline=None)
@given(payload=PAYLOAD)
def test_any_workspace_gets_a_decision_and_a_status_that_says_why(payload: dict[str, Any]) -> None:
    world = World({**a_workspace(), "inference": None, **payload})
    world.step()
    assert world.status["phase"]
    if world.status["phase"] != "Ready":
        blocked = world.status["blockedOn"]
        assert blocked["reason"]
        assert blocked["message"]
        assert blocked["nextAction"]


@settings(max_examples=150, deadline=None)
@given(payload=PAYLOAD)
def test_any_workspace_comes_to_rest(payload: dict[str, Any]) -> None:
    world = World({**a_workspace(), "inference": None, **payload})
    world.step()
    world.step()
    again = world.decide()
    assert (again.apply, again.status) == ((), None)


@settings(max_examples=150, deadline=None)
@given(containers=CONTAINERS, init=CONTAINERS, node=st.sampled_from([None, "node-1", "gone"]))
def test_any_pod_gets_a_finding(containers: Any, init: Any, node: str | None) -> None:
    world = World(a_workspace())
    world.step()
    pod = a_pod(node=node, template_hash=world.template_hash)
    pod["status"].update(containerStatuses=containers, initContainerStatuses=init)
    world.pods = [pod]
    world.step()
    assert world.status["blockedOn"]["nextAction"]
