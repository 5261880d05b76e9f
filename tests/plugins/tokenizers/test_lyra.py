"""Lyra v2: the light half and pairs always; codes, audio and speech quality only if the weights are available."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import areca_lyra
from areca.component import Kind
from areca.errors import InvalidAudio, InvalidCodes, InvalidConfig, MissingDependency
from areca.options import build
from areca.registry.registry import Registry
from areca.testing import CheckedComponent, run
from areca.testing.corpus import speak
from areca.types import Audio, Codes
from areca_lyra import FILES, LyraConfig
from areca_lyra.pairs import merge_pairs, split_pairs

CPU = torch.device("cpu")
RATE_HZ = 16_000
HOP = 320
FOLDER = os.environ.get("ARECA_LYRA")
weights = pytest.mark.skipif(
    FOLDER is None, reason="ARECA_LYRA does not name a folder with Lyra's weights (lyra/model_coeffs of google/lyra)"
)


# Without weights


@pytest.fixture
def hollow(tmp_path: Path) -> Path:
    """A folder with the right names and nothing in them."""
    for name in FILES:
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "streams", "size"),
    [({}, 16, 16), ({"merge": 2}, 8, 256), ({"quantizers": 1}, 1, 16), ({"quantizers": 46, "merge": 2}, 23, 256)],
)
def test_spec_has_a_stream_for_each_quantizer_or_pair(
    hollow: Path, options: dict[str, Any], streams: int, size: int
) -> None:
    spec = areca_lyra.spec(LyraConfig(path=hollow, **options), {})
    assert [s.name for s in spec.streams] == [f"rvq-{k}" for k in range(streams)]
    assert {(s.size, s.frame_rate_hz) for s in spec.streams} == {(size, 50.0)}
    assert (spec.sample_rate_hz, spec.channels) == (RATE_HZ, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantizers": 0}, "quantizers: expected 1 to 46, got 0"),
        ({"quantizers": 47}, "quantizers: expected 1 to 46, got 47"),
        ({"quantizers": 15, "merge": 2}, "expected an even number with merge: 2, got 15; try quantizers: 16"),
        ({"merge": 3}, "'merge' is 3, expected"),
        ({"quantiser": 8}, "did you mean 'quantizers'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        build(LyraConfig, options, "tokenizer lyra")


def test_without_weights_the_error_states_where_they_are(hollow: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"lyra/model_coeffs of https://github\.com/google/lyra"):
        areca_lyra.spec(LyraConfig(), {})
    (hollow / "lyragan.tflite").unlink()
    with pytest.raises(InvalidConfig, match=rf"{hollow} has no lyragan\.tflite; .*google/lyra"):
        areca_lyra.spec(LyraConfig(path=hollow), {})


def test_pairs_are_two_digits_of_base_16() -> None:
    codes = torch.tensor([[0, 1, 15], [2, 0, 15], [7, 7, 7], [0, 8, 9]])
    assert merge_pairs(codes).tolist() == [[2, 16, 255], [112, 120, 121]]
    random = torch.randint(16, (46, 30), generator=torch.Generator().manual_seed(0))
    assert merge_pairs(random).shape == (23, 30)
    assert torch.equal(split_pairs(merge_pairs(random)), random)
    every = torch.arange(256)[None]
    assert torch.equal(merge_pairs(split_pairs(every)), every)


def test_light_half_imports_nothing_heavy() -> None:
    code = "import sys, areca_lyra; sys.exit(bool({'torch', 'numpy', 'ai_edge_litert'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_component_names_its_dependency_and_extra() -> None:
    [component] = areca_lyra.areca_components()
    assert "ai_edge_litert" in component.requires and component.extra == "lyra"
    assert component.tags == {"decode", "stream"} and component.weights_license == "Apache-2.0"


def load(folder: Path | str | None = FOLDER, **options: Any) -> Any:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: pip install 'areca[lyra]'")
    from areca_lyra.model import LyraTokenizer

    return LyraTokenizer.load(LyraConfig(path=Path(folder or ""), **options), {}, None, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize("content", [b"", b"no network at all" * 100], ids=["empty", "noise"])
def test_a_file_that_is_not_a_network_is_refused(hollow: Path, content: bytes) -> None:
    (hollow / FILES[0]).write_bytes(content)
    with pytest.raises(InvalidConfig, match=rf"{FILES[0]}: not a Lyra network: .*google/lyra"):
        load(hollow)


# With weights


def audio(text: str = "four seven", pitch_hz: float = 110.0) -> Audio:
    return speak(text, pitch_hz, torch.Generator().manual_seed(0))


def same(a: Codes, b: Codes) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.streams, b.streams, strict=True))


@weights
@pytest.mark.parametrize("place", range(3), ids=FILES)
def test_swapped_and_truncated_files_are_refused(tmp_path: Path, place: int) -> None:
    for wrong in ("other", "cut"):
        folder = tmp_path / wrong
        shutil.copytree(str(FOLDER), folder)
        path = folder / FILES[place]
        path.chmod(0o644)
        other = (Path(str(FOLDER)) / FILES[(place + 1) % 3]).read_bytes()
        path.write_bytes(other if wrong == "other" else path.read_bytes()[:200_000])
        with pytest.raises(InvalidConfig, match=rf"{FILES[place]}: (expected .*, got |not a Lyra network)"):
            load(folder)


def raw_round_trip(samples: torch.Tensor, quantizers: int) -> tuple[list[list[int]], list[list[float]]]:
    """Codes and audio by a plain loop over fresh interpreters, frame by frame."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    nets = [Interpreter(model_path=f"{FOLDER}/{name}") for name in FILES]
    for net in nets:
        net.allocate_tensors()
    encoder, quantizer, generator = nets[0].get_signature_runner(), nets[1], nets[2].get_signature_runner()
    quantise, dequantise = (quantizer.get_signature_runner(name) for name in ("encode", "decode"))
    codes, heard = [], []
    for start in range(0, samples.shape[1], HOP):
        frame = np.zeros((1, HOP), np.float32)
        part = samples[:, start : start + HOP].numpy()
        frame[:, : part.shape[1]] = part
        features = encoder(input_audio=frame)["output_0"]
        indices = quantise(input_frames=features, num_quantizers=np.int32(quantizers))["output_0"]
        assert (indices[quantizers:] == -1).all()
        codes.append(indices[:quantizers].ravel().tolist())
        back = dequantise(encoding_indices=indices)["output_0"]
        heard.append(generator(input_audio=back)["output_0"].ravel().tolist())
    return codes, heard


