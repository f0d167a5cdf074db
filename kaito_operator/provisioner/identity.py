"""As whom we speak to Azure: workload identity, a managed identity, or the developer's own login."""

from typing import Any
from urllib.parse import urlparse

from azure.core.credentials_async import AsyncTokenCredential
from azure.identity.aio import AzureCliCredential, ManagedIdentityCredential, WorkloadIdentityCredential

from kaito_operator.provisioner.settings import AzureSettings
from kaito_operator.settings import SettingError

_PUBLIC_AUTHORITIES = ("microsoftonline.com", "microsoftonline.us", "chinacloudapi.cn", "windows.net")


def credential(azure: AzureSettings, *, in_cluster: bool) -> AsyncTokenCredential:
    """The identity of the settings. Asks nobody yet.

    Args:
        azure: the settings.
        in_cluster: this process runs in a pod, where a person's login cannot be.

    Raises:
        SettingError: workload identity was asked for, or is half there, and a part is missing.
    """
    kind = azure.credential
    if kind == "auto":
        kind = "workload" if azure.federated_token_file else "managed" if in_cluster else "cli"
    if kind == "workload":
        return _workload(azure)
    if kind == "managed":
        return ManagedIdentityCredential(client_id=azure.client or None)
    return AzureCliCredential()


def _workload(azure: AzureSettings) -> WorkloadIdentityCredential:
    needed = {
        "AZURE_TENANT_ID": azure.tenant,
        "AZURE_CLIENT_ID": azure.client,
        "AZURE_FEDERATED_TOKEN_FILE": azure.federated_token_file,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        msg = (
            f"workload identity needs {', '.join(missing)}: annotate the ServiceAccount with "
            "azure.workload.identity/client-id and label the pod azure.workload.identity/use=true"
        )
        raise SettingError(msg)
    options: dict[str, Any] = {}
    host = urlparse(azure.authority).hostname or ""
    if not host.endswith(_PUBLIC_AUTHORITIES):
        options["disable_instance_discovery"] = True  # a private authority is not in the public list of them
    if azure.ca_bundle:
        options["connection_verify"] = str(azure.ca_bundle)
    return WorkloadIdentityCredential(
        tenant_id=azure.tenant,
        client_id=azure.client,
        token_file_path=azure.federated_token_file,
        authority=azure.authority,
        retry_total=0,
        **options,
    )
