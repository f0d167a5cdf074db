"""Requests made from our own /openapi.json: what it describes is what the server does.

Bounded: a few dozen requests for each route. A schema cannot say all rules (a message of role tool needs an
id, a model has to be served): a body that fits it may be refused too, but only with a status that it lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.component.inference_server.process import ServerProcess

pytestmark = pytest.mark.component
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
BOUNDED = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("schemathesis")
    started = ServerProcess(
        *("--engine", "echo", "--workspace-name", "shop", "--adapters", str(folder / "none")),
        log=folder / "termination-log",
    )
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def described(server: ServerProcess) -> schemathesis.schemas.BaseSchema:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


ROUTES = [
    ("/", "GET"),
    ("/healthz", "GET"),
    ("/livez", "GET"),
    ("/metrics", "GET"),
    ("/adapters", "GET"),
    ("/chat", "POST"),
    ("/v1/models", "GET"),
    ("/v1/models/{model}", "GET"),
    ("/v1/chat/completions", "POST"),
    ("/v1/completions", "POST"),
]


# The library's own pytest plugin does not know this pytest; its generators and checks are all that is needed.
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_a_route_does_what_its_description_says(
    described: schemathesis.schemas.BaseSchema, path: str, method: str, mode: GenerationMode
) -> None:
    operation = described[path][method]
    if mode is GenerationMode.NEGATIVE and not operation.body:
        return  # nothing in it could be wrong: any text may be a model's name

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case[Any]) -> None:
        response = case.call(timeout=60)
        case.validate_response(response, checks=CHECKS)

    check()


def test_every_route_that_is_described_is_tried(described: schemathesis.schemas.BaseSchema) -> None:
    paths = described.raw_schema["paths"]
    assert {(path, method.upper()) for path in paths for method in paths[path]} == set(ROUTES)


def test_what_is_a_400_is_not_described_as_a_422(described: schemathesis.schemas.BaseSchema) -> None:
    for path, operations in described.raw_schema["paths"].items():
        for operation in operations.values():
            assert not path.startswith("/v1/") or "422" not in operation["responses"]
