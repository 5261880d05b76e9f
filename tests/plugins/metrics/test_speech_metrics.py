"""Metrics of speech against their reference implementations, synthetic signals and independent formulas."""

from __future__ import annotations

import math
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.scoring import METRIC_CHECKS, REGISTRY

from areca.component import Kind
from areca.errors import InvalidConfig, MissingWeights
from areca.evaluation.scoring import OpenMetric, open_metrics
from areca.testing import CheckedComponent, run
from areca.types import Audio, Example, Passage
from areca_speech_metrics import weights
from areca_speech_metrics.pitch import HOP_S, track_pitch
from areca_speech_metrics.prosody import find_syllables
from areca_speech_metrics.speakers import SpeakerEncoder, amplify, read_encoder
from areca_speech_metrics.weights import find_in_package

RATE_HZ = 16_000
resemblyzer = pytest.mark.skipif(
    find_in_package("resemblyzer", "") is None, reason="needs weights: pip install --no-deps resemblyzer"
)


def tone(hz: Any, seconds: float = 1.0, *, loudness: Any = 1.0, seed: int = 0) -> Audio:
    """A voice: 12 harmonics of a fundamental frequency (a number, or one for each sample), and a little noise."""
    count = round(seconds * RATE_HZ)
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hz, count)) / RATE_HZ
    voice = sum(np.sin(k * phase) / k for k in range(1, 13)) * loudness
    noise = np.random.default_rng(seed).standard_normal(count)
    return audio(0.2 * voice + 1e-4 * noise)


def audio(samples: Any) -> Audio:
    return Audio(torch.tensor(np.asarray(samples), dtype=torch.float32)[None], RATE_HZ)


def opened(name: str, **options: Any) -> OpenMetric:
    [metric] = open_metrics(REGISTRY, [{"name": name, **options}])
    return metric


def score(metric: OpenMetric, *pairs: tuple[Audio, Audio]) -> float:
    """Score answers, each with its other recording."""
    other = metric.spec.inputs[-1]
    examples = [Example(**{other: Passage(audio=b)} | {"answer": Passage(audio=a)}) for a, b in pairs]
    return metric.corpus(metric.count(examples)).value


def glide(start_hz: float, end_hz: float, seconds: float = 1.0) -> Any:
    return np.geomspace(start_hz, end_hz, round(seconds * RATE_HZ))


NAMES = ["stoi", "duration-ratio", "speaking-rate", "f0-correlation", "speaker-similarity"]


@pytest.mark.parametrize("name", [*NAMES, pytest.param("dnsmos", marks=pytest.mark.slow)])
def test_metrics_pass_the_kit(name: str, corpus: Path) -> None:
    outcomes = list(run(CheckedComponent(REGISTRY.find(Kind.METRIC, name), corpus, registry=REGISTRY), METRIC_CHECKS))
    assert [o for o in outcomes if o.state == "fail"] == []
    directed = name in ("stoi", "f0-correlation")
    assert next(o for o in outcomes if o.check == "direction").state == ("pass" if directed else "skip")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("areca")


def test_stoi_is_that_of_pystoi() -> None:
    pystoi = pytest.importorskip("pystoi", reason="needs the extra speech-metrics")
    rng, clean = np.random.default_rng(1), tone(glide(100, 200, 1.5), 1.5)
    for level in (0.01, 0.1, 0.5):
        noisy = audio(clean.samples[0].numpy() + level * rng.standard_normal(clean.samples.shape[1]))
        expected = pystoi.stoi(clean.samples[0].numpy(), noisy.samples[0].numpy(), RATE_HZ)
        assert score(opened("stoi"), (noisy, clean)) == pytest.approx(expected)
    assert score(opened("stoi"), (clean, clean)) == pytest.approx(1.0)