@weights
@pytest.mark.parametrize("quantizers", [5, 46])
def test_codes_and_audio_are_those_of_a_plain_loop(quantizers: int) -> None:
    tokenizer = load(quantizers=quantizers)
    tokenizer.encode([audio("nine")])  # what was heard before must not be remembered
    sound = Audio(audio().samples[:, :-77], RATE_HZ)  # the last frame is begun and not full
    expected, heard = raw_round_trip(sound.samples, quantizers)
    [codes] = tokenizer.encode([sound])
    assert torch.stack(codes.streams).T.tolist() == expected
    [back] = tokenizer.decode([codes])
    assert torch.equal(back.samples, torch.tensor(heard).reshape(1, -1))


@weights
def test_a_batch_gives_exactly_the_codes_of_single_recordings() -> None:
    tokenizer = load()
    sounds = [audio("one", 110.0), audio("two three", 190.0), audio("six", 150.0)]
    together, alone = tokenizer.encode(sounds), [tokenizer.encode([s])[0] for s in reversed(sounds)]
    assert all(same(a, b) for a, b in zip(together, reversed(alone), strict=True))
    for a, b in zip(tokenizer.decode(together), reversed([tokenizer.decode([c])[0] for c in alone]), strict=True):
        assert torch.equal(a.samples, b.samples)


