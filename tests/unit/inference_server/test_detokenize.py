"""Text out of tokens that come one at a time: the same as that of all of them together."""

import itertools
import json
from collections.abc import Callable, Sequence

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from inference_server.detokenize import (
    ByteStream,
    CleanStream,
    DecoderKind,
    FallbackStream,
    WindowStream,
    decoder_kind,
    token_bytes,
)
from inference_server.engine import TextStream

SPECIAL = ["<s>", "</s>"]
CORPUS = ["the cat sat. it isn't 'here', we've seen", "größe straße été", "日本語のテスト", "🦜🦜 مرحبا"]
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


def byte_level() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, special_tokens=SPECIAL)
    made.train_from_iterator(CORPUS * 3, trainer)
    made.add_tokens([AddedToken("naïve token 🦜")])
    return made


def byte_fallback(strip: int) -> Tokenizer:
    pieces = [
        *SPECIAL,
        *(f"<0x{byte:02X}>" for byte in range(256)),
        SPACE,
        f"{SPACE}the",
        "cat",
        "é",
        f"{SPACE}日",
    ]
    made = Tokenizer(models.BPE({piece: index for index, piece in enumerate(pieces)}, [], byte_fallback=True))
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*steps, *([decoders.Strip(" ", strip, 0)] if strip else [])])
    made.add_special_tokens(SPECIAL)
    return made


def words() -> Tokenizer:
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate([*SPECIAL, "a", "b", "c"])}, "a"))
    made.add_special_tokens(SPECIAL)
    return made


def word_pieces() -> Tokenizer:
    vocabulary = [*SPECIAL, "go", "##ing", "##s", "we", "'", ".", "ve", "[UNK]"]
    made = Tokenizer(models.WordPiece({word: at for at, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.decoder = decoders.WordPiece(cleanup=False)
    made.add_special_tokens(SPECIAL)
    return made


def metaspace() -> Tokenizer:
    pieces = [*SPECIAL, SPACE, f"{SPACE}the", "cat", f"{SPACE}{SPACE}", "s"]
    made = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], 0))
    made.decoder = decoders.Metaspace()
    made.add_special_tokens(SPECIAL)
    return made


TOKENIZERS = {
    "byte level": byte_level(),
    "fallback": byte_fallback(1),
    "fallback without strip": byte_fallback(0),
    "words": words(),
    "word pieces": word_pieces(),
    "metaspace": metaspace(),
}
KINDS = {
    "byte level": DecoderKind("bytes"),
    "fallback": DecoderKind("fallback", 1),
    "fallback without strip": DecoderKind("fallback", 0),
    "words": DecoderKind("other"),
    "word pieces": DecoderKind("other"),
    "metaspace": DecoderKind("other"),
}


def kind_of(tokenizer: Tokenizer) -> DecoderKind:
    return decoder_kind(json.loads(tokenizer.decoder.__getstate__()) if tokenizer.decoder else None)


def id_of(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    assert found is not None, token
    return found


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True))


def stream_of(tokenizer: Tokenizer) -> TextStream:
    kind = kind_of(tokenizer)
    special = {id_of(tokenizer, token) for token in SPECIAL}

    def token(token_id: int) -> str:
        return "" if token_id in special else str(tokenizer.id_to_token(token_id))

    if kind.form == "bytes":
        return ByteStream(lambda token_id: token_bytes(token(token_id), "bytes"))
    if kind.form == "fallback":
        return FallbackStream(token, kind.strip)
    return WindowStream(lambda ids: decode(tokenizer, ids))


def joined(stream: TextStream, ids: Sequence[int]) -> str:
    return "".join([stream.push(token_id) for token_id in ids] + [stream.flush()])


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_decoder_is_recognized_by_what_it_does(name: str) -> None:
    assert kind_of(TOKENIZERS[name]) == KINDS[name]


