"""Ask a registry what it has, by the OCI distribution API 1.1."""

import httpx

from tools.images.errors import RegistryError

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


def is_local(reference: str) -> bool:
    """True when the reference's registry is on this machine, where plain HTTP is spoken."""
    host = reference.partition("/")[0].rpartition(":")[0]
    return host in ("localhost", "127.0.0.1", "[::1]")


def has_image(registry: str, repository: str, tag: str) -> bool:
    """Ask whether the registry has this tag.

    Nothing is authenticated: a registry that asks for a login gives False, and the push, which uses the
    builder's login, finds its layers there.

    Args:
        registry: host and port, and a path where the registry has one: `localhost:5000`, `example.com/team`.
        repository: the image's name in it.
        tag: the image's version.

    Raises:
        RegistryError: no answer in 5 s.
    """
    host, _, path = registry.partition("/")
    local = is_local(f"{host}/")
    name = "/".join(part for part in (path, repository) if part)
    url = f"{'http' if local else 'https'}://{host}/v2/{name}/manifests/{tag}"
    try:
        # trust_env: a proxy of the user's must not be asked for an address on this very machine.
        with httpx.Client(timeout=5, trust_env=not local) as client:
            found = client.head(url, headers={"Accept": ", ".join(MANIFEST_TYPES)})
    except httpx.HTTPError as error:
        raise RegistryError(
            f"No registry answers at {host} ({error!r}). `python -m tools.localcluster up` starts the one at "
            "localhost:5000."
        ) from None
    return found.status_code == httpx.codes.OK
