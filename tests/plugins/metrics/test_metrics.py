"""Scores against independent formulas."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import random

import jiwer
import numpy as np
import pytest
import sacrebleu
from sacrebleu.significance import PairedTest
from tests.scoring import METRICS, REGISTRY, example

from areca.errors import InvalidConfig, MissingDependency
from areca.evaluation.scoring import OpenMetric, open_metrics
from areca.statistics import Estimate, wilson
from areca_metrics.bleu_tokenizers import choose_tokenizer
from areca_metrics.error_rates import character_errors, word_errors

Pairs = list[tuple[str, str]]
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


def corpus(metric: OpenMetric, pairs: Pairs, questions: list[int] | None = None, language: str = "en") -> Estimate:
    return metric.corpus(metric.count([example(a, r, language) for a, r in pairs]), questions)


def item(metric: OpenMetric, answer: str, reference: str, language: str = "en") -> float:
    [counts] = metric.count([example(answer, reference, language)])
    return metric.item(counts)


def noisy_pairs(n: int, seed: int) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    pairs = []
    for _ in range(n):
        reference = rng.choices(WORDS, k=rng.randint(1, 8))
        answer = [w if rng.random() > 0.3 else rng.choice(["", "nine", f"{w} {w}"]) for w in reference]
        pairs.append((" ".join(" ".join(answer).split()), " ".join(reference)))
    return pairs


def test_word_and_character_errors_are_edit_distances() -> None:
    for answer, reference in noisy_pairs(60, seed=1):
        assert word_errors(answer, reference) == (edits(answer, reference, True), len(reference.split()))
        assert character_errors(answer, reference) == (edits(answer, reference, False), len(reference))


def test_corpus_error_rates_weigh_examples_by_length() -> None:
    pairs = noisy_pairs(50, seed=2)
    wrong = sum(edits(a, r, True) for a, r in pairs)
    found = corpus(METRICS["wer"], pairs)
    assert found.value == pytest.approx(wrong / sum(len(r.split()) for _, r in pairs))
    assert found.low < found.value < found.high


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    pairs = noisy_pairs(80, seed=3)
    answers, references = [a for a, _ in pairs], [[r for _, r in pairs]]
    found = METRICS
    assert corpus(found["bleu"], pairs).value == pytest.approx(sacrebleu.corpus_bleu(answers, references).score)
    assert corpus(found["chrf"], pairs).value == pytest.approx(sacrebleu.corpus_chrf(answers, references).score)
    assert item(found["bleu"], "five", "five") == pytest.approx(100.0)  # one word has no 4-grams, and is right


def test_intervals_repeat_and_leave_global_randomness_alone() -> None:
    pairs = noisy_pairs(30, seed=4)
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    first = {name: corpus(metric, pairs) for name, metric in METRICS.items()}
    assert first == {name: corpus(metric, pairs) for name, metric in METRICS.items()}
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]


@pytest.mark.parametrize("pairs", [[("", "a")], [("x", "y"), ("", "z")], [("a", "a")], [("a", "")], [("", "")]])
def test_hopeless_and_empty_answers_have_scores(pairs: list[tuple[str, str]]) -> None:
    for metric in METRICS.values():
        found = corpus(metric, pairs)
        assert found.low <= found.value <= found.high
        assert item(metric, *pairs[0]) >= 0


def test_empty_texts_score_as_jiwer_and_sacrebleu_have_it() -> None:
    for answer, reference in (("", ""), ("x", ""), ("x yz", ""), ("", "x"), ("", "x yz")):
        pair, found = [(answer, reference)], METRICS
        assert item(found["wer"], answer, reference) == corpus(found["wer"], pair).value == jiwer.wer(reference, answer)
        assert item(found["cer"], answer, reference) == corpus(found["cer"], pair).value == jiwer.cer(reference, answer)
        assert corpus(found["bleu"], pair).value == sacrebleu.corpus_bleu([answer], [[reference]]).score == 0
        assert item(found["chrf"], answer, reference) == sacrebleu.sentence_chrf(answer, [reference]).score == 0
    answers, references = ["x", "a b", ""], ["", "a c", ""]
    found_rate = corpus(METRICS["wer"], list(zip(answers, references, strict=True)))
    assert found_rate.value == jiwer.wer(references, answers) == 1.0
    assert math.isfinite(found_rate.high)


def test_chinese_is_scored_by_characters_in_bleu() -> None:
    answer, reference = "今天天气非常好我们去公园", "今天天气非常好我们去学校"  # two of twelve characters are wrong
    expected = sacrebleu.corpus_bleu([answer], [[reference]], tokenize="char").score
    for language in ("zh", "ja", "th", "lo", "my", "yue"):
        assert "|tok:char|" in METRICS["bleu"].signature(language)
        assert corpus(METRICS["bleu"], [(answer, reference)], language=language).value == pytest.approx(expected)
        assert expected > 75 and item(METRICS["bleu"], answer, reference, language) > 75
    chinese, latin = open_metrics(REGISTRY, [{"name": "bleu", "tokenize": "zh"}, "{name: bleu, tokenize: 13a}"])
    assert corpus(chinese, [(answer, reference)], language="zh").value > 75
    assert corpus(latin, [(answer, reference)], language="zh").value < 1
    assert [metric.spec.header for metric in (METRICS["bleu"], chinese, latin)] == ["BLEU", "BLEU (zh)", "BLEU (13a)"]
    assert len({chinese.label, latin.label}) == 2 and chinese.label.startswith("bleu@")


def test_the_tokenizer_of_one_language_is_not_used_for_others() -> None:
    languages = ("zh", "ja", "ko", "fr", None)
    assert [choose_tokenizer("auto", x) for x in languages] == ["char", "char", "13a", "13a", "13a"]
    assert [choose_tokenizer("zh", x) for x in languages] == ["zh", "char", "13a", "13a", "13a"]
    assert [choose_tokenizer("ja-mecab", x) for x in languages] == ["char", "ja-mecab", "13a", "13a", "13a"]
    assert [choose_tokenizer("intl", x) for x in languages] == ["intl"] * 5


def test_exact_match() -> None:
    assert corpus(METRICS["exact"], [("a", "a"), ("b", "a"), ("a b", "a b"), ("", "a")]) == wilson(2, 4)


def test_answers_to_one_question_are_drawn_together() -> None:
    pairs = [("a b", "a c"), ("x", "x")] * 40
    wer = METRICS["wer"]
    apart, thrice = corpus(wer, pairs), corpus(wer, pairs * 3, [*range(80)] * 3)
    assert (apart.value, apart.low, apart.high) == (thrice.value, thrice.low, thrice.high)
    assert (apart.n, thrice.n) == (80, 240)


@pytest.mark.skipif(importlib.util.find_spec("MeCab") is not None, reason="MeCab is installed")
def test_a_tokenizer_that_is_not_installed_is_refused_before_any_work() -> None:
    with pytest.raises(MissingDependency, match=r"'ja-mecab' needs MeCab and ipadic: pip install 'sacrebleu\[ja\]'"):
        open_metrics(REGISTRY, [{"name": "bleu", "tokenize": "ja-mecab"}])


def test_signatures_have_one_form() -> None:
    version = f"jiwer:{importlib.metadata.version('jiwer')}"
    sacre = f"sacrebleu:{sacrebleu.__version__}"
    assert {name: metric.signature("en") for name, metric in METRICS.items()} == {
        "exact": "exact/1|interval:wilson",
        "wer": f"wer/1|{version}|bs:1000|seed:0",
        "cer": f"cer/1|{version}|bs:1000|seed:0",
        "bleu": f"bleu/1|tokenize:auto|{sacre}|bs:1000|seed:0|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"
        f"|version:{sacrebleu.__version__}",
        "chrf": f"chrf/1|{sacre}|bs:1000|seed:0|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no"
        f"|version:{sacrebleu.__version__}",
    }


def test_an_empty_evaluation_is_refused() -> None:
    for metric in METRICS.values():
        with pytest.raises(InvalidConfig, match="expected at least one answer"):
            metric.corpus([])


@pytest.mark.parametrize("noise", [0.003, 0.02, 0.3])
def test_the_paired_test_is_that_of_sacrebleu(noise: float) -> None:
    rng = random.Random(1)
    pairs = noisy_pairs(120, seed=6)
    references = [reference for _, reference in pairs]
    other = [" ".join(w if rng.random() > noise else "nine" for w in answer.split()) for answer, _ in pairs]
    systems = [("baseline", [answer for answer, _ in pairs]), ("other", other)]
    scorers = {"BLEU": sacrebleu.metrics.BLEU(force=True), "chrF2": sacrebleu.metrics.CHRF()}
    _, expected = PairedTest(systems, scorers, [references], test_type="bs", n_samples=1000)()
    for label, name in (("bleu", "BLEU"), ("chrf", "chrF2")):
        metric = METRICS[label]
        counts = [
            metric.count([example(a, r, "en") for a, r in zip(answers, references, strict=True)])
            for _, answers in systems
        ]
        assert metric.paired_p(*counts) == expected[name][1].p_value
