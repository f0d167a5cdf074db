"""What the chat page looks like: languages, markup, small screens, and who cannot see it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.component.inference_server.page.browser import (
    COMPLETIONS,
    PATIENCE_MS,
    ChatPage,
    Visitor,
    piece,
    streamed,
)
from tests.component.inference_server.process import wait_for


def test_an_arabic_browser_gets_the_page_in_arabic_from_right_to_left(visitor: Visitor) -> None:
    with visitor(locale="ar-EG") as chat:
        root = chat.page.locator("html")
        expect(root).to_have_attribute("dir", "rtl")
        expect(root).to_have_attribute("lang", "ar")
        chat.ask("ما هي عاصمة فرنسا؟")
        assert chat.answered() == "ما هي عاصمة فرنسا؟"
        chat.ask("in English")
        chat.answered(2)
        assert [direction(chat, at) for at in (0, 1)] == ["rtl", "ltr"]
        settings = chat.page.locator("#open-settings").bounding_box()
        picker = chat.page.locator("#model").bounding_box()
        assert settings is not None
        assert picker is not None
        assert settings["x"] < picker["x"]  # mirrored


def direction(chat: ChatPage, at: int) -> str:
    prose = chat.page.locator(".prose").nth(at)
    return str(prose.evaluate("node => getComputedStyle(node).direction"))


def test_the_language_can_be_switched_and_is_remembered(chat: ChatPage) -> None:
    root = chat.page.locator("html")
    expect(root).to_have_attribute("dir", "ltr")
    chat.page.click("#language")
    expect(root).to_have_attribute("dir", "rtl")
    chat.open()
    expect(root).to_have_attribute("dir", "rtl")
    chat.page.click("#language")
    expect(root).to_have_attribute("lang", "en")


def test_an_answer_never_becomes_markup(chat: ChatPage) -> None:
    attack = '<img src=x onerror="alert(1)"> <b>bold</b> [x](javascript:alert(1)) <script>alert(1)</script>'
    chat.ask(attack)
    assert chat.answered() == attack
    made = chat.page.locator("article").locator("img, b, a, script, iframe, [onerror]")
    expect(made).to_have_count(0)


def test_the_policy_forbids_markup_from_text_and_other_servers(chat: ChatPage) -> None:
    with pytest.raises(Exception, match="TrustedHTML"):
        chat.page.evaluate("document.body.innerHTML = '<p>x</p>'")
    refused = chat.page.evaluate("fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    assert any("connect-src" in problem for problem in chat.problems)
    chat.problems.clear()  # both lines in the console are this test's own


MARKDOWN = """# Title

**Bold** and *slanted* and `a < b`:

1. one
   - inner
2. two

