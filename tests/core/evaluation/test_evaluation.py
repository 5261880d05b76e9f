"""Evaluation from end to end on synthetic tones with known results."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tests import parts

from areca.audio import read, write
from areca.errors import ArecaWarning, InvalidArtifact, InvalidConfig, InvalidManifest, StorageError
from areca.evaluation.answering import open_answer_journal, select_rows
from areca.evaluation.evaluate import evaluate, question_path
from areca.evaluation.examples import Scorers
from areca.evaluation.folder import read_identity
from areca.evaluation.journal import Journal
from areca.evaluation.judging import OpenJudge
from areca.evaluation.report import write_report
from areca.evaluation.results import ResultRow, read_results
from areca.evaluation.scoring import open_metrics, open_normaliser
from areca.generation.requests import Result, Sound
from areca.manifest import FileManifest, Manifest, Utterance, read_manifest, write_manifest
from areca.options import build, file_hash
from areca.registry.registry import Registry
from areca.run.decoding import Decoding, resolve_decoding
from areca.run.options import FAULTS, EvaluationConfig
from areca.specs import JudgeSpec
from areca.tasks import Field, Task, chain
from areca.types import Audio

RATE = 8000
ASR = Task("ASR", (Field("source.audio"),), (Field("source.text"),))
AST = Task("AST", (Field("source.audio"),), (Field("target.text"),), ("source", "target"))
S2ST = Task("S2ST", (Field("source.audio"),), (Field("target.audio"),), ("source", "target"))
TASKS = {"asr": ASR, "ast": AST, "s2st": S2ST, "asr+s2st": chain([ASR, S2ST])}
WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}
UN = {1: "un", 2: "deux", 3: "trois", 4: "quatre", 5: "cinq", 6: "six", 7: "sept", 8: "huit"}

SLOW = (
    f"import importlib.util, sys; spec = importlib.util.spec_from_file_location('tones', {__file__!r});"
    "tones = importlib.util.module_from_spec(spec); sys.modules['tones'] = tones; spec.loader.exec_module(tones);"
    "from pathlib import Path; m = tones.read_manifest(Path(sys.argv[1]) / 'manifest.jsonl');"
    "print('ready', flush=True);"
    "tones.run(m, Path(sys.argv[2]), tones.ToneSystem(pause_s=0.05), tasks=['asr', 's2st'])"
)
"""Evaluates slowly; its arguments are the manifest's folder and the evaluation's."""


def tone(value: int, octave: int = 1) -> Audio:
    """Say a value as a sine of 100 Hz a unit; English is an octave above French."""
    t = torch.arange(RATE // 4) / RATE
    return Audio(0.5 * torch.sin(2 * math.pi * 100.0 * value * octave * t)[None], RATE)


def pitch(audio: Audio, octave: int = 1) -> int:
    """Hear the value of a tone."""
    spectrum = torch.fft.rfft(audio.samples[0]).abs()
    return round(int(spectrum.argmax()) * audio.sample_rate_hz / audio.samples.shape[1] / 100 / octave)


class ToneJudge:
    """Hears tones; is deaf to eight."""

    def __init__(self) -> None:
        self.heard = 0

    def transcribe(self, audios: list[Audio], language: str) -> list[str]:
        self.heard += len(audios)
        return [WORDS.get(pitch(a, 2), "") if pitch(a, 2) != 8 else "" for a in audios]


class ToneSystem:
    """Reads French tones and answers; takes five for four wherever it translates."""

    tasks = ("asr", "s2st")
    takes_voice = False

    def __init__(self, fail_after: int | None = None, pause_s: float = 0.0) -> None:
        self.answered: list[tuple[str, int]] = []
        self.decoded: list[Decoding] = []
        self.fail_after, self.pause_s = fail_after, pause_s

    def task(self, name: str) -> Task:
        return TASKS[name]

    def answer(
        self,
        task: str,
        items: Sequence[Sound],
        *,
        source: str | None,
        target: str | None,
        decoding: Decoding,
        batch: int,
    ) -> list[Result]:
        assert source == "fr" and len(items) <= batch
        self.decoded.append(decoding)
        time.sleep(self.pause_s)
        if self.fail_after is not None and len(self.answered) >= self.fail_after:
            raise RuntimeError("the power went out")
        return [self._one(task, item) for item in items]

    def _one(self, task: str, item: Sound) -> Result:
        assert isinstance(item, Audio)
        value = pitch(item)
        self.answered.append((task, value))
        meant = 5 if value == 4 else value
        texts = {"source.text": UN[value], "target.text": WORDS[meant]}
        outputs = {field.path for field in TASKS[task].outputs}
        audio = tone(meant, 2) if "target.audio" in outputs else None
        return Result("", task, {k: v for k, v in texts.items() if k in outputs}, audio, None, False, 0.05)


GREEDY = resolve_decoding(parts.REGISTRY, "greedy")


def open_tone_judge() -> OpenJudge:
    return OpenJudge("tones", ToneJudge(), JudgeSpec(("en",), RATE), json.dumps({"judge": "tones"}))


def scorers(config: EvaluationConfig, *judges: OpenJudge, registry: Registry | None = None) -> Scorers:
    registry = registry or Registry.discover()
    return Scorers(open_metrics(registry, config.metrics), open_normaliser(registry, config.normaliser), judges)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Eight values by two sources, and one untranslated row."""
    root = tmp_path_factory.mktemp("tones")
    rows = []
    for source in ("human", "synthetic"):
        for value in WORDS:
            write(root / f"{source}-{value}.wav", tone(value))
            write(root / f"en-{value}.wav", tone(value, 2))
            rows.append(
                Utterance(
                    id=f"{source}/{value}",
                    audio=f"{source}-{value}.wav",
                    text=UN[value],
                    language="fr",
                    split="test",
                    source=source,
                    target_audio=f"en-{value}.wav",
                    target_text=WORDS[value],
                    target_language="en",
                )
            )
    rows.append(Utterance(id="alone", audio="human-1.wav", text="un", language="fr", split="test", source="human"))
    write_manifest(root / "manifest.jsonl", rows)
    return read_manifest(root / "manifest.jsonl")