def test_stoi_of_a_cut_answer_counts_the_missing_speech() -> None:
    clean = tone(120.0 + 30 * np.sin(np.arange(2 * RATE_HZ) / 900), 2.0)
    half, longer = audio(clean.samples[0, :RATE_HZ]), audio(np.pad(clean.samples[0], (0, 4000)))
    assert score(opened("stoi"), (half, clean)) < 0.7
    assert score(opened("stoi"), (longer, clean)) == pytest.approx(1.0)
    assert score(opened("stoi"), (audio([0.1]), audio([0.1]))) == pytest.approx(1e-5)


def test_duration_ratio_is_that_of_the_sums() -> None:
    pairs = [(tone(100, 0.5), tone(100, 1.0)), (tone(100, 3.0), tone(100, 2.0))]
    assert score(opened("duration-ratio"), *pairs) == pytest.approx(3.5 / 3.0)
    assert score(opened("duration-ratio", compare_with="question"), *pairs) == pytest.approx(3.5 / 3.0)


@pytest.mark.parametrize(("start_hz", "end_hz"), [(85, 110), (120, 240), (400, 180), (300, 560)])
def test_pitch_follows_a_glide(start_hz: float, end_hz: float) -> None:
    true_hz = glide(start_hz, end_hz)
    tracked = track_pitch(tone(true_hz))
    assert len(tracked) == 100 and not np.isnan(tracked[3:-3]).any()
    centres = ((np.arange(100) + 0.5) * HOP_S * RATE_HZ).astype(int)
    assert np.abs(tracked / true_hz[centres] - 1)[3:-3].max() < 0.01


def test_noise_and_silence_are_unvoiced() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE_HZ)
    assert np.isnan(track_pitch(audio(0.1 * noise))).mean() > 0.9
    assert np.isnan(track_pitch(audio(np.zeros(RATE_HZ)))).all()
    tone_then_noise = np.concatenate([tone(150).samples[0].numpy(), 0.001 * noise])
    voiced = ~np.isnan(track_pitch(audio(tone_then_noise)))
    assert voiced[2:97].all() and not voiced[103:].any()


def test_pitch_is_that_of_praat() -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="needs praat-parselmouth")
    spoken = tone(140 + 40 * np.sin(np.arange(2 * RATE_HZ) / 3000), 2.0, loudness=np.hanning(2 * RATE_HZ))
    sound = parselmouth.Sound(spoken.samples[0].numpy().astype(float), RATE_HZ)
    theirs = sound.to_pitch_ac(time_step=HOP_S, pitch_floor=75, pitch_ceiling=600)
    ours = track_pitch(spoken)[np.round(theirs.xs() / HOP_S - 0.5).astype(int)]
    both = (theirs.selected_array["frequency"] > 0) & ~np.isnan(ours)
    assert both.mean() > 0.9
    assert np.abs(ours / theirs.selected_array["frequency"] - 1)[both].max() < 0.02


def test_f0_correlation_is_pearsons_of_log_f0() -> None:
    a, b = 150 * 2 ** (0.3 * np.sin(np.arange(RATE_HZ) / 2500)), 200 * 2 ** (0.2 * np.cos(np.arange(RATE_HZ) / 1800))
    expected = np.corrcoef(np.log(a), np.log(b))[0, 1]
    for align in ("none", "stretch"):
        assert score(opened("f0-correlation", align=align), (tone(a), tone(b))) == pytest.approx(expected, abs=0.03)


def test_f0_correlation_hears_whether_intonation_is_kept() -> None:
    question, rising, falling = tone(glide(100, 160)), tone(glide(180, 300, 2.0), 2.0), tone(glide(300, 180))
    stretch = opened("f0-correlation", compare_with="question")
    assert stretch.spec.inputs == ("answer", "question")
    assert score(stretch, (rising, question)) > 0.98  # another speaker, half the rate, the same melody
    assert score(stretch, (falling, question)) < -0.98
    padded = audio(np.pad(rising.samples[0], (8000, 0)))
    assert score(stretch, (padded, question)) > 0.98
    assert score(stretch, (audio(np.zeros(RATE_HZ)), question)) == 0.0
    assert score(stretch, (rising, question), (falling, question)) == pytest.approx(0.0, abs=0.02)  # the mean


