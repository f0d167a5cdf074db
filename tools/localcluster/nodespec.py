"""What a node of the local cluster is: its name, labels, taints and pretended GPUs."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from tools.localcluster.errors import ClusterError

NAME_PATTERN = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
INSTANCE_TYPE_LABEL = "node.kubernetes.io/instance-type"
GPU_RESOURCE = "nvidia.com/gpu"
# A kubelet refuses to start with other labels below kubernetes.io or k8s.io; an administrator may set them.
KUBELET_LABEL_PREFIXES = ("node.kubernetes.io/", "kubelet.kubernetes.io/")
KUBELET_LABELS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
RESERVED_DOMAIN = re.compile(r"(.*\.)?(kubernetes|k8s)\.io")


@dataclass(frozen=True)
class Taint:
    """A node taint; the effect is one of NoSchedule, PreferNoSchedule, NoExecute."""

    key: str
    value: str
    effect: str

    def manifest(self) -> dict[str, str]:
        """Write it as Kubernetes does."""
        return asdict(self)


def parse_labels(text: str) -> dict[str, str]:
    """Read ``key=value,key=value``; a key alone has the empty value."""
    labels: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if not key.strip():
            raise ClusterError(f"The label {part!r} has no key: write --labels key=value,key=value.")
        labels[key.strip()] = value.strip()
    return labels


def parse_taints(text: str) -> tuple[Taint, ...]:
    """Read ``key=value:Effect,key:Effect``."""
    return tuple(_parse_taint(part) for part in filter(None, text.split(",")))


def _parse_taint(text: str) -> Taint:
    rest, _, effect = text.strip().rpartition(":")
    key, _, value = rest.partition("=")
    if not key or effect not in EFFECTS:
        raise ClusterError(
            f"The taint {text!r} is not key=value:Effect, with Effect one of {', '.join(EFFECTS)}: "
            "write --taints sku=gpu:NoSchedule."
        )
    return Taint(key, value, effect)


@dataclass(frozen=True)
class NodeSpec:
    """A node as it was asked for.

    Attributes:
        name: of the Node object; a DNS label.
        index: its place in the pod network; unique among present nodes.
        labels: beside those that every kubelet sets.
        taints: given at its registration.
        gpus: capacity of nvidia.com/gpu it pretends to have.
        pluggable_gpus: simulated GPUs that the scheduler sees once a device plugin on the node registers
            them; on a machine with real ones it is the same.
    """

    name: str
    index: int
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    gpus: int = 0
    pluggable_gpus: int = 0

    def __post_init__(self) -> None:
        """Refuse names that Kubernetes (or a path) could not hold, and negative GPU counts."""
        if not NAME_PATTERN.fullmatch(self.name):
            raise ClusterError(
                f"{self.name!r} is no node name: use at most 63 lower-case letters, digits and '-', "
                "with a letter or a digit at both ends."
            )
        for count in (self.gpus, self.pluggable_gpus):
            if count < 0:
                raise ClusterError(f"A node cannot have {count} GPUs: give 0 or more.")
        if self.gpus and self.pluggable_gpus:
            raise ClusterError(
                "A node's GPUs are pretended or pluggable, not both: the device plugin would overwrite the "
                "pretended ones. Give gpus or pluggable_gpus."
            )

    def same_request(self, other: "NodeSpec") -> bool:
        """Say whether two specs ask for the same, wherever the node was placed."""
        return replace(other, index=self.index) == self

    def kubelet_labels(self) -> dict[str, str]:
        """Give the labels with which the kubelet registers its node."""
        return {key: value for key, value in self.labels.items() if kubelet_may_set(key)}

    def administrator_labels(self) -> dict[str, str]:
        """Give the labels that only an administrator may set."""
        return {key: value for key, value in self.labels.items() if not kubelet_may_set(key)}

    def to_json(self) -> str:
        """Write it for node.json."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "NodeSpec":
        """Read what to_json wrote."""
        content = json.loads(text)
        content["taints"] = tuple(Taint(**taint) for taint in content["taints"])
        return cls(**content)


def kubelet_may_set(label: str) -> bool:
    """Apply the kubelet's own rule for --node-labels (pkg/kubelet/apis/well_known_labels.go)."""
    domain, slash, _ = label.partition("/")
    if not slash or not RESERVED_DOMAIN.fullmatch(domain):
        return True
    return label.startswith(KUBELET_LABEL_PREFIXES) or label in KUBELET_LABELS


def free_index(taken: Sequence[int]) -> int:
    """Give the smallest place in the pod network that no node has."""
    return next(index for index in range(len(taken) + 1) if index not in taken)
