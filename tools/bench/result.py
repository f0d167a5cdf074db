"""What one run found."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tools.bench.chronicle import percentile
from tools.bench.counts import Writes
from tools.bench.usage import Usage


@dataclass(frozen=True)
class Machine:
    """Where and when a run was.

    Attributes:
        cores: of the machine, which everything shares.
        memory_gib: of the machine.
        kubernetes: version of the API server.
        python: version that runs our programs.
        day: ISO 8601.
    """

    cores: int
    memory_gib: int
    kubernetes: str
    python: str
    day: str


@dataclass(frozen=True)
class ProgramFigures:
    """One of our programs.

    Attributes:
        to_ready: its writes from the first creation until all were ready and calm.
        at_rest: its writes while nothing happened.
        to_gone: its writes from the first deletion until everything was gone.
        reads: GETs and LISTs of the whole run by (verb, resource).
        cpu_to_ready_s: CPU seconds from the first creation until all were ready.
        usage: at the end.
        tracebacks: in its log.
    """

    to_ready: Writes
    at_rest: Writes
    to_gone: Writes
    reads: Mapping[tuple[str, str], int]
    cpu_to_ready_s: float
    usage: Usage
    tracebacks: int

    @property
    def refused(self) -> dict[tuple[str, str, int], int]:
        """Writes of the whole run that were answered with an error, by (verb, resource, status)."""
        stretches = (self.to_ready, self.at_rest, self.to_gone)
        return dict(sum((Counter(stretch.refused) for stretch in stretches), Counter()))


@dataclass(frozen=True)
class Result:
    """One run.

    Attributes:
        count: Workspaces.
        to_workload: seconds from each one's creation to its Deployment.
        to_ready: seconds from each one's creation to its condition WorkspaceReady.
        create_s: seconds in which all were created.
        gone_s: seconds from the first deletion until no Workspace and no claim was left.
        phases: changes of phase that the Workspaces' status told of, in all, until all were ready.
        steps: the same for changes of phase, of what is waited for, or of a condition.
        services: that the Workspaces had.
        claims: that there were.
        most_writes_per_claim: of the provisioner, its node's included, from creation to gone.
        puts: calls that create a pool, by pool.
        deletes: calls that delete a pool, by pool.
        left: what was still there after the deletion.
        cluster_cpu_s: CPU seconds of each other process from the first creation until all were ready.
    """

    count: int
    machine: Machine
    to_workload: tuple[float, ...]
    to_ready: tuple[float, ...]
    create_s: float
    gone_s: float
    phases: int
    steps: int
    services: int
    claims: int
    operator: ProgramFigures
    provisioner: ProgramFigures
    most_writes_per_claim: int
    puts: Mapping[str, int]
    deletes: Mapping[str, int]
    left: tuple[str, ...]
    cluster_cpu_s: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON would hold it, with percentiles in place of the single times."""
        found: dict[str, Any] = _plain(asdict(self))
        for name in ("to_workload", "to_ready"):
            found[name] = {f"p{share}": percentile(found[name], share / 100) for share in (50, 90, 99)}
        return found


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON of any depth
    if isinstance(value, Mapping):
        names = ("/".join(map(str, key)) if isinstance(key, tuple) else str(key) for key in value)
        return dict(zip(names, map(_plain, value.values()), strict=True))
    if isinstance(value, float):
        return round(value, 3)
    return value