@weights
def test_every_partial_320_samples_are_a_frame_and_decode_to_320_samples() -> None:
    tokenizer = load(quantizers=8)
    for length in (1, 319, 320, 321, 12_800, 12_801):
        [codes] = tokenizer.encode([Audio(audio("four seven nine").samples[:, :length].clone(), RATE_HZ)])
        frames = -(-length // HOP)
        assert [s.numel() for s in codes.streams] == [frames] * 8
        assert tokenizer.decode([codes])[0].samples.shape == (1, frames * HOP)


@weights
@pytest.mark.parametrize("merge", [1, 2])
def test_each_frame_is_decoded_when_it_is_pushed(merge: int) -> None:
    tokenizer = load(quantizers=8, merge=merge)
    [codes] = tokenizer.encode([audio()])
    [whole] = tokenizer.decode([codes])
    session, other = tokenizer.open(), tokenizer.open()
    pieces = []
    for frame in zip(*(s.split(1) for s in codes.streams), strict=True):
        pieces.append(session.push(Codes(frame)))
        other.push(Codes(tuple(s * 0 for s in frame)))  # another utterance at the same time
    assert session.finish() is None
    assert torch.equal(torch.cat([a.samples for a in pieces if a is not None], 1), whole.samples)


@weights
def test_merging_changes_only_the_streams() -> None:
    single, merged = load(), load(merge=2)
    [codes], [pairs] = single.encode([audio()]), merged.encode([audio()])
    assert torch.equal(split_pairs(torch.stack(pairs.streams)), torch.stack(codes.streams))
    assert torch.equal(single.decode([codes])[0].samples, merged.decode([pairs])[0].samples)


@weights
def test_fewer_quantizers_give_a_prefix_of_the_streams() -> None:
    [few], [many] = load(quantizers=4).encode([audio()]), load(quantizers=46).encode([audio()])
    assert torch.equal(torch.stack(few.streams), torch.stack(many.streams[:4]))


@weights
def test_wrong_input_is_named() -> None:
    tokenizer = load(quantizers=2)
    with pytest.raises(InvalidAudio, match="empty list"):
        tokenizer.encode([])
    with pytest.raises(InvalidAudio, match="expected 16000 Hz"):
        tokenizer.encode([Audio(torch.zeros(1, 100), 24_000)])
    with pytest.raises(InvalidCodes, match="equal length"):
        tokenizer.decode([Codes((torch.zeros(4, dtype=torch.int64), torch.zeros(5, dtype=torch.int64)))])
    with pytest.raises(InvalidCodes, match="out of range"):
        tokenizer.decode([Codes((torch.full((4,), 16), torch.zeros(4, dtype=torch.int64)))])


PROMPTS = ("conf-onlyperson", "vm-youhave", "queue-thankyou", "please-try-call-later", "demo-nogo", "invalid")


@pytest.fixture(scope="module")
def prompts() -> list[Audio]:
    """Some seconds of a human voice."""
    from areca_say.asterisk.recordings import VOICES, Recordings

    try:
        recordings = Recordings(VOICES["en"])
    except MissingDependency as error:
        pytest.skip(f"no human speech here: {error}")
    return [recordings.read(key) for key in PROMPTS if key in recordings.files]


def kept(prompts: list[Audio], quantizers: int) -> float:
    """Mean STOI of the prompts after encoding and decoding."""
    from pystoi import stoi

    tokenizer = load(quantizers=quantizers)
    heard = tokenizer.decode(tokenizer.encode(prompts))
    pairs = [(a.samples[0], b.samples[0, : a.samples.shape[1]]) for a, b in zip(prompts, heard, strict=True)]
    return sum(float(stoi(a.numpy(), b.numpy(), RATE_HZ)) for a, b in pairs) / len(pairs)


@weights
def test_human_speech_stays_intelligible_and_more_quantizers_help(prompts: list[Audio]) -> None:
    assert len(prompts) == len(PROMPTS)
    shares = [kept(prompts, quantizers) for quantizers in (2, 8, 16, 30, 46)]  # measured: .653 .878 .925 .952 .960
    assert shares[1] > 0.85 and shares[2] > 0.9, shares
    assert all(more > fewer - 0.005 for fewer, more in itertools.pairwise(shares)), shares


@weights
@pytest.mark.slow
def test_the_conformance_kit_passes(tmp_path: Path) -> None:
    registry = Registry.discover()
    entry = registry.find(Kind.TOKENIZER, "lyra")
    outcomes = list(run(CheckedComponent(entry, tmp_path, registry=registry, options={"path": FOLDER, "merge": 2})))
    assert [(o.check, o.message) for o in outcomes if o.state == "fail"] == []
    skipped = {"fit_is_deterministic", "fit_resumes", "codebooks", "features", "feature_size"}
    assert {o.check for o in outcomes if o.state == "skip"} == skipped
