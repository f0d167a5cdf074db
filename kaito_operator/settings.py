"""Every setting of the operator, read once from the environment into one frozen object."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, TypeVar, get_args

Provisioning = Literal["machine", "nodeclaim", "none"]
PROVISIONING: tuple[Provisioning, ...] = get_args(Provisioning)
Choice = TypeVar("Choice", bound=str)


class SettingError(ValueError):
    """A setting is missing or cannot be used; the text names it and what to write."""


@dataclass(frozen=True)
class NodeClass:
    """What a NodeClaim's nodeClassRef says; KAITO's own by default, which the gpu-provisioner serves."""

    group: str = "kaito.sh"
    kind: str = "KaitoNodeClass"
    name: str = "default"


@dataclass(frozen=True)
class RuntimeSettings:
    """What the rendered pods need to know of this installation.

    Attributes:
        runtime_image: reference of the inference image, with a tag or digest.
        project_registry: registry that holds our own weights images (rows with `registry: project`);
            empty means there is none, and those presets are fetched from the hub.
        preset_registry: replaces the registry of public preset images, for mirrors;
            empty keeps the rows' own.
        hub_endpoint: base URL of a Hugging Face compatible hub.
        image_volumes: "auto" asks the cluster, "on" and "off" decide by hand.
        provisioning: as what new nodes are asked for: "machine" (karpenter.sh/v1alpha5), "nodeclaim"
            (karpenter.sh/v1), or "none": only nodes that exist are used.
        node_class: of NodeClaims, as group/kind/name. It selects who serves them.
        claim_retry_s: pause before another claim is made in place of one that got no node; it doubles each
            time, up to an hour.
        oldest_gpu: compute capability of the oldest GPU that the runtime image's PyTorch is built for.
        insecure_registries: host:port of registries from which adapters are pulled over plain HTTP.
    """

    runtime_image: str
    project_registry: str = ""
    preset_registry: str = ""
    hub_endpoint: str = "https://huggingface.co"
    image_volumes: str = "auto"
    provisioning: Provisioning = "none"
    node_class: NodeClass = NodeClass()
    claim_retry_s: int = 60
    oldest_gpu: str = "7.5"
    insecure_registries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The operator process: where it runs, how it elects, how hard it may work.

    Attributes:
        extra_presets: path of a file with rows as in presets/models.yaml, beside those that are shipped.
    """

    runtime: RuntimeSettings
    namespace: str = "kaito-system"
    identity: str = "kaito-operator"
    http_port: int = 8080
    workers: int = 16
    log_level: str = "INFO"
    extra_presets: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read all settings.

        Raises:
            SettingError: naming the variable, what it holds and what it may hold.
        """
        image = environ.get("KAITO_RUNTIME_IMAGE", "")
        if not image:
            msg = "KAITO_RUNTIME_IMAGE is not set: give the reference of the inference image, with its tag"
            raise SettingError(msg)
        runtime = RuntimeSettings(
            runtime_image=image,
            project_registry=environ.get("KAITO_PROJECT_REGISTRY", ""),
            preset_registry=environ.get("PRESET_REGISTRY_NAME", ""),
            hub_endpoint=environ.get("KAITO_HUB_ENDPOINT", "https://huggingface.co"),
            image_volumes=_choice(environ, "KAITO_IMAGE_VOLUMES", ("auto", "on", "off")),
            provisioning=_choice(environ, "KAITO_PROVISIONING", PROVISIONING),
            node_class=_node_class(environ, "KAITO_NODE_CLASS"),
            claim_retry_s=_integer(environ, "KAITO_CLAIM_RETRY_SECONDS", 60, most=3600),
            oldest_gpu=_capability(environ, "KAITO_OLDEST_GPU", "7.5"),
            insecure_registries=_hosts(environ, "KAITO_INSECURE_REGISTRIES"),
        )
        return cls(
            runtime=runtime,
            namespace=environ.get("KAITO_NAMESPACE", "kaito-system"),
            identity=environ.get("KAITO_IDENTITY") or environ.get("HOSTNAME", "kaito-operator"),
            http_port=_integer(environ, "KAITO_HTTP_PORT", 8080, most=65_535),
            workers=_integer(environ, "KAITO_WORKERS", 16, most=256),
            log_level=_choice(environ, "KAITO_LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR")),
            extra_presets=environ.get("KAITO_EXTRA_PRESETS", ""),
        )


def _integer(environ: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    return as_integer(name, environ.get(name, str(default)), default, most=most)


def _choice(environ: Mapping[str, str], name: str, allowed: tuple[Choice, ...]) -> Choice:
    return as_choice(name, environ.get(name, allowed[0]), allowed)


def as_integer(name: str, text: str, default: int, *, most: int) -> int:
    """The whole number that a setting holds.

    Raises:
        SettingError: it is none, or not from 1 to `most`.
    """
    if not text.isdecimal() or not 1 <= int(text) <= most:
        msg = f"{name} is {text!r}: write a whole number from 1 to {most}, such as {default}"
        raise SettingError(msg)
    return int(text)


def as_choice(name: str, text: str, allowed: tuple[Choice, ...]) -> Choice:
    """The one of some words that a setting holds.

    Raises:
        SettingError: it holds another.
    """
    for choice in allowed:
        if choice == text:
            return choice
    msg = f"{name} is {text!r}: write one of {', '.join(allowed)}"
    raise SettingError(msg)


def _node_class(environ: Mapping[str, str], name: str) -> NodeClass:
    text = environ.get(name, "kaito.sh/KaitoNodeClass/default")
    parts = text.split("/")
    if len(parts) != 3 or not all(parts):
        msg = f"{name} is {text!r}: write group/kind/name, such as karpenter.azure.com/AKSNodeClass/default"
        raise SettingError(msg)
    return NodeClass(*parts)


def _capability(environ: Mapping[str, str], name: str, default: str) -> str:
    text = environ.get(name, default)
    if not re.fullmatch(r"\d{1,2}\.\d", text):
        msg = f"{name} is {text!r}: write a compute capability of NVIDIA's, such as {default}"
        raise SettingError(msg)
    return text


def _hosts(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    hosts = tuple(part.strip() for part in environ.get(name, "").split(",") if part.strip())
    for host in hosts:
        if not re.fullmatch(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?)(:\d{1,5})?", host):
            msg = f"{name} holds {host!r}: write host:port, several with commas, such as registry.local:5000"
            raise SettingError(msg)
    return hosts
