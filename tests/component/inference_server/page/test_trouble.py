"""The chat page when the server loads, is busy, wants a key, refuses or breaks off."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.component.inference_server.page.browser import (
    COMPLETIONS,
    PACED,
    ChatPage,
    piece,
    streamed,
    visit,
)
from tests.component.inference_server.process import ServerProcess, wait_for


def test_an_adapter_that_has_gone_is_answered_with_the_names_that_are_there(chat: ChatPage) -> None:
    base = "workspace-echo:base"
    entries = [{"id": "workspace-echo"}, {"id": base}, {"id": "poems", "parent": base}]
    chat.page.route("**/v1/models", lambda route: route.fulfill(json={"data": entries}))
    chat.open()
    groups = chat.page.locator("#model optgroup")
    expect(groups).to_have_count(2)
    assert groups.nth(0).locator("option").all_inner_texts() == [
        "workspace-echo, all adapters",
        "workspace-echo, no adapter",
    ]
    assert groups.nth(1).locator("option").all_inner_texts() == ["poems"]
    chat.page.select_option("#model", "poems")
    chat.ask("a rose")
    problem = chat.page.locator(".problem")
    expect(problem).to_contain_text("workspace-echo")
    assert chat.bodies[-1]["model"] == "poems"
    chat.page.select_option("#model", "workspace-echo")
    problem.get_by_role("button").click()
    assert chat.answered() == "a rose"


def test_a_refused_request_asks_for_the_key_and_goes_on_with_it(closed: ChatPage) -> None:
    page = closed.page
    expect(page.locator("#ask-key")).to_be_visible()  # the list of models was refused
    page.fill("#given-key", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-key-why")).to_contain_text("refused")
    page.click("#key-cancel")
    closed.ask("let me in")
    expect(page.locator("#ask-key")).to_be_visible()
    page.fill("#given-key", "open-sesame")
    page.keyboard.press("Enter")
    assert closed.answered() == "let me in"
    assert page.evaluate("Object.values(sessionStorage)") == ["open-sesame"]
    assert "sesame" not in page.evaluate("JSON.stringify(localStorage)") + page.url


def test_who_gives_no_key_is_told_how_to_go_on(closed: ChatPage) -> None:
    closed.page.click("#key-cancel")
    closed.ask("let me in")
    closed.page.click("#key-cancel")
    closed.answered()
    expect(closed.page.locator(".problem")).to_contain_text("Try again")
    time.sleep(1)
    expect(closed.page.locator("#ask-key")).to_be_hidden()  # said once, not again after the answer


def progress(chat: ChatPage) -> float:
    return float(chat.page.locator("#notice-progress").evaluate("node => node.value"))


def test_while_the_model_loads_the_page_says_how_far_it_is_and_keeps_the_question(
    browser: Browser, tmp_path: Path
) -> None:
    loading = ServerProcess(log=tmp_path / "log", module=PACED, environment={"LOAD_SECONDS": "6"})
    try:
        with visit(browser, loading.url) as chat:
            expect(chat.page.locator("#notice-text")).to_contain_text("The model is loading: weights")
            chat.ask("already here")
            before = progress(chat)
            said: set[str] = set()

            def further() -> bool:
                said.add(chat.page.locator("#notice-text").inner_text())
                return progress(chat) > before + 0.2

            wait_for(further, 10, "more of it loaded")
            assert [
                text for text in said if "loading" not in text
            ] == []  # it waits for the model, not its turn
            assert chat.answered() == "already here"
            expect(chat.page.locator("#notice")).to_be_hidden()
            expect(chat.page.locator("#model option")).not_to_have_count(0)
    finally:
        loading.stop()


def test_a_busy_server_is_asked_again_when_it_said(chat: ChatPage) -> None:
    refused: list[float] = []

    def busy(route: Route) -> None:
        refused.append(time.monotonic())
        error = {"message": "32 requests wait already", "type": "rate_limit_exceeded"}
        route.fulfill(status=429, headers={"Retry-After": "2"}, json={"error": error})

    chat.page.route(COMPLETIONS, busy, times=1)
    chat.ask("hello")
    expect(chat.page.locator("#notice-text")).to_contain_text("The server is busy. Trying again in 2 s")
    assert chat.answered() == "hello"
    assert time.monotonic() - refused[0] >= 2
    expect(chat.page.locator("#notice")).to_be_hidden()


def test_waiting_for_a_busy_server_can_be_stopped(chat: ChatPage) -> None:
    def busy(route: Route) -> None:
        route.fulfill(status=429, headers={"Retry-After": "60"}, json={})

    chat.page.route(COMPLETIONS, busy)
    chat.ask("hello")
    expect(chat.page.locator("#notice-text")).to_contain_text("busy")
    chat.page.click("#stop")
    chat.answered()
    expect(chat.page.locator("#notice")).to_be_hidden()
    assert len(chat.bodies) == 1


def test_the_servers_sentence_is_shown_and_the_refused_question_is_not_sent_with_the_next(
    chat: ChatPage,
) -> None:
    chat.set_up(max_tokens="5000")
    chat.ask("x" * 4096)
    expect(chat.page.locator(".problem")).to_contain_text("4096")
    chat.ask("short")
    chat.answered(2)
    asked = [turn["content"] for turn in chat.bodies[-1]["messages"]]
    assert asked == ["short"]  # a question without an answer would make two turns of the user in a row


BROKEN = [
    ({"error": {"message": "the model cannot answer any more: it broke"}}, "The model cannot answer"),
    (None, "The connection ended before the answer did"),
]


@pytest.mark.parametrize(("event", "sentence"), BROKEN)
def test_an_answer_that_breaks_off_keeps_what_came_and_says_why(
    chat: ChatPage, event: dict[str, Any] | None, sentence: str
) -> None:
    events = [piece("The beginning"), *([event] if event else [])]
    chat.page.route(COMPLETIONS, lambda route: route.fulfill(**streamed(*events, end="")), times=1)
    chat.ask("tell me")
    assert chat.answered() == "The beginning"
    expect(chat.page.locator(".problem span")).to_have_text(re.compile(sentence, re.IGNORECASE))
    chat.page.get_by_role("button", name="Try again").click()
    assert chat.answered() == "tell me"
    expect(chat.page.locator(".problem")).to_be_hidden()
