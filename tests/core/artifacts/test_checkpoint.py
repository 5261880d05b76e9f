"""A checkpoint is complete, verified when opened, and runs only installed code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests import parts

import areca
from areca.artifact import Artifact, seal
from areca.artifacts.checkpoint import export_checkpoint, open_checkpoint, write_checkpoint
from areca.artifacts.store import Store
from areca.errors import ArecaWarning, InvalidArtifact, InvalidConfig, UnknownComponent
from areca.pipeline.pipeline import Pipeline, locate_checkpoint
from areca.run.config import parse_config
from areca.run.explicit import explicit_config
from areca_lyra import FILES

RUN = {
    "name": "tiny",
    "seed": 3,
    "data": "corpus/manifest.jsonl",
    "tokenizers": {"speech": {"name": "mfcc-kmeans", "clusters": 16}},
    "backbone": parts.tiny_decoder(),
    "tasks": ["asr", {"chain": ["asr", "ast"], "weight": 2.0}],
    "training": {"steps": 4, "batch_tokens": 1024, "longest_tokens": 400, "optimizer": "adamw", "save_every_steps": 2},
}


@pytest.fixture(scope="module")
def pipeline(root: Path) -> Pipeline:
    return Pipeline(parse_config(RUN, root=root), Store(root / "store"))


@pytest.fixture(scope="module")
def checkpoint(pipeline: Pipeline) -> Path:
    assert [step.state for step in pipeline.steps()] == ["to build"] * 4
    return pipeline.checkpoint().directory


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def test_it_holds_what_it_needs_and_no_state_of_the_trainer(checkpoint: Path) -> None:
    files = {path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file()}
    assert {"config.yaml", "provenance.json", "artifact.json", "lm/model.safetensors", "lm/vocabulary.json"} <= files
    assert {"parts/speech/artifact.json", "parts/speech/codebook.safetensors"} <= files
    unpickled = [
        name for name in files if Path(name).suffix not in (".json", ".jsonl", ".safetensors", ".yaml", ".jinja")
    ]
    assert unpickled == []


def test_provenance_names_every_part(checkpoint: Path) -> None:
    provenance = json.loads((checkpoint / "provenance.json").read_text())
    speech = provenance["parts"]["speech"]
    assert speech["component"] == "areca:units/mfcc-kmeans"
    assert (speech["distribution"], speech["version"]) == ("areca", areca.__version__)
    assert speech["weights"] == json.loads((checkpoint / "parts/speech/artifact.json").read_text())["fingerprint"]
    assert provenance["parts"]["backbone"]["component"] == "areca:decoder/decoder"


def test_its_config_states_every_option(checkpoint: Path, root: Path) -> None:
    config = yaml.safe_load((checkpoint / "config.yaml").read_text())
    speech = {"name": "mfcc-kmeans", "clusters": 16, "coefficients": 13, "sample_frames": 200_000}
    assert config["tokenizers"] == {"speech": speech}
    assert config["backbone"]["tied"] is True
    roles = {"reads": "speech", "writes": "speech"}
    heads = {"heads": "tied", "depth": {"layers": 2, "width": 256, "heads": 4}, "stream_weights": None}
    read = {"read_as": "units", "adapter": {"name": "linear", "stride": 1}}
    assert config["lm"] == {**roles, "pattern": {"name": "flatten"}, "init": "zero", "train": "all", **heads, **read}
    assert config["tasks"] == RUN["tasks"]
    again = parse_config(config, root=root)
    assert {role: part.identity() for role, part in again.parts.items()} == {
        role: part.identity() for role, part in parse_config(RUN, root=root).parts.items()
    }


def test_needs_keep_their_roles_and_inline_parts() -> None:
    inline = {"name": "dedup", "tokenizer": {"name": "mfcc-kmeans"}}
    written = RUN | {
        "tokenizers": {"inner": {"name": "mfcc-kmeans"}, "speech": {"name": "dedup", "tokenizer": "inner"}}
    }
    del written["data"]
    by_role = explicit_config(parse_config(written, root=Path()))
    assert by_role["tokenizers"]["speech"] == {"name": "dedup", "tokenizer": "inner"}
    nested = explicit_config(parse_config(written | {"tokenizers": {"speech": inline}}, root=Path()))
    assert nested["tokenizers"]["speech"]["tokenizer"]["clusters"] == 256


def test_another_revision_of_a_part_is_refused(copy: Path) -> None:
    provenance = json.loads((copy / "provenance.json").read_text())
    provenance["parts"]["speech"]["revision"] = 9
    (copy / "provenance.json").write_text(json.dumps(provenance))
    reseal(copy)
    message = r"speech was made by revision 9 of areca:units/mfcc-kmeans, and areca .* revision \d.*pip install areca=="
    with pytest.raises(InvalidArtifact, match=message):
        areca.load(copy)


def test_existing_artifacts_are_reused(pipeline: Pipeline, checkpoint: Path, root: Path) -> None:
    again = Pipeline(parse_config(RUN, root=root), Store(root / "store"))
    assert [step.state for step in again.steps()] == ["ready"] * 4
    before = {path: path.stat().st_mtime_ns for path in (root / "store").rglob("*") if path.is_file()}
    assert again.checkpoint().directory == checkpoint
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("change", "fresh"),
    [
        ({"training": RUN["training"] | {"save_every_steps": 3}}, {"checkpoint"}),  # type: ignore[operator]
        ({"training": RUN["training"] | {"steps": 5}}, {"lm", "checkpoint"}),  # type: ignore[operator]
        ({"tasks": ["asr"]}, {"lm", "checkpoint"}),
        ({"lm": {"init": "mean"}}, {"lm", "checkpoint"}),
        ({"seed": 4}, {"tokenizer mfcc-kmeans", "backbone decoder", "lm", "checkpoint"}),
        (
            {"tokenizers": {"speech": {"name": "mfcc-kmeans", "clusters": 17}}},
            {"tokenizer mfcc-kmeans", "lm", "checkpoint"},
        ),
    ],
)
def test_a_change_rebuilds_only_what_depends_on_it(
    change: dict[str, object], fresh: set[str], checkpoint: Path, root: Path
) -> None:
    steps = Pipeline(parse_config(RUN | change, root=root), Store(root / "store")).steps()
    assert {step.label for step in steps if step.state == "to build"} == fresh


def test_other_data_rebuild_everything(checkpoint: Path, root: Path) -> None:
    other = root / "other"
    shutil.copytree(root / "corpus", other)
    lines = (other / "manifest.jsonl").read_text().splitlines()
    (other / "manifest.jsonl").write_text("\n".join(lines[1:]) + "\n")
    steps = Pipeline(parse_config(RUN | {"data": "other/manifest.jsonl"}, root=root), Store(root / "store")).steps()
    assert {step.state for step in steps} == {"to build"}


def test_validation_loss_is_recorded(pipeline: Pipeline, checkpoint: Path) -> None:
    summary = json.loads((pipeline.lm().directory / "training.json").read_text())
    assert [task["task"] for task in summary["tasks"]] == ["asr", "asr+ast"]
    assert all(0 < loss < 10 for loss in summary["validation_loss"])
    assert pipeline.validation_loss() == dict(zip(("asr", "asr+ast"), summary["validation_loss"], strict=True))
    assert [task["examples"] for task in summary["tasks"]] == [24, 24]
    assert [(task["too_long"], task["text_lost"]) for task in summary["tasks"]] == [(0, 0)] * 2


def test_validation_loss_is_recorded_for_the_tasks_that_have_rows(checkpoint: Path, root: Path) -> None:
    other = root / "untranslated"
    shutil.copytree(root / "corpus", other)
    rows = [json.loads(line) for line in (other / "manifest.jsonl").read_text().splitlines()]
    for row in rows:
        if row.get("split") == "validation":
            del row["target_text"]
    (other / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = RUN | {"data": "untranslated/manifest.jsonl", "tasks": [*RUN["tasks"][::-1], "ast"]}  # type: ignore[index]
    pipeline = Pipeline(parse_config(run, root=root), Store(root / "store"))
    losses = pipeline.validation_loss()
    assert list(losses) == ["asr"]
    assert 0 < losses["asr"] < 10


@pytest.mark.slow
def test_it_loads_with_only_transformers(checkpoint: Path) -> None:
    code = (
        "import sys, torch\n"
        "from transformers import AutoModelForCausalLM\n"
        f"model = AutoModelForCausalLM.from_pretrained({str(checkpoint / 'lm')!r}).eval()\n"
        "print(model(torch.arange(12)[None]).logits.double().sum().item())\n"
        "assert 'areca' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": ""}
    )
    lm = areca.load(checkpoint).lm
    with torch.no_grad():
        mine = lm.model(torch.arange(12)[None]).logits.double().sum().item()
    assert float(done.stdout) == mine


def test_a_changed_file_is_detected(copy: Path) -> None:
    path = copy / "lm" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InvalidArtifact, match=r"model\.safetensors: changed since it was made"):
        areca.load(copy)


def test_a_missing_file_of_a_part_is_detected(copy: Path) -> None:
    (copy / "parts" / "speech" / "codebook.safetensors").unlink()
    with pytest.raises(InvalidArtifact, match=r"added or missing: parts/speech/codebook\.safetensors"):
        areca.load(copy)


def test_a_folder_that_is_not_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidArtifact, match=r"not a checkpoint \(config.yaml is missing\); to build one: areca train"
    ):
        open_checkpoint(tmp_path)


def reseal(directory: Path, **changes: object) -> None:
    """Change a checkpoint's config and sign it anew, as its maker could."""
    from areca.artifact import seal

    old = Artifact.open(directory, verify=False)
    config = yaml.safe_load((directory / "config.yaml").read_text())
    (directory / "config.yaml").write_text(yaml.safe_dump(config | changes))
    seal(directory, old.key, old.inputs, old.label)


