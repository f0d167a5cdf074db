"""Whatever happens to claims, nodes, pods, and to the operator itself: what always holds."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kaito_operator.api.labels import FINALIZER, LABEL_INSTANCE_TYPE
from kaito_operator.manifests.claims import claim_name
from kaito_operator.reconcile import nodes, pods
from kaito_operator.reconcile.claim import read_claim
from tests.support.claims import OWNER
from tests.support.objects import LAUNCHED, REGISTERED, Obj, a_claim, a_node, a_pod
from tests.support.world import GPU_TYPE, UNKNOWN_KIND, with_nodes_added

FIRST_NAMES = {claim_name(OWNER, ordinal, 0) for ordinal in range(8)}
ORDINALS = {claim_name(OWNER, o, a): o for o in range(8) for a in range(60)}
FINAL = ("AzureNoCapacity", "AzureQuotaExceeded", "PoolFailed", "LaunchTimeout", "NodeNeverJoined")
PICK = st.integers(0, 7)


class Life(RuleBasedStateMachine):
    """One Workspace, and everything around it at random."""

    @initialize(
        kind=st.sampled_from(["Machine", "NodeClaim"]),
        instance_type=st.sampled_from([GPU_TYPE, None]),
        existing=st.integers(0, 2),
        old=st.integers(0, 2),
        count=st.integers(1, 3),
    )
    def begin(self, kind: str, instance_type: str | None, existing: int, old: int, count: int) -> None:
        labels = {"apps": "x", LABEL_INSTANCE_TYPE: instance_type or GPU_TYPE}
        offered = {"nvidia.com/gpu": "1"}
        nodes = [a_node(f"there-{n}", labels=labels, allocatable=offered) for n in range(existing)]
        mine = {"apps": "x"} if existing else {}
        self.world = with_nodes_added(
            count=count, kind=kind, instance_type=instance_type, labels=mine, nodes=nodes
        )
        self.world.claims = [a_claim(f"wsold{n}", kind=kind, instance_type=GPU_TYPE) for n in range(old)]
        self.existing = existing
        self.deleting = False

    def _some(self, things: list[Obj], pick: int) -> Obj | None:
        return things[pick % len(things)] if things else None

    @property
    def count(self) -> int:
        return int(self.world.workspace["resource"]["count"])

    def _stepped(self, writes: int | None = None) -> None:
        """One step of the operator, and what must hold of each."""
        world = self.world
        stored = {r["name"] for r in world.status.get("claims", ())}
        decision = world.decide()
        made = [obj["metadata"]["name"] for obj in decision.create]
        assert len(made) == len(set(made))
        for name in made:
            assert name in stored or name in FIRST_NAMES, "an attempt is stored before its claim is made"
        if made:
            assert len(world.claims) + len(made) <= self.count + 1
        if decision.create and not self.deleting:
            finalizers = decision.finalizers or tuple(world.workspace["metadata"].get("finalizers", ()))
            assert FINALIZER in finalizers
        for ref in decision.delete:
            assert self.deleting or not self._is_needed(ref.name)
        assert decision.retry_after_s is None or decision.retry_after_s >= 0
        world.step(writes)

    def _is_needed(self, name: str) -> bool:
        """True for a ready claim whose ready node has a pod, where there are no more nodes than wanted."""
        claim = self.world.claim(name)
        node = claim["status"].get("nodeName") if read_claim(claim).ready else None
        ready = {n["metadata"]["name"] for n in self.world.nodes if nodes.is_ready(n)}
        placed = [pods.node_of(p) for p in self.world.pods if pods.is_staying(p) and pods.node_of(p)]
        elsewhere = sum(place.startswith("there-") for place in placed)
        return node in ready and node in placed and len(self.world.names) + elsewhere <= self.count

    @rule()
    def looks(self) -> None:
        self._stepped()

    @rule(writes=st.integers(0, 8))
    def is_killed(self, writes: int) -> None:
        self._stepped(writes)
        self.world.restart()

    @rule()
    def comes_to_rest(self) -> None:
        self.world.settle()
        active = [ORDINALS[n] for n in self.world.names if n in ORDINALS]
        assert len(active) == len(set(active)), "one claim stands for one ordinal"
        if self.deleting:
            assert self.world.names == []
            assert FINALIZER not in self.world.workspace["metadata"].get("finalizers", ())
            return
        records = self.world.status["claims"]
        assert set(self.world.names) <= {r["name"] for r in records}, "every claim is accounted for"
        assert sum(r.get("reason") == "NodeReplacing" for r in records) <= 1
        if not self.existing and len(self.world.pods) <= self.count:
            assert len(records) == self.count

    @rule(
        pick=PICK,
        reached=st.sampled_from([0, LAUNCHED, REGISTERED]),
        reason=st.sampled_from(["", "AzureThrottled"]),
    )
    def gets_on(self, pick: int, reached: int, reason: str) -> None:
        if claim := self._some(self.world.claims, pick):
            self.world.say(claim["metadata"]["name"], reached, reason=reason)

    @rule(pick=PICK, reached=st.sampled_from([0, LAUNCHED]), reason=st.sampled_from(FINAL))
    def fails(self, pick: int, reached: int, reason: str) -> None:
        if claim := self._some(self.world.claims, pick):
            self.world.say(claim["metadata"]["name"], reached, reason=reason, final=True)

    @rule(pick=PICK, gpus=st.sampled_from([0, 1]))
    def joins(self, pick: int, gpus: int) -> None:
        if claim := self._some(self.world.claims, pick):
            self.world.join(claim["metadata"]["name"], gpus=gpus)

    @rule(pick=PICK)
    def is_deleted(self, pick: int) -> None:
        if claim := self._some(self.world.claims, pick):
            self.world.delete(claim["metadata"]["name"])

    @rule(pick=PICK)
    def is_gone(self, pick: int) -> None:
        if claim := self._some(self.world.claims, pick):
            self.world.gone(claim["metadata"]["name"])

    @rule(pick=PICK)
    def node_is_lost(self, pick: int) -> None:
        if node := self._some(self.world.nodes, pick):
            self.world.lose(node["metadata"]["name"])

    @rule(pick=PICK)
    def node_goes(self, pick: int) -> None:
        if node := self._some(self.world.nodes, pick):
            self.world.nodes = [n for n in self.world.nodes if n is not node]

    @rule(pick=PICK, place=PICK, ready=st.booleans())
    def pod_is_placed(self, pick: int, place: int, ready: bool) -> None:
        node = self._some(self.world.nodes, place)
        self._put(pick, node=node["metadata"]["name"] if node else None, ready=ready and node is not None)

    @rule(pick=PICK)
    def pod_finds_no_room(self, pick: int) -> None:
        since = self.world.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        self._put(pick, node=None, scheduled={"reason": "Unschedulable", "lastTransitionTime": since})

    def _put(self, pick: int, **pod: Any) -> None:
        name = f"ws-{pick % 3}"
        others = [p for p in self.world.pods if p["metadata"]["name"] != name]
        if "Deployment" in self.world.children:
            self.world.pods = [*others, a_pod(name, template_hash=self.world.template_hash, **pod)]

    @rule(pick=PICK, at_once=st.booleans())
    def pod_goes(self, pick: int, at_once: bool) -> None:
        if pod := self._some(self.world.pods, pick):
            if at_once:
                self.world.pods = [p for p in self.world.pods if p is not pod]
            else:
                self.world.delete(pod["metadata"]["name"])

    @precondition(lambda self: not self.deleting)
    @rule(count=st.integers(1, 3))
    def is_scaled(self, count: int) -> None:
        self.world.edit(lambda w: w["resource"].update(count=count))

    @rule(seconds=st.sampled_from([1, 16, 61, 700, 5000]))
    def time_passes(self, seconds: int) -> None:
        self.world.later(seconds)

    @rule(answer=st.sampled_from(["", "quota of machines", UNKNOWN_KIND]))
    def is_refused(self, answer: str) -> None:
        self.world.refusing = answer

    @rule(many=st.booleans())
    def many_are_lost(self, many: bool) -> None:
        self.world.many_nodes_lost = many

    @rule()
    def is_removed(self) -> None:
        self.world.edit(lambda w: w["metadata"].update(deletionTimestamp="2026-01-02T04:00:00Z"))
        self.deleting = True


class LongLife(Life):
    """The same for as long as it takes to find what is rare."""


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLongLife = pytest.mark.full(LongLife.TestCase)
TestLongLife.settings = settings(max_examples=600, stateful_step_count=50, deadline=None)