```python
if a < b:
    print("**no**")
```
2 * 3 * 4 and snake_case_name stay."""


def test_the_markdown_that_models_write_is_laid_out(chat: ChatPage) -> None:
    chat.page.route(COMPLETIONS, lambda route: route.fulfill(**streamed(*map(piece, MARKDOWN))))
    chat.ask("show me")
    chat.answered()
    prose = chat.page.locator(".prose")
    assert prose.get_by_role("heading").inner_text() == "Title"
    assert prose.locator("strong").all_inner_texts() == ["Bold"]
    assert prose.locator("em").all_inner_texts() == ["slanted"]
    assert prose.locator("p code").all_inner_texts() == ["a < b"]
    assert prose.locator("pre code").inner_text() == 'if a < b:\n    print("**no**")'
    assert prose.locator("figcaption span").inner_text() == "python"
    assert prose.locator(":scope > ol > li").count() == 2
    assert prose.locator("ol > li > ul > li").all_inner_texts() == ["inner"]
    assert prose.locator(":scope > p").last.inner_text() == "2 * 3 * 4 and snake_case_name stay."


def test_a_models_thoughts_are_folded_away_and_not_sent_back(chat: ChatPage) -> None:
    pieces = ["<think>", "Let me ", "see.</think>\n\n", "Four."]
    chat.page.route(COMPLETIONS, lambda route: route.fulfill(**streamed(*map(piece, pieces))), times=1)
    chat.ask("2 + 2?")
    chat.answered()
    fold = chat.page.locator("details")
    expect(fold.locator("p")).to_be_hidden()
    fold.locator("summary").click()
    expect(fold.locator("p")).to_have_text("Let me see.")
    chat.ask("thanks")
    chat.answered(2)
    assert chat.bodies[-1]["messages"][1] == {"role": "assistant", "content": "Four."}


@pytest.mark.parametrize("secure", [True, False])
def test_an_answer_can_be_copied_over_plain_http_too(visitor: Visitor, secure: bool) -> None:
    with visitor(permissions=["clipboard-read", "clipboard-write"]) as chat:
        chat.ask("copy me")
        chat.answered()
        chat.page.evaluate("window.read = navigator.clipboard.readText.bind(navigator.clipboard)")
        if not secure:  # as on an address that is neither https nor localhost
            chat.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        chat.page.get_by_role("button", name="Copy").click()
        expect(chat.page.get_by_role("button", name="Copied")).to_be_visible()
        assert chat.page.evaluate("read()") == "copy me"


@pytest.mark.parametrize("locale", ["en-US", "ar-EG"])
def test_a_phone_shows_the_page_without_scrolling_sideways(visitor: Visitor, locale: str) -> None:
    size = {"width": 320, "height": 640}
    with visitor(locale=locale, viewport=size, has_touch=True, is_mobile=True) as chat:
        wide = f"{'w' * 80}\n\n```\n{'code ' * 40}\n```"
        chat.page.route(COMPLETIONS, lambda route: route.fulfill(**streamed(piece(wide))))
        chat.ask("q" * 60)
        chat.answered()
        widths = chat.page.evaluate("[document.documentElement, scroller].map(node => node.scrollWidth)")
        assert max(widths) <= size["width"]


def test_everything_that_can_be_pressed_or_filled_has_a_name(chat: ChatPage) -> None:
    chat.ask("hello")
    chat.answered()
    nameless = chat.page.evaluate("""
        [...document.querySelectorAll("button, input, select, textarea")]
            .filter((node) => !node.hidden && !node.ariaLabel && !node.labels?.[0]?.textContent)
            .filter((node) => node.tagName !== "BUTTON" || !node.textContent.trim())
            .map((node) => node.id || node.outerHTML)""")
    assert nameless == []


CONTRASTS = """
    (pairs) => {
        const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
        const light = (name) => {
            const probe = document.createElement("i");
            probe.style.color = `var(--${name})`;
            document.body.append(probe);
            canvas.fillStyle = getComputedStyle(probe).color;
            probe.remove();
            canvas.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((c) => c / 255)
                .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ordered = pairs.map((pair) => pair.map(light).sort((x, y) => y - x));
        return ordered.map(([high, low]) => (high + 0.05) / (low + 0.05));
    }"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_as_WCAG_asks(visitor: Visitor, theme: str) -> None:  # noqa: N802
    on_paper = [[ink, ground] for ink in ("ink", "quiet", "accent") for ground in ("paper", "raised", "soft")]
    pairs = [*on_paper, ["on-accent", "accent"], ["alarm", "alarm-soft"], ["alarm", "raised"]]
    with visitor(color_scheme=theme) as chat:
        ratios = chat.page.evaluate(CONTRASTS, pairs)
        weak = [(pair, round(ratio, 2)) for pair, ratio in zip(pairs, ratios, strict=True) if ratio < 4.5]
        assert weak == []


def test_the_newest_line_stays_in_sight_until_the_reader_scrolls_away(visitor: Visitor) -> None:
    with visitor(viewport={"width": 800, "height": 300}) as chat:
        chat.ask("line\n" * 24)
        end = "scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight"
        wait_for(lambda: chat.answer().count("line") > 16, 30, "more than a screen")
        assert chat.page.evaluate(end) < 60
        chat.page.locator("#scroller").hover()
        chat.page.mouse.wheel(0, -400)
        expect(chat.page.locator("#latest")).to_be_visible()
        chat.answered()
        assert chat.page.evaluate(end) > 60
        chat.page.click("#latest")
        assert chat.page.evaluate(end) < 60


def test_the_page_goes_with_a_reader_who_uses_the_keyboard_only(chat: ChatPage) -> None:
    expect(chat.page.locator("#question")).to_be_focused()
    chat.page.keyboard.type("hello")
    chat.page.keyboard.press("Enter")
    chat.answered()
    expect(chat.page.locator("#question")).to_be_focused()
    expect(chat.page.locator("#announcer")).to_have_text("hello", timeout=PATIENCE_MS)
    chat.page.keyboard.press("Shift+Tab")
    focused = chat.page.evaluate("document.activeElement.ariaLabel")
    assert focused == "Answer again"
    chat.page.keyboard.press("Enter")
    assert chat.answered() == "hello"
    expect(chat.page.locator("#question")).to_be_focused()