def run(
    manifest: Manifest, directory: Path, system: ToneSystem | None = None, **options: object
) -> tuple[list[ResultRow], ToneSystem, OpenJudge]:
    system, judge = system or ToneSystem(), open_tone_judge()
    config = build(EvaluationConfig, {"normaliser": "spoken-values", "batch": 3, **options}, "evaluation")
    decoding = resolve_decoding(parts.REGISTRY, config.decoding)
    of = scorers(config, judge)
    path = evaluate(system, manifest, config, of, directory, identity="tones 1", decoding=decoding)
    return read_results(path), system, judge


def values(rows: Sequence[ResultRow], **wanted: object) -> dict[str, float]:
    return {r.id: r.value for r in rows if all(getattr(r, name) == value for name, value in wanted.items())}


def test_every_example_has_a_row_under_every_metric(manifest: Manifest, tmp_path: Path) -> None:
    rows, _, _ = run(manifest, tmp_path, tasks=["asr", "ast", "s2st"])
    asr = values(rows, task="asr", metric="exact")
    assert len(asr) == 17 and set(asr.values()) == {1.0}  # the untranslated row too
    translated = values(rows, task="ast", metric="exact")
    assert [id_ for id_, value in translated.items() if value != 1.0] == ["human/4", "synthetic/4"]
    wrong = [r for r in rows if r.id == "human/4" and r.task == "ast"]
    assert {r.metric for r in wrong} == {"exact", "wer", "cer", "bleu", "chrf", *FAULTS} - {"silent"}
    assert {(r.hypothesis, r.reference) for r in wrong} == {("five", "four")}
    assert {r.metric: r.value for r in wrong}["wer"] == 1.0
    assert {r.normaliser for r in wrong if r.metric not in FAULTS} == {"spoken-values/2"}
    assert all((r.language, r.text_language) == ("fr", "en") for r in wrong)


class AnyLanguage(ToneSystem):
    """Answers whatever language it is told."""

    def answer(self, task: str, items: Sequence[Sound], **options: object) -> list[Result]:
        return [self._one(task, item) for item in items]


@pytest.mark.parametrize("written", [("French", "English"), ("fra", "en-US"), ("français", "eng")])
def test_languages_may_be_written_in_any_way(manifest: Manifest, tmp_path: Path, written: tuple[str, str]) -> None:
    changed = [
        dataclasses.replace(row, language=written[0], target_language=row.target_language and written[1])
        for row in manifest.rows
    ]
    write_manifest(manifest.root / "changed.jsonl", changed)
    other = read_manifest(manifest.root / "changed.jsonl")
    rows, _, judge = run(other, tmp_path, AnyLanguage(), tasks=["s2st"], languages=["fr"])
    assert {(r.language, r.text_language) for r in rows} == {("fr", "en")}
    assert len(values(rows, metric="exact", of="output", judge=judge.label)) == 16  # and not left out by the judge
    with pytest.raises(InvalidConfig, match=r"'Frensh'.*did you mean 'French'"):
        run(other, tmp_path / "no", AnyLanguage(), languages=["Frensh"])


