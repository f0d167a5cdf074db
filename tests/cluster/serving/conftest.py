"""The operator as people install it: two replicas from its image, its own account, a restricted namespace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.operator.test_faults import Told
from tests.cluster.serving.adapters import make_adapters
from tests.support.kube import Api, Obj
from tests.support.operator import OperatorProcess
from tools.install import Images, install, uninstall
from tools.kubectl import Kubectl
from tools.localcluster.images import Files


@pytest.fixture(scope="package")
def installed(api: Api, kubectl: Kubectl, testbed: Obj) -> Iterator[Api]:
    images = Images(testbed["images"]["operator"], testbed["images"]["inference-cpu"], testbed["registry"])
    install(kubectl, images)
    yield api
    logs = kubectl.run(
        "logs", "-n", "kaito-system", "-l", "app.kubernetes.io/name=kaito-operator", "--tail=-1"
    )
    uninstall(kubectl)
    assert "Traceback" not in logs, logs[-3000:]


@pytest.fixture(scope="package")
def adapters(testbed: Obj, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    return make_adapters(Path(testbed["weights_folder"]) / "weights", tmp_path_factory.mktemp("adapters"))


@pytest.fixture
def told(
    request: pytest.FixtureRequest,
    api: Api,
    kubeconfig: Path,
    testbed: Obj,
    namespace: str,
    lease_namespace: str,
    tmp_path: Path,
) -> Iterator[Told]:
    marker = request.node.get_closest_marker("operator_settings")
    more = marker.kwargs if marker else {}
    operator = OperatorProcess(
        kubeconfig,
        tmp_path / "operator.log",
        lease_namespace,
        **{
            "KAITO_RUNTIME_IMAGE": testbed["images"]["inference-cpu"],
            "KAITO_PROJECT_REGISTRY": testbed["registry"],
            **more,
        },
    )
    with operator:
        yield Told(api, namespace, operator)
        api.delete("workspaces", namespace, "ws")
