"""Prompts of mixed length: all different, and for the same seed the same on every machine."""

import math
import random

SHORTEST, LONGEST = 20, 400
"""Tokens of a prompt, the chat template's left out; a word and its comma are two tokens."""
_ASK = "Write a very long story about all of these, in great detail."
_ASK_TOKENS = 14
_TOKENS_PER_WORD = 2
# One token each for tokenizers that were trained on English, with the space before.
_WORDS = (  # a text: a list of 75 strings would be a line each
    "river bridge garden winter letter mountain window captain island forest castle doctor market engine"
    " mirror village summer teacher kitchen harbor bottle planet soldier painter library desert bicycle"
    " camera station candle ladder tunnel farmer dragon museum pocket valley spider rocket hammer orange"
    " silver thunder pirate monkey basket blanket feather iron cotton marble turtle violin compass mother"
    " sister brother uncle neighbor stranger student nurse lawyer pilot sailor hunter writer singer judge"
)


def prompts(count: int, seed: int, variant: int = 0) -> list[str]:
    """Write `count` prompts of SHORTEST to LONGEST tokens, evenly spread on a scale of doublings.

    Each begins with words of its own, so that no server can take the beginning of one for another's.
    Another `variant` has other words, and the same lengths.
    """
    lengths = random.Random(seed)  # noqa: S311 - a workload, not a secret
    source = random.Random(f"{seed} {variant}")  # noqa: S311
    known = _WORDS.split()
    seen: set[tuple[str, ...]] = set()
    found: list[str] = []
    low, high = math.log(SHORTEST), math.log(LONGEST)
    for _ in range(count):
        tokens = math.exp(lengths.uniform(low, high))
        number = max(round((tokens - _ASK_TOKENS) / _TOKENS_PER_WORD), 3)
        words = source.choices(known, k=number)
        while tuple(words[:3]) in seen:
            words = source.choices(known, k=number)
        seen.add(tuple(words[:3]))
        found.append(f"{', '.join(words).capitalize()}. {_ASK}")
    return found
