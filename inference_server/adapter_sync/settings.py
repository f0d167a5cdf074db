"""The flags of `python -m inference_server.adapter_sync`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from typing_extensions import override

from inference_server.adapter_sync.errors import Unusable

_LIVE: Final = "live"


@dataclass(frozen=True)
class Settings:
    """Folders are: `config` with adapters.json, `to` of the adapters, `auth` of the Secrets."""

    config: Path
    to: Path
    auth: Path
    insecure: frozenset[str]
    max_bytes: int
    log_level: str

    @property
    def live(self) -> Path:
        """The folder that this program fills."""
        return self.to / _LIVE


class _Parser(argparse.ArgumentParser):
    @override
    def error(self, message: str) -> NoReturn:
        raise Unusable(message)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the flags; docs/adapters.md is tested against it."""
    parser = _Parser(
        prog="python -m inference_server.adapter_sync", description="Pull adapters for the server."
    )
    add = parser.add_argument
    add("--config", type=Path, required=True, help="folder with adapters.json")
    add("--to", type=Path, required=True, help="folder of the adapters; this program fills live/ in it")
    add(
        "--auth",
        type=Path,
        default=Path("/etc/kaito/pull-secrets"),
        help="folder with a folder for each Secret",
    )
    add("--insecure-registry", action="append", default=[], metavar="HOST:PORT", help="speaks plain HTTP")
    add("--max-bytes", type=int, default=8 << 30, help="of one adapter, packed and unpacked (default 8 GiB)")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    return parser


def parse_settings(arguments: Sequence[str]) -> Settings:
    """Read the flags.

    Raises:
        Unusable: a flag is missing, not known or has a bad value, or --config is not a folder.
    """
    found = make_parser().parse_args(arguments)
    if found.max_bytes <= 0:
        raise Unusable("--max-bytes is not positive; leave it out for 8 GiB")
    if not found.config.is_dir():
        raise Unusable(f"--config {found.config} is not a folder; mount the ConfigMap of the adapters there")
    insecure = frozenset(found.insecure_registry)
    return Settings(found.config, found.to, found.auth, insecure, found.max_bytes, found.log_level)
