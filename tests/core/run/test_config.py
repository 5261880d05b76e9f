"""The YAML of a run: accepted and rejected content, and the messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from areca.errors import BrokenPlugin, IncompatibleParts, InvalidConfig, UnknownComponent
from areca.options import canonical
from areca.registry.parts import Part
from areca.run.config import parse_config, read_config

RUN: dict[str, Any] = {
    "name": "little",
    "data": {"name": "say"},
    "tokenizer": {"name": "mfcc-kmeans", "clusters": 32},
    "backbone": {"name": "decoder"},
    "tasks": ["asr", {"name": "ast", "weight": 2}, {"chain": ["asr", "ast"]}],
}
TWO: dict[str, Any] = RUN | {
    "tokenizer": None,
    "tokenizers": {"speech": {"name": "mfcc-kmeans"}, "acoustic": {"name": "mel-rvq"}},
    "lm": {"reads": "speech", "writes": "acoustic"},
}


def parse(**changes: Any) -> Any:
    return parse_config(RUN | changes, root=Path.cwd())


def test_a_run_resolves_to_its_parts() -> None:
    run = parse()
    assert (run.name, run.seed, run.lm.reads, run.lm.writes) == ("little", 0, "speech", "speech")
    assert list(run.parts) == ["speech", "backbone", "lm.pattern"]
    assert isinstance(run.data, Part) and run.data.name == "say"
    assert [(mix.name, mix.weight) for mix in run.tasks] == [("asr", 1.0), ("ast", 2.0), ("asr+ast", 1.0)]
    assert [str(s) for s in run.streams("speech")] == ["unit[32] at 25 Hz"]


def test_the_lm_reads_one_tokenizer_and_writes_another() -> None:
    run = parse_config(TWO, root=Path.cwd())
    assert list(run.tokenizers) == ["speech", "acoustic"]
    assert run.streams("acoustic")[0].name != run.streams("speech")[0].name


def test_only_the_tokenizer_that_the_lm_reads_needs_vectors() -> None:
    tokenizers = {"speech": {"name": "usm-v1"}, "acoustic": {"name": "mel-rvq"}}
    lm = {"reads": "speech", "writes": "acoustic", "read_as": "features", "adapter": {"name": "mlp", "stride": 2}}
    run = parse_config(TWO | {"tokenizers": tokenizers, "lm": lm}, root=Path.cwd())
    assert run.reads_vectors and (run.lm.adapter.name, run.lm.adapter.stride) == ("mlp", 2)
    assert not parse().reads_vectors
    assert canonical(parse().lm).keys() == {"reads", "writes", "pattern", "init", "train"}, "keys as before"


def test_tokenizer_may_need_another_role_and_every_part_is_listed_after_its_needs() -> None:
    tokenizers = {"units": {"name": "mfcc-kmeans"}, "speech": {"name": "dedup", "tokenizer": "units"}}
    run = parse(tokenizer=None, tokenizers=tokenizers, vocoder={"name": "unit-mel", "tokenizer": "speech"})
    assert list(run.parts) == ["units", "speech", "backbone", "vocoder", "lm.pattern"]
    assert run.tokenizers["speech"].needs["tokenizer"] is run.tokenizers["units"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"tokeniser": {}}, InvalidConfig, "run: no option is called 'tokeniser'; did you mean 'tokenizer'?"),
        ({"seed": "x"}, InvalidConfig, "run: option 'seed' is 'x', expected int"),
        ({"tokenizer": None}, InvalidConfig, "run: give either 'tokenizer: {name: ...}' or 'tokenizers:"),
        ({"tokenizers": {"a": {"name": "usm-v2"}}}, InvalidConfig, "run: give either 'tokenizer:"),
        ({"tokenizer": {"clusters": 3}}, InvalidConfig, "tokenizer 'speech': expected '{name: ...}', got {'clusters'"),
        ({"backbone": None}, InvalidConfig, "backbone: expected '{name: ...}', got None"),
        ({"backbone": {"name": "decodr"}}, UnknownComponent, "no backbone is called 'decodr'; did you mean 'decoder'"),
        ({"backbone": {"name": "asr"}}, UnknownComponent, "other kind: there is a task 'asr'"),
        ({"backbone": {"name": "decoder", "layer": 2}}, InvalidConfig, "no option is called 'layer'; did you mean 'la"),
        ({"tasks": []}, InvalidConfig, "tasks: expected a list, as [{name: asr}, {chain: [asr, ast], weight: 2}]"),
        ({"tasks": "asr"}, InvalidConfig, "tasks: expected a list"),
        ({"tasks": [{"name": "asr", "weight": 0}]}, InvalidConfig, "weight must be a positive number, got 0"),
        ({"tasks": [{"chain": ["asr"], "name": "x"}]}, InvalidConfig, "a chain takes a weight and nothing else"),
        ({"tasks": [{"chain": "asr"}]}, InvalidConfig, "chain: expected a list of tasks, got 'asr'"),
        ({"tasks": [{"chain": []}]}, InvalidConfig, "chain: expected a list of tasks, got []"),
        ({"tasks": [{"weight": 2}]}, InvalidConfig, "task: expected '{name: ...}', got {}"),
        ({"lm": {"writes": "codec"}}, IncompatibleParts, "lm.writes: no tokenizer has the role 'codec'; roles: speech"),
        (
            {"tokenizer": None, "tokenizers": {"My-Role": {"name": "mfcc-kmeans"}}},
            InvalidConfig,
            "roles of lowercase letters, digits and '_' other than backbone, vocoder; got 'My-Role'",
        ),
        ({"tokenizer": None, "tokenizers": {"vocoder": {"name": "mfcc-kmeans"}}}, InvalidConfig, "got 'vocoder'"),
        ({"lm": {"reads": "speach"}}, IncompatibleParts, "the role 'speach'; did you mean 'speech'?; roles: speech"),
        (
            {"lm": {"read_as": "features"}},
            IncompatibleParts,
            "lm.read_as: features, role 'speech': 'mfcc-kmeans' has no tag features; components with it: hubert",
        ),
        (
            {"lm": {"read_as": "features"}, "tokenizer": {"name": "dedup", "tokenizer": {"name": "usm-v1"}}},
            IncompatibleParts,
            "lm.read_as: features, role 'speech': 'dedup' has no tag features",
        ),
        (
            {"lm": {"read_as": "features"}, "tokenizer": {"name": "usm-v1"}, "tasks": ["mt", "tts"]},
            IncompatibleParts,
            "lm.read_as: features: no task reads audio of role 'speech', only source.text; set lm.read_as: units",
        ),
        ({"lm": {"read_as": "vectors"}}, InvalidConfig, "option 'read_as' is 'vectors', expected Literal['units', 'f"),
        ({"lm": {"adapter": "mlp"}}, InvalidConfig, "lm: adapter: expected {option: value}, got 'mlp'"),
        ({"lm": {"adapter": {"stride": 0}}}, InvalidConfig, "lm: adapter: stride must be at least 1, got 0"),
        ({"lm": {"init": "ones"}}, InvalidConfig, "lm: option 'init' is 'ones', expected Literal['zero', 'normal'"),
        ({"lm": "speech"}, InvalidConfig, "lm: expected {option: value}, got 'speech'"),
        ({"training": 5}, InvalidConfig, "training: expected {option: value}, got 5"),
        (
            {"tasks": [{"chain": ["asr", "asr"]}]},
            IncompatibleParts,
            "chain asr+asr: two tasks of the chain produce the same field (source.text)",
        ),
        (
            {"tasks": [{"chain": ["mt", "asr"]}]},
            IncompatibleParts,
            "chain mt+asr: asr reads source.audio:speech, which nothing before it in the chain holds",
        ),
        (
            {"vocoder": {"name": "codec-decoder"}},
            IncompatibleParts,
            "vocoder 'codec-decoder', tokenizer: 'mfcc-kmeans' has no tag decode; "
            "components with it: dac, encodec, lyra, mel-rvq",
        ),
    ],
)
def test_errors_are_reported(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        parse(**changes)
    assert message in str(raised.value)


def test_vocoder_must_accept_the_streams_that_the_lm_writes() -> None:
    with pytest.raises(IncompatibleParts) as raised:
        parse_config(TWO | {"vocoder": {"name": "unit-mel", "tokenizer": "speech"}}, root=Path.cwd())
    message = str(raised.value)
    assert "the LM writes rvq-0[" in message and "(role 'acoustic')" in message
    assert "vocoder 'unit-mel' speaks unit[256] at 25 Hz: give it the tokenizer that the LM writes" in message


def fields(inputs: list[Any], outputs: list[Any], **options: Any) -> dict[str, Any]:
    return {"name": "fields", "tag": "X", "inputs": inputs, "outputs": outputs, **options}


def test_the_vocabulary_has_every_role_that_the_lm_or_a_task_names() -> None:
    voiced = fields(["source.text", {"path": "voice.audio", "role": "acoustic"}], ["source.audio"])
    run = parse_config(TWO | {"lm": {"pattern": "delay"}, "tasks": [voiced, "asr"]}, root=Path.cwd())
    assert list(run.lm_streams) == ["speech", "acoustic"]
    assert list(parse_config(TWO | {"lm": {}}, root=Path.cwd()).lm_streams) == ["speech"]
    [mix, _] = run.tasks
    assert [field.name for field in run.audio_fields(mix)] == ["voice.audio:acoustic", "source.audio:speech"]


SOURCE = {"path": "source.audio", "role": "acoustic"}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (
            [fields([SOURCE | {"role": "acustic"}], ["source.text"])],
            "task fields, field source.audio:acustic: no tokenizer has the role 'acustic'; did you mean 'acoustic'?; "
            "roles: speech, acoustic, bpe",
        ),
        (
            [fields(["source.audio"], [SOURCE | {"streams": [0, 99]}])],
            "task fields, field source.audio:acoustic[0:99]: tokenizer 'mel-rvq' has the streams 0 to 7: expected "
            "streams (first, stop) with stop at most 8",
        ),
        (
            [{"chain": [fields(["source.audio"], [SOURCE | {"streams": [0, 2]}]), fields([SOURCE], ["source.text"])]}],
            "chain fields+fields: fields reads source.audio:acoustic, which nothing before it in the chain holds",
        ),
        (
            [fields(["source.audio", "voice.audio"], ["source.text"])],
            "lm.read_as: features: task fields reads a part of voice.audio:speech, but vectors are read whole: name "
            "another role, or leave out streams and crop_s",
        ),
        ([fields([], ["voice.audio"])], "task 'fields': voice.audio is a voice prompt: expected it among the inputs"),
        ([fields([], [{"role": "acoustic"}])], "expected a path, or {path: source.audio, role: acoustic"),
        ([fields(["source.text"], [])], "expected one or more different outputs, got []"),
    ],
)
def test_fields_must_suit_the_tokenizers(tasks: list[Any], message: str) -> None:
    source = TWO | {"tasks": tasks}
    source["lm"] = TWO["lm"] | ({"read_as": "features"} if "features" in message else {})
    source["tokenizers"] = TWO["tokenizers"] | {"bpe": {"name": "bpe", "tokenizer": "speech"}}
    if "features" in message:
        source["tokenizers"] |= {"speech": {"name": "usm-v1"}}
    with pytest.raises((IncompatibleParts, InvalidConfig)) as raised:
        parse_config(source, root=Path.cwd())
    assert message in str(raised.value)


TWO_RATES = """
from dataclasses import dataclass
from areca import Component, Kind, hookimpl
from areca.specs import Stream, TokenizerSpec
ARECA_PLUGIN_API = 1

