"""The Workspace itself, and the instance type that it names."""

from kaito_operator.api.wording.row import Reason, blocked

ROWS: tuple[Reason, ...] = (
    # The object itself.
    blocked(
        "InvalidSpec",
        "The Workspace cannot be read: {detail}",
        "Correct the named fields and apply the Workspace again.",
    ),
    blocked(
        "PresetUnknown",
        "There is no preset named {preset}. The nearest names: {nearest}.",
        "Delete this Workspace and create it with a known preset, "
        "or serve your own image by inference.template.",
    ),
    blocked(
        "PresetPrivate",
        "Preset {preset} has no public image: its licence asks every user to fetch the weights themselves.",
        "Create the Workspace with inference.preset.accessMode: private and a source of yours in "
        "presetOptions: image, volumeClaim, or weightsFrom: hub (docs/weights.md).",
    ),
    blocked(
        "WeightsFormat",
        "The weights cannot be loaded: {detail}",
        "Create the Workspace with an image or volume that holds a Hugging Face folder: config.json, "
        "tokenizer files and *.safetensors (docs/weights.md).",
    ),
    blocked(
        "HubTokenMissing",
        "{repository}, the weights of preset {preset}, are given only to those who accepted their terms.",
        "Create a Secret with your token under the key HF_TOKEN, "
        "and the Workspace with its name in presetOptions.modelAccessSecret.",
    ),
    blocked(
        "TuningUnsupported",
        "This version of the operator serves models and does not run tuning jobs: {detail}",
        "Use a Workspace with `inference:`, or an operator version whose release notes name tuning.",
    ),
    blocked(
        "AdaptersUnsupported",
        "Preset {preset} on {count} nodes is one model over several processes, which take no adapters.",
        "Remove inference.adapters, or set resource.count to 1 and use a node with more GPUs.",
    ),
    blocked(
        "LoadBalancerOpen",
        "A LoadBalancer lets the network ask {name}, and no key is asked for.",
        "Create a Secret with a key, `kubectl create secret generic {name}-keys --from-literal=key=KEY`, and "
        "set inference.server.apiKeysSecret to its name; or remove the annotation kaito.sh/enablelb. "
        "The model is served meanwhile.",
    ),
    blocked(
        "NameConflict",
        "{kind} {name} exists and does not belong to this Workspace.",
        "Rename the Workspace, or delete the other object: `kubectl delete {kind} {name} -n {namespace}`.",
    ),
    blocked(
        "WriteRefused",
        "The API server refused {kind} {name}: {detail}",
        "Correct what the message names; the operator tries again by itself.",
    ),
    # Instance types.
    blocked(
        "ModelDoesNotFit",
        "{preset} does not fit {type}: {detail}",
        "Create the Workspace with a larger instance type, or without one to have it chosen. "
        "The smallest that fits: {smallest}.",
    ),
    blocked(
        "NothingFits",
        "No instance type that this operator knows of holds {preset} on {count} nodes: {detail}",
        "Create the Workspace with an instance type of your own in resource.instanceType, or with a smaller "
        "model. `kaito plan -f FILE` lists the nearest types, each with its reason.",
    ),
    blocked(
        "InstanceTypeNeeded",
        "No node matches the Workspace's labels, and which instance type its template needs is not known.",
        "Create the Workspace with one in resource.instanceType, "
        "or with a resource.labelSelector that a node of yours matches.",
    ),
    blocked(
        "GpuTooOld",
        "The {gpu} of {type} has compute capability {capability}; "
        "the runtime image is built for {oldest} and newer.",
        "Create the Workspace with a newer instance type, such as {successor}, "
        "or use a runtime image that is built for it and set KAITO_OLDEST_GPU.",
    ),
)
