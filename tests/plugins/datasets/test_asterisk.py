"""The dataset `asterisk`: packages, transcripts, and the real prompts if they are available."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from tests.debian import MakeDeb, build_deb

from areca import Kind
from areca.errors import ArecaWarning, InvalidAudio, InvalidConfig, MissingDependency
from areca.interfaces import Job
from areca.manifest import Manifest, read_manifest
from areca.options import build
from areca.registry.parts import resolve
from areca.registry.registry import Registry
from areca_say.asterisk import AsteriskConfig
from areca_say.asterisk.dataset import Asterisk
from areca_say.asterisk.packages import ARCHIVES, locate_package
from areca_say.asterisk.recordings import VOICES, Recordings
from areca_say.asterisk.transcripts import clean_transcripts

CPU = torch.device("cpu")
FRENCH = "asterisk-core-sounds-fr-g722"
RECORDINGS = {"en": 568, "es": 527, "fr": 561, "it": 599, "ru": 576}
"""Recordings in the packages, 2,831 in all."""
PROMPTS = {"en": 548, "es": 480, "fr": 507, "it": 574, "ru": 553}
"""Recordings with a plain transcript, which are the rows of the dataset: 2,662 in all."""
TRANSLATED = {"es": 448, "fr": 502, "it": 533, "ru": 541}
"""Rows with an English translation."""


def g722(seconds: float) -> bytes:
    """Return a tone coded like the recordings, in 8,000 bytes a second."""
    samples = (8000 * np.sin(np.arange(round(16_000 * seconds)) * 0.2)).astype(np.int16)
    encoder = av.CodecContext.create("g722", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16_000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = 16_000
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARECA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(ARCHIVES, raising=False)
    return tmp_path / "home"


@pytest.fixture
def make_deb(tmp_path: Path) -> MakeDeb:
    """Return a function that builds a Debian package in a folder of archives."""

    return partial(build_deb, tmp_path)


SOUND = "usr/share/asterisk/sounds/fr_CA_f_June"


@pytest.mark.usefixtures("home")
def test_recordings_are_read_from_a_package(make_deb: MakeDeb, home: Path) -> None:
    archives = make_deb(FRENCH, {f"{SOUND}/digits/1.g722": g722(0.5), f"{SOUND}/hello.g722": g722(0.25)})
    recordings = Recordings(VOICES["fr"], archives)
    assert list(recordings.files) == ["digits/1", "hello"]
    audio = recordings.read("digits/1")
    assert (audio.sample_rate_hz, audio.channels) == (16_000, 1)
    assert audio.seconds == pytest.approx(0.5, abs=0.01)
    with pytest.raises(InvalidAudio, match="fr_CA_f_June: no recording 'digits/2'"):
        recordings.read("digits/2")
    folder = locate_package(FRENCH, archives)
    assert folder.parent == home / "recordings"
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]  # no temporary files remain


@pytest.mark.usefixtures("home")
def test_recordings_are_read_from_an_unpacked_folder(tmp_path: Path) -> None:
    (tmp_path / SOUND / "digits").mkdir(parents=True)
    (tmp_path / SOUND / "digits" / "1.g722").write_bytes(g722(0.1))
    assert list(Recordings(VOICES["fr"], tmp_path).files) == ["digits/1"]


@pytest.mark.usefixtures("home")
def test_the_environment_names_the_archives(make_deb: MakeDeb, monkeypatch: pytest.MonkeyPatch) -> None:
    archives = make_deb(FRENCH, {f"{SOUND}/hello.g722": g722(0.1)})
    monkeypatch.setenv(ARCHIVES, str(archives))
    assert list(Recordings(VOICES["fr"]).files) == ["hello"]


@pytest.mark.usefixtures("home")
def test_a_changed_archive_is_unpacked_again(make_deb: MakeDeb, tmp_path: Path) -> None:
    archives = make_deb(FRENCH, {f"{SOUND}/hello.g722": g722(0.1)})
    first = locate_package(FRENCH, archives)
    assert locate_package(FRENCH, archives) == first
    for path in (archives / f"{FRENCH}_1.0_all.deb", tmp_path / f"tree-{FRENCH}" / "DEBIAN" / "control"):
        path.unlink()
    (tmp_path / f"tree-{FRENCH}" / "DEBIAN").rmdir()
    make_deb(FRENCH, {f"{SOUND}/hello.g722": g722(0.2)})
    assert locate_package(FRENCH, archives) != first


@pytest.mark.usefixtures("home")
def test_errors_state_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingDependency, match=rf"neither {FRENCH}_\*\.deb nor .*archives=DIR"):
        locate_package(FRENCH, tmp_path)
    (tmp_path / f"{FRENCH}_1.0_all.deb").write_bytes(b"no package")
    with pytest.raises(MissingDependency, match="dpkg"):
        locate_package(FRENCH, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match=r"this machine has no apt-get.*ARECA_ASTERISK_ARCHIVES=DIR"):
        locate_package(FRENCH, None)


def test_a_package_is_downloaded_once(
    make_deb: MakeDeb, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = make_deb(FRENCH, {f"{SOUND}/hello.g722": g722(0.1)})
    programs = tmp_path / "programs"
    programs.mkdir()
    script = programs / "apt-get"
    script.write_text(
        f'#!/bin/sh\nfor last; do :; done\ncp {archives}/"$last"_*.deb . && echo $last >> {tmp_path}/log\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    assert locate_package(FRENCH, None) == locate_package(FRENCH, None) == home / "recordings" / FRENCH
    assert (tmp_path / "log").read_text() == f"{FRENCH}\n"  # once
    script.write_text("#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
    with pytest.raises(MissingDependency, match=r"apt-get failed \(E: Unable to locate package\).*apt-get update"):
        locate_package("asterisk-core-sounds-xx", None)


def test_transcripts_are_reduced_to_the_spoken_words() -> None:
    given = {
        "a": "Please enter your number...",
        "b": "...followed by the   pound key.",
        "c": "[this is a simple beep tone]",
        "d": "<beep ascending>",
        "e": "(10 seconds of silence)",
        "f": "Voce disattivata. (You are now muted.)",
        "g": "at [@]",
        "h": "Il [suo] messaggio",
        "i": "press * to pause",
        "j": "“Pour activer.”",
        "k": "Voce propria... confbridge-mute-in: Per disattivare",
        "l": "conf-adminmenu: Press one.",
        "m": "Lo siento:",
        "n": "",
    }
    assert clean_transcripts("en", given) == {
        "a": "Please enter your number",
        "b": "followed by the pound key.",
        "f": "Voce disattivata.",
        "g": "at",
        "j": "Pour activer.",
        "k": "Voce propria",
        "l": "Press one.",
        "m": "Lo siento",
    } | {"digits/h-40": "fortieth"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": ["en", "eng"]}, "there is no 'eng'; did you mean 'en'"),
        ({"languages": []}, "languages is empty; choose from en, es, fr, it, ru"),
        ({"languages": ["fr", "fr"]}, "names a value twice"),
        ({"test_share": 1.0}, "leave rows to train on"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"language": "fr"}, "no option is called 'language'; did you mean 'languages'"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        build(AsteriskConfig, options, "dataset 'asterisk'")


def test_the_component_is_registered() -> None:
    part = resolve(Registry.discover(), Kind.DATASET, {"name": "asterisk", "languages": ["ru"]}, role="data")
    assert part.spec.languages == ("ru",)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Return the real prompts of two languages; skip the test if they are not available."""
    config = AsteriskConfig(languages=("fr", "en"))
    directory = _build(config, tmp_path_factory.mktemp("asterisk"))
    return Asterisk.load(config, {}, directory, device=CPU, dtype=torch.float32)


