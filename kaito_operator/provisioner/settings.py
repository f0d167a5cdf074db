"""Every setting of the provisioner, read once from the environment.

What the gpu-provisioner of v0.2 to v0.4 had a name for has that name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self, get_args

from kaito_operator.provisioner.decision import Budgets
from kaito_operator.provisioner.pool import Identity
from kaito_operator.settings import Choice, SettingError, as_choice, as_integer

CredentialKind = Literal["auto", "workload", "managed", "cli"]
CREDENTIAL_KINDS: Final[tuple[CredentialKind, ...]] = get_args(CredentialKind)
_LOG_LEVELS: Final = ("INFO", "DEBUG", "WARNING", "ERROR")


@dataclass(frozen=True)
class AzureSettings:
    """Where Azure is, and who we are there.

    Attributes:
        endpoint: base URL of Azure Resource Manager.
        audience: for which tokens are asked.
        ca_bundle: PEM file of a private cloud's CA; None trusts the public ones.
        credential: which kind of identity to use; auto takes the first that the environment has.
        federated_token_file, authority, tenant, client: written by the workload identity webhook.
    """

    subscription: str
    resource_group: str
    cluster: str
    location: str = ""
    endpoint: str = "https://management.azure.com"
    audience: str = "https://management.azure.com"
    ca_bundle: Path | None = None
    credential: CredentialKind = "auto"
    federated_token_file: str = ""
    authority: str = "https://login.microsoftonline.com/"
    tenant: str = ""
    client: str = ""

    @property
    def identity(self) -> Identity:
        """How this cluster marks its pools; Azure's names are not case-sensitive, so they are lowered."""
        cluster = f"{self.subscription}/{self.resource_group}/{self.cluster}".lower()
        return Identity(cluster, self.location)


@dataclass(frozen=True)
class Settings:
    """The provisioner process.

    Attributes:
        poll_s: seconds between two listings while a pool is in motion.
        collect_s: seconds between two garbage collections.
        retry_s: the shortest pause after Azure was busy; others are multiples of it.
    """

    azure: AzureSettings
    budgets: Budgets = field(default_factory=Budgets)
    poll_s: float = 10.0
    collect_s: float = 120.0
    collect_dry_run: bool = False
    retry_s: float = 15.0
    namespace: str = "kaito-system"
    identity: str = "gpu-provisioner"
    http_port: int = 8081
    workers: int = 16
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read all settings; white space around them is dropped.

        Raises:
            SettingError: naming the variable, what it holds and what it may hold.
        """
        return cls(
            azure=_azure(environ),
            budgets=_budgets(environ),
            poll_s=_seconds(environ, "POOL_POLL_SECONDS", 10),
            collect_s=_seconds(environ, "GC_SECONDS", 120),
            collect_dry_run=_switch(environ, "GC_DRY_RUN"),
            retry_s=_seconds(environ, "AZURE_RETRY_SECONDS", 15),
            namespace=_text(environ, "KAITO_NAMESPACE", "kaito-system"),
            identity=_text(environ, "KAITO_IDENTITY") or _text(environ, "HOSTNAME", "gpu-provisioner"),
            http_port=_integer(environ, "KAITO_HTTP_PORT", 8081, most=65_535),
            workers=_integer(environ, "KAITO_WORKERS", 16, most=256),
            log_level=_choice(environ, "KAITO_LOG_LEVEL", _LOG_LEVELS),
        )


def _azure(environ: Mapping[str, str]) -> AzureSettings:
    bundle = _text(environ, "ARM_CA_BUNDLE")
    if bundle and not Path(bundle).is_file():
        msg = f"ARM_CA_BUNDLE is {bundle!r}, which is no file: give the PEM file of the CA, or leave it empty"
        raise SettingError(msg)
    return AzureSettings(
        subscription=_required(environ, "ARM_SUBSCRIPTION_ID", "the id of the subscription"),
        resource_group=_required(environ, "ARM_RESOURCE_GROUP", "the resource group of the cluster"),
        cluster=_required(environ, "AZURE_CLUSTER_NAME", "the name of the managed cluster"),
        location=_text(environ, "LOCATION").lower().replace(" ", ""),
        endpoint=_https(environ, "ARM_ENDPOINT", "https://management.azure.com"),
        audience=_https(environ, "ARM_AUDIENCE", "https://management.azure.com"),
        ca_bundle=Path(bundle) if bundle else None,
        credential=_choice(environ, "AZURE_CREDENTIAL", CREDENTIAL_KINDS),
        federated_token_file=_text(environ, "AZURE_FEDERATED_TOKEN_FILE"),
        authority=_https(environ, "AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"),
        tenant=_text(environ, "AZURE_TENANT_ID"),
        client=_text(environ, "AZURE_CLIENT_ID"),
    )


def _budgets(environ: Mapping[str, str]) -> Budgets:
    repair = _seconds(environ, "NODE_REPAIR_SECONDS", 600)
    poll = _seconds(environ, "POOL_POLL_SECONDS", 10)
    return Budgets(
        launch=_seconds(environ, "LAUNCH_BUDGET_SECONDS", 1200),
        registration=_seconds(environ, "REGISTRATION_BUDGET_SECONDS", 900),
        initialization=_seconds(environ, "INITIALIZATION_BUDGET_SECONDS", 1200),
        drain=_seconds(environ, "DRAIN_BUDGET_SECONDS", 600),
        farewell=_seconds(environ, "NODE_DELETION_SECONDS", 15),
        answer=max(3 * poll, 5.0),
        repair=repair if _switch(environ, "NODE_REPAIR") else None,
    )


def _text(environ: Mapping[str, str], name: str, default: str = "") -> str:
    return environ.get(name, default).strip()


def _required(environ: Mapping[str, str], name: str, what: str) -> str:
    text = _text(environ, name)
    if not text:
        msg = f"{name} is not set: give {what}"
        raise SettingError(msg)
    return text


def _https(environ: Mapping[str, str], name: str, default: str) -> str:
    text = _text(environ, name, default) or default
    if not text.startswith("https://"):
        msg = f"{name} is {text!r}: write an address that begins with https://, such as {default}"
        raise SettingError(msg)
    return text


def _seconds(environ: Mapping[str, str], name: str, default: int) -> float:
    text = _text(environ, name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 10**7:
        msg = f"{name} is {text!r}: write seconds above 0, such as {default}"
        raise SettingError(msg)
    return value


def _integer(environ: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    return as_integer(name, _text(environ, name, str(default)), default, most=most)


def _switch(environ: Mapping[str, str], name: str) -> bool:
    return _choice(environ, name, ("false", "true")) == "true"


def _choice(environ: Mapping[str, str], name: str, allowed: tuple[Choice, ...]) -> Choice:
    return as_choice(name, _text(environ, name, allowed[0]), allowed)
