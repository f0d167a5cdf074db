"""The end of a Workspace."""

import pytest

from kaito_operator.api.labels import ANNOTATION_ABANDON_CLAIMS, FINALIZER
from kaito_operator.reconcile.observed import Refusal
from tests.support.objects import Obj, a_claim
from tests.support.world import World, with_nodes_added


def leaving(*, count: int = 1, annotations: Obj | None = None) -> World:
    """A world whose claims are made and whose Workspace is being deleted."""
    world = with_nodes_added(count=count)
    world.settle()
    world.edit(
        lambda w: w["metadata"].update(
            deletionTimestamp="2026-01-02T03:05:00Z", annotations=annotations or {}
        )
    )
    return world


def finalizers(world: World) -> list[str]:
    return list(world.workspace["metadata"].get("finalizers", ()))


def test_the_finalizer_comes_with_the_first_claim_and_before_it() -> None:
    world = with_nodes_added()
    world.step(writes=1)
    assert (finalizers(world), world.claims) == ([FINALIZER], [])


def test_a_workspace_without_claims_gets_no_finalizer() -> None:
    world = World(with_nodes_added().workspace)
    world.step()
    assert finalizers(world) == []


def test_a_claim_that_is_found_brings_the_finalizer() -> None:
    world = with_nodes_added()
    world.claims = [a_claim()]
    world.step(writes=1)
    assert finalizers(world) == [FINALIZER]


def test_the_finalizers_of_others_stay() -> None:
    world = with_nodes_added(metadata={"finalizers": ["example.com/theirs"]})
    world.settle()
    assert finalizers(world) == ["example.com/theirs", FINALIZER]
    world.edit(lambda w: w["metadata"].update(deletionTimestamp="2026-01-02T03:05:00Z"))
    world.settle()
    assert finalizers(world) == ["example.com/theirs"]


def test_claims_are_marked_first_and_then_the_workspace_may_go_before_they_are_gone() -> None:
    world = leaving(count=2)
    step = world.step()
    assert (len(step.delete), step.finalizers) == (2, None)
    world.settle()
    assert (finalizers(world), world.names, len(world.claims)) == ([], [], 2)


def test_nothing_is_created_or_applied_any_more() -> None:
    world = leaving()
    world.children.clear()
    world.claims.clear()
    step = world.step()
    assert (step.create, step.apply, step.finalizers) == ((), (), ())


def test_a_deletion_that_is_killed_half_way_goes_on() -> None:
    world = leaving(count=3)
    world.step(writes=1)
    world.restart()
    assert len(world.names) == 2
    world.settle()
    assert (finalizers(world), world.names) == ([], [])


@pytest.mark.parametrize("kinds", [["Machine", "NodeClaim"]])
def test_claims_of_both_kinds_are_marked(kinds: list[str]) -> None:
    world = leaving()
    world.claims = [a_claim(f"c-{kind}", kind=kind) for kind in kinds]
    assert [ref.kind for ref in world.step().delete] == kinds


def test_a_claim_is_deleted_by_its_uid() -> None:
    world = leaving()
    assert [ref.uid for ref in world.step().delete] == [world.claims[0]["metadata"]["uid"]]


def test_a_refused_deletion_is_told_and_tried_again_and_never_in_a_loop() -> None:
    world = leaving()
    world.refusals["delete"] = Refusal("Machine", "x", "forbidden by rbac", "uid", world.now)
    world.step(writes=1)  # the status
    assert (world.status["phase"], world.blocked_on) == ("Deleting", "ClaimsRemoved")
    assert "forbidden by rbac" in world.status["blockedOn"]["message"]
    assert "abandon-claims" in world.status["blockedOn"]["nextAction"]
    assert world.condition("WorkspaceDeleting") == ("True", "workspaceDeleted")
    again = world.decide()
    assert (again.status, len(again.delete), again.retry_after_s) == (None, 1, 5)


def test_abandoned_claims_are_let_go_and_named() -> None:
    world = leaving(annotations={ANNOTATION_ABANDON_CLAIMS: "true"})
    step = world.step()
    assert (step.delete, finalizers(world)) == ((), [])
    (event,) = step.events
    assert (event.type, event.reason) == ("Warning", "ClaimsAbandoned")
    assert world.names[0] in event.message
    assert world.decide().events == (), "told once"


def test_a_claim_that_comes_to_light_while_others_hold_the_workspace_goes_too() -> None:
    world = leaving()
    world.edit(lambda w: w["metadata"].update(finalizers=["example.com/theirs"]))
    world.settle()
    assert world.names == []


def test_an_unreadable_status_holds_nothing_up() -> None:
    world = leaving()
    world.edit(lambda w: w.update(status={"conditions": 5}))
    world.refusals["delete"] = Refusal("Machine", "x", "forbidden", "uid", world.now)
    world.step()
    world.refusals.clear()
    world.settle()
    assert finalizers(world) == []
