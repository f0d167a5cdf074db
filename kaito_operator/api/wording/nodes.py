"""Nodes that are there, images and volumes."""

from kaito_operator.api.wording.row import Reason, blocked

ROWS: tuple[Reason, ...] = (
    # Nodes.
    blocked(
        "NoMatchingNode",
        "No node of this cluster matches {selector}.",
        "Label a node, for example `kubectl label node NODE {example}`, or add a node with these labels.",
    ),
    blocked(
        "NodeNotReady",
        "Node {node} is not ready: {detail}",
        "Look at the node: `kubectl describe node {node}`. "
        "The pods move by themselves when another node fits.",
    ),
    blocked(
        "NodeGone",
        "The node of {kind} {claim} has left the cluster: {detail}",
        "Nothing to do: another is asked for in its place when it does not come back within ten minutes. "
        "`kubectl delete {kind} {claim}` asks for it now.",
    ),
    blocked(
        "NodeCordoned",
        "The matching nodes are cordoned: {nodes}.",
        "Allow pods again: `kubectl uncordon {node}`.",
    ),
    blocked(
        "InsufficientGpu",
        "No matching node has {gpus} free nvidia.com/gpu. The scheduler says: {detail}",
        "Free GPUs on a matching node, add a node, or check that the NVIDIA device plugin runs on it.",
    ),
    blocked(
        "InsufficientMemory",
        "No matching node has enough free memory. The scheduler says: {detail}",
        "Free memory on a matching node or add a larger one.",
    ),
    blocked(
        "InsufficientCpu",
        "No matching node has enough free CPU. The scheduler says: {detail}",
        "Free CPU on a matching node or add a larger one.",
    ),
    blocked(
        "TaintNotTolerated",
        "The matching nodes carry a taint that the pods do not tolerate. The scheduler says: {detail}",
        "Remove the taint from the node (`kubectl taint node NODE KEY-`); "
        "sku=gpu and nvidia.com/gpu are tolerated.",
    ),
    blocked(
        "Unschedulable",
        "The scheduler finds no node. It says: {detail}",
        "Correct what the message names: `kubectl describe pod {pod} -n {namespace}`.",
    ),
    # Images and volumes.
    blocked(
        "ImageNotFound",
        "Image {image} does not exist. The node says: {detail}",
        "Check the name and the tag, or push the image.",
    ),
    blocked(
        "ImageUnauthorized",
        "The registry refused image {image}. The node says: {detail}",
        "Create a pull Secret (`kubectl create secret docker-registry`) in namespace {namespace} under the "
        "name that imagePullSecrets has; where it has none, create the Workspace with one.",
    ),
    blocked(
        "RegistryUnreachable",
        "The registry of image {image} does not answer. The node says: {detail}",
        "Check the registry and the network of node {node}; the node tries again by itself.",
    ),
    blocked(
        "ImageArchitecture",
        "Image {image} is not built for the processor of node {node}. The node says: {detail}",
        "Use an image of the node's architecture, or a node of the image's.",
    ),
    blocked(
        "ImagePullFailed",
        "Image {image} could not be pulled. The node says: {detail}",
        "Correct what the message names; the node tries again by itself.",
    ),
    blocked(
        "SecretMissing",
        "Secret {object} does not exist in namespace {namespace}, or lacks the key that is asked for. "
        "The node says: {detail}",
        "Create it: `kubectl create secret generic {object} -n {namespace} --from-literal=KEY=VALUE`.",
    ),
    blocked(
        "ConfigMapMissing",
        "ConfigMap {object} does not exist in namespace {namespace}, or lacks the key that is asked for. "
        "The node says: {detail}",
        "Create it: `kubectl create configmap {object} -n {namespace} --from-literal=KEY=VALUE`.",
    ),
    blocked(
        "VolumeClaimMissing",
        "PersistentVolumeClaim {object} cannot be used. The cluster says: {detail}",
        "Look at it: `kubectl describe pvc {object} -n {namespace}`.",
    ),
    blocked(
        "VolumeMountFailed",
        "A volume of pod {pod} cannot be mounted. The node says: {detail}",
        "Correct what the message names: `kubectl describe pod {pod} -n {namespace}`.",
    ),
)
