"""A browser, and servers whose chat page it visits."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.component.inference_server.page.browser import (
    PACED,
    SLOWLY,
    ChatPage,
    Visitor,
    started_browser,
    visit,
)
from tests.component.inference_server.process import ServerProcess


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with started_browser() as browser:
        yield browser


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    started = ServerProcess(
        *("--served-model-name", "echo", "--workspace-name", "workspace-echo"),
        log=tmp_path_factory.mktemp("page") / "termination-log",
        module=PACED,
        environment={"TOKEN_SECONDS": str(SLOWLY)},
    )
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture
def visitor(browser: Browser, server: ServerProcess) -> Visitor:
    """Visits the server's page in a fresh profile, of the language, size and theme that it is given."""
    return functools.partial(visit, browser, server.url)


@pytest.fixture
def chat(browser: Browser, server: ServerProcess) -> Iterator[ChatPage]:
    with visit(browser, server.url) as chat:
        yield chat


@pytest.fixture
def closed(browser: Browser, tmp_path: Path) -> Iterator[ChatPage]:
    """A page of a server that wants a key."""
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "first").write_text("open-sesame\n")
    started = ServerProcess("--engine", "echo", "--api-keys", str(keys), log=tmp_path / "log")
    try:
        started.wait_ready()
        with visit(browser, started.url) as chat:
            yield chat
    finally:
        started.stop()
