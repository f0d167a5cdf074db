"""Many Workspaces at once, on nodes that are API objects: few requests, one machine each, nothing left.

The times have generous bounds here, since a test machine is shared; `make bench-operator` judges them.
"""

import pytest

from tests.support.kube import Obj
from tools.bench.chronicle import percentile
from tools.bench.goals import broken
from tools.bench.options import Options
from tools.bench.result import Result
from tools.bench.run import run
from tools.localcluster import Cluster

COUNTS = [20, pytest.param(100, marks=pytest.mark.full)]


@pytest.fixture(scope="module", params=COUNTS, ids=lambda count: f"{count}-workspaces")
def result(request: pytest.FixtureRequest, testbed: Obj) -> Result:
    """One run, which all tests of this module look at."""
    if testbed["cluster"] != "local":
        pytest.skip("only the local cluster's audit log and certificates are at hand")
    return run(Options(count=request.param, rest_s=5.0), Cluster())


@pytest.mark.timeout(600)
def test_no_write_too_many_and_nothing_left(result: Result) -> None:
    assert [f"{row.name}: {row.value}, not {row.goal}" for row in broken(result)] == []


@pytest.mark.timeout(600)
def test_every_workspace_gets_its_workload_its_claim_and_an_answer(result: Result) -> None:
    assert len(result.to_workload) == len(result.to_ready) == result.claims == result.count


@pytest.mark.timeout(600)
def test_the_workload_does_not_wait_for_the_node(result: Result) -> None:
    assert percentile(result.to_workload, 0.99) < 10 + 0.1 * result.count


@pytest.mark.timeout(600)
def test_all_are_ready_and_gone_in_time(result: Result) -> None:
    assert percentile(result.to_ready, 0.99) < 20 + 0.3 * result.count
    assert result.gone_s < 30 + 0.5 * result.count
