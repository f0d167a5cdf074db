"""What a real registry cannot be told to do: be slow, refuse for a while, damage layers, end tokens early."""

import json
import threading
from http.server import BaseHTTPRequestHandler

import requests
from typing_extensions import override


class SlowRegistry(BaseHTTPRequestHandler):
    """Passes requests on to a real registry; of blobs it sends the first half and waits, while `held`."""

    upstream = ""
    held = threading.Event()
    reached = threading.Event()
    refusals: list[int]
    damage: list[str]  # what is left to be damaged: one entry for each blob
    account = ""
    tokens: list[str]  # the valid ones; each is good for one request
    scopes: list[str]

    def _token_is_missing(self) -> bool:
        """Play a registry with a token server, while there is an `account` ("Basic ...")."""
        if self.path.startswith("/token"):
            known = self.headers.get("Authorization") == self.account
            self.tokens.append(f"token-{len(self.scopes)}")
            self.scopes.append(self.path)
            body = json.dumps({"token": self.tokens[-1]} if known else {}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return True
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self.account or given in self.tokens:
            self.tokens.clear()
            return False
        scope = "repository:team/one:pull"
        address = self.headers["Host"]
        self.send_response(401)
        challenge = f'Bearer realm="http://{address}/token",service="test",scope="{scope}"'
        self.send_header("Www-Authenticate", challenge)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def do_GET(self) -> None:
        if self._token_is_missing():
            return
        if self.refusals:
            self.send_response(self.refusals.pop())
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        headers = {"Accept": self.headers.get("Accept", "*/*")}
        answer = requests.get(f"http://{self.upstream}{self.path}", headers=headers, timeout=10)
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        content = answer.content
        if self.damage and "/blobs/" in self.path:
            content = content[:-1] + bytes([content[-1] ^ 1])
            self.damage.pop()
        half = len(content) // 2 if "/blobs/" in self.path else 0
        self.wfile.write(content[:half])
        if half:
            self.reached.set()
            self.held.wait(20)
        try:
            self.wfile.write(content[half:])
        except OSError:
            self.close_connection = True

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""
