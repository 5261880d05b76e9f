"""The conformance kit passes correct components, and each check fails exactly the component with its fault."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests import ROOT

from areca import specs
from areca.registry.registry import Registry
from areca.testing import CheckedComponent, Outcome, checks_for, run

WRONG = ROOT / "tests" / "wrong"
BY_PLUGIN = ("import_is_light", "spec_is_light", "missing_dependency")
"""Checks that start an interpreter: their verdict is that of the plugin's module and of the spec."""
KINDS = {kind.name: kind for kind in [*specs.KINDS, specs.KindSpec(name="plain", spec=object)]}

MESSAGES = {
    ("plain", "summary"): "ends with a full stop",
    ("plain", "options_documented"): r"options without a doc.*gain",
    ("plain", "config_round_trip"): r"gain=2.0.*became.*gain=4.0",
    ("plain", "target"): "areca_wrong_parts:Nothing has no load",
    ("plain", "import_is_light"): "areca_wrong_heavy_import imports numpy",
    ("plain", "spec_is_light"): "heavy_plain_spec imports numpy",
    ("plain", "missing_dependency"): "cannot be listed.*areca_wrong_needy",
    ("judge", "transcripts"): "3 audios gave 4 texts",
    ("judge", "batch_equals_alone"): r"transcripts \(in a list, alone\) differ: .*, of 3.*, of 1",
    ("judge", "repeat_is_exact"): "the same audio was transcribed as .* 1.*, then as .* 2",
    ("judge", "refuses_wrong_audio"): "an empty list was accepted",
    ("metric", "counts"): r"expected rows of one length, 1 or more, got \[3, 4\]",
    ("metric", "batch_equals_alone"): r"counts \(in a list, alone\) differ: .* 1\.0\), .* 0\.0\)",
    ("metric", "repeat_is_exact"): r"counted as .* 1\.0\)\], then as .* 2\.0\)\]",
    ("metric", "score"): r"expected finite scores, got \[inf, 0\.5\]",
    (
        "metric",
        "direction",
    ): "higher_is_better is False, but right answers score 1 and the answers of other questions 0",
    ("metric", "empty_texts"): "answer '' and reference '' score nan",
    ("normaliser", "texts"): "expected texts, got",
    ("normaliser", "empty_text"): "texts without words became .*nothing",
    ("normaliser", "repeat_is_exact"): "the same text became",
    ("normaliser", "refuses_other_languages"): "a text in 'ru' was accepted",
    ("dataset", "rows"): "row 'again': its recording is in splits 'train' and 'test'",
    ("dataset", "key"): "the manifest has the key '0{64}', the artifact",
    ("dataset", "select"): r"split 'test': expected the rows \['3'\] ..., got \['0', '1', '2', '3'\]",
    ("dataset", "languages"): r"the spec says languages \['en', 'fr'\], the rows have \['de', 'en', 'fr'\]",
    ("dataset", "audio"): "8000 Hz, the spec says 16000 Hz",
    ("tokenizer", "fit_is_deterministic"): "different files: seed.json",
    ("tokenizer", "fit_resumes"): "different files: log.txt",
    ("tokenizer", "codes"): r"stream side\[2\] at 25 Hz holds 2, out of range",
    ("tokenizer", "frames"): r"gave \d+ frames, expected",
    ("tokenizer", "batch_equals_alone"): r"(\d+) of \1 frames differ",
    ("tokenizer", "repeat_is_exact"): "twice gave different codes",
    ("tokenizer", "short_audio"): "1 samples gave an empty stream",
    ("tokenizer", "refuses_wrong_audio"): "an empty list was accepted",
    ("tokenizer", "randomness"): "encoding changes the global random state of torch",
    ("tokenizer", "features"): r"features have shape \[\d+, 640\], expected \[\d+, D\]",
    ("tokenizer", "feature_size"): "features have 320 dimensions, expected 640",
    ("tokenizer", "codebooks"): r"stream level\[64\] at 25 Hz: its codebook has shape \[63, 1\]",
    ("tokenizer", "decode"): "decoded 8000 Hz x 1 channels, expected 16000",
    ("tokenizer", "decode_refuses_wrong_codes"): "an empty list was accepted",
    (
        "tokenizer",
        "stream",
    ): r"pushes of 1 frame\(s\) gave other audio than the whole: samples differ by up to \S+, expected",
    ("tokenizer", "stream_sessions"): "two sessions that were pushed in turns gave other audio",
    ("tokenizer", "stream_is_early"): r"\d+ frames \(10 s\) gave no audio before `finish`",
    ("tokenizer", "stream_refuses_wrong_codes"): r"code -1 of level\[64\] at 25 Hz was accepted",
    ("backbone", "model_and_tokenizer_match"): r"gives id \d+, the model has 60 embeddings",
    ("backbone", "text_round_trip"): r"'six three' was decoded as 'six thr'",
    ("backbone", "spec_matches"): r"says 3 parameters, the model has \d+",
    ("backbone", "randomness"): "weights depend on the global random state",
    ("backbone", "architecture"): r"has shape \[48\], the model \[24\]",
    ("vocoder", "audio"): "says 16000 Hz, the audio has 8000 Hz",
    ("vocoder", "randomness"): "gave different audio",
    ("vocoder", "voice"): "without the tag voice, was accepted",
    ("vocoder", "voices_differ"): "the voices of two speakers gave the same audio",
    ("vocoder", "refuses_wrong_codes"): "an empty list was accepted: expected InvalidCodes",
    (
        "vocoder",
        "stream",
    ): r"pushes of 1 frame\(s\) gave other audio than the whole: samples differ by up to \S+, expected",
    ("vocoder", "stream_voice"): "a voice, without the tag voice, was accepted",
    ("vocoder", "stream_sessions"): "two sessions that were pushed in turns gave other audio",
    ("vocoder", "stream_is_early"): r"250 frames \(10 s\) gave no audio before `finish`",
    ("vocoder", "stream_refuses_wrong_codes"): r"code -1 of level\[64\] at 25 Hz was accepted",
    ("task", "spec_matches"): "the task has",
    ("task", "prompt_needs_no_target"): "the prompt needs the answer",
    ("task", "parse_inverts_target"): "parsing the target gave",
    ("task", "chains"): "different prompt",
    (
        "pattern",
        "every_code_once",
    ): r"31 frames of \[1\] codes: .* holds {0: 30} codes by stream, expected {0: 31}",
    ("pattern", "turn"): r"11 and 12 frames of \[1\] codes: the sequences first differ at 11, turn says 12",
    ("pattern", "layout"): "read back from a checkpoint, the pattern gives another order",
    ("decoding", "rules"): r"after the last segment come \[\], expected the end",
    ("decoding", "batch_equals_alone"): r"the answers to the prompts \[0.* differ",
    ("decoding", "repeat_is_exact"): "the same generator state gave other answers",
    ("decoding", "spec_matches"): "the spec says random; 8 seeds gave 1 different answers",
    ("optimizer", "groups"): r"learning rate 0.05 was given, the groups have lr \[0.025, 0.025\]",
    ("optimizer", "lowers_loss"): r"40 steps took the loss from \S+ to \S+",
    ("optimizer", "learning_rate"): r"with the learning rate 0 the parameters of the shapes \[\(6, 4\).* moved",
    ("optimizer", "weight_decay"): "a group with weight_decay 0.5 was trained as one with 0",
    ("optimizer", "state_elements"): r"for shape \(6, 4\) the spec says 2 values, the optimizer keeps 24",
    ("optimizer", "resumes_exactly"): "resumed from the state_dict ended with other weights",
    ("optimizer", "randomness"): "the same steps gave other weights",
    ("schedule", "factor"): r"factor\(0, 1\) is 2.0, expected a number in \[0, 1\]",
    ("schedule", "repeat_is_exact"): r"\(step, steps, factor\) was \(0, 1, \S+\), then \(0, 1,",
    ("schedule", "spec_matches"): r"factor\(1, 1\) is 0.0, the spec says 0.5",
}
"""What the kit says of the wrong component, by its kind and by the check that it fails."""


