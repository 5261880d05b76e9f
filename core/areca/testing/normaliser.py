"""Conformance checks of normalisers."""

from __future__ import annotations

from areca.errors import InvalidConfig
from areca.specs import NormaliserSpec
from areca.testing.checked import CheckedComponent, Skipped
from areca.testing.tools import expect_refusal, with_global_seed

_ANY = "en"
"""The language of the texts given to a normaliser of any language."""
_TEXTS = (
    "two hundred and thirty-four",
    "It's 2:35 pm!",
    "ÀÉÎ õü ß",
    "今天天气",
    "\u202f 1\u00a0234,5 %",
    "😀 <b> [x]",
    "",
)
_FOREIGN = ("en", "ru", "ja", "sw")
"""Languages; a normaliser of certain languages lacks at least one."""


def check_texts(checked: CheckedComponent) -> None:
    """It returns a text for every text, with any characters."""
    found = _normalised(checked)
    wrong = {text: result for text, result in found.items() if not isinstance(result, str)}
    assert not wrong, f"expected texts, got {wrong}"


def check_empty_text(checked: CheckedComponent) -> None:
    """Texts of only white space have no words after normalisation, so that an empty transcript stays empty."""
    found = {text: checked.instance.normalise(text, _language(checked)) for text in ("", " ", "\n")}
    assert not any(str(result).strip() for result in found.values()), f"texts without words became {found}"


def check_repeat_is_exact(checked: CheckedComponent) -> None:
    """The same text gives the same result; the global random state is neither used nor changed."""
    _ = checked.instance
    first, again = (with_global_seed(seed, lambda: _normalised(checked), "normalising") for seed in (1, 2))
    differing = {text: (first[text], again[text]) for text in first if first[text] != again[text]}
    assert not differing, f"the same text became {differing}"


def check_refuses_other_languages(checked: CheckedComponent) -> None:
    """A language that the spec does not name raises `InvalidConfig`."""
    _ = checked.instance
    languages = _spec(checked).languages
    if not languages:
        raise Skipped("it reads any language")
    other = next(language for language in _FOREIGN if language not in languages)
    expect_refusal(InvalidConfig, lambda: checked.instance.normalise("x", other), f"a text in {other!r}")


def _normalised(checked: CheckedComponent) -> dict[str, object]:
    return {text: checked.instance.normalise(text, _language(checked)) for text in _TEXTS}


def _language(checked: CheckedComponent) -> str:
    return next(iter(_spec(checked).languages), _ANY)


def _spec(checked: CheckedComponent) -> NormaliserSpec:
    spec = checked.part.spec
    assert isinstance(spec, NormaliserSpec)
    return spec