@dataclass(frozen=True)
class Config:
    fine_hz: float = 50.0

def spec(config, needs):
    return TokenizerSpec((Stream("coarse", 8, 25.0), Stream("fine", 8, config.fine_hz)), 16_000)

@hookimpl
def areca_components():
    return [Component(kind=Kind.TOKENIZER, name="two-rates", config=Config, spec=f"{__name__}:spec",
                      target=f"{__name__}:None_", summary="two streams")]
"""


@pytest.mark.parametrize(
    ("fine_hz", "pattern", "message"),
    [
        (
            37.5,
            "flatten",
            "lm.pattern 'flatten', tokenizer 'speech': expected rates that are multiples of the slowest",
        ),
        (50.0, "delay", "lm.pattern 'delay', tokenizer 'speech': the pattern needs streams of one rate"),
        (50.0, "coarse-first", None),
    ],
)
def test_streams_have_to_suit_the_pattern(tmp_path: Path, fine_hz: float, pattern: str, message: str | None) -> None:
    name = f"two_rates_{tmp_path.name}"  # modules of one process have names of their own
    (tmp_path / f"{name}.py").write_text(TWO_RATES)
    source = RUN | {"plugins": [f"./{name}.py"], "lm": {"pattern": pattern}}
    source["tokenizer"] = {"name": "two-rates", "fine_hz": fine_hz}
    if message is None:
        assert len(parse_config(source, root=tmp_path).streams("speech")) == 2
        return
    with pytest.raises(IncompatibleParts) as raised:
        parse_config(source, root=tmp_path)
    assert message in str(raised.value)


def test_options_of_training_and_evaluation_are_checked_with_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(RUN))
    for override, message in (
        ("training.stepz=5", "training: no option is called 'stepz'; did you mean 'steps'"),
        ("training.steps=0", "training: steps must be at least 1, got 0"),
        ("evaluation.limt=3", "evaluation: no option is called 'limt'; did you mean 'limit'"),
        ("evaluation.decoding.beam=3", "evaluation.decoding, greedy: no option is called 'beam'"),
        ("evaluation.decoding={name: beam, beams: x}", "decoding 'beam': option 'beams' is 'x', expected int"),
        (
            "evaluation.decoding={name: beam, max_text_id: 3}",
            "evaluation.decoding, beam: no option is called 'max_text_id'; did you mean 'max_text_ids'",
        ),
        (
            "evaluation.decoding={max_text_ids: 0}",
            "evaluation.decoding: max_text_ids and max_audio_frames must be at least 1",
        ),
        (
            "evaluation.decoding={method: beam}",
            "evaluation.decoding: no option is called 'method'; write {name: beam}",
        ),
        (
            "evaluation.decoding=[beam]",
            "evaluation.decoding: expected a method, or {name: method, option: value}, got ['beam']",
        ),
        (
            "evaluation.decoding={name: beam, beam: 3}",
            "evaluation.decoding, beam: no option is called 'beam'; did you mean 'beams'",
        ),
        ("evaluation.normaliser=basik", "no normaliser is called 'basik'; did you mean 'basic'"),
        ("evaluation.metrics=[wer, blue]", "no metric is called 'blue'; did you mean 'bleu'"),
        ("evaluation.metrics=[{name: bleu, tokenize: moses}]", "metric 'bleu': option 'tokenize' is 'moses', expected"),
        ("evaluation.metrics=[wer, wer]", "evaluation.metrics: 'wer' is named twice with the same options"),
        ("evaluation.metrics=[]", "evaluation: metrics is empty: name at least one, such as exact"),
        ("evaluation.decoding={name: beam, beams: 0}", "decoding 'beam': beams must be at least 1, got 0"),
        ("lm.pattern={name: delay, stride: 2}", "pattern 'delay': no option is called 'stride'"),
    ):
        with pytest.raises((InvalidConfig, UnknownComponent)) as raised:
            read_config(path, [override])
        assert message in str(raised.value)


def test_overrides_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(RUN))
    run = read_config(path, ["seed=5", "tokenizer.clusters=64", "lm.init=mean"])
    assert (run.seed, run.parts["speech"].config.clusters, run.lm.init) == (5, 64, "mean")
    assert run.source["tokenizer"] == {"name": "mfcc-kmeans", "clusters": 64}
    with pytest.raises(InvalidConfig, match="override 'seed': expected key=value"):
        read_config(path, ["seed"])


def test_files_that_are_not_a_run_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    with pytest.raises(InvalidConfig, match=r"run\.yaml: no such file"):
        read_config(path)
    path.write_text("a: [")
    with pytest.raises(InvalidConfig, match=r"run\.yaml: .*\n?.*expected"):
        read_config(path)
    path.write_text("- a\n- b\n")
    with pytest.raises(InvalidConfig, match=r"run\.yaml: expected a mapping like"):
        read_config(path)


def test_paths_start_from_the_files_folder(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "run.yaml").write_text(yaml.safe_dump(RUN | {"data": "speech/manifest.jsonl"}))
    assert read_config(tmp_path / "recipes" / "run.yaml").data == tmp_path / "recipes" / "speech" / "manifest.jsonl"


def test_the_source_of_a_run_resolves_to_the_same_run() -> None:
    run = parse(seed=3, lm={"init": "normal"})
    again = parse_config(run.source, root=Path.cwd())
    assert again.parts.keys() == run.parts.keys()
    assert [p.inputs("d", 3) for p in again.parts.values()] == [p.inputs("d", 3) for p in run.parts.values()]


@pytest.fixture
def research(tmp_path: Path, plugin_code: str) -> Path:
    """A folder with research code of a unique name, and a run that uses it."""
    name = f"research_{tmp_path.name.replace('-', '_')}"
    code = plugin_code + "\n@hookimpl\ndef areca_components():\n    return [row('my-codec')]\n"
    (tmp_path / f"{name}.py").write_text(code + f"open({str(tmp_path / 'ran')!r}, 'a').write('x')\n")
    source = RUN | {"plugins": [f"./{name}.py"], "tokenizer": {"name": "my-codec", "size": 9}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(source))
    return tmp_path


def test_a_local_plugin_is_loaded_from_the_yaml(research: Path) -> None:
    run = read_config(research / "run.yaml")
    assert run.streams("speech")[0].size == 9
    assert run.parts["speech"].entry.provider.distribution == "local"


def test_a_checkpoints_config_runs_no_local_plugin(research: Path) -> None:
    source = yaml.safe_load((research / "run.yaml").read_text())
    with pytest.raises(UnknownComponent, match="no tokenizer is called 'my-codec'"):
        parse_config(source, root=research, trusted=False)
    assert not (research / "ran").exists()
    (name,) = source["plugins"]
    for said in (name, Path(name).stem):  # from the working directory, where there is none: not from the checkpoint
        with pytest.raises(BrokenPlugin, match=r"cannot be used: (FileNotFound|ModuleNotFound)Error"):
            parse_config(source, root=research, plugins=[said], trusted=False)
    assert not (research / "ran").exists()
    named = parse_config(source, root=research, plugins=[str(research / name)], trusted=False)  # the user says so
    assert named.parts["speech"].name == "my-codec"


def test_a_failing_local_plugin_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BrokenPlugin, match=r"plugin '\./none\.py' cannot be used: FileNotFoundError"):
        parse_config(RUN | {"plugins": ["./none.py"]}, root=tmp_path)


def test_a_checkpoint_opens_without_the_metrics_of_its_evaluation(tmp_path: Path) -> None:
    named = {"metrics": ["gone"], "normaliser": "gone"}
    assert parse_config(RUN | {"evaluation": named}, root=tmp_path, trusted=False).evaluation == named
