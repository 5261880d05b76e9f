"""The dataset `people`: the table of packages, and clips of tiny packages and of real ones if they are available."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tests.corpora import check_kit
from tests.debian import build_deb

from areca.cli.data import data
from areca.cli.validate import validate
from areca.errors import ArecaWarning, IncompatibleParts, InvalidConfig, InvalidManifest, MissingDependency
from areca.files.home import home_folder
from areca.interfaces import Job
from areca.manifest import FileManifest
from areca.options import build
from areca.run.config import check_rows, parse_config
from areca.sound.hearing import require_audible
from areca_people.dataset import People
from areca_people.options import PeopleConfig
from areca_people.packages import NAMES, PACKAGES, TRAINING_PACKAGES
from areca_people.plan import ARCHIVES

CPU = torch.device("cpu")
KTUBERLING = "usr/share/ktuberling/sounds"
FESTVOX = "usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav"
TINY = ("ktuberling-data", "festvox-ru", "asterisk-prompt-it-menardi-wav")


def speech(seconds: float, seed: int, rate_hz: int = 16_000, edge_s: float = 0.2, channels: int = 1) -> bytes:
    """Return a WAV file with `seconds` of noise between silence."""
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, 0.1, (round(seconds * rate_hz), channels))
    silence = np.zeros((round(edge_s * rate_hz), channels))
    content = io.BytesIO()
    soundfile.write(content, np.concatenate([silence, sound, silence]), rate_hz, format="WAV")
    return content.getvalue()


def paused(count: int) -> bytes:
    """Return a WAV file with `count` times 3 s of noise, with pauses of 0.4 s."""
    parts = [soundfile.read(io.BytesIO(speech(3.0, 90 + i)))[0] for i in range(count)]
    content = io.BytesIO()
    soundfile.write(content, np.concatenate(parts), 16_000, format="WAV")
    return content.getvalue()


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three tiny packages."""
    folder, deb = tmp_path_factory.mktemp("debs"), build_deb
    words = {f"{KTUBERLING}/lt/{i:02}.wav": speech(0.3, i, 22_050, channels=2) for i in range(60)}
    words |= {f"{KTUBERLING}/gl/{i}.wav": speech(0.9, 100 + i) for i in range(3)}
    words |= {f"{KTUBERLING}/fr/long{i}.wav": speech(1.0, 110 + i) for i in range(2)}
    words |= {f"{KTUBERLING}/fr/short{i}.wav": speech(0.3, 120 + i) for i in range(3)}
    words |= {f"{KTUBERLING}/fi/{i}.wav": speech(1.0, 130 + i, 8000) for i in range(2)}
    words |= {f"{KTUBERLING}/sr/a.wav": speech(1.0, 140), f"{KTUBERLING}/sr/b.wav": speech(1.0, 140)}
    words |= {f"{KTUBERLING}/sr@latin/a.wav": speech(1.0, 150), f"{KTUBERLING}/da/silent.wav": speech(0.0, 0)}
    words |= {f"{KTUBERLING}/da/damaged.wav": b"RIFF no audio", f"{KTUBERLING}/lt/notes.txt": b"no audio"}
    deb(folder, "ktuberling-data", words)
    deb(folder, "festvox-ru", {f"{FESTVOX}/{i}.wav": paused(6) for i in range(1)} | {f"{FESTVOX}/x.wav": paused(1)})
    italian = {f"usr/share/asterisk/sounds/it_IT_f_Menardi/{n}.wav": speech(1.0, 160, 8000) for n in ("uno", "beep")}
    return deb(folder, "asterisk-prompt-it-menardi-wav", italian)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "real" not in request.node.name:
        monkeypatch.setenv("ARECA_HOME", str(tmp_path / "home"))
        monkeypatch.delenv(ARCHIVES, raising=False)


def fit(directory: Path, archives: Path | None, seed: int = 0, **options: Any) -> FileManifest:
    config = build(PeopleConfig, {"packages": TINY, "archives": archives, **options}, "dataset 'people'")
    directory.mkdir(exist_ok=True)
    People.fit(config, {}, None, Job(directory, seed, CPU))
    return People.load(config, {}, directory, device=CPU, dtype=torch.float32)