def syllables(count: int, per_second: float) -> Audio:
    seconds = count / per_second
    swell = np.sin(np.pi * per_second * np.arange(round(seconds * RATE_HZ)) / RATE_HZ) ** 2
    return tone(glide(150, 120, seconds), seconds, loudness=swell)


@pytest.mark.parametrize(("count", "per_second"), [(1, 3.0), (4, 3.0), (9, 5.0), (12, 6.5)])
def test_syllables_are_voiced_peaks_of_the_intensity(count: int, per_second: float) -> None:
    spoken = syllables(count, per_second)
    centres = (np.arange(count) + 0.5) / per_second
    assert len(find_syllables(spoken)) == count
    assert np.abs(np.array(find_syllables(spoken)) * HOP_S - centres).max() < 0.02
    noise = 0.2 * np.random.default_rng(0).standard_normal(RATE_HZ) * np.hanning(RATE_HZ)
    assert find_syllables(audio(noise)) == []


def test_speaking_rate_is_the_ratio_of_syllables_a_second() -> None:
    slow, fast = syllables(6, 3.0), syllables(9, 6.0)
    late = audio(np.pad(fast.samples[0], (16_000, 8_000)))  # silence at the ends is not speaking
    for answer in (fast, late):
        assert score(opened("speaking-rate"), (answer, slow)) == pytest.approx(2.0, rel=0.08)
    assert score(opened("speaking-rate"), (slow, audio(np.zeros(RATE_HZ)))) == 0.0


