"""What is told of nodes that are on their way."""

from typing import Any

import pytest

from tests.support.objects import DONE, LAUNCHED, REGISTERED, Obj, a_pod
from tests.support.world import UNKNOWN_KIND, World, with_nodes_added

KINDS = ["Machine", "NodeClaim"]


def asked(count: int = 1, *, kind: str = "Machine", **more: Any) -> World:
    world = with_nodes_added(count=count, kind=kind, **more)
    world.settle()
    return world


def told(world: World, kind: str = "Machine") -> tuple[str, tuple[str, str]]:
    """(reason of the whole, (status, reason) of the condition on the added nodes)."""
    world.settle()
    return world.blocked_on, world.condition(f"{kind}Ready")


PENDING = {"Machine": "CreateMachinePending", "NodeClaim": "CreateNodeClaimPending"}
PROGRESS: list[tuple[str, int, Obj, str]] = [
    ("just made", 0, {}, "NodeLaunching"),
    ("launched", LAUNCHED, {}, "NodeJoining"),
    ("registered", REGISTERED, {"node": "n"}, "NodeJoining"),
    ("a node that we do not see yet", DONE, {"node": "n"}, "NodeJoining"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("reached", "more", "reason"), [r[1:] for r in PROGRESS], ids=[r[0] for r in PROGRESS]
)
def test_progress_is_told_and_the_condition_is_unknown(
    kind: str, reached: int, more: Obj, reason: str
) -> None:
    world = asked(kind=kind)
    world.say(world.names[0], reached, **more)
    assert told(world, kind) == (reason, ("Unknown", PENDING[kind]))
    assert world.condition("ResourceReady") == ("False", reason)


TROUBLE = [
    "AzureThrottled",
    "AzureUnavailable",
    "AzureAuthFailed",
    "AzureClusterNotFound",
    "PoolLimitReached",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reason", TROUBLE)
def test_what_the_provisioner_complains_of_is_told_in_its_words(kind: str, reason: str) -> None:
    world = asked(kind=kind)
    world.say(world.names[0], 0, reason=reason, message="the very words")
    assert told(world, kind) == (reason, ("False", reason))
    assert world.status["phase"] == "Blocked"
    assert "the very words" in world.status["blockedOn"]["message"]
    assert world.status["blockedOn"]["nextAction"]
    assert "the very words" in str(world.status["conditions"])


@pytest.mark.parametrize("reason", ["PoolCreating", "OperationInProgress", "SomethingOfKarpenter"])
def test_a_provisioner_that_is_at_work_is_no_trouble(reason: str) -> None:
    world = asked()
    world.say(world.names[0], 0, reason=reason, message="m")
    assert told(world)[0] == "NodeLaunching"


def test_a_failure_is_told_until_the_next_machine_runs() -> None:
    world = asked()
    world.say(world.names[0], 0, reason="AzureQuotaExceeded", message="0 of 6", final=True)
    assert told(world) == ("AzureQuotaExceeded", ("False", "AzureQuotaExceeded"))
    world.later(60)
    assert told(world)[0] == "AzureQuotaExceeded"
    (again,) = world.names
    world.say(again, LAUNCHED)
    assert told(world)[0] == "NodeJoining"


def test_joined_nodes_make_the_condition_true_in_the_words_of_v0_3_0() -> None:
    world = asked()
    world.join(world.names[0], gpus=1)
    assert told(world) == ("PodScheduling", ("True", "installNodePluginsSuccess"))


def test_a_ready_workspace_has_all_conditions_true() -> None:
    world = asked()
    node = world.join(world.names[0], gpus=1)
    world.pods = [a_pod(node=node, ready=True, template_hash=world.template_hash)]
    world.settle()
    kinds = ("MachineReady", "ResourceReady", "InferenceReady", "WorkspaceReady")
    assert [world.condition(kind)[0] for kind in kinds] == ["True"] * 4
    assert world.status["workerNodes"] == [node]


def test_gpus_are_waited_for_a_while_and_then_told_missing() -> None:
    world = asked()
    world.join(world.names[0], gpus=0)
    assert told(world)[0] == "NodeJoining"
    assert world.decide().retry_after_s == 60
    world.later(60)
    assert told(world) == ("GpuNotRegistered", ("False", "GpuNotRegistered"))
    assert "0 of 1" in world.status["blockedOn"]["message"]
    world.join(world.names[0], gpus=1)
    assert told(world)[0] == "PodScheduling"


def test_a_provisioner_that_is_silent_is_told_after_a_minute() -> None:
    world = asked()
    assert told(world)[0] == "NodeLaunching"
    assert world.decide().retry_after_s == 60
    world.later(60)
    assert told(world) == ("ProvisionerSilent", ("False", "ProvisionerSilent"))
    world.say(world.names[0], 0, reason="PoolCreating")
    assert told(world)[0] == "NodeLaunching"


@pytest.mark.parametrize(
    ("answer", "reason"), [(UNKNOWN_KIND, "ProvisionerMissing"), ("no more than 3 machines", "ClaimRefused")]
)
def test_a_claim_that_cannot_be_made_is_told_and_its_success_too(answer: str, reason: str) -> None:
    world = with_nodes_added()
    world.refusing = answer
    world.step()
    assert told(world) == (reason, ("False", reason))
    world.later(30)
    assert world.step().status is None, "a try is no news"
    world.refusing = ""
    world.later(30)
    world.step()
    assert told(world)[0] == "NodeLaunching"


def test_a_lost_node_is_told_and_its_replacement() -> None:
    world = asked()
    node = world.join(world.names[0], gpus=1)
    world.settle()
    world.lose(node)
    assert told(world) == ("NodeNotReady", ("False", "NodeNotReady"))
    world.later(600)
    assert told(world)[0] == "NodeReplacing"


def test_of_several_claims_the_one_in_trouble_is_told() -> None:
    world = asked(3)
    world.say(world.names[1], 0, reason="AzureThrottled", message="m")
    assert told(world) == ("AzureThrottled", ("False", "AzureThrottled"))


def test_the_condition_counts_the_nodes_that_are_missing() -> None:
    world = asked(3)
    world.join(world.names[0], gpus=1)
    world.settle()
    (condition,) = [c for c in world.status["conditions"] if c["type"] == "MachineReady"]
    assert condition["message"] == "creating 2 machines"


@pytest.mark.parametrize("seconds", [1, 30, 59])
def test_time_alone_tells_nothing_new(seconds: int) -> None:
    world = asked(2)
    world.later(seconds)
    assert world.settle() == 0


def test_a_pod_without_a_node_is_no_news_while_its_node_is_on_its_way() -> None:
    world = asked()
    scheduled = {
        "reason": "Unschedulable",
        "message": "0/3 nodes",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    world.pods = [a_pod(node=None, template_hash=world.template_hash, scheduled=scheduled)]
    assert told(world)[0] == "NodeLaunching"