def content_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "seal" not in path.name)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_short_recordings_of_a_person_are_joined_and_long_ones_cut_in_their_pauses(
    tmp_path: Path, archives: Path
) -> None:
    manifest = fit(tmp_path / "a", archives)
    by_speaker = {name: [row for row in manifest.rows if row.speaker == name] for name in NAMES}
    words = by_speaker["ktuberling-lt"]
    assert sum(len(row.extra["files"]) for row in words) >= 56  # a small split may not have enough for a clip
    for row in [row for row in words if row.split == "train"]:
        assert len(row.extra["files"]) >= 5 and 2.0 <= row.extra["seconds"] < 4.0
    assert {row.split for row in words} >= {"train", "test"}
    sentences = by_speaker["festvox-ru"]
    cut = [row for row in sentences if row.extra["files"] == ["0.wav"]]
    assert len(cut) == 3 and len({row.split for row in cut}) == 1
    assert all(6.3 < row.extra["seconds"] <= 6.7 for row in cut)  # two of the six parts, the pause between them
    assert len(sentences) == 4
    for row in manifest.rows:
        audio = require_audible(manifest.audio(row))
        assert (audio.sample_rate_hz, audio.channels) == (16_000, 1)
        assert audio.seconds == pytest.approx(row.extra["seconds"], abs=1e-3)
        assert float(audio.samples.square().mean().sqrt()) == pytest.approx(0.08, abs=0.02)


def test_rows_name_the_speaker_the_licence_and_the_source(tmp_path: Path, archives: Path) -> None:
    manifest = fit(tmp_path / "a", archives)
    row = next(row for row in manifest.rows if row.speaker == "ktuberling-lt")
    assert (row.language, row.source, row.text, row.target_text) == ("lt", "people", None, None)
    assert {name: row.extra[name] for name in ("package", "licence", "source_rate_hz")} == {
        "package": "ktuberling-data",
        "licence": "GPL-2.0-or-later",
        "source_rate_hz": 22_050,
    }
    assert {row.split for row in manifest.rows if row.speaker == "ktuberling-gl"} == {"test"}  # held out
    several = [row for row in manifest.rows if row.language == "fr"]
    assert [(row.speaker, len(row.extra["files"])) for row in several] == [(None, 1), (None, 1)]
    assert len([row for row in manifest.rows if row.language == "sr"]) == 1
    assert {row.language for row in manifest.rows} == {"lt", "gl", "fr", "sr", "ru"}


def test_what_is_left_out_is_counted_and_what_is_used_is_summarised(tmp_path: Path, archives: Path) -> None:
    manifest = fit(tmp_path / "a", archives)
    counts = {line.partition(" x ")[2].partition(" (first")[0]: line.partition(" x ")[0] for line in manifest.skipped}
    assert counts.pop("it is shorter than 0.7 s and joins no other", "3") >= "3"
    assert counts == {
        "the sampling rate is below 16000 Hz": "3",
        "a copy of another recording": "1",
        "it cannot be read": "1",
        "it is damaged or silent": "1",
    }
    assert not any(str(tmp_path) in line for line in manifest.skipped)  # the bytes do not depend on the machine
    assert "it cannot be read (first: ktuberling-data/da/damaged.wav" in " ".join(manifest.skipped)
    assert len(manifest.notes) == 3
    assert re.fullmatch(
        r"ktuberling-data: GPL-2.0-or-later; 3 speakers, 0\.\d minutes, \d+ clips \(2 of several people .*\)",
        manifest.notes[0],
    )
    assert manifest.notes[-1].startswith("all packages: all licences; 4 speakers, ")


def test_packages_for_tests_are_in_the_test_split_and_signals_are_no_speech(tmp_path: Path, archives: Path) -> None:
    manifest = fit(tmp_path / "a", archives, least_rate_hz=8000, languages=["it"], sample_rate_hz=24_000)
    assert [(row.speaker, row.split, row.extra["files"]) for row in manifest.rows] == [
        ("asterisk-prompt-it", "test", ["uno.wav"])
    ]
    assert manifest.audio(manifest.rows[0]).sample_rate_hz == 24_000


def test_no_speaker_has_more_than_speaker_s_and_the_seed_draws_which(tmp_path: Path, archives: Path) -> None:
    one, other = (
        fit(tmp_path / str(seed), archives, seed, speaker_s=8.0, packages=["ktuberling-data"]) for seed in (0, 1)
    )
    for manifest in (one, other):
        used = [file for row in manifest.rows if row.speaker == "ktuberling-lt" for file in row.extra["files"]]
        assert 0 < len(used) <= 11  # of 0.7 s, with their silence
        assert any("the speaker has 8 s without it (speaker_s)" in line for line in manifest.skipped)
    assert {tuple(row.extra["files"]) for row in one.rows} != {tuple(row.extra["files"]) for row in other.rows}


