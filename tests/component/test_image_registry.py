"""What the image build asks of a registry."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typing_extensions import override

from tools.images.errors import RegistryError
from tools.images.registry import has_image

pytestmark = pytest.mark.component


class Registry(BaseHTTPRequestHandler):
    """Knows one image, and hides everything below /v2/private behind a login."""

    def do_HEAD(self) -> None:
        """Answer a question for a manifest."""
        known = self.path == "/v2/team/kaito-operator/manifests/abc"
        manifest = "application/vnd.oci.image.manifest.v1+json" in self.headers["Accept"]
        status = 401 if "/private/" in self.path else 200 if known and manifest else 404
        self.send_response(status)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def registry() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("repository", "tag", "there"),
    [("kaito-operator", "abc", True), ("kaito-operator", "def", False), ("kaito-inference", "abc", False)],
)
def test_an_image_is_there_when_its_tag_is(registry: str, repository: str, tag: str, there: bool) -> None:
    assert has_image(f"{registry}/team", repository, tag) is there


def test_a_registry_that_asks_for_a_login_does_not_tell_and_is_pushed_to(registry: str) -> None:
    assert has_image(f"{registry}/private", "kaito-operator", "abc") is False


def test_a_registry_that_does_not_answer_is_told_with_what_starts_one() -> None:
    with pytest.raises(RegistryError, match=r"tools\.localcluster up"):
        has_image("127.0.0.1:1", "kaito-operator", "abc")
