"""The only place that words what a Workspace waits for.

A reason is a row: the code that goes into conditions, `status.blockedOn` and Events; the phase it
belongs to; whether a person has to act (`blocked`) or time will do; a sentence and a next action, both
with named holes. docs/troubleshooting.md is generated from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Phase = Literal["Scheduling", "Starting", "Loading", "Updating", "Ready", "Blocked"]

# What v0.3.0 wrote when all is well; tools that wait for these words keep working.
RESOURCE_READY_REASON = "workspaceResourceStatusSuccess"
RESOURCE_READY_MESSAGE = "workspace resource is ready"
INFERENCE_READY_REASON = "WorkspaceInferenceStatusSuccess"
INFERENCE_READY_MESSAGE = "Inference has been deployed successfully"
WORKSPACE_READY_REASON = "workspaceReady"
WORKSPACE_READY_MESSAGE = "workspace is ready"


@dataclass(frozen=True)
class Reason:
    """One row of the table."""

    code: str
    phase: Phase
    sentence: str
    next_action: str
    concerns_nodes: bool = False


@dataclass(frozen=True)
class Finding:
    """A reason with its holes filled: what one Workspace waits for now."""

    reason: Reason
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocked(self) -> bool:
        """True when waiting alone will not help."""
        return self.reason.phase == "Blocked"

    @property
    def message(self) -> str:
        """The sentence, at most 1,024 characters, as conditions allow."""
        return _fill(self.reason.sentence, self.facts)[:1024]

    @property
    def next_action(self) -> str:
        """What the reader does about it."""
        return _fill(self.reason.next_action, self.facts)[:1024]


def finding(code: str, **facts: str) -> Finding:
    """The row `code` with its holes filled.

    Raises:
        KeyError: there is no such row; a unit test calls every row that the code names.
    """
    return Finding(REASONS[code], MappingProxyType(facts))


class _Facts(dict[str, str]):
    """A missing fact must not turn a status message into a traceback."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def _fill(template: str, facts: Mapping[str, str]) -> str:
    return template.format_map(_Facts(facts))


def _waiting(code: str, phase: Phase, sentence: str, next_action: str) -> Reason:
    return Reason(code, phase, sentence, next_action)


def _blocked(code: str, sentence: str, next_action: str, *, nodes: bool = False) -> Reason:
    return Reason(code, "Blocked", sentence, next_action, concerns_nodes=nodes)