def test_an_interrupted_build_resumes_to_equal_bytes(tmp_path: Path, archives: Path) -> None:
    whole = fit(tmp_path / "whole", archives)
    config = PeopleConfig(packages=TINY, archives=archives, workers=1)
    directory = tmp_path / "resumed"
    directory.mkdir()

    def interrupt(done: int, total: int, message: str = "") -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        People.fit(config, {}, None, Job(directory, 0, CPU, interrupt))
    assert not (directory / "manifest.jsonl").exists()
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*.flac")}
    assert len(before) > 0
    People.fit(config, {}, None, Job(directory, 0, CPU))
    assert content_of(directory) == content_of(whole.root)
    kept = [path for path, time in before.items() if path.stat().st_mtime_ns == time]
    assert len(kept) == len(before)


@pytest.mark.parametrize("damage", ["remove", "change", "listing"])
def test_a_damaged_batch_is_rebuilt(tmp_path: Path, archives: Path, damage: str) -> None:
    manifest = fit(tmp_path / "a", archives)
    before = content_of(manifest.root)
    path = manifest.resolve(manifest.rows[0].audio or "")
    if damage == "listing":
        path = Job(manifest.root, 0, CPU).work / "batch-000000.json"
    path.unlink() if damage == "remove" else path.write_bytes(b"{}")
    with pytest.warns(ArecaWarning, match="damaged, or not completely written; it is rebuilt"):
        fit(manifest.root, archives)
    assert content_of(manifest.root) == before


def test_only_packages_with_the_languages_are_located(tmp_path: Path, archives: Path) -> None:
    manifest = fit(tmp_path / "a", archives, packages=["kajongg", "ktuberling-data"], languages=["lt"])
    assert {row.language for row in manifest.rows} == {"lt"}  # kajongg is not in the archives


