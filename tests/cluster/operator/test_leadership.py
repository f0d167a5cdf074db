"""Two replicas: both watch, one writes; a dead or sleeping leader is replaced and never writes again."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.operator.test_children import a_workspace
from tests.support.kube import Api, Obj, eventually
from tests.support.operator import OperatorProcess
from tests.support.proxy import WriteProxy

TAKE_OVER_S = 20.0


class Pair:
    """Two replicas, each behind a proxy that sees what it writes."""

    def __init__(self, kubeconfig: Path, lease_namespace: str, testbed: Obj, folder: Path) -> None:
        self.proxies: list[WriteProxy] = []
        self.replicas: list[OperatorProcess] = []
        for name in ("first", "second"):
            (folder / name).mkdir()
            proxy = WriteProxy(kubeconfig, folder / name)
            proxy.__enter__()
            self.proxies.append(proxy)
            self.replicas.append(
                OperatorProcess(
                    proxy.kubeconfig,
                    folder / name / "operator.log",
                    lease_namespace,
                    KAITO_RUNTIME_IMAGE=testbed["images"]["inference-cpu"],
                    KAITO_PROJECT_REGISTRY=testbed["registry"],
                )
            )

    def close(self) -> None:
        for replica, proxy in zip(self.replicas, self.proxies, strict=True):
            replica.kill()
            proxy.__exit__(None, None, None)


@pytest.fixture
def pair(kubeconfig: Path, lease_namespace: str, testbed: Obj, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(kubeconfig, lease_namespace, testbed, tmp_path)
    yield pair
    pair.close()


def served(api: Api, namespace: str, name: str) -> bool:
    return api.find("services", namespace, name) is not None


@pytest.mark.timeout(120)
def test_a_killed_leader_is_replaced(api: Api, namespace: str, pair: Pair) -> None:
    first, second = pair.replicas
    first.start()
    second.start(wait=False)
    api.create("workspaces", namespace, a_workspace("one"))
    eventually(lambda: served(api, namespace, "one"), timeout_s=5)
    first.kill()
    api.create("workspaces", namespace, a_workspace("two"))
    eventually(lambda: served(api, namespace, "two"), timeout_s=TAKE_OVER_S, what=second.words)
    assert [w for w in pair.proxies[1].writes if w.status == 409] == []


@pytest.mark.timeout(120)
def test_a_leader_that_slept_writes_nothing_when_it_wakes(api: Api, namespace: str, pair: Pair) -> None:
    first, second = pair.replicas
    first.start()
    second.start(wait=False)
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    api.create("workspaces", namespace, a_workspace("one"))
    eventually(lambda: served(api, namespace, "one"), timeout_s=TAKE_OVER_S, what=second.words)
    before = len(pair.proxies[0].writes)
    first.process.send_signal(signal.SIGCONT)
    api.merge("workspaces", namespace, "one", {"resource": {"count": 2}})
    eventually(lambda: api.get("deployments", namespace, "one")["spec"]["replicas"] == 2, timeout_s=5)
    assert first.process.wait(timeout=20) == 1  # it lost the Lease, and a fresh process starts over
    assert pair.proxies[0].writes[before:] == []


@pytest.mark.timeout(120)
def test_a_stopped_leader_hands_over_within_seconds(api: Api, namespace: str, pair: Pair) -> None:
    first, second = pair.replicas
    first.start()
    second.start(wait=False)
    time.sleep(3)  # the second has to be waiting for the Lease, not still starting
    began = time.monotonic()
    assert first.stop() == 0
    eventually(second.leads, timeout_s=TAKE_OVER_S)
    assert time.monotonic() - began < 8
    api.create("workspaces", namespace, a_workspace("one"))
    eventually(lambda: served(api, namespace, "one"), timeout_s=5)
