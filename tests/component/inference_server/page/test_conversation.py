"""The chat page in a real browser, against the real server with an echo for a model: to ask and to stop."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import expect

from tests.component.inference_server.page.browser import (
    SLOWLY,
    ChatPage,
)
from tests.component.inference_server.process import ServerProcess, wait_for


def left_early(server: ServerProcess) -> int:
    """How many answers the server gave up because their client had gone."""
    text = httpx.get(f"{server.url}/metrics", trust_env=False).text
    found = re.findall(r'requests_total\{code="499",route="/v1/chat/completions"\} (\d+)', text)
    return sum(map(int, found))


def test_an_answer_appears_while_it_is_written(chat: ChatPage) -> None:
    question = "All the while these words are on their way, the first of them can be read."
    chat.ask(question)
    seen: list[str] = []

    def grown() -> bool:
        seen.append(chat.answer())
        return seen[-1] == question

    wait_for(grown, 30, "the whole answer")
    partial = {text for text in seen if text and text != question}
    assert len(partial) >= 3
    assert all(question.startswith(text.rstrip()) for text in partial)


def test_below_the_answer_stand_its_speed_and_its_length(chat: ChatPage) -> None:
    chat.ask("x" * 40)
    chat.answered()
    facts = chat.page.locator(".facts").inner_text()
    rate = re.search(r"([\d.]+) tokens/s", facts)
    first = re.search(r"first token after ([\d.]+) s", facts)
    assert rate is not None
    assert first is not None
    assert 5 < float(rate[1]) <= 1.2 / SLOWLY
    assert 0 < float(first[1]) < 10
    assert "tokens: 41" in facts  # with the end token, as the server counts


def press_stop(chat: ChatPage) -> None:
    chat.page.click("#stop")


def press_escape(chat: ChatPage) -> None:
    chat.page.keyboard.press("Escape")


@pytest.mark.parametrize("stop", [press_stop, press_escape])
def test_stop_keeps_what_came_and_ends_the_request_on_the_server(
    chat: ChatPage, server: ServerProcess, stop: Callable[[ChatPage], None]
) -> None:
    before = left_early(server)
    chat.ask("a long story " * 40)
    wait_for(lambda: len(chat.answer()) > 10, 30, "some of the answer")
    stop(chat)
    kept = chat.answered()
    assert 10 < len(kept) < 300
    assert "stopped" in chat.page.locator(".facts").inner_text()
    wait_for(lambda: left_early(server) == before + 1, 10, "the server to notice")
    time.sleep(10 * SLOWLY)
    assert chat.answer() == kept


def test_only_the_settings_that_were_made_reach_the_server(chat: ChatPage) -> None:
    chat.ask("one")
    chat.answered()
    chat.set_up(temperature="0.5", top_p="0.9", top_k="40", max_tokens="2", seed="7", system="Be brief.")
    chat.ask("three")
    assert chat.answered(2) == "th"
    assert "cut at the token limit" in chat.page.locator(".facts").last.inner_text()
    plain, set_up = chat.bodies
    fixed = {"model": "workspace-echo", "stream": True, "stream_options": {"include_usage": True}}
    assert plain == {**fixed, "messages": [{"role": "user", "content": "one"}]}
    turns = [("system", "Be brief."), ("user", "one"), ("assistant", "one"), ("user", "three")]
    messages = [{"role": role, "content": content} for role, content in turns]
    numbers = {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_tokens": 2, "seed": 7}
    assert set_up == {**fixed, **numbers, "messages": messages}


def test_a_setting_out_of_range_is_shown_instead_of_sent(chat: ChatPage) -> None:
    chat.set_up(temperature="9")
    chat.ask("hello")
    expect(chat.page.locator("#settings")).to_be_visible()
    expect(chat.page.locator("#temperature")).to_be_focused()
    expect(chat.page.locator("#temperature")).to_have_attribute("aria-invalid", "true")
    assert chat.bodies == []
    assert chat.page.locator("#question").input_value() == "hello"


def test_the_picker_offers_what_the_server_serves(chat: ChatPage) -> None:
    picker = chat.page.locator("#model")
    expect(picker.locator("option")).to_have_count(2)
    chat.page.select_option("#model", "workspace-echo:base")
    chat.ask("who?")
    assert chat.answered() == "who?"
    assert chat.bodies[-1]["model"] == "workspace-echo:base"
    assert "workspace-echo:base" in chat.page.locator(".facts").inner_text()


def test_the_last_answer_can_be_had_again_and_takes_the_place_of_the_old(chat: ChatPage) -> None:
    chat.ask("first")
    chat.answered()
    chat.ask("second")
    chat.answered(2)
    again = chat.page.get_by_role("button", name="Answer again")
    expect(again).to_have_count(1)
    again.click()
    expect(chat.page.locator("article.writing")).to_have_count(1)
    assert chat.answered(2) == "second"
    assert chat.bodies[2] == chat.bodies[1]


def test_a_cleared_conversation_is_forgotten_unless_it_is_taken_back(chat: ChatPage) -> None:
    chat.ask("first")
    chat.answered()
    chat.page.click("#clear")
    expect(chat.page.locator("article")).to_have_count(0)
    chat.page.click("#notice-action")
    assert chat.answered() == "first"
    chat.page.click("#clear")
    chat.ask("second")
    chat.answered()
    assert [turn["content"] for turn in chat.bodies[-1]["messages"]] == ["second"]


def test_nothing_of_a_conversation_outlives_the_page(chat: ChatPage) -> None:
    chat.page.click("#theme")
    chat.ask("a secret")
    chat.answered()
    assert chat.page.evaluate("({...localStorage, ...sessionStorage})") == {"kaito-theme": "dark"}
    chat.open()
    expect(chat.page.locator("#welcome")).to_be_visible()
    expect(chat.page.locator("article")).to_have_count(0)


def test_shift_enter_starts_a_line_and_enter_sends(chat: ChatPage) -> None:
    question = chat.page.locator("#question")
    question.press_sequentially("one")
    low = question.bounding_box()
    question.press("Shift+Enter")
    question.press_sequentially("two")
    high = question.bounding_box()
    assert low is not None
    assert high is not None
    assert high["height"] > low["height"]
    question.press("Enter")
    chat.answered()
    assert chat.bodies[-1]["messages"][-1]["content"] == "one\ntwo"
