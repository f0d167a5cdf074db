"""The chat page: one HTML document with its style and script inside, sent as it is to every browser.

Nothing in it comes from a user, and it asks no other origin for anything. Its Content-Security-Policy lets
exactly this style and this script run, by their hashes, and lets them talk to this server only.
`require-trusted-types-for` makes the browser refuse innerHTML and its like, so that an answer can never
become markup.

The parts lie beside this file and are put together when the page is first asked for; there is no build step.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from pathlib import Path

from starlette.responses import Response

_FOLDER = Path(__file__).parent
# One script in this order: the later ones use what the earlier ones define.
_SCRIPTS = (
    "texts.js",
    "markdown.js",
    "view.js",
    "server.js",
    "settings.js",
    "waiting.js",
    "picker.js",
    "main.js",
)


def page_response() -> Response:
    """Return the chat page with the headers that keep it to itself."""
    return Response(_document(), media_type="text/html", headers=_headers())


@functools.cache
def _document() -> bytes:
    parts = {"{{style}}": _style(), "{{script}}": _script(), "{{texts}}": _texts()}
    document = _read("index.html")
    for mark, part in parts.items():
        document = document.replace(mark, part)
    return document.encode()


@functools.cache
def _headers() -> dict[str, str]:
    policy = {
        "default-src": "'none'",
        "script-src": _hash(_script()),
        "style-src": _hash(_style()),
        "connect-src": "'self'",
        "img-src": "data:",  # the tab's icon
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",  # a new version of the server brings a new page
    }


def _script() -> str:
    return "\n".join(_read(name) for name in _SCRIPTS)


def _style() -> str:
    return _read("style.css")


def _texts() -> str:
    """Return the texts as JSON that cannot end the element it stands in."""
    return json.dumps(json.loads(_read("texts.json")), ensure_ascii=False).replace("<", "\\u003c")


def _hash(inline: str) -> str:
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