FALLBACK = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
ODD = [
    decoders.Sequence([decoders.Replace("_", " "), *FALLBACK[1:]]),
    decoders.Sequence([*FALLBACK, decoders.Strip("x", 1, 0)]),
    decoders.Sequence([*FALLBACK, decoders.Strip(" ", 1, 1)]),
    decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)]),
    decoders.BPEDecoder(),
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_a_decoder_that_does_a_little_more_is_left_to_the_library(odd: tokenizers.decoders.Decoder) -> None:
    assert decoder_kind(json.loads(odd.__getstate__())).form == "other"


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if KINDS[name].form != "fallback"])
@given(data=st.data())
def test_what_a_stream_gives_is_the_text_of_all_tokens_together(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    ids = data.draw(st.lists(st.integers(0, tokenizer.get_vocab_size() - 1), max_size=30))
    assert joined(stream_of(tokenizer), ids) == decode(tokenizer, ids)


def runs(tokenizer: Tokenizer) -> st.SearchStrategy[list[int]]:
    """Byte tokens in runs that are UTF-8, or wrong in every byte, with other tokens between."""

    def spelled(text: str) -> list[int]:
        return [id_of(tokenizer, f"<0x{byte:02X}>") for byte in text.encode()]

    others = st.integers(258, tokenizer.get_vocab_size() - 1).map(lambda token_id: [token_id])
    right = st.text(min_size=1, max_size=5).map(spelled)
    wrong = st.lists(st.integers(0x80, 0xBF).map(lambda byte: byte + 2), min_size=1, max_size=3)
    part = st.tuples(st.one_of(right, wrong), others).map(lambda pair: pair[0] + pair[1])
    return st.lists(st.one_of(part, others), max_size=8).map(lambda parts: [*itertools.chain(*parts)])


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if KINDS[name].form == "fallback"])
@given(data=st.data())
def test_bytes_beside_pieces_give_the_text_of_all_tokens_together(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    ids = data.draw(runs(tokenizer))
    assert joined(stream_of(tokenizer), ids) == decode(tokenizer, ids)


@given(st.lists(st.integers(0, 260), max_size=30))
def test_wrong_bytes_beside_right_ones_never_raise_and_never_pile_up(ids: list[int]) -> None:
    stream = stream_of(TOKENIZERS["fallback"])
    assert isinstance(joined(stream, ids), str)
    assert stream.flush() == ""


@pytest.mark.parametrize("name", ["byte level", "fallback", "fallback without strip"])
@pytest.mark.parametrize("text", ["🦜", "日本", "é"])
def test_a_character_comes_out_with_its_last_byte_and_never_in_parts(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    stream = stream_of(tokenizer)
    if KINDS[name].form == "bytes":
        table = {byte: character for character, byte in _byte_table().items()}
        ids = [id_of(tokenizer, table[byte]) for byte in text.encode()]
    else:
        ids = [id_of(tokenizer, f"<0x{byte:02X}>") for byte in text.encode()]
    pieces = [stream.push(token_id) for token_id in ids]
    assert [piece for piece in pieces if piece] == list(text)
    assert stream.flush() == ""


def _byte_table() -> dict[str, int]:
    return {c: token_bytes(c, "bytes")[0] for c in pre_tokenizers.ByteLevel.alphabet()}


CONTEXTS = [
    ("fallback", f"{SPACE}the", [f"{SPACE}the"], " the"),
    ("fallback", "", [f"{SPACE}the"], "the"),
    ("fallback", "<s>", [f"{SPACE}the"], "the"),
    ("metaspace", f"{SPACE}the", [f"{SPACE}the"], " the"),
    ("metaspace", "", [f"{SPACE}the", "</s>", f"{SPACE}the"], "the the"),
    ("words", "a", ["b", "</s>", "c"], " b c"),
    ("words", "", ["</s>", "b", "c"], "b c"),
    ("word pieces", "go", ["##ing", "we"], "ing we"),
]


@pytest.mark.parametrize(("name", "context", "tokens", "expected"), CONTEXTS)
def test_the_space_at_the_beginning_depends_on_what_stands_before(
    name: str, context: str, tokens: list[str], expected: str
) -> None:
    tokenizer = TOKENIZERS[name]
    stream = stream_of(tokenizer)
    if context:
        stream.push(id_of(tokenizer, context))
    assert joined(stream, [id_of(tokenizer, token) for token in tokens]) == expected


@pytest.mark.parametrize(
    ("token", "form", "expected"),
    [
        ("Ġcat", "bytes", b" cat"),
        ("Ã", "bytes", b"\xc3"),
        ("<|im_end|>", "bytes", b"<|im_end|>"),
        ("a b", "bytes", b"a b"),  # an added token: no byte is written as a space
        (f"{SPACE}cat", "fallback", b" cat"),
        ("<0xE2>", "fallback", b"\xe2"),
        ("<0xZZ>", "fallback", b"<0xZZ>"),
        ("<0xE2>", "other", b"<0xE2>"),
        ("", "bytes", b""),
    ],
)
def test_a_token_stands_for_these_bytes(token: str, form: str, expected: bytes) -> None:
    assert token_bytes(token, form) == expected  # type: ignore[arg-type] # a table of literals


def library_clean(text: str) -> str:
    """The library's own list, in its order."""
    for old in (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're"):
        text = text.replace(old, old.strip())
    return text


class Letters:
    """A character a token."""

    def push(self, token_id: int) -> str:
        return chr(token_id)

    def flush(self) -> str:
        return ""


@given(st.text(alphabet=" '.,nt'smrev", max_size=30))
def test_cleaning_a_word_at_a_time_is_cleaning_the_whole(text: str) -> None:
    clean: Callable[[str], str] = library_clean
    assert joined(CleanStream(Letters(), clean), [ord(letter) for letter in text]) == clean(text)
