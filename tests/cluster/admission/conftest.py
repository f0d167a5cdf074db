"""The API server that the admission tables are sent to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from tests.cluster.admission.server import Server


@pytest.fixture(scope="session")
def admission_api() -> Iterator[Server]:
    """The server of KAITO_TEST_KUBECONFIG, or else of the local cluster."""
    path = Path(os.environ.get("KAITO_TEST_KUBECONFIG", ".local/kubeconfig"))
    if not path.exists():
        pytest.fail(
            f"{path} does not exist: run `python -m tools.localcluster up`, "
            "or name a cluster's kubeconfig in KAITO_TEST_KUBECONFIG"
        )
    settings = client.Configuration()
    config.load_kube_config(config_file=str(path), client_configuration=settings)
    with client.ApiClient(settings) as api:
        yield Server(api)