def _build(config: AsteriskConfig, directory: Path) -> Path:
    try:
        Asterisk.fit(config, {}, None, Job(directory, 0, CPU))
    except MissingDependency as error:
        pytest.skip(f"no recordings on this machine: {error}")
    return directory


@pytest.mark.slow
def test_the_real_packages_have_the_expected_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("areca.fitting.recordings.batches.write", lambda path, audio: path.write_bytes(b"."))
    monkeypatch.setattr(Recordings, "read", lambda self, key: None)  # decoding them all takes long
    rows = read_manifest(_build(AsteriskConfig(), tmp_path) / "manifest.jsonl", depth="path").rows
    assert Counter(row.language for row in rows) == PROMPTS and len(rows) == 2662
    assert Counter(row.language for row in rows if row.target_audio) == TRANSLATED
    assert {language: len(Recordings(voice).files) for language, voice in VOICES.items()} == RECORDINGS
    assert sum(RECORDINGS.values()) == 2831


def test_real_prompts_are_parallel(corpus: Manifest) -> None:
    assert Counter(row.language for row in corpus.rows) == {language: PROMPTS[language] for language in ("fr", "en")}
    rows = {row.id: row for row in corpus.rows}
    french = rows["fr/conf-full"]
    english = rows["en/conf-full"]
    assert english.text == "That conference is full."
    assert (french.target_text, french.target_audio, french.target_language) == (english.text, english.audio, "en")
    assert english.target_text is None
    assert torch.equal(corpus.target_audio(french).samples, corpus.audio(english).samples)
    assert corpus.audio(french).sample_rate_hz == 16_000
    assert sum(row.target_audio is not None for row in corpus.rows) == TRANSLATED["fr"]


def test_real_prompts_are_split_by_key_across_languages(corpus: Manifest) -> None:
    splits: dict[str, set[str]] = {}
    for row in corpus.rows:
        splits.setdefault(row.extra["key"], set()).add(row.split)
    assert all(len(of_key) == 1 for of_key in splits.values())
    share = Counter(next(iter(of_key)) for of_key in splits.values())
    assert 0.05 < share["test"] / len(splits) < 0.15


def test_real_prompts_have_plain_text(corpus: Manifest) -> None:
    for row in corpus.rows:
        assert row.text
        assert not set(row.text) & set('[]()<>*#"“”«»…')
        assert "..." not in row.text


def test_a_resumed_job_keeps_intact_recordings(corpus: Manifest) -> None:
    paths = [corpus.resolve(row.audio or "") for row in (corpus.rows[0], corpus.rows[-1])]
    content, times = [p.read_bytes() for p in paths], [p.stat().st_mtime_ns for p in paths]
    paths[0].unlink()
    with pytest.warns(ArecaWarning, match=f"{paths[0].name}: damaged, or not completely written; it is rebuilt"):
        Asterisk.fit(AsteriskConfig(languages=("fr", "en")), {}, None, Job(corpus.root, 0, CPU))
    assert [p.read_bytes() for p in paths] == content
    assert paths[1].stat().st_mtime_ns == times[1]
