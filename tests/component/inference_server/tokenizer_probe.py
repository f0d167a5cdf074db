"""Stream random tokens through the tokenizers of models, and print what differs from decoding them at once.

    python -m tests.component.inference_server.tokenizer_probe FOLDER...

A process of its own: the library imports torch. The last line is JSON, by the order of the folders.
"""

from __future__ import annotations

import concurrent.futures
import json
import random
import sys
import warnings
from typing import Any

import transformers

from inference_server.errors import BadRequest
from inference_server.transformers_engine.tokenizer import HfTokenizer
from tests.component.inference_server.tokenizer_probe_texts import TEXTS


def streamed(tokenizer: HfTokenizer, context: list[int], ids: list[int], **how: bool) -> str:
    stream = tokenizer.text_stream(context, clean_up=how.get("clean_up", False), keep_special=how["keep"])
    return "".join([stream.push(token_id) for token_id in ids] + [stream.flush()])


def differences(tokenizer: HfTokenizer, size: int) -> int:
    """Count the random sequences whose streamed text is not that of the whole, with and without context."""
    draw = random.Random(3)
    wrong = 0
    for _ in range(1000):
        keep = draw.random() < 0.5
        ids = [draw.randrange(size) for _ in range(draw.randrange(40))]
        wrong += streamed(tokenizer, [], ids, keep=keep) != tokenizer.decode(
            ids, clean_up=False, keep_special=keep
        )
        context = tokenizer.encode(draw.choice(TEXTS), add_special_tokens=False)
        after = tokenizer.encode(draw.choice(TEXTS), add_special_tokens=False)
        whole = tokenizer.decode([*context, *after], clean_up=False)
        before = tokenizer.decode(context, clean_up=False)
        wrong += before + streamed(tokenizer, context, after, keep=False) != whole
    return wrong


def bytes_together(tokenizer: HfTokenizer) -> list[str]:
    """The texts that the bytes of their tokens give."""
    found = []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False)
        found.append(b"".join(map(tokenizer.token_bytes, ids)).decode())
    return found


def refusals(tokenizer: HfTokenizer) -> dict[str, str]:
    """What is said to a lone surrogate, a message without content, and tools without a place for them."""
    tool = {"type": "function", "function": {"name": "f"}}
    tries: dict[str, Any] = {
        "surrogate": lambda: tokenizer.encode("ab\ud800", add_special_tokens=False),
        "no content": lambda: tokenizer.render([{"role": "user"}]),
        "tools": lambda: tokenizer.render([{"role": "user", "content": "w1"}], [tool]),
    }
    found = {}
    for name, attempt in tries.items():
        try:
            found[name] = f"accepted: {attempt()!r}"
        except BadRequest as error:
            found[name] = str(error)
    return found


def with_tools(library: Any) -> str:
    """Render tools with a template that has a place for them."""
    library.chat_template = (
        "{% for tool in tools or [] %}[{{ tool.function.name }}]{% endfor %}{{ messages[0].content }}"
    )
    tool = {"type": "function", "function": {"name": "weather"}}
    return HfTokenizer(library).render([{"role": "user", "content": "w1"}], [tool])


def in_threads(tokenizer: HfTokenizer, size: int) -> int:
    """Count what goes wrong when eight threads encode and decode at the same time."""
    expected = [tokenizer.encode(text, add_special_tokens=True) for text in TEXTS]

    def work(seed: int) -> int:
        draw = random.Random(seed)
        wrong = 0
        for _ in range(50):
            at = draw.randrange(len(TEXTS))
            wrong += tokenizer.encode(TEXTS[at], add_special_tokens=True) != expected[at]
            ids = [draw.randrange(size) for _ in range(20)]
            wrong += streamed(tokenizer, [], ids, keep=True) != tokenizer.decode(
                ids, clean_up=False, keep_special=True
            )
        return wrong

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return sum(pool.map(work, range(8)))


def probe(folder: str) -> dict[str, Any]:
    library = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    library.backend_tokenizer.enable_truncation(3)  # a file may ask for it; a prompt must stay whole
    tokenizer = HfTokenizer(library)
    size = len(library)
    return {
        "differences": differences(tokenizer, size),
        "bytes": bytes_together(tokenizer),
        "beyond": tokenizer.token_bytes(size + 1000).decode(),
        "long": len(tokenizer.encode("w1 " * 50, add_special_tokens=False)),
        "threads": in_threads(tokenizer, size),
        "refusals": refusals(tokenizer),
        "template": [tokenizer.has_chat_template, bool(tokenizer.chat_template)],
        "with tools": with_tools(library),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps([probe(folder) for folder in sys.argv[1:]]) + "\n")