def test_results_are_json_and_state_the_words_of_bleu(manifest: Manifest, tmp_path: Path) -> None:
    rows = [dataclasses.replace(row, text="?!", language="zh") for row in manifest.rows[:1]] + list(manifest.rows[1:3])
    write_manifest(manifest.root / "chinese.jsonl", rows)
    other = read_manifest(manifest.root / "chinese.jsonl")
    found, _, _ = run(other, tmp_path, AnyLanguage(), tasks=["asr"], normaliser="basic")
    text = (tmp_path / "results.jsonl").read_text()
    assert "Infinity" not in text and "NaN" not in text
    assert values(found, metric="wer", language="zh") == {rows[0].id: 1.0}  # one word where none should be
    words = {r.language: r.signature.partition("tok:")[2].partition("|")[0] for r in found if r.metric == "bleu"}
    assert words == {"zh": "char", "fr": "13a"}
    report = "\n".join(t.markdown() for t in write_report(tmp_path))
    assert "tok:char" in report and "tok:13a" in report and "inf" not in report


def test_speech_is_judged_beside_its_ceiling(manifest: Manifest, tmp_path: Path) -> None:
    rows, _, judge = run(manifest, tmp_path, tasks=["s2st"])
    spoken = values(rows, metric="exact", of="output", judge=judge.label, source="human")
    ceiling = values(rows, metric="exact", of="truth", judge=judge.label, source="human")
    assert [id_ for id_, value in spoken.items() if value == 0] == ["human/4", "human/8"]
    assert [id_ for id_, value in ceiling.items() if value == 0] == ["human/8"]  # deaf to eight
    assert judge.instance.heard == 16 + 8  # type: ignore[attr-defined]  # the true recordings are shared by the sources
    produced = next(r for r in rows if r.id == "human/4" and r.metric == "exact" and r.of == "output")
    assert produced.audio is not None and pitch(read(tmp_path / produced.audio), 2) == 5


def test_time_and_speech_are_noted_for_every_answer(manifest: Manifest, tmp_path: Path) -> None:
    rows, system, _ = run(manifest, tmp_path, tasks=["s2st"])
    assert set(values(rows, metric="compute_s").values()) == {0.05}
    assert set(values(rows, metric="speech_s").values()) == {0.25}
    assert len(system.answered) == 16 + 1  # one to warm up


def test_a_chain_is_scored_by_each_output(manifest: Manifest, tmp_path: Path) -> None:
    rows, _, _ = run(manifest, tmp_path, tasks=["asr,s2st"])
    assert {(r.task, r.field) for r in rows} == {("asr+s2st", "source.text"), ("asr+s2st", "target.audio")}
    assert values(rows, field="source.text", metric="exact", id="human/4") == {"human/4": 1.0}


def test_without_a_judge_for_the_language_speech_has_no_scores_of_text(manifest: Manifest, tmp_path: Path) -> None:
    config = EvaluationConfig(tasks=("s2st",))
    deaf = OpenJudge("deaf", ToneJudge(), JudgeSpec(("ru",), RATE), "{}")
    rows = read_results(
        evaluate(ToneSystem(), manifest, config, scorers(config, deaf), tmp_path, identity="x", decoding=GREEDY)
    )
    assert {r.metric for r in rows} == {"compute_s", "speech_s", "silent"}


