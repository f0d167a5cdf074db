"""The chat page as a document: its two languages, its policy, and that it needs nobody else."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from inference_server.engine import Phase
from inference_server.http import page
from inference_server.http.openai.fields import SamplingFields
from inference_server.http.page import page_response

FOLDER = Path(page.__file__).parent
TEXTS = json.loads((FOLDER / "texts.json").read_text())
SCRIPTS = "\n".join(path.read_text() for path in sorted(FOLDER.glob("*.js")))
MARKUP = (FOLDER / "index.html").read_text()


def document() -> str:
    return bytes(page_response().body).decode()


def inline(tag: str) -> str:
    """What the browser takes the hash of: all between the tags."""
    found = re.search(rf"<{tag}>(.*?)</{tag.split()[0]}>", document(), re.DOTALL)
    assert found is not None
    return found[1]


def used_keys() -> set[str]:
    marked = re.findall(r'data-(?:text|label|name|placeholder)="(\w+)"', MARKUP)
    called = re.findall(r'\b(?:t|heading)\(\s*"(\w+)"|\bkey: "(\w+)"', SCRIPTS)
    either = re.findall(r't\(apiKey \? "(\w+)" : "(\w+)"\)', SCRIPTS)
    buttons = re.findall(r'iconButton\("\w+", "(\w+)"', SCRIPTS)
    either += re.findall(r'"" : "(ended_early)"()', SCRIPTS)
    pairs = [key for pair in called + either for key in pair if key]
    return {*marked, *pairs, *buttons}


def test_both_languages_have_the_same_texts() -> None:
    assert list(TEXTS["en"]) == list(TEXTS["ar"])


@pytest.mark.parametrize("key", TEXTS["en"])
def test_a_text_leaves_the_same_gaps_in_both_languages(key: str) -> None:
    gaps = [sorted(re.findall(r"\{\w+\}", TEXTS[language][key])) for language in ("en", "ar")]
    assert gaps[0] == gaps[1]
    assert TEXTS["en"][key].strip()
    assert TEXTS["ar"][key].strip()


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    phases = {key for key in TEXTS["en"] if key.startswith("phase_")}  # looked up by the server's word
    assert used_keys() == set(TEXTS["en"]) - phases


def test_every_phase_of_a_load_has_its_words() -> None:
    loading = {phase for phase in Phase if phase not in (Phase.READY, Phase.DRAINING, Phase.FAILED)}
    assert {f"phase_{phase}" for phase in loading} == {key for key in TEXTS["en"] if key.startswith("phase_")}


def test_the_arabic_texts_are_arabic() -> None:
    names = {
        "other_language",
        "top_p",
        "top_k",
    }  # a language calls itself so; a parameter has this name everywhere
    latin = [key for key, text in TEXTS["ar"].items() if not re.search("[\u0600-\u06ff]", text)]
    assert set(latin) == names


INLINE = {"style": "style-src", 'script type="module"': "script-src"}


@pytest.mark.parametrize(("tag", "directive"), INLINE.items())
def test_the_policy_allows_what_stands_in_the_page_and_nothing_else(tag: str, directive: str) -> None:
    digest = base64.b64encode(hashlib.sha256(inline(tag).encode()).digest()).decode()
    policy = page_response().headers["content-security-policy"].split("; ")
    assert f"{directive} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy


def test_the_page_names_no_other_server() -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]+[^\s\"')]*", document()))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of SVG, not an address that is asked


def test_nothing_in_the_scripts_turns_text_into_markup() -> None:
    makers = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "eval(",
        "Function(",
    )
    assert [word for word in makers if word in SCRIPTS] == []
    assert re.search(r"\sstyle=|\son\w+=", MARKUP) is None  # the policy would ignore them


def test_no_part_of_the_page_can_end_the_element_that_it_stands_in() -> None:
    assert document().count("</script>") == document().count("<script") == 2
    assert document().count("</style>") == document().count("<style") == 1


def test_the_style_leaves_right_and_left_to_the_language() -> None:
    style = re.sub(r"/\*.*?\*/", "", inline("style"), flags=re.DOTALL)
    assert re.findall(r"[^\s;{]*\b(?:left|right)\b[^;}]*", style) == []


NUMBERS = re.findall(r'<input id="(\w+)" type="number"[^>]* min="(\d+)"(?: max="(\d+)")?', MARKUP)


def accepted(name: str, value: float) -> bool:
    try:
        SamplingFields.model_validate({name: value})
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("name", "low", "high"), NUMBERS)
def test_the_server_takes_every_number_that_a_setting_takes(name: str, low: str, high: str) -> None:
    assert name in SamplingFields.model_fields
    assert accepted(name, int(low))
    assert accepted(name, int(high))
    assert int(high) < 2**53  # beyond that a browser's numbers skip some


def test_the_page_refuses_a_temperature_that_the_server_refuses() -> None:
    ranges = {name: (int(low), int(high)) for name, low, high in NUMBERS}
    assert not accepted("temperature", ranges["temperature"][1] + 0.1)
    assert not accepted("top_p", ranges["top_p"][1] + 0.1)
    assert not accepted("max_tokens", ranges["max_tokens"][0] - 1)
