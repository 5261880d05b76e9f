"""Scores against independent formulas."""

from __future__ import annotations

import importlib.util
import math
import random
import subprocess
import sys

import jiwer
import numpy as np
import pytest
import sacrebleu

from areca.errors import InvalidConfig, MissingDependency
from areca.options import build
from areca.run.options import EvaluationConfig
from areca.scoring.bleu_tokenizers import bleu_tokenizer
from areca.scoring.metrics import character_errors, metrics, ratio, tokenizer_in, wilson, word_errors

WORDS = ["one", "two", "three", "four", "five", "six", "seven"]


def edits(a: str, b: str, split: bool) -> int:
    """Levenshtein distance by its recurrence."""
    x, y = (a.split(), b.split()) if split else (list(a), list(b))
    table = np.zeros((len(x) + 1, len(y) + 1), dtype=int)
    table[:, 0], table[0, :] = range(len(x) + 1), range(len(y) + 1)
    for i in range(1, len(x) + 1):
        for j in range(1, len(y) + 1):
            change = table[i - 1, j - 1] + (x[i - 1] != y[j - 1])
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, change)
    return int(table[-1, -1])


def noisy_pairs(n: int, seed: int) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    pairs = []
    for _ in range(n):
        reference = rng.choices(WORDS, k=rng.randint(1, 8))
        answer = [w if rng.random() > 0.3 else rng.choice(["", "nine", f"{w} {w}"]) for w in reference]
        pairs.append((" ".join(" ".join(answer).split()), " ".join(reference)))
    return pairs


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (350, 400)])
def test_wilson_solves_its_equation(successes: int, n: int) -> None:
    # The bounds are the p with |p - share| = z sqrt(p (1 - p) / n): roots of a quadratic.
    z2, share = 1.959963984540054**2, successes / n
    low, high = sorted(np.roots([1 + z2 / n, -2 * share - z2 / n, share**2]).real)
    found = wilson(successes, n)
    assert (found.value, found.n) == (share, n)
    assert found.low == pytest.approx(max(low, 0.0), abs=1e-9)
    assert found.high == pytest.approx(min(high, 1.0), abs=1e-9)


def test_word_and_character_errors_are_edit_distances() -> None:
    for answer, reference in noisy_pairs(60, seed=1):
        assert word_errors(answer, reference) == (edits(answer, reference, True), len(reference.split()))
        assert character_errors(answer, reference) == (edits(answer, reference, False), len(reference))


def test_corpus_error_rates_weigh_examples_by_length() -> None:
    pairs = noisy_pairs(50, seed=2)
    wrong = sum(edits(a, r, True) for a, r in pairs)
    found = metrics()["wer"].corpus(pairs)
    assert found.value == pytest.approx(wrong / sum(len(r.split()) for _, r in pairs))
    assert found.low < found.value < found.high


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    pairs = noisy_pairs(80, seed=3)
    answers, references = [a for a, _ in pairs], [[r for _, r in pairs]]
    found = metrics()
    assert found["bleu"].corpus(pairs).value == pytest.approx(sacrebleu.corpus_bleu(answers, references).score)
    assert found["chrf"].corpus(pairs).value == pytest.approx(sacrebleu.corpus_chrf(answers, references).score)
    assert found["bleu"].item("five", "five") == pytest.approx(100.0)  # one word has no 4-grams, and is right


def test_bootstrap_interval_is_that_of_the_normal_approximation() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(2000)
    found = ratio(values.tolist(), [1.0] * len(values))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=half / 5)
    assert found.high == pytest.approx(values.mean() + half, abs=half / 5)


def test_ratio_resamples_in_pairs() -> None:
    values = [1.0, 0.0, 1.0, 5.0] * 20
    found = ratio(values, values)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_intervals_repeat_and_leave_global_randomness_alone() -> None:
    pairs = noisy_pairs(30, seed=4)
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    first = {name: metric.corpus(pairs) for name, metric in metrics().items()}
    assert first == {name: metric.corpus(pairs) for name, metric in metrics().items()}
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]


@pytest.mark.parametrize("pairs", [[("", "a")], [("x", "y"), ("", "z")], [("a", "a")], [("a", "")], [("", "")]])
def test_hopeless_and_empty_answers_have_scores(pairs: list[tuple[str, str]]) -> None:
    for metric in metrics().values():
        found = metric.corpus(pairs)
        assert found.low <= found.value <= found.high
        assert metric.item(*pairs[0]) >= 0


