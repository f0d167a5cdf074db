"""What the hub's library raises, turned into errors with a next action."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference_server.errors import HubDenied, HubNotFound, HubUnreachable, ProcessError, VolumeTooSmall

_NAME_A_TOKEN = "put a token that may read it into the Secret that presetOptions.modelAccessSecret names"  # noqa: S105 - words


@contextmanager
def explained(repo: str, revision: str, folder: Path) -> Iterator[None]:
    """Turn what the hub's library raises into ours. The token is in none of the texts."""
    import httpx
    from huggingface_hub import errors

    try:
        yield
    except errors.RevisionNotFoundError as error:
        raise HubNotFound(f"{repo} has no revision {revision}; check the revision") from error
    except errors.HfHubHTTPError as error:
        raise _by_status(repo, error.response.status_code) from error
    except errors.HFValidationError as error:
        raise HubNotFound(f"{repo!r} is no repository name: {error}") from error
    except errors.OfflineModeIsEnabled as error:
        raise HubUnreachable("HF_HUB_OFFLINE is set; set it to 0 to download weights") from error
    except (httpx.HTTPError, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise HubUnreachable(
            f"the hub {_endpoint()} does not answer ({type(error).__name__}); check the cluster's way out, "
            "its proxy, or HF_ENDPOINT"
        ) from error
    except OSError as error:
        raise VolumeTooSmall(f"cannot write to {folder}: {error.strerror or error}") from error


def _by_status(repo: str, status: int) -> ProcessError:
    if status in (401, 403):
        given = "refused the token" if os.environ.get("HF_TOKEN") else "wants a token"
        return HubDenied(
            f"the hub {_endpoint()} {given} for {repo} (HTTP {status}); if the model is gated, accept "
            f"its terms on the hub, then {_NAME_A_TOKEN}"
        )
    if status == 404:
        return HubNotFound(
            f"the hub {_endpoint()} has no {repo} (HTTP 404); check the name, or, if it is private, "
            f"{_NAME_A_TOKEN}"
        )
    return HubUnreachable(f"the hub {_endpoint()} answered {repo} with HTTP {status}; try again later")


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT
