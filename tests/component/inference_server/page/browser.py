"""A chat page in a real browser: chromium, driven by playwright, watched for errors and for strangers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

PACED = "tests.component.inference_server.page.paced_echo"  # a module that ServerProcess runs
SLOWLY = 0.04  # seconds for a character
COMPLETIONS = "**/v1/chat/completions"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Chromium writes a line of its own for each answer that is no 2xx; the page shows it to the person.
HTTP_STATUS = "Failed to load resource: the server responded with a status of"
PATIENCE_MS = 30_000  # two cores, shared


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Yield the browser of this machine; skip the test where it has none."""
    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("no browser on this machine; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            browser.close()


class ChatPage:
    """One visit to /ui of a server; `bodies` are the requests for answers that it sent."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.bodies: list[dict[str, Any]] = []
        self.problems: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", self._note_request)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))

    def open(self) -> None:
        """Load the page anew."""
        self.page.goto(f"{self.url}/ui")

    def ask(self, question: str) -> None:
        """Write a question and send it; does not wait for the answer."""
        self.page.locator("#question").fill(question)
        self.page.locator("#question").press("Enter")

    def set_up(self, **fields: str) -> None:
        """Fill fields of the settings, by their ids, and close them."""
        self.page.click("#open-settings")
        for name, value in fields.items():
            self.page.fill(f"#{name}", value)
        self.page.keyboard.press("Escape")

    def answered(self, count: int = 1) -> str:
        """Wait until so many exchanges stand there, none of them being written; return the last answer."""
        expect(self.page.locator("article")).to_have_count(count, timeout=PATIENCE_MS)
        expect(self.page.locator("article.writing")).to_have_count(0, timeout=PATIENCE_MS)
        return self.answer()

    def answer(self) -> str:
        """The text of the last answer, as far as it has come."""
        return self.page.locator("article").last.locator(".prose").inner_text()

    def check(self) -> None:
        """Fail if anything went to another server, or the page broke."""
        assert self.problems == []

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:")):
            self.problems.append(f"asked another server: {request.url}")
        if request.url.endswith("/v1/chat/completions"):
            self.bodies.append(json.loads(request.post_data or ""))

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(HTTP_STATUS):
            self.problems.append(f"{message.type} in the console: {message.text}")


def piece(text: str) -> dict[str, Any]:
    """A chunk of a stream with some of the answer."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


def streamed(*events: object, end: str = "data: [DONE]\n\n") -> dict[str, Any]:
    """What route.fulfill() takes for a stream of these events."""
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + end
    return {"status": 200, "content_type": "text/event-stream", "body": body}


Visitor = Callable[..., AbstractContextManager["ChatPage"]]  # visit() of a known server


@contextmanager
def visit(browser: Browser, url: str, **context: Any) -> Iterator[ChatPage]:
    """Yield an opened page in a fresh profile; `context` is what playwright's new_context() takes."""
    profile = browser.new_context(**{"locale": "en-US", **context})
    try:
        chat = ChatPage(profile.new_page(), url)
        chat.open()
        yield chat
        chat.check()
    finally:
        profile.close()
