"""What the build needs of this machine's network settings: certificates and pip's index, as build secrets."""

import ast
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.images.steps import answer

CERTIFICATE = "ca.crt"
PIP_CONFIG = "pip.conf"
# Where the Dockerfiles' RUN steps see the certificate.
CERTIFICATE_IN_BUILD = f"/run/secrets/{CERTIFICATE}"
# pip's settings that say how an index is reached. Others, such as a folder of wheels, mean nothing there.
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def write_secrets(folder: Path) -> dict[str, Path]:
    """Write this machine's network settings as files for the build's secrets.

    Args:
        folder: a private folder, which the caller removes; an index address may hold a password.

    Returns:
        secret id -> file; empty where the machine needs nothing special.
    """
    settings = pip_settings(answer([sys.executable, "-m", "pip", "config", "list"]) or "")
    certificate = certificate_file(settings, os.environ)
    secrets: dict[str, Path] = {}
    if certificate is not None:
        secrets[CERTIFICATE] = certificate
    text = pip_config(settings, has_certificate=certificate is not None)
    if text:
        path = folder / PIP_CONFIG
        path.touch(mode=0o600)
        path.write_text(text)
        secrets[PIP_CONFIG] = path
    return secrets


def pip_settings(listing: str) -> dict[str, str]:
    """Read the output of `pip config list`; what the environment sets wins over files, as it does in pip."""
    found = re.findall(r"^(:env:|global|install)\.([a-z-]+)=(.*)$", listing, flags=re.MULTILINE)
    ordered = sorted(found, key=lambda setting: setting[0] == ":env:")
    return {key: str(ast.literal_eval(value)) for _, key, value in ordered}


def certificate_file(settings: Mapping[str, str], environment: Mapping[str, str]) -> Path | None:
    """Find the file of certificates that this machine trusts beside the usual ones; None when it has none."""
    names = [settings.get("cert", ""), *(environment.get(name, "") for name in CERTIFICATE_VARIABLES)]
    return next((Path(name) for name in names if name and Path(name).is_file()), None)


def pip_config(settings: Mapping[str, str], *, has_certificate: bool) -> str:
    """Write pip's configuration for the build; empty when there is nothing to say."""
    lines = [f"cert = {CERTIFICATE_IN_BUILD}"] if has_certificate else []
    for key in PIP_KEYS:
        if key in settings:
            # pip lists several values of one key with line breaks; continued lines are indented.
            value = settings[key].replace("\n", "\n    ")
            lines.append(f"{key.removeprefix('default-')} = {value}")
    return "\n".join(["[global]", *lines, ""]) if lines else ""
