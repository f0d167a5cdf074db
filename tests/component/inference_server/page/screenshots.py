"""Takes the two pictures of docs/chat-page.md.

python -m tests.component.inference_server.page.screenshots --model FOLDER

The English answer is the model's own, without chance. The Arabic one is written below and spoken by the echo
engine, since no model that is small enough for every machine speaks Arabic.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Route

from tests.component.inference_server.page.browser import (
    COMPLETIONS,
    PACED,
    ChatPage,
    started_browser,
    visit,
)
from tests.component.inference_server.process import ServerProcess
from tests.support.operator import CHECKOUT

IMAGES = CHECKOUT / "docs" / "images"
VIEW = {"width": 1000, "height": 600}
QUESTION = "How do I boil an egg? Answer with a short numbered list."
ARABIC_QUESTION = "كيف أسلق بيضة؟"
ARABIC_ANSWER = """لسلق بيضة **متماسكة الصفار**:

1. ضع البيضة في قدر صغير وغطها بالماء البارد.
2. سخن الماء حتى يغلي، ثم خفف النار.
3. انتظر تسع دقائق.
4. انقلها إلى ماء بارد، فيسهل تقشيرها.

للصفار الطري تكفي *ست دقائق*."""


@contextmanager
def serving(module: str, *flags: str, token_seconds: float = 0) -> Iterator[ServerProcess]:
    """Yield a server that is ready."""
    environment = {"TOKEN_SECONDS": str(token_seconds)}
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(*flags, log=Path(folder) / "log", module=module, environment=environment)
        try:
            server.wait_ready()
            yield server
        finally:
            server.stop()


def english(browser: Browser, model: Path) -> None:
    """The model answers, at temperature 0."""
    flags = ("--model", str(model), "--served-model-name", "smollm2-135m-instruct", "--adapters", "none")
    with (
        serving("inference_server", *flags, "--workspace-name", "workspace-smollm2") as server,
        visit(browser, server.url, viewport=VIEW, color_scheme="light") as chat,
    ):
        chat.set_up(temperature="0", max_tokens="200")
        chat.ask(QUESTION)
        picture(chat, "chat-en.png")


def arabic(browser: Browser) -> None:
    """The echo engine says what it is told to instead of the question."""

    def tell(route: Route) -> None:
        body = json.loads(route.request.post_data or "")
        body["messages"][-1]["content"] = ARABIC_ANSWER
        route.continue_(post_data=json.dumps(body))

    with (
        serving(PACED, "--workspace-name", "workspace-smollm2", token_seconds=0.03) as server,
        visit(browser, server.url, viewport=VIEW, locale="ar-EG", color_scheme="dark") as chat,
    ):
        chat.page.route(COMPLETIONS, tell)
        chat.ask(ARABIC_QUESTION)
        picture(chat, "chat-ar.png")


def picture(chat: ChatPage, name: str) -> None:
    """Write docs/images/`name` once the answer is there."""
    chat.answered()
    chat.page.mouse.move(1, 300)  # off the buttons, which change under it
    chat.page.screenshot(path=IMAGES / name)


def main() -> None:
    """Needs a folder with a model, since docs/ should show a real answer."""
    parser = argparse.ArgumentParser(description="Takes the two pictures of docs/chat-page.md.")
    parser.add_argument("--model", type=Path, required=True, help="folder of SmolLM2-135M-Instruct")
    with started_browser() as browser:
        arabic(browser)
        english(browser, parser.parse_args().model)


if __name__ == "__main__":
    main()
