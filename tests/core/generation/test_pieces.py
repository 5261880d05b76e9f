"""Pieces of a growing text: together the text of all ids, whole characters, and early."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from areca.generation.pieces import TextPieces
from areca.lm.text import TextTokenizer

TEXTS = [
    "The quick brown fox, isn't it? 3.14 ... 'quoted' do n't",
    "Grüße aus Köln – 20 € für naïve Œuvres",
    "Съешь же ещё этих мягких французских булок",
    "नमस्ते दुनिया, आप कैसे हैं?",
    "你好，世界。今天天气很好！",
    "こんにちは世界 한국어 문장입니다",
    "مرحبا بالعالم، كيف حالك؟ שלום עולם",
    "👩‍👩‍👧‍👦 family 🇫🇷 🙂🙂 e\u0301 a\u0308  two  spaces\nand a line",
    "\N{REPLACEMENT CHARACTER} a real replacement character \N{REPLACEMENT CHARACTER}",
]
LATIN = TEXTS[:2]
"""Texts of the training, so that other characters become single bytes."""


def of(tokenizer: Tokenizer) -> TextTokenizer:
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.add_tokens([AddedToken("<tag>", special=False)])
    return TextTokenizer({"tokenizer.json": tokenizer.to_str().encode()})


def byte_level() -> TextTokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(LATIN, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    return of(tokenizer)


def stripped_byte_level() -> TextTokenizer:
    """As areca's own text LMs: a space before the first word is stripped."""
    tokenizer = byte_level().backend
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    return of(tokenizer)


def word_piece(cleanup: bool) -> TextTokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=cleanup)
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]"]))
    return of(tokenizer)


def sentence_piece() -> TextTokenizer:
    """As Llama 2: BPE of characters, with bytes for those that are unknown."""
    bytes_ = {f"<0x{n:02X}>": n for n in range(256)}
    letters = sorted({c.replace(" ", "▁") for text in LATIN for c in text} | {"▁"})
    vocabulary = bytes_ | {c: 256 + i for i, c in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return of(tokenizer)


def unigram() -> TextTokenizer:
    """As T5: Unigram without bytes."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        TEXTS, trainers.UnigramTrainer(vocab_size=300, special_tokens=["<unk>"], unk_token="<unk>")
    )
    return of(tokenizer)


def suffixed() -> TextTokenizer:
    """As the first GPT: the end of a word is a part of its last token."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=400, end_of_word_suffix="</w>"))
    return of(tokenizer)


def words() -> TextTokenizer:
    """Without a decoder: tokens are joined by spaces."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(TEXTS, trainers.WordLevelTrainer(special_tokens=["?"]))
    return of(tokenizer)


TOKENIZERS: dict[str, Callable[[], TextTokenizer]] = {
    "byte-level": byte_level,
    "stripped byte-level": stripped_byte_level,
    "WordPiece": lambda: word_piece(cleanup=True),
    "plain WordPiece": lambda: word_piece(cleanup=False),
    "SentencePiece": sentence_piece,
    "Unigram": unigram,
    "suffixed": suffixed,
    "words": words,
}


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> TextTokenizer:
    return TOKENIZERS[request.param]()


def split(tokenizer: TextTokenizer, ids: Sequence[int], size: int = 1) -> list[str]:
    pieces = TextPieces(tokenizer)
    return [*(pieces.push(ids[i : i + size]) for i in range(0, len(ids), size)), pieces.finish()]


@pytest.mark.parametrize("size", [1, 3])
def test_pieces_of_texts_in_many_scripts_are_the_whole(tokenizer: TextTokenizer, size: int) -> None:
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert "".join(split(tokenizer, ids, size)) == tokenizer.decode(ids)


def test_pieces_of_any_ids_are_the_whole(tokenizer: TextTokenizer) -> None:
    """A language model may write ids that no text has: parts of characters, control tokens, numbers without a token."""
    generator = torch.Generator().manual_seed(0)
    for highest in (tokenizer.size + 3, min(256, tokenizer.size)):  # with SentencePiece, the second are single bytes
        for _ in range(150):
            ids = torch.randint(highest, (12,), generator=generator).tolist()
            assert "".join(split(tokenizer, ids)) == tokenizer.decode(ids), ids


@pytest.mark.parametrize("make", [byte_level, sentence_piece])
def test_no_piece_splits_a_character(make: Callable[[], TextTokenizer]) -> None:
    tokenizer, text = make(), "né 你好 🙂!"
    ids = tokenizer.encode(text)
    pieces = split(tokenizer, ids)
    assert len(ids) > len(text)  # some ids are parts of characters
    assert "".join(pieces) == text and not any("\N{REPLACEMENT CHARACTER}" in p for p in pieces)


def test_plain_words_come_with_their_ids(tokenizer: TextTokenizer) -> None:
    ids = tokenizer.encode("The quick brown")
    *early, rest = split(tokenizer, ids)
    assert rest == "" and "".join(early) == tokenizer.decode(ids)
    assert all(early[1:])  # the first id may be only the space before a word


def test_an_incomplete_character_at_the_end_is_the_last_piece() -> None:
    tokenizer = byte_level()
    ids = tokenizer.encode("ab🙂")[:-1]
    *early, rest = split(tokenizer, ids)
    assert "".join(early) == "ab" and rest == tokenizer.decode(ids)[2:] != ""


def test_a_decoder_that_may_change_earlier_text_gives_one_piece() -> None:
    tokenizer = byte_level().backend
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(Regex("x y"), "z")])
    text = of(tokenizer)
    ids = text.encode("a x y b")
    *early, rest = split(text, ids)
    assert set(early) == {""} and rest == "a z b" == text.decode(ids)


def test_nothing_gives_nothing(tokenizer: TextTokenizer) -> None:
    assert split(tokenizer, []) == [""]