_ROWS: tuple[Reason, ...] = (
    # Waiting: nothing is wrong.
    Reason(
        "PodScheduling",
        "Scheduling",
        "The scheduler is choosing a node for the pods of this Workspace.",
        "Nothing to do: this takes about a second.",
        concerns_nodes=True,
    ),
    _waiting(
        "PodStarting",
        "Starting",
        "Node {node} is pulling the images and mounting the volumes of pod {pod}.",
        "Nothing to do: about {expected}. `kubectl describe pod {pod} -n {namespace}` shows the pull.",
    ),
    _waiting(
        "WeightsArriving",
        "Starting",
        "Init container {container} of pod {pod} is bringing the weights onto node {node}.",
        "Nothing to do: about {expected}. "
        "`kubectl logs {pod} -c {container} -n {namespace}` shows the progress.",
    ),
    _waiting(
        "ModelLoading",
        "Loading",
        "The server in pod {pod} is loading the model.",
        "Nothing to do: about {expected}. `kubectl logs {pod} -n {namespace}` shows the progress.",
    ),
    _waiting(
        "RollingOut",
        "Updating",
        "{ready} of {wanted} replicas run the new version; the others are being replaced.",
        "Nothing to do. `kubectl rollout status deployment/{name} -n {namespace}` follows it.",
    ),
    _waiting(
        "PreviousRemoved",
        "Scheduling",
        "{kind} {name} of an earlier Workspace of this name is still being removed.",
        "Nothing to do: it goes by itself within seconds.",
    ),
    # The object itself.
    _blocked(
        "InvalidSpec",
        "The Workspace cannot be read: {detail}",
        "Correct the named fields and apply the Workspace again.",
    ),
    _blocked(
        "PresetUnknown",
        "There is no preset named {preset}. The nearest names: {nearest}.",
        "Delete this Workspace and create it with a known preset, "
        "or serve your own image by inference.template.",
    ),
    _blocked(
        "PresetPrivate",
        "Preset {preset} has no public image: its licence asks every user to fetch the weights themselves.",
        'Set inference.preset.accessMode to "private" and presetOptions.image to your image of the weights.',
    ),
    _blocked(
        "WeightsFormat",
        "The weights cannot be loaded: {detail}",
        "Use an image or volume with a Hugging Face folder: config.json, tokenizer files and *.safetensors.",
    ),
    _blocked(
        "HubTokenMissing",
        "{repository}, the weights of preset {preset}, are given only to those who accepted their terms.",
        "Create a Secret with your token under the key HF_TOKEN "
        "and name it in presetOptions.modelAccessSecret.",
    ),
    _blocked(
        "TuningUnsupported",
        "This version of the operator serves models and does not run tuning jobs: {detail}",
        "Use a Workspace with `inference:`, or an operator version whose release notes name tuning.",
    ),
    _blocked(
        "DistributedUnsupported",
        "Preset {preset} on {count} nodes needs one process group over several nodes, "
        "which this version does not start.",
        "Set resource.count to 1 and use a node with {gpus} GPUs.",
    ),
    _blocked(
        "NameConflict",
        "{kind} {name} exists and does not belong to this Workspace.",
        "Rename the Workspace, or delete the other object: `kubectl delete {kind} {name} -n {namespace}`.",
    ),
    _blocked(
        "WriteRefused",
        "The API server refused {kind} {name}: {detail}",
        "Correct what the message names; the operator tries again by itself.",
    ),
    # Nodes.
    _blocked(
        "NoMatchingNode",
        "No node of this cluster matches {selector}.",
        "Label a node, for example `kubectl label node NODE {example}`, or add a node with these labels.",
        nodes=True,
    ),
    _blocked(
        "NodeNotReady",
        "Node {node} is not ready: {detail}",
        "Look at the node: `kubectl describe node {node}`. "
        "The pods move by themselves when another node fits.",
        nodes=True,
    ),
    _blocked(
        "NodeCordoned",
        "The matching nodes are cordoned: {nodes}.",
        "Allow pods again: `kubectl uncordon {node}`.",
        nodes=True,
    ),
    _blocked(
        "InsufficientGpu",
        "No matching node has {gpus} free nvidia.com/gpu. The scheduler says: {detail}",
        "Free GPUs on a matching node, add a node, or check that the NVIDIA device plugin runs on it.",
        nodes=True,
    ),
    _blocked(
        "InsufficientMemory",
        "No matching node has enough free memory. The scheduler says: {detail}",
        "Free memory on a matching node or add a larger one.",
        nodes=True,
    ),
    _blocked(
        "InsufficientCpu",
        "No matching node has enough free CPU. The scheduler says: {detail}",
        "Free CPU on a matching node or add a larger one.",
        nodes=True,
    ),
    _blocked(
        "TaintNotTolerated",
        "The matching nodes carry a taint that the pods do not tolerate. The scheduler says: {detail}",
        "Remove the taint from the node (`kubectl taint node NODE KEY-`); "
        "sku=gpu and nvidia.com/gpu are tolerated.",
        nodes=True,
    ),
    _blocked(
        "Unschedulable",
        "The scheduler finds no node. It says: {detail}",
        "Correct what the message names: `kubectl describe pod {pod} -n {namespace}`.",
        nodes=True,
    ),
    # Images and volumes.
    _blocked(
        "ImageNotFound",
        "Image {image} does not exist. The node says: {detail}",
        "Check the name and the tag, or push the image.",
    ),
    _blocked(
        "ImageUnauthorized",
        "The registry refused image {image}. The node says: {detail}",
        "Create a pull Secret in namespace {namespace} and name it in imagePullSecrets.",
    ),
    _blocked(
        "RegistryUnreachable",
        "The registry of image {image} does not answer. The node says: {detail}",
        "Check the registry and the network of node {node}; the node tries again by itself.",
    ),
    _blocked(
        "ImageArchitecture",
        "Image {image} is not built for the processor of node {node}. The node says: {detail}",
        "Use an image of the node's architecture, or a node of the image's.",
    ),
    _blocked(
        "ImagePullFailed",
        "Image {image} could not be pulled. The node says: {detail}",
        "Correct what the message names; the node tries again by itself.",
    ),
    _blocked(
        "SecretMissing",
        "Secret {object} does not exist in namespace {namespace}, or lacks the key that is asked for. "
        "The node says: {detail}",
        "Create it: `kubectl create secret generic {object} -n {namespace} --from-literal=KEY=VALUE`.",
    ),
    _blocked(
        "ConfigMapMissing",
        "ConfigMap {object} does not exist in namespace {namespace}, or lacks the key that is asked for. "
        "The node says: {detail}",
        "Create it: `kubectl create configmap {object} -n {namespace} --from-literal=KEY=VALUE`.",
    ),
    _blocked(
        "VolumeClaimMissing",
        "PersistentVolumeClaim {object} cannot be used. The cluster says: {detail}",
        "Look at it: `kubectl describe pvc {object} -n {namespace}`.",
    ),
    _blocked(
        "VolumeMountFailed",
        "A volume of pod {pod} cannot be mounted. The node says: {detail}",
        "Correct what the message names: `kubectl describe pod {pod} -n {namespace}`.",
    ),
    # The process.
    _blocked(
        "ContainerConfig",
        "Container {container} cannot be created. The node says: {detail}",
        "Correct what the message names: `kubectl describe pod {pod} -n {namespace}`.",
    ),
    _blocked(
        "OutOfMemory",
        "Container {container} of pod {pod} was killed because it used more memory than it may.",
        "Use a larger node, a smaller model or fewer tokens.",
    ),
    # The next eight are the names by which the inference server and the download tell their own errors.
    _blocked(
        "WeightsUntrusted",
        "The weights cannot be loaded without running code that comes with them: {detail}",
        "If you trust their author, create the Workspace with presetOptions.trustRemoteCode: true.",
    ),
    _blocked(
        "AdapterRefused",
        "An adapter cannot be loaded: {detail}",
        "Use an adapter that was trained on this model, or remove it from inference.adapters.",
    ),
    _blocked(
        "ModelTooLarge",
        "The model does not fit the memory: {detail}",
        "Use a larger node or a smaller model.",
    ),
    _blocked(
        "EngineFailed",
        "Generation broke down: {detail}",
        "The server restarts by itself. When it happens again, read `kubectl logs {pod} --previous "
        "-n {namespace}`; a faulty GPU is the usual cause.",
    ),
    _blocked(
        "HubDenied",
        "The hub refuses the weights: {detail}",
        "Accept the model's terms on the hub, and name a Secret with your token under HF_TOKEN in "
        "presetOptions.modelAccessSecret.",
    ),
    _blocked(
        "HubNotFound",
        "The hub does not have the weights: {detail}",
        "Check the repository and the revision; the pod tries again by itself.",
    ),
    _blocked(
        "HubUnreachable",
        "The hub does not answer: {detail}",
        "Check KAITO_HUB_ENDPOINT and the network of node {node}; the pod tries again by itself.",
    ),
    _blocked(
        "VolumeTooSmall",
        "The weights do not fit the volume: {detail}",
        "Use a node with a larger disk, or a volume claim.",
    ),
    _blocked(
        "WeightsDownload",
        "Init container {container} could not bring the weights: {detail}",
        "Correct what the message names; the pod tries again by itself. "
        "`kubectl logs {pod} -c {container} -n {namespace}` shows all of it.",
    ),
    _blocked(
        "ServerCrashed",
        "Container {container} of pod {pod} ended with exit code {exit_code}: {detail}",
        "Read its last words: `kubectl logs {pod} -c {container} --previous -n {namespace}`.",
    ),
    _blocked(
        "ServerUnhealthy",
        "Pod {pod} was ready and no longer answers its readiness probe.",
        "Read the log: `kubectl logs {pod} -n {namespace}`. The kubelet restarts it when it stays so.",
    ),
    _blocked(
        "PodFailed",
        "Pod {pod} has failed: {detail}",
        "Look at it: `kubectl describe pod {pod} -n {namespace}`. A new pod replaces it.",
    ),
    _blocked(
        "PodSecurity",
        "Namespace {namespace} does not allow the pods of this Workspace: {detail}",
        "Change the template to what the namespace's Pod Security level allows, or use another namespace.",
    ),
    _blocked(
        "QuotaExceeded",
        "The quota of namespace {namespace} is used up: {detail}",
        "Raise the quota or free some of it: `kubectl describe resourcequota -n {namespace}`.",
    ),
    _blocked(
        "PodsNotCreated",
        "The pods cannot be created: {detail}",
        "Correct what the message names: `kubectl describe deployment {name} -n {namespace}`.",
    ),
    _blocked(
        "Overdue",
        "The server in pod {pod} has been loading for more than {limit}, longer than planned.",
        "Read its log: `kubectl logs {pod} -n {namespace}`; "
        "a slow disk and a too small CPU are the usual causes.",
    ),
)

REASONS: Mapping[str, Reason] = MappingProxyType({row.code: row for row in _ROWS})
