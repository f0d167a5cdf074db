from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from inference_server.engine import TextStream
from inference_server.errors import BadRequest
from inference_server.prompts import (
    prompt_from_messages,
    prompt_from_text,
    prompt_to_continue,
    template_markers,
)


@dataclass
class FakeTokenizer:
    """Tokens are characters; the template is a Python format."""

    template: str = ""
    bos_token: str = ""
    boundary_tokens: frozenset[str] = frozenset()
    added_tokens: frozenset[str] = frozenset()
    encoded: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def has_chat_template(self) -> bool:
        return bool(self.template)

    @property
    def chat_template(self) -> str:
        return self.template

    def render(
        self, messages: Sequence[Mapping[str, object]], tools: Sequence[Mapping[str, object]] = ()
    ) -> str:
        offered = "".join(f"[TOOL]{tool}" for tool in tools)
        return offered + "".join(self.template.format(**message) for message in messages)

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        self.encoded.append((text, add_special_tokens))
        return [ord(character) for character in text]

    def text_stream(
        self, context: Sequence[int], *, clean_up: bool, keep_special: bool = False
    ) -> TextStream:
        raise NotImplementedError

    def token_bytes(self, token_id: int) -> bytes:
        raise NotImplementedError


CHATML = FakeTokenizer(
    "<|im_start|>{role}\n{content}<|im_end|>\n",
    boundary_tokens=frozenset({"<|im_start|>", "<|im_end|>"}),
    added_tokens=frozenset({"<|im_start|>", "<|im_end|>"}),
)
PHI3 = FakeTokenizer(
    "<|{role}|>\n{content}<|end|>\n",
    boundary_tokens=frozenset({"<s>", "<|endoftext|>"}),
    added_tokens=frozenset({"<|user|>", "<|assistant|>", "<|end|>", "<s>", "<|endoftext|>"}),
)
MISTRAL = FakeTokenizer("<s>[INST] {content} [/INST]", boundary_tokens=frozenset({"<s>", "</s>"}))


@pytest.mark.parametrize(
    ("tokenizer", "marker"), [(CHATML, "<|im_start|>"), (PHI3, "<|user|>"), (MISTRAL, "[INST]")]
)
def test_the_markers_of_a_template_are_found(tokenizer: FakeTokenizer, marker: str) -> None:
    assert marker in template_markers(tokenizer)


@pytest.mark.parametrize("tokenizer", [CHATML, PHI3, MISTRAL])
def test_a_plain_prompt_becomes_one_user_message(tokenizer: FakeTokenizer) -> None:
    prompt = prompt_from_text("Hi", "", tokenizer, template_markers(tokenizer))
    expected = tokenizer.render([{"role": "user", "content": "Hi"}])
    assert "".join(map(chr, prompt.token_ids)) == expected


@pytest.mark.parametrize("tokenizer", [CHATML, PHI3, MISTRAL])
def test_a_formatted_prompt_is_not_formatted_again(tokenizer: FakeTokenizer) -> None:
    formatted = tokenizer.render([{"role": "user", "content": "Hi"}])
    prompt = prompt_from_text(formatted, "", tokenizer, template_markers(tokenizer))
    assert "".join(map(chr, prompt.token_ids)) == formatted


def test_a_question_about_html_is_not_taken_for_a_formatted_prompt() -> None:
    markers = template_markers(PHI3)
    prompt = prompt_from_text("What does </s> or <s>strike</s> mean?", "", PHI3, markers)
    assert "".join(map(chr, prompt.token_ids)).startswith("<|user|>")


def test_a_base_model_gets_the_prompt_as_it_is_with_its_begin_token() -> None:
    tokenizer = FakeTokenizer(bos_token="<s>")
    prompt_from_text("Once upon", "", tokenizer, frozenset())
    prompt_from_text("<s>Once upon", "", tokenizer, frozenset())
    assert tokenizer.encoded == [("Once upon", True), ("<s>Once upon", False)]


def test_a_prefix_stands_before_the_prompt_and_is_not_the_users_text() -> None:
    tokenizer = FakeTokenizer()
    prompt = prompt_from_text("b", "a", tokenizer, frozenset())
    assert tokenizer.encoded[0][0] == "ab"
    assert prompt.text == "b"


def test_messages_need_a_template() -> None:
    with pytest.raises(BadRequest, match="no chat template"):
        prompt_from_messages([{"role": "user", "content": "Hi"}], FakeTokenizer())


def test_a_text_to_continue_is_taken_as_it_is_even_by_a_chat_model() -> None:
    prompt = prompt_to_continue("Once upon", CHATML)
    assert "".join(map(chr, prompt.token_ids)) == "Once upon"
    assert (prompt.text, prompt.templated) == ("Once upon", False)


def test_a_text_to_continue_gets_the_begin_token_once() -> None:
    tokenizer = FakeTokenizer(bos_token="<s>")
    prompt_to_continue("Once", tokenizer)
    prompt_to_continue("<s>Once", tokenizer)
    assert tokenizer.encoded == [("Once", True), ("<s>Once", False)]


def test_token_ids_are_taken_as_they_are() -> None:
    prompt = prompt_to_continue([5, 6, 7], CHATML)
    assert (prompt.token_ids, prompt.text, prompt.templated) == ((5, 6, 7), "", False)


def test_tools_reach_the_template() -> None:
    tokenizer = FakeTokenizer(template="{role}:{content}")
    prompt_from_messages([{"role": "user", "content": "Hi"}], tokenizer, [{"type": "function"}])
    assert tokenizer.encoded == [("[TOOL]{'type': 'function'}user:Hi", False)]


@pytest.mark.parametrize(
    ("tokenizer", "text", "templated"),
    [(CHATML, "Hi", True), (CHATML, "<|im_start|>user", True), (FakeTokenizer(), "Hi", False)],
)
def test_the_answer_of_a_chat_model_is_a_turn_of_its_own(
    tokenizer: FakeTokenizer, text: str, templated: bool
) -> None:
    assert prompt_from_text(text, "", tokenizer, template_markers(tokenizer)).templated is templated