def test_missing_packages_are_refused_with_what_to_type(
    tmp_path: Path, archives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingDependency, match=r"neither kajongg_\*\.deb nor usr/share/kajongg/voices .*archives=DIR"):
        fit(tmp_path / "a", archives, packages=["kajongg"])
    monkeypatch.setenv(ARCHIVES, str(archives))
    with pytest.raises(MissingDependency, match=r"neither gcin-voice_\*\.deb.* or ARECA_PEOPLE_ARCHIVES=DIR"):
        fit(tmp_path / "b", None, packages=["gcin-voice"])
    with pytest.raises(InvalidManifest, match=r"every recording is left out:\n  2 x the sampling rate is below 96000"):
        fit(tmp_path / "c", archives, packages=["festvox-ru"], least_rate_hz=96_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"packages": ["kajong"]}, "there is no 'kajong'; did you mean 'kajongg'"),
        ({"packages": ["qabcs"]}, "there is no 'qabcs'"),
        ({"languages": ["eng"]}, "there is no 'eng'; did you mean 'en'"),
        ({"held_out": ["tuxpaint-xx"]}, "held_out: there is no 'tuxpaint-xx'"),
        ({"packages": ["festvox-ru"], "languages": ["fr"]}, "packages festvox-ru have no fr"),
        ({"shortest_s": 3}, "shortest_s must be above 0 and at most joined_s"),
        ({"longest_s": 3}, "longest_s must be at least twice joined_s"),
        ({"speaker_s": 0}, "speaker_s must be above 0"),
        ({"sample_rate_hz": 4000}, "sample_rate_hz must be from 8000 to 48000"),
        ({"test_share": 1}, "leave rows to train on"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        build(PeopleConfig, options, "dataset 'people'")


def test_the_table_trains_on_no_package_that_is_kept_for_tests_or_no_speech() -> None:
    assert {name for name in PACKAGES if name not in TRAINING_PACKAGES} == {
        "asterisk-prompt-es-co",
        "asterisk-prompt-fr-armelle",
        "asterisk-prompt-it-menardi-wav",
    }
    assert not {"qabcs", "saytime"} & set(PACKAGES)
    names = Counter(voice.name for package in PACKAGES.values() for voice in package.voices)
    assert [name for name, count in names.items() if count > 1] == ["asterisk-en-es"]
    codec2 = [voice.files for voice in PACKAGES["codec2-examples"].voices]
    assert not any(
        re.fullmatch(files, name) for files in codec2 for name in ("david4.wav", "vk2tpm_004.wav", "all.wav")
    )
    for package in PACKAGES.values():
        assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", voice.name) for voice in package.voices), package.name
        assert re.fullmatch(r"[A-Za-z0-9.+-]+( OR [A-Za-z0-9.-]+)*", package.license)


@pytest.mark.parametrize(
    ("package", "name", "expected"),
    [
        ("tuxpaint-stamps-default", "animals/cat_desc_fr.ogg", "tuxpaint-fr"),
        ("tuxpaint-stamps-default", "animals/cat_desc.wav", "tuxpaint-en"),
        ("tuxpaint-stamps-default", "animals/cat_desc_pt_BR.ogg", "tuxpaint-pt-br"),
        ("tuxpaint-stamps-default", "animals/cat.ogg", None),
        ("fillets-ng-data-cs", "airplane/cs/let-m-divna.ogg", "fillets-cs-small"),
        ("fillets-ng-data-cs", "share/border/cs/b-v-x.ogg", "fillets-cs-big"),
        ("fillets-ng-data-cs", "airplane/cs/let-x-v-divna.ogg", None),
        ("klettres-data", "en_GB/alpha/a-01.ogg", "klettres-en-gb"),
        ("klettres-data", "en/syllab/a.ogg", "klettres-en"),
        ("ktuberling-data", "sr@latin/a.wav", None),
        ("kajongg", "male1/b1.ogg", "kajongg-male1"),
        ("kajongg", "de/male1/b1.ogg", None),
        ("kajongg", "de/male2/b1.ogg", "kajongg-de-male2"),
        ("gcin-voice", "ㄅㄚ1/5.ogg", "gcin-5"),
        ("asterisk-core-sounds-en-g722", "silence/1.g722", None),
        ("asterisk-core-sounds-en-g722", "beep.g722", None),
        ("asterisk-core-sounds-en-g722", "beeps.g722", "asterisk-en-es"),
    ],
)
def test_files_belong_to_one_voice(package: str, name: str, expected: str | None) -> None:
    found = [voice.name for voice in PACKAGES[package].voices if re.fullmatch(voice.files, name)]
    assert found == ([] if expected is None else [expected])


def test_it_passes_the_conformance_kit(tmp_path: Path, archives: Path) -> None:
    check_kit(tmp_path, "people", packages=["ktuberling-data"], archives=str(archives), languages=["lt"], speaker_s=8.0)


def run_on_people(task: str) -> dict[str, Any]:
    return {
        "data": {"name": "people"},
        "tokenizer": {"name": "mel-rvq"},
        "backbone": {"name": "decoder"},
        "tasks": [{"name": "fields", "tag": "COPY", "inputs": ["source.audio"], "outputs": [task], "languages": []}],
    }


def test_tasks_that_need_text_are_refused_and_others_are_not(tmp_path: Path) -> None:
    check_rows(parse_config(run_on_people("source.audio"), root=tmp_path))
    run = parse_config(run_on_people("source.text"), root=tmp_path)  # for `areca fit`
    message = "needs source.text, and dataset 'people' has only source.audio: choose another dataset for the LM"
    with pytest.raises(IncompatibleParts, match=message):
        check_rows(run)
    (tmp_path / "run.yaml").write_text(json.dumps(run_on_people("source.text")))
    with pytest.raises(IncompatibleParts, match=message):
        validate(tmp_path / "run.yaml")


def test_the_verb_data_prints_packages_and_what_is_left_out(
    tmp_path: Path, archives: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data("people", ["packages=[ktuberling-data]", "languages=[fi,lt,sr]", f"archives={archives}"], seed="0")
    printed = capsys.readouterr().out
    assert "ktuberling-data: GPL-2.0-or-later; 2 speakers" in printed
    assert "left out: 2 x the sampling rate is below 16000 Hz (first: ktuberling-data/fi/0.wav)" in printed


def is_available(package: str) -> bool:
    return bool(os.environ.get(ARCHIVES)) or (home_folder() / "recordings" / package).is_dir()


@pytest.mark.parametrize(("package", "speakers"), [("kajongg", 5), ("pocketsphinx-testdata", 2)])
def test_real_packages_have_the_expected_speakers(tmp_path: Path, package: str, speakers: int) -> None:
    if not is_available(package):
        pytest.skip(f"{package} is not on this machine, and {ARCHIVES} is not set")
    config = PeopleConfig(packages=(package,), speaker_s=20.0)
    People.fit(config, {}, None, Job(tmp_path, 0, CPU))
    manifest = People.load(config, {}, tmp_path, device=CPU, dtype=torch.float32)
    assert len({row.speaker for row in manifest.rows}) == speakers
    assert set(config.held_out) & {row.speaker for row in manifest.rows if row.split != "test"} == set()
