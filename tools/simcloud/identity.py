"""Who may call: a login endpoint that exchanges a federated token for access tokens, and their check.

Access tokens are signed with a key that lies in the cloud's folder, so they outlive a restart of the server.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from tools.localcluster.paths import write_private
from tools.simcloud.errors import ArmError

LIFETIME_S = 3599
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class LoginError(Exception):
    """The login service refuses; ``code`` and ``message`` are its answer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Identity:
    """One workload identity that may do everything.

    Attributes:
        tenant, client: GUIDs.
        token_file: holds the federated token, as the webhook would mount it into a pod.

    Args:
        folder: the cloud's.
    """

    tenant = "7e2a4c10-5d3b-4f61-9a08-1c2b3d4e5f60"
    client = "c0ffee00-1a2b-4c3d-8e4f-5a6b7c8d9e0f"

    def __init__(self, folder: Path) -> None:
        self.token_file = folder / "federated-token"
        self._key_file = folder / "token-key"
        self._ensure(self.token_file)
        self._ensure(self._key_file)
        self._key = self._key_file.read_bytes()

    def login(self, tenant: str, form: Mapping[str, str]) -> dict[str, object]:
        """Exchange a federated token.

        Raises:
            LoginError: it is not the one of the file, or the request is none for a token.
        """
        if (
            form.get("grant_type") != "client_credentials"
            or form.get("client_assertion_type") != ASSERTION_TYPE
        ):
            raise LoginError(
                "unsupported_grant_type", "AADSTS70003: only federated tokens are exchanged here."
            )
        if not form.get("scope", "").endswith("/.default"):
            raise LoginError("invalid_scope", "AADSTS70011: the scope has to end in /.default.")
        if tenant != self.tenant or form.get("client_id") != self.client:
            raise LoginError("unauthorized_client", "AADSTS700016: no such application in this tenant.")
        given = form.get("client_assertion", "")
        if not hmac.compare_digest(given, self.token_file.read_text().strip()):
            text = "AADSTS70021: No matching federated identity record found for presented assertion."
            raise LoginError("invalid_client", text)
        return {"token_type": "Bearer", "expires_in": LIFETIME_S, "access_token": self._issue()}

    def check(self, header: str | None) -> None:
        """Accept the Authorization header of a call.

        Raises:
            ArmError: 401.
        """
        kind, _, token = (header or "").partition(" ")
        if kind != "Bearer" or not self._valid(token):
            text = "The access token is missing, expired or invalid."
            raise ArmError(401, "InvalidAuthenticationToken", text, {"WWW-Authenticate": "Bearer"})

    def revoke(self) -> None:
        """Make every access token of now invalid."""
        write_private(self._key_file, secrets.token_hex())
        self._key = self._key_file.read_bytes()

    def _issue(self) -> str:
        content = f"{int(time.time()) + LIFETIME_S}.{secrets.token_hex(8)}"
        return f"{content}.{self._sign(content)}"

    def _valid(self, token: str) -> bool:
        content, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, self._sign(content)):
            return False
        return int(content.partition(".")[0]) > time.time()

    def _sign(self, content: str) -> str:
        return hmac.new(self._key, content.encode(), hashlib.sha256).hexdigest()

    @staticmethod
    def _ensure(file: Path) -> None:
        if not file.exists():
            write_private(file, secrets.token_hex())