def test_existing_answers_are_reused(manifest: Manifest, tmp_path: Path) -> None:
    undisturbed, _, _ = run(manifest, tmp_path / "a", tasks=["asr", "s2st"])
    for fail_after in (0, 1, 4, 10, 10):
        with pytest.raises(RuntimeError, match="power"):
            run(manifest, tmp_path / "b", ToneSystem(fail_after), tasks=["asr", "s2st"])
        assert not (tmp_path / "b" / "results.jsonl").exists()
    resumed, last, judge = run(manifest, tmp_path / "b", tasks=["asr", "s2st"])
    assert resumed == undisturbed
    assert len(last.answered) < 17
    _, idle, idle_judge = run(manifest, tmp_path / "b", tasks=["asr", "s2st"])
    assert idle.answered == [] and idle_judge.instance.heard == 0  # type: ignore[attr-defined]
    assert judge.instance.heard == 24  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_killed_evaluation_resumes_from_any_moment(manifest: Manifest, tmp_path: Path) -> None:
    directory = tmp_path / "killed"
    command = [sys.executable, "-c", SLOW, str(manifest.root), str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    time.sleep(0.3)
    process.kill()
    process.communicate()
    for path in directory.glob("*.jsonl"):  # as if the kill had come in the middle of a line
        path.write_bytes(path.read_bytes() + b'{"task": "asr", "id": "hum')
    rows, _, _ = run(manifest, directory, tasks=["asr", "s2st"])
    assert rows == run(manifest, tmp_path / "undisturbed", tasks=["asr", "s2st"])[0]


def test_damaged_answers_are_computed_again(manifest: Manifest, tmp_path: Path) -> None:
    """Whatever byte of the folder is flipped, the results are those of an undisturbed evaluation, or it is refused."""
    tasks = ["asr", "s2st"]
    run(manifest, tmp_path / "a", tasks=tasks)
    expected = (tmp_path / "a" / "results.jsonl").read_bytes()
    rng = random.Random(0)
    files = [p for p in (tmp_path / "a").rglob("*") if p.is_file() and p.name != ".lock"]
    spoken = [p for p in files if p.parent.name == "s2st"]
    logs = [p for p in files if p.name in ("answers.jsonl", "heard.jsonl")]
    assert len(spoken) == 16 and len(logs) == 2
    for path in [*logs * 6, *rng.sample(spoken, 4)]:
        content = bytearray(path.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        with pytest.warns(ArecaWarning, match="repeated|answered again"):
            run(manifest, tmp_path / "a", tasks=tasks)
        assert (tmp_path / "a" / "results.jsonl").read_bytes() == expected, path
    spoken[0].unlink()
    with pytest.warns(ArecaWarning, match=f"{spoken[0].name}: missing; row .* is answered again"):
        _, system, _ = run(manifest, tmp_path / "a", tasks=tasks)
    assert len(system.answered) == 1 + 1  # one to warm up
    assert (tmp_path / "a" / "results.jsonl").read_bytes() == expected


def test_new_answers_in_speech_are_judged_again(manifest: Manifest, tmp_path: Path) -> None:
    """What a judge heard in a damaged recording must not stand for the recording that takes its place."""
    run(manifest, tmp_path, tasks=["s2st"])
    path = tmp_path / "audio" / "s2st" / "human%2F1.flac"
    write(path, tone(7, 2))
    row = next(row for row in open_answer_journal(tmp_path / "answers.jsonl") if row.id == "human/1")
    open_answer_journal(tmp_path / "answers.jsonl").add([dataclasses.replace(row, audio_sha256=file_hash(path))])
    (tmp_path / "heard.jsonl").unlink()
    heard = [r.hypothesis for r in run(manifest, tmp_path, tasks=["s2st"])[0] if r.id == "human/1" and r.judge]
    assert "seven" in heard
    path.unlink()
    with pytest.warns(ArecaWarning, match="missing"):
        heard = [r.hypothesis for r in run(manifest, tmp_path, tasks=["s2st"])[0] if r.id == "human/1" and r.judge]
    assert set(heard) == {"one"}


def test_results_that_were_changed_are_not_reported(manifest: Manifest, tmp_path: Path) -> None:
    run(manifest, tmp_path, tasks=["asr"])
    path = tmp_path / "results.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"value": 1.0', b'"value": 0.0', 1))
    with pytest.raises(
        InvalidArtifact, match=r"results\.jsonl: changed since it was written .* repeat the `areca eval"
    ):
        write_report(tmp_path)
    run(manifest, tmp_path, tasks=["asr"])
    assert write_report(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"x"', b"{}", b"\xff\xfe", b"[" * 200_000, b'{"system": "tones 1", "judges": {}}'],
)
def test_a_damaged_identity_is_one_line(manifest: Manifest, tmp_path: Path, content: bytes) -> None:
    run(manifest, tmp_path, tasks=["asr"], limit=1)
    (tmp_path / "evaluation.json").write_bytes(content)
    for use in (lambda: run(manifest, tmp_path, tasks=["asr"], limit=1), lambda: write_report(tmp_path)):
        with pytest.raises(InvalidArtifact, match="damaged, or written by another version of areca: name another") as e:
            use()
        assert "\n" not in str(e.value) and len(str(e.value)) < 400


def test_every_byte_of_an_identity_counts(manifest: Manifest, tmp_path: Path) -> None:
    run(manifest, tmp_path, tasks=["asr"], limit=1)
    path = tmp_path / "evaluation.json"
    whole, said = path.read_bytes(), json.loads(path.read_bytes())
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 2
        path.write_bytes(changed)
        with contextlib.suppress(InvalidArtifact):
            assert read_identity(tmp_path) == {k: v for k, v in said.items() if k != "sha256"}, place  # white space


def test_answers_without_an_identity_are_refused(manifest: Manifest, tmp_path: Path) -> None:
    run(manifest, tmp_path, tasks=["asr"], limit=1)
    (tmp_path / "evaluation.json").unlink()
    with pytest.raises(InvalidArtifact, match="no such file, so the source of answers"):
        run(manifest, tmp_path, tasks=["asr"], limit=1)


def test_two_evaluations_into_one_folder(manifest: Manifest, tmp_path: Path) -> None:
    directory = tmp_path / "one"
    command = [sys.executable, "-c", SLOW, str(manifest.root), str(directory)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert first.stdout is not None and first.stdout.readline() == b"ready\n"
    while not (directory / "answers.jsonl").exists():
        time.sleep(0.01)
        assert first.poll() is None
    with pytest.raises(StorageError, match="another process evaluates into this folder: wait until it ends, or name"):
        run(manifest, directory, tasks=["asr", "s2st"])
    assert first.poll() is None
    first.communicate()
    assert first.returncode == 0
    assert read_results(directory / "results.jsonl") == run(manifest, tmp_path / "b", tasks=["asr", "s2st"])[0]


def test_any_id_makes_a_file(manifest: Manifest, tmp_path: Path) -> None:
    rows = [dataclasses.replace(manifest.rows[i], id=id_) for i, id_ in enumerate(["é" * 200, "é" * 199 + "e", ".."])]
    run(FileManifest(tuple(rows), manifest.root), tmp_path, tasks=["s2st"])
    assert len(list((tmp_path / "audio" / "s2st").iterdir())) == 3
    assert len(list((tmp_path / "audio" / "question").iterdir())) == 3


def test_another_task_or_limit_adds_to_existing_results(manifest: Manifest, tmp_path: Path) -> None:
    _, first, _ = run(manifest, tmp_path, tasks=["asr"], limit=2)
    _, second, _ = run(manifest, tmp_path, tasks=["asr", "ast"], limit=4)
    asr = [value for task, value in second.answered if task == "asr"]
    assert len(first.answered) == 4 + 1 and len(asr) == 4 + 1
    rows = read_results(tmp_path / "results.jsonl")
    assert {r.task for r in rows} == {"asr", "ast"}


def test_a_folder_holds_one_system_and_one_manifest(manifest: Manifest, tmp_path: Path) -> None:
    run(manifest, tmp_path, tasks=["asr"])
    three, four = EvaluationConfig(batch=3), EvaluationConfig(batch=4)
    with pytest.raises(InvalidArtifact, match="another system"):
        evaluate(ToneSystem(), manifest, three, scorers(three), tmp_path, identity="tones 2", decoding=GREEDY)
    half = manifest.select(source="human")
    with pytest.raises(InvalidArtifact, match="another data and batch"):
        evaluate(ToneSystem(), half, four, scorers(four), tmp_path, identity="tones 1", decoding=GREEDY)
    with pytest.raises(InvalidArtifact, match="another decoding"):
        run(manifest, tmp_path, tasks=["asr"], decoding="beam")


def test_the_decoding_option_reaches_the_system(manifest: Manifest, tmp_path: Path) -> None:
    _, system, _ = run(manifest, tmp_path, tasks=["asr"], decoding={"name": "beam", "beams": 2, "max_text_ids": 9})
    assert {(d.method.name, d.method.config.beams, d.limits.max_text_ids) for d in system.decoded} == {("beam", 2, 9)}
    assert json.loads((tmp_path / "evaluation.json").read_text())["decoding"] == {
        "component": "decoding:areca:decoding/beam",
        "revision": 1,
        "config": {"beams": 2, "length_penalty": 1.0},
        "limits": {"max_text_ids": 9, "max_audio_frames": 1024},
    }
    note = "`beam`, `beams: 2`, `length_penalty: 1.0`, `max_text_ids: 9` (areca:decoding/beam, revision 1)"
    assert f"- Answers decoded with {note}.\n" in write_report(tmp_path)[0].markdown()


def test_a_language_that_cannot_be_read_is_refused_before_any_work(manifest: Manifest, tmp_path: Path) -> None:
    rows = tuple(Utterance(id=r.id, audio=r.audio, text=r.text, language="ru", split="test") for r in manifest.rows)
    with pytest.raises(InvalidConfig, match="not 'ru'; use the normaliser 'basic'"):
        run(FileManifest(rows, manifest.root), tmp_path, tasks=["asr"])
    assert not list(tmp_path.iterdir())


def test_nothing_to_evaluate(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(InvalidManifest, match="no row"):
        run(manifest, tmp_path, split="train")
    with pytest.raises(InvalidManifest, match="no row with source robots"):
        run(manifest, tmp_path, sources=["robots"])
    bare = FileManifest((Utterance(id="x", audio="human-1.wav", language="fr", split="test"),), manifest.root)
    untranslated = FileManifest(tuple(dataclasses.replace(row, text="un") for row in bare.rows), manifest.root)
    with pytest.raises(InvalidConfig, match="no row of split 'test' has what ast need"):
        run(untranslated, tmp_path, tasks=["asr", "ast"])
    with pytest.raises(InvalidConfig, match="no row of split 'test' has what s2st need"):
        run(bare, tmp_path, tasks=["s2st"])


def test_questions_are_kept_for_listening(manifest: Manifest, tmp_path: Path) -> None:
    rows, _, _ = run(manifest, tmp_path, tasks=["s2st"])
    kept = [r.id for r in rows if r.metric == "compute_s" and (tmp_path / question_path(r.id)).is_file()]
    # Four of each source, and those with a fault: the judge hears nothing for eight.
    assert kept == [f"{source}/{value}" for source in ("human", "synthetic") for value in (1, 2, 3, 4, 8)]
    assert pitch(read(tmp_path / question_path("human/3"))) == 3


def test_selected_rows_follow_from_the_seed_and_are_nested(manifest: Manifest) -> None:
    def ids(limit: int | None, seed: int = 0) -> set[str]:
        return {row.id for row in select_rows(manifest, "test", (), (), limit, seed)}

    assert len(ids(3)) == 6 and ids(3) < ids(5) < ids(None)
    assert ids(3) != ids(3, seed=1)
    assert len(ids(None)) == 17


@pytest.mark.parametrize("options", [{"batch": 0}, {"limit": 0}])
def test_options_out_of_range(options: dict[str, int]) -> None:
    with pytest.raises(InvalidConfig, match="at least 1"):
        build(EvaluationConfig, options, "evaluation")


def test_a_journal_cut_at_any_byte_loses_only_its_last_row(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    def load(n: int) -> int:
        return n

    def opened() -> Journal[int]:
        return Journal(path, load, lambda n: {"n": n}, lambda n: n)

    opened().add([1, 2])
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        journal = opened()
        complete = 2 if cut == len(whole) else 1 if cut >= len(lines[0]) else 0
        assert [n in journal for n in (1, 2)] == [complete >= 1, complete == 2]
        journal.add([3])
        assert 3 in opened()


def test_a_journal_leaves_out_damaged_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    def opened() -> Journal[dict[str, object]]:
        return Journal(path, dict, dict, lambda row: row["n"])

    opened().add({"n": n, "text": "\u2028 é"} for n in (1, 2, 3))
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    start = len(lines[0])
    for place in range(start, start + len(lines[1]) - 1):  # every byte of the second line but its end
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        if changed[place] == ord("\n"):
            continue
        path.write_bytes(changed)
        with pytest.warns(ArecaWarning, match=r"log\.jsonl:2: damaged"):
            journal = opened()
        assert [n in journal for n in (1, 2, 3)] == [True, False, True], place
        assert path.read_bytes() == lines[0] + lines[2]
    opened().add([{"n": 2, "text": "again"}])
    assert opened()[2] == {"n": 2, "text": "again"}


def test_a_journal_of_another_evaluation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    Journal(path, dict, dict, str).add([{"n": 1}])
    with pytest.raises(InvalidArtifact, match=r"log\.jsonl:1: not a row of this log \(.* unexpected keyword"):
        Journal(path, lambda m: m, dict, str)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidArtifact, match="no results there"):
            read_results(tmp_path / "results.jsonl")