def test_files_of_the_user_must_be_unchanged(checkpoint: Path, root: Path, tmp_path: Path) -> None:
    weights, made = tmp_path / "lyra", tmp_path / "made"
    for directory in (weights, made):
        directory.mkdir()
    for name in FILES:
        (weights / name).write_bytes(b"a net")
    tokenizers = RUN["tokenizers"] | {"sound": {"name": "lyra", "path": str(weights)}}
    run = parse_config(RUN | {"tokenizers": tokenizers}, root=root)
    speech = Artifact.open(checkpoint / "parts" / "speech")
    write_checkpoint(made, run, Artifact.open(checkpoint), {"speech": speech}, "data")
    seal(made, "key", {}, "x")
    identity = open_checkpoint(made).identity
    (weights / FILES[0]).write_bytes(b"another net")
    with pytest.raises(
        InvalidArtifact, match=r"its sound was made with another content of path: .*/lyra .*put those files back"
    ):
        open_checkpoint(made)
    (weights / FILES[0]).write_bytes(b"a net")
    assert open_checkpoint(made).identity == identity


def test_its_plugins_are_never_run(copy: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (copy / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    reseal(copy, plugins=["./evil.py"])
    assert areca.load(copy).tasks == ("asr", "asr+ast")
    assert not mark.exists()


def test_a_missing_component_is_named_with_what_to_type(copy: Path) -> None:
    reseal(copy, plugins=["./my_codec.py"], tokenizers={"speech": {"name": "my-codec"}})
    with pytest.raises(UnknownComponent, match=r"no tokenizer is called 'my-codec'[\s\S]*areca -p \./my_codec\.py"):
        areca.load(copy)


def test_every_call_of_a_task_returns_that_task(checkpoint: Path) -> None:
    """Parts are made and freed at each call: what is kept for one must not be returned for another."""
    system = areca.load(checkpoint)
    tags = {"mt": "MT", "tts": "TTS", "s2st": "S2ST", "asr": "ASR", "asr+mt": "ASR MT", "ast": "AST"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArecaWarning)
        made = [(name, system.task(name)) for _ in range(1000 // len(tags) + 1) for name in tags]
    assert len(made) >= 1000
    assert [(name, task.tag) for name, task in made if task.tag != tags[name]] == []
    assert {len({id(task) for name, task in made if name == one}) for one in ("mt", "tts", "asr")} == {1}


def test_export_is_a_copy(checkpoint: Path, copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "exported"
    export_checkpoint(checkpoint, target)
    names = sorted(path.relative_to(target) for path in target.rglob("*"))
    assert names == sorted(path.relative_to(checkpoint) for path in checkpoint.rglob("*"))
    assert areca.load(target).tasks == ("asr", "asr+ast")
    with pytest.raises(InvalidArtifact, match="exists already"):
        export_checkpoint(checkpoint, target)
    export_checkpoint(copy, target, replace=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear")
    with pytest.raises(InvalidArtifact, match="exists already"):
        export_checkpoint(checkpoint, tmp_path / "mine", replace=True)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "dear"


def test_an_export_changes_no_file_of_the_user(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("mine.partial", ".mine.draft", "mine.draft"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("dear")
    export_checkpoint(checkpoint, tmp_path / "mine")
    assert {p.name for p in tmp_path.iterdir()} == {"mine", "mine.partial", ".mine.draft", "mine.draft"}
    assert [p.read_text() for p in sorted(tmp_path.glob("*/notes.txt"))] == ["dear"] * 3
    assert content(tmp_path / "mine") == content(checkpoint)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(InvalidArtifact, match="exists already"):
        export_checkpoint(checkpoint, tmp_path / "link", replace=True)


def test_the_fingerprint_does_not_depend_on_the_clock(
    checkpoint: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("areca.artifact.time.strftime", lambda *_: "1999-12-31T23:59:59Z")
    monkeypatch.setattr("areca.artifact.time.monotonic", iter(range(0, 10**9, 77)).__next__)
    again = Pipeline(parse_config(RUN, root=root), Store(tmp_path)).checkpoint()
    assert again.fingerprint == Artifact.open(checkpoint).fingerprint
    assert content(again.directory).keys() == content(checkpoint).keys()
    assert json.loads((again.directory / "artifact.json").read_text())["created"] == "1999-12-31T23:59:59Z"
    part = json.loads((again.directory / "parts/speech/artifact.json").read_text())
    assert {"created", "took_s"}.isdisjoint(part)
    assert Artifact.open(again.directory / "parts" / "speech").fingerprint == part["fingerprint"]


def test_a_part_of_another_component_is_refused(copy: Path) -> None:
    part = copy / "parts" / "speech"
    data = bytearray((part / "codebook.safetensors").read_bytes())
    data[-1] ^= 1
    (part / "codebook.safetensors").write_bytes(data)
    reseal(copy)
    with pytest.raises(InvalidArtifact, match=r"its speech is not the part that provenance\.json names"):
        open_checkpoint(copy)


def test_a_checkpoint_reads_no_file_outside_it(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    for name in ("${oc.env:SECRET}", "${seed}"):
        reseal(copy, name=name)
        with pytest.raises(InvalidArtifact, match=r"config\.yaml: expected a value, got .*values outside"):
            open_checkpoint(copy)


def test_a_damaged_checkpoint_is_not_exported(copy: Path, tmp_path: Path) -> None:
    (copy / "lm" / "config.json").write_text("{}")
    with pytest.raises(InvalidArtifact, match="changed since"):
        export_checkpoint(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_runs_yaml_finds_its_checkpoint(
    checkpoint: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARECA_HOME", str(root / "store"))
    (root / "run.yaml").write_text(yaml.safe_dump(RUN))
    assert locate_checkpoint(root / "run.yaml") == checkpoint
    monkeypatch.setenv("ARECA_HOME", str(tmp_path))
    with pytest.raises(InvalidArtifact, match=r"has no checkpoint in .* yet; to train it: areca train"):
        locate_checkpoint(root / "run.yaml")


def content(directory: Path) -> dict[Path, bytes]:
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_the_verbs_from_fit_to_export(root: Path, world: Any) -> None:
    (world.directory / "run.yaml").write_text(yaml.safe_dump(RUN | {"data": str(root / "corpus/manifest.jsonl")}))

    def areca(*arguments: str) -> str:
        done = world.warm(*arguments)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def made() -> set[str]:
        return {Artifact.open(path).label for path in Store(world.directory / "home").directories()}

    alone = areca("fit", "speech", "run.yaml", "training.steps=2").splitlines()[-1]
    assert {label.split()[-1] for label in made()} == {"mfcc-kmeans"}
    [*_, speech, backbone] = (line.split() for line in areca("fit", "run.yaml").splitlines())
    assert speech == alone.split()
    assert (speech[:2], backbone[:2]) == (["speech", "mfcc-kmeans"], ["backbone", "decoder"])
    assert (Path(speech[2]) / "codebook.safetensors").is_file() and (Path(backbone[2]) / "model.safetensors").is_file()
    fitted = made()

    tokenized = areca("tokenize", "run.yaml").splitlines()[-1]
    assert tokenized.split() == ["speech", "mfcc-kmeans", "audio", "tokens", "24"]
    assert [label.split()[0] for label in made() - fitted] == ["tokens"]

    scores = areca("evaluate", "run.yaml", "--task", "asr", "--limit", "2")  # what it lacks, it trains
    results = world.directory / "results" / "tiny"
    rows = [json.loads(line) for line in (results / "results.jsonl").read_text().splitlines()]
    assert {row["task"] for row in rows} == {"asr"}
    assert "tiny on split 'test'" in scores and "checkpoint tiny" in made()

    before = content(results)
    for page in ("report.md", "index.html"):
        (results / page).unlink()
    assert areca("report", "results/tiny") in scores
    assert content(results) == before

    exported = areca("export", "run.yaml", "mine")
    copied, source = world.directory / "mine", Path(exported.partition(" a copy of ")[2].partition(";")[0])
    assert content(copied) == content(source)
    assert open_checkpoint(copied).run.name == "tiny"


def test_a_role_that_is_not_fitted_is_named(root: Path) -> None:
    pipeline = Pipeline(parse_config(RUN, root=root), Store(root / "store"))
    with pytest.raises(
        InvalidConfig, match=r"no part 'backbon'; did you mean 'backbone'\?; parts that it trains: backb"
    ):
        pipeline.fit(["backbon"])


def test_a_run_without_data_cannot_be_trained(root: Path) -> None:
    config = parse_config({k: v for k, v in RUN.items() if k != "data"}, root=root)
    with pytest.raises(InvalidConfig, match="nothing to train from: give 'data:"):
        Pipeline(config, Store(root / "store"))