def mel_energies(y: Any, sr: int, n_fft: int, hop_length: int, n_mels: int) -> Any:
    """Slaney's mel energies by their definition, as librosa computes them; float32 ``[n_mels, F]``."""
    steps = np.linspace(0, 15 + np.log(sr / 2 / 1000) * 27 / np.log(6.4), n_mels + 2)
    edges = np.where(steps < 15, steps * 200 / 3, 1000 * np.exp((steps - 15) * np.log(6.4) / 27))
    bins = np.arange(n_fft // 2 + 1) * sr / n_fft
    rows = [
        np.interp(bins, [low, middle, high], [0, 1, 0]) * 2 / (high - low)
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False)
    ]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    padded = np.pad(y, n_fft // 2)
    frames = [padded[at : at + n_fft] * window for at in range(0, len(y) + 1, hop_length)]
    return (np.array(rows) @ np.abs(np.fft.rfft(frames)).T ** 2).astype(np.float32)


@resemblyzer
def test_speaker_similarity_is_that_of_resemblyzer(monkeypatch: pytest.MonkeyPatch) -> None:
    # Resemblyzer's own encoder runs; of the packages that it imports, it uses only the mel energies here.
    librosa = SimpleNamespace(feature=SimpleNamespace(melspectrogram=mel_energies))
    for name, module in {"librosa": librosa, "webrtcvad": None, "scipy.ndimage.morphology": None}.items():
        monkeypatch.setitem(sys.modules, name, module or SimpleNamespace(binary_dilation=None))  # type: ignore[arg-type]
    from resemblyzer import VoiceEncoder  # type: ignore[import-untyped]
    from resemblyzer.audio import normalize_volume  # type: ignore[import-untyped]

    theirs, ours = VoiceEncoder("cpu", verbose=False), read_encoder(weights.find_resemblyzer(None))
    spoken = [tone(glide(100, 140, s), s, loudness=loud) for s, loud in ((0.4, 1.0), (2.0, 0.01), (3.1, 1.0))]
    wanted = [theirs.embed_utterance(normalize_volume(x.samples[0].numpy(), -30, increase_only=True)) for x in spoken]
    found = [ours.embed(amplify(x.samples[0])).numpy() for x in spoken]
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(one - other).max() < 1e-4
    similarity = score(opened("speaker-similarity"), (spoken[0], spoken[2]))
    assert similarity == pytest.approx(float(wanted[0] @ wanted[2]), abs=1e-3)


def test_speaker_weights_are_read_from_a_path_without_unpickling_code(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = SpeakerEncoder()
    torch.save({"model_state": encoder.state_dict(), "step": 1}, tmp_path / "encoder.pt")
    metric = opened("speaker-similarity", path=str(tmp_path / "encoder.pt"))
    one, other = tone(110), tone(220)
    expected = float(encoder.eval().embed(one.samples[0]) @ encoder.embed(other.samples[0]))
    assert score(metric, (one, one)) == pytest.approx(1.0, abs=1e-5)
    assert score(metric, (one, other)) == pytest.approx(expected, abs=1e-3)
    assert math.isfinite(score(metric, (audio(np.zeros(100)), other)))
    (tmp_path / "code.pt").write_bytes(pickle.dumps({"model_state": Planted()}))
    for damaged, content in (("code.pt", None), ("empty.pt", b""), ("other.pt", pickle.dumps({"a": 1}))):
        if content is not None:
            (tmp_path / damaged).write_bytes(content)
        with pytest.raises(InvalidConfig, match="expected the weights of Resemblyzer, got"):
            score(opened("speaker-similarity", path=str(tmp_path / damaged)), (one, other))
    assert not Planted.ran


class Planted:
    """An object whose unpickling runs code."""

    ran = False

    def __reduce__(self) -> Any:
        return setattr, (Planted, "ran", True)


def test_missing_speaker_weights_are_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingWeights, match=r"none.pt not found: pip install --no-deps resemblyzer, or give path"):
        opened("speaker-similarity", path=str(tmp_path / "none.pt"))
    monkeypatch.setattr(weights, "find_in_package", lambda package, file: None)
    with pytest.raises(MissingWeights, match="no weights not found"):
        opened("speaker-similarity")
    checked = CheckedComponent(REGISTRY.find(Kind.METRIC, "speaker-similarity"), tmp_path, registry=REGISTRY)
    outcomes = {o.check: o for o in run(checked, METRIC_CHECKS)}
    assert [o for o in outcomes.values() if o.state == "fail"] == []
    assert outcomes["counts"].message.startswith("its weights are not available: metric 'speaker-similarity'")


@pytest.mark.slow
def test_dnsmos_prefers_clean_speech() -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra speech-metrics")
    clean, noise = tone(glide(100, 140)), np.random.default_rng(0).standard_normal(RATE_HZ)
    noisy = audio(clean.samples[0].numpy() + 0.2 * noise)
    metric = opened("dnsmos", scale="background")
    assert metric.spec.header == "DNSMOS BAK" and metric.spec.inputs == ("answer",)
    assert 1.0 <= score(metric, (noisy, noisy)) < score(metric, (clean, clean)) <= 5.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "scale", "key"),
    [(1.06, "overall", "ovrl_mos"), (1.06, "signal", "sig_mos"), (10.2, "background", "bak_mos")],
)
def test_dnsmos_is_that_of_speechmos(seconds: float, scale: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra speech-metrics")
    pytest.importorskip("speechmos", reason="needs the extra speech-metrics")
    # The package's own program runs; what it computes with librosa, P.808, is no part of P.835.
    feature = SimpleNamespace(melspectrogram=lambda y, sr, n_fft, hop_length, n_mels: np.ones((n_mels, 900)))
    librosa = SimpleNamespace(feature=feature, power_to_db=lambda x, ref: x)
    for name, module in {"librosa": librosa, "requests": SimpleNamespace(session=None)}.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    dnsmos: ModuleType = pytest.importorskip("speechmos.dnsmos")
    spoken = tone(glide(100, 140, seconds), seconds, loudness=0.5)
    expected = dnsmos.run(spoken.samples[0].numpy(), RATE_HZ)[key]
    assert score(opened("dnsmos", scale=scale), (spoken, spoken)) == pytest.approx(expected, abs=1e-4)
