"""The API server that the admission tables are sent to."""

import os
from collections.abc import Iterator

import pytest
from kubernetes import client, config

from tests.cluster.admission.server import Server


@pytest.fixture(scope="session")
def admission_api(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server of KAITO_TEST_KUBECONFIG, else of the testbed; an API server and etcd alone will do."""
    path = os.environ.get("KAITO_TEST_KUBECONFIG") or str(request.getfixturevalue("kubeconfig"))
    settings = client.Configuration()
    config.load_kube_config(config_file=path, client_configuration=settings)
    with client.ApiClient(settings) as api:
        yield Server(api)
