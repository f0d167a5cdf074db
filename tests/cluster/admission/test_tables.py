"""What the API server admits with our CRD, and the words with which it refuses the rest."""

from collections.abc import Iterator

import pytest
import yaml

from kaito_operator.api.crd import CRD_FILE
from tests.cluster.admission.rows import Row, create_rows, update_rows
from tests.cluster.admission.server import (
    CRDS,
    Answer,
    Server,
    Workspaces,
    in_group,
    install,
    own_group,
    uninstall,
)

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def workspaces(admission_api: Server) -> Iterator[Workspaces]:
    group = own_group("admission")
    crd = in_group(yaml.safe_load(CRD_FILE.read_text(encoding="utf-8")), group)
    install(admission_api, crd)
    yield Workspaces(admission_api, group)
    uninstall(admission_api, crd["metadata"]["name"])


@pytest.mark.parametrize("row", create_rows(), ids=lambda row: row.name)
def test_create(workspaces: Workspaces, row: Row) -> None:
    answer = workspaces.server.ask("POST", workspaces.path(), workspaces.typed(row.manifest))
    assert_answer(answer, row)


@pytest.mark.parametrize("row", update_rows(), ids=lambda row: row.name)
def test_update(workspaces: Workspaces, row: Row) -> None:
    workspaces.server.must("POST", workspaces.path(), workspaces.typed(row.manifest))
    path = workspaces.path(row.manifest["metadata"]["name"])
    try:
        answer = workspaces.server.ask("PATCH", path, row.change)
    finally:
        workspaces.server.must("DELETE", path)
    assert_answer(answer, row)


def test_the_api_server_takes_the_crd_that_is_checked_in(admission_api: Server) -> None:
    crd = yaml.safe_load(CRD_FILE.read_text(encoding="utf-8"))
    # Under a name that is free whether or not the real one is installed; schema and cost are the same.
    answer = admission_api.ask("POST", CRDS, in_group(crd, "checked-in.kaito.sh"))
    assert answer.code == 201, answer.message


def assert_answer(answer: Answer, row: Row) -> None:
    if row.refused is None:
        assert answer.code < 300, answer.message
    else:
        assert answer.code in (400, 422), f"admitted, or failed for another reason: {answer}"
        assert row.refused in answer.message
