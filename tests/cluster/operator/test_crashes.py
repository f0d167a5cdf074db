"""kill -9 after any single write, start again: the same final state, no duplicate, nothing lost."""

from pathlib import Path
from typing import Any

import pytest

from tests.cluster.operator.test_children import a_workspace
from tests.support.kube import Api, Obj, eventually
from tests.support.operator import OperatorProcess
from tests.support.proxy import WriteProxy

# ConfigMap, Deployment, Service, status "Scheduling", status "NoMatchingNode"; Events come on top.
PATCHES_TO_REST = 5
CHILDREN = ("configmaps", "deployments", "services")


def final_state(api: Api, namespace: str) -> Obj | None:
    """What remains when all is said, without times and identities; None before that."""
    workspace = api.find("workspaces", namespace, "ws") or {}
    status = workspace.get("status", {})
    if status.get("blockedOn", {}).get("reason") != "NoMatchingNode":
        return None
    ours = "kaito.sh/workspace=ws"  # every namespace has a ConfigMap of the cluster's own
    children = {plural: api.list(plural, namespace, labelSelector=ours) for plural in CHILDREN}
    if any(not found for found in children.values()):
        return None
    return {
        "phase": status["phase"],
        "reasons": [(c["type"], c["status"], c["reason"]) for c in status["conditions"]],
        **{plural: [_essence(child) for child in found] for plural, found in children.items()},
    }


def _essence(child: Obj) -> Any:
    spec = {k: v for k, v in child.get("spec", {}).items() if k not in ("clusterIP", "clusterIPs")}
    return child["metadata"]["name"], child["metadata"]["labels"], spec, child.get("data")


def operator_behind(proxy: WriteProxy, log: Path, lease_namespace: str, testbed: Obj) -> OperatorProcess:
    return OperatorProcess(
        proxy.kubeconfig,
        log,
        lease_namespace,
        KAITO_RUNTIME_IMAGE=testbed["images"]["inference-cpu"],
        KAITO_PROJECT_REGISTRY=testbed["registry"],
    )


@pytest.mark.timeout(300)
def test_a_kill_after_any_write_changes_nothing_in_the_end(
    api: Api, kubeconfig: Path, namespace: str, lease_namespace: str, testbed: Obj, tmp_path: Path
) -> None:
    expected: Obj | None = None
    with WriteProxy(kubeconfig, tmp_path) as proxy:
        operator = operator_behind(proxy, tmp_path / "operator.log", lease_namespace, testbed)
        kill_after = 0  # the first round is the one without a kill
        while True:
            proxy.writes.clear()
            struck = _arm(proxy, operator, kill_after)
            operator.start()
            api.create("workspaces", namespace, a_workspace())
            if kill_after:
                _await_strike_or_rest(api, namespace, struck, operator)
                if struck:
                    operator.kill()
                    operator.start()
            state = eventually(lambda: final_state(api, namespace), timeout_s=30, what=operator.words)
            expected = expected or state
            assert state == expected, f"killed after write {kill_after}: {proxy.writes}"
            assert all(write.status < 400 or _is_event(write.path) for write in proxy.writes), proxy.writes
            assert operator.stop() == 0
            _remove(api, namespace)
            if kill_after and not struck:
                break  # there were fewer writes than that: every one has had its kill
            kill_after += 1
    assert kill_after > PATCHES_TO_REST, "the proxy saw fewer writes than a Workspace needs"
    assert "Traceback" not in operator.words()


def _await_strike_or_rest(api: Api, namespace: str, struck: list[int], operator: OperatorProcess) -> None:
    eventually(lambda: bool(struck or final_state(api, namespace)), timeout_s=20, what=operator.words)


def _is_event(path: str) -> bool:
    """An Event that is posted again after a crash exists already, and is counted up."""
    return "/events" in path


def _arm(proxy: WriteProxy, operator: OperatorProcess, kill_after: int) -> list[int]:
    struck: list[int] = []

    def strike(count: int) -> None:
        if count == kill_after and operator.process is not None:
            operator.process.kill()
            struck.append(count)

    proxy.after_write = strike
    return struck


def _remove(api: Api, namespace: str) -> None:
    api.delete("workspaces", namespace, "ws")
    names = {"workspaces": "ws", "deployments": "ws", "services": "ws", "configmaps": "ws-adapters"}
    eventually(
        lambda: not any(api.find(plural, namespace, name) for plural, name in names.items()), timeout_s=30
    )