PLUGINS = {"import_is_light": "areca_wrong_heavy_import.py", "missing_dependency": "areca_wrong_needy.py"}
"""Wrong components that need a plugin of their own."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("areca")


def _outcomes(directory: Path, kind: str, name: str, leave_out: tuple[str, ...] = ()) -> list[Outcome]:
    registry = Registry.discover([PLUGINS.get(name, "areca_wrong.py")], root=WRONG)
    entry = registry.find(kind, name.replace("_", "-"))
    checks = [c for c in checks_for(KINDS[kind]) if c.__name__.removeprefix("check_") not in leave_out]
    return list(run(CheckedComponent(entry, directory, registry=registry), checks))


@pytest.mark.parametrize(("kind", "check"), MESSAGES)
def test_wrong_component_fails_exactly_its_check(directory: Path, kind: str, check: str) -> None:
    leave_out = () if kind == "plain" else BY_PLUGIN  # of the module that the good components below share
    failed = {o.check: o.message for o in _outcomes(directory, kind, check, leave_out) if o.state == "fail"}
    assert list(failed) == [check]
    assert re.search(MESSAGES[kind, check], failed[check])


@pytest.mark.parametrize(
    ("kind", "name", "passed"),
    [
        ("plain", "good", 7),
        ("judge", "good", 11),
        ("metric", "good", 13),
        ("normaliser", "good", 11),
        ("dataset", "good", 14),
        ("tokenizer", "good", 25),
        ("backbone", "good", 12),
        ("vocoder", "good", 16),
        ("vocoder", "good-voice", 17),
        ("task", "good", 11),
        ("pattern", "good", 10),
        ("decoding", "good", 11),
        ("optimizer", "good", 14),
        ("schedule", "good", 10),
    ],
)
def test_good_component_passes(directory: Path, kind: str, name: str, passed: int) -> None:
    outcomes = _outcomes(directory, kind, name)
    assert [o for o in outcomes if o.state == "fail"] == []
    assert sum(o.state == "pass" for o in outcomes) == passed


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [
        ("weights-out-of-reach", "skip", "its weights are not available: the hub did not answer"),
        ("weights-wrong", "fail", "InvalidConfig: the weights lack a tensor"),
    ],
)
def test_only_unavailable_weights_are_skipped(directory: Path, name: str, state: str, message: str) -> None:
    outcomes = {o.check: o for o in _outcomes(directory, "tokenizer", name, BY_PLUGIN)}
    assert (outcomes["codes"].state, outcomes["codes"].message) == (state, message)


def test_every_check_has_a_wrong_component() -> None:
    common = {c.__name__ for c in checks_for(KINDS["plain"])}
    own = {(name, c.__name__) for name, kind in KINDS.items() for c in checks_for(kind) if c.__name__ not in common}
    shared = {"check_fit_is_deterministic", "check_fit_resumes"}  # one function for four kinds
    wanted = {("plain", name) for name in common} | {
        ("tokenizer" if name in shared else kind, name) for kind, name in own
    }
    assert {(kind, f"check_{check}") for kind, check in MESSAGES} == wanted


def test_every_component_that_areca_brings_states_its_licence() -> None:
    components = [e.component for e in Registry.discover().entries() if e.provider.distribution == "areca"]
    assert len(components) > 15
    assert {c.name: c.license for c in components if c.license != "Apache-2.0"} == {}
