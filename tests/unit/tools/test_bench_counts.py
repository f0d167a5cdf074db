import json
from pathlib import Path

import pytest

from tools.bench.counts import most_per_claim, pool_calls, reads, stretch, writes
from tools.localcluster.audit import Request
from tools.simcloud import Request as CloudRequest

WHO = "system:serviceaccount:kaito-bench:kaito-operator"


def asked(verb: str, resource: str, name: str = "ws-0", status: int = 200, user: str = WHO) -> Request:
    return Request(verb, user, "", resource, "", name, status, "")


def test_only_the_writes_of_the_user_count_without_its_lease_and_with_events_apart() -> None:
    found = writes(
        [
            asked("patch", "deployments"),
            asked("patch", "deployments", "ws-1"),
            asked("get", "deployments"),
            asked("update", "leases", "kaito-operator"),
            asked("create", "events", ""),
            asked("patch", "pods/status", user="kubelet"),
        ],
        WHO,
    )
    assert found.by_kind == {("patch", "deployments"): 2}
    assert (found.total, found.events) == (2, 1)


def test_writes_are_counted_by_object_but_for_creations() -> None:
    found = writes([asked("create", "machines"), *[asked("patch", "workspaces/status")] * 3], WHO)
    assert found.by_object == {("workspaces/status", "ws-0"): 3}
    assert (found.most("workspaces/status"), found.most("machines"), found.of("machines")) == (3, 0, 1)


def test_a_refused_write_is_a_write_and_told_with_its_answer() -> None:
    found = writes([asked("patch", "nodes", status=409), asked("patch", "nodes")], WHO)
    assert (found.total, found.refused) == (2, {("patch", "nodes", 409): 1})


def test_reads_are_gets_and_lists() -> None:
    found = reads([asked("get", "services"), asked("list", "pods"), asked("watch", "pods")], WHO)
    assert found == {("get", "services"): 1, ("list", "pods"): 1}


def test_a_claim_answers_for_the_writes_of_its_node() -> None:
    found = writes(
        [
            asked("patch", "machines", "ws123456789"),
            asked("patch", "machines/status", "ws123456789"),
            asked("patch", "nodes", "aks-ws123456789-51751766-vmss000000"),
            asked("patch", "machines", "ws987654321"),
            asked("patch", "nodes", "somebody-elses"),
        ],
        WHO,
    )
    assert most_per_claim(found) == 3
    assert most_per_claim(writes([], WHO)) == 0


def test_calls_are_counted_by_pool_whatever_their_answer() -> None:
    pools = "/subscriptions/s/providers/Microsoft.ContainerService/managedClusters/c/agentPools"
    calls = [
        CloudRequest(0.0, method, path, status, None)
        for method, path, status in (
            ("PUT", f"{pools}/wsa", 201),
            ("PUT", f"{pools}/wsa", 409),
            ("PUT", f"{pools}/wsb", 201),
            ("GET", f"{pools}/wsa", 200),
            ("GET", pools, 200),
        )
    ]
    assert pool_calls(calls, "PUT") == {"wsa": 2, "wsb": 1}


@pytest.mark.parametrize(("start", "end", "names"), [(0, 1, ["a"]), (1, 3, ["b", "c"]), (3, 3, [])])
def test_a_stretch_of_the_log_is_what_lies_between_two_ends(
    tmp_path: Path, start: int, end: int, names: list[str]
) -> None:
    lines = [
        json.dumps({"verb": "get", "objectRef": {"resource": "pods", "name": name}, "stageTimestamp": ""})
        for name in "abc"
    ]
    log = tmp_path / "audit.jsonl"
    log.write_text("".join(f"{line}\n" for line in lines))
    size = len(lines[0]) + 1
    assert [request.name for request in stretch(log, start * size, end * size)] == names
