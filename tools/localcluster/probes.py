"""Cheap questions to servers that are not the API server."""

import socket
from pathlib import Path

import httpx

TIMEOUT_S = 1.0


def connects(address: str, port: int) -> bool:
    """Say whether somebody accepts TCP connections there."""
    try:
        with socket.create_connection((address, port), TIMEOUT_S):
            return True
    except OSError:
        return False


def listens(path: Path) -> bool:
    """Say whether somebody accepts connections on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT_S)
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def answers(url: str, *statuses: int) -> bool:
    """Say whether an HTTP GET is answered with one of these statuses."""
    try:
        return httpx.get(url, timeout=TIMEOUT_S, trust_env=False).status_code in statuses
    except httpx.HTTPError:
        return False
