"""The operator as people install it: two replicas from its image, its own account, a restricted namespace."""

from collections.abc import Iterator

import pytest

from tests.support.kube import Api, Obj
from tools.install import Images, install, uninstall
from tools.kubectl import Kubectl


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