def test_empty_texts_score_as_jiwer_and_sacrebleu_have_it() -> None:
    for answer, reference in (("", ""), ("x", ""), ("x yz", ""), ("", "x"), ("", "x yz")):
        pair, found = [(answer, reference)], metrics()
        assert found["wer"].item(answer, reference) == found["wer"].corpus(pair).value == jiwer.wer(reference, answer)
        assert found["cer"].item(answer, reference) == found["cer"].corpus(pair).value == jiwer.cer(reference, answer)
        assert found["bleu"].corpus(pair).value == sacrebleu.corpus_bleu([answer], [[reference]]).score == 0
        assert found["chrf"].item(answer, reference) == sacrebleu.sentence_chrf(answer, [reference]).score == 0
    answers, references = ["x", "a b", ""], ["", "a c", ""]
    found_rate = metrics()["wer"].corpus(list(zip(answers, references, strict=True)))
    assert found_rate.value == jiwer.wer(references, answers) == 1.0
    assert math.isfinite(found_rate.high)


def test_bleu_of_chinese_is_of_characters() -> None:
    answer, reference = "今天天气非常好我们去公园", "今天天气非常好我们去学校"  # two of twelve characters are wrong
    for language in ("zh", "ja", "th", "lo", "my", "yue"):
        bleu = metrics(bleu_tokenizer("auto", language))["bleu"]
        assert "|tok:char|" in bleu.signature and tokenizer_in(bleu.signature) == "char"
        expected = sacrebleu.corpus_bleu([answer], [[reference]], tokenize="char").score
        assert bleu.corpus([(answer, reference)]).value == pytest.approx(expected)
        assert expected > 75 and bleu.item(answer, reference) > 75
    assert metrics("zh")["bleu"].corpus([(answer, reference)]).value > 75
    assert metrics()["bleu"].corpus([(answer, reference)]).value < 1  # as it was for every language


def test_the_tokenizer_of_one_language_is_not_used_for_others() -> None:
    languages = ("zh", "ja", "ko", "fr", None)
    assert [bleu_tokenizer("auto", x) for x in languages] == ["char", "char", "13a", "13a", "13a"]
    assert [bleu_tokenizer("zh", x) for x in languages] == ["zh", "char", "13a", "13a", "13a"]
    assert [bleu_tokenizer("ja-mecab", x) for x in languages] == ["char", "ja-mecab", "13a", "13a", "13a"]
    assert [bleu_tokenizer("intl", x) for x in languages] == ["intl"] * 5


@pytest.mark.skipif(importlib.util.find_spec("MeCab") is not None, reason="MeCab is installed")
def test_a_tokenizer_that_is_not_installed_is_refused_before_any_work() -> None:
    with pytest.raises(MissingDependency, match=r"needs MeCab and ipadic: pip install 'sacrebleu\[ja\]'"):
        EvaluationConfig(bleu_tokenize="ja-mecab")


def test_options_refuse_a_normaliser_that_is_none_without_torch() -> None:
    with pytest.raises(InvalidConfig, match="evaluation: no normaliser is called 'basik'; did you mean 'basic'"):
        build(EvaluationConfig, {"normaliser": "basik"}, "evaluation")
    with pytest.raises(InvalidConfig, match="bleu_tokenize"):
        build(EvaluationConfig, {"bleu_tokenize": "moses"}, "evaluation")
    code = "import sys, areca.run.options as o; o.EvaluationConfig(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "sacrebleu", "num2words"} & set(loaded)


def test_exact_match() -> None:
    found = metrics()["exact"].corpus([("a", "a"), ("b", "a"), ("a b", "a b"), ("", "a")])
    assert found == wilson(2, 4)


def test_answers_to_one_question_are_drawn_together() -> None:
    pairs = [("a b", "a c"), ("x", "x")] * 40
    wer = metrics()["wer"]
    apart, thrice = wer.corpus(pairs), wer.corpus(pairs * 3, [*range(80)] * 3)
    assert (apart.value, apart.low, apart.high) == (thrice.value, thrice.low, thrice.high)
    assert (apart.n, thrice.n) == (80, 240)


def test_signatures_name_versions_and_seeds() -> None:
    signatures = {name: metric.signature for name, metric in metrics().items()}
    assert signatures["bleu"].startswith("BLEU|bs:1000|seed:0|nrefs:1|")
    assert f"version:{sacrebleu.__version__}" in signatures["chrf"]
    assert "jiwer:" in signatures["wer"] and "wilson" in signatures["exact"]


def test_nothing_to_score() -> None:
    for metric in metrics().values():
        with pytest.raises(InvalidConfig, match="expected at least one answer"):
            metric.corpus([])
