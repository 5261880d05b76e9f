"""HiFi-GAN: the generator's initial weights, the discriminators of the paper, segments."""

from __future__ import annotations

import torch
from transformers import SeamlessM4TConfig
from transformers.models.seamless_m4t.modeling_seamless_m4t import SeamlessM4THifiGan

from areca.fitting.hifigan.discriminators import FULL_CHANNELS, PeriodDiscriminator, build_discriminators
from areca.fitting.hifigan.generator import generator_sizes, initialise, merge_weights, normalise_weights, reach_of
from areca.fitting.hifigan.training import draw_segments

CONFIG = SeamlessM4TConfig(
    unit_embed_dim=5, lang_embed_dim=0, spkr_embed_dim=0, **generator_sizes((5, 2, 3), 16, (3, 5))
)


def generator() -> SeamlessM4THifiGan:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = SeamlessM4THifiGan(CONFIG)
        initialise(built)
    return built.eval()


def test_frames_become_as_many_samples_as_the_strides_say() -> None:
    with torch.no_grad():
        assert generator()(torch.randn(2, 5, 7)).shape == (2, 7 * 30)
    assert generator_sizes((5, 4, 4, 2, 2), 512, (3, 7, 11))["upsample_kernel_sizes"] == [11, 8, 8, 4, 4]


def test_a_small_generator_starts_neither_silent_nor_saturated() -> None:
    with torch.no_grad():
        audio = generator()(torch.randn(1, 5, 200, generator=torch.Generator().manual_seed(0)))
    assert 0.05 < float(audio.std()) < 0.7


def test_the_reach_is_the_farthest_frame_that_is_heard() -> None:
    built = generator().double()
    for module in built.modules():
        if isinstance(module, (torch.nn.Conv1d, torch.nn.ConvTranspose1d)):
            weight = torch.full_like(module.weight, 0.1)
            weight[..., 0] = weight[..., -1] = 1.0  # mainly the farthest neighbours
            module.weight = torch.nn.Parameter(weight / weight[0].numel())
            module.bias = None
    frames = torch.rand(1, 5, 61, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 1_000
    changed = frames.clone()
    changed[..., 30] += 0.01
    with torch.no_grad():
        differing = (built(frames) != built(changed)).view(61, -1).any(1).nonzero()
    farthest = max(30 - int(differing.min()), int(differing.max()) - 30)
    assert reach_of(CONFIG) - 1 <= farthest <= reach_of(CONFIG)
    assert reach_of(SeamlessM4TConfig()) == 22


def test_weight_norm_changes_nothing_but_the_parameters() -> None:
    built, frames = generator(), torch.randn(1, 5, 6)
    names = set(built.state_dict())
    with torch.no_grad():
        plain = built(frames)
        normalise_weights(built)
        assert set(built.state_dict()).isdisjoint(n for n in names if n.endswith("weight"))
        torch.testing.assert_close(built(frames), plain)
        merge_weights(built)
        assert set(built.state_dict()) == names
        torch.testing.assert_close(built(frames), plain)


def test_the_discriminators_have_the_papers_size() -> None:
    with torch.device("meta"):
        discriminators = build_discriminators(FULL_CHANNELS, 0)
    sizes = [sum(p.numel() for p in member.parameters()) for member in discriminators.members]
    # Weight norm adds one value for each output channel of a layer, spectral norm none.
    period = sum(a * b * 5 + b for a, b in ((1, 32), (32, 128), (128, 512), (512, 1024), (1024, 1024))) + 1024 * 3 + 1
    assert sizes[:5] == [period + 32 + 128 + 512 + 1024 + 1024 + 1] * 5
    layers = ((1, 128, 15), (32, 128, 41), (8, 256, 41), (16, 512, 41), (32, 1024, 41), (64, 1024, 41), (1024, 1024, 5))
    scale = sum(a * b * k + b for a, b, k in layers) + 1024 * 3 + 1
    assert sizes[5] == scale and sizes[6] == sizes[7] == scale + sum(b for _, b, _ in layers) + 1


def test_a_period_sees_each_phase_alone() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        discriminator = PeriodDiscriminator(3, 64).eval()
    audio = torch.randn(1, 1, 302, generator=torch.Generator().manual_seed(0))
    changed = audio.clone()
    changed[..., 4::3] += 1
    with torch.no_grad():
        before, after = (discriminator(x).logits for x in (audio, changed))
    assert before.shape == (1, 1, 2, 3)  # 303 samples, in columns of 101, and strides of 3
    differing = (before != after).any(2).flatten().tolist()
    assert differing == [False, True, False]


def test_segments_lie_within_their_recordings() -> None:
    lengths = [10, 4, 25]
    drawn = [pair for seed in range(50) for pair in draw_segments(lengths, 4, 3, torch.Generator().manual_seed(seed))]
    assert {index for index, _ in drawn} == {0, 1, 2}
    assert all(w.start >= 0 and w.stop == w.start + 4 <= lengths[index] for index, w in drawn)
    assert {w.start for index, w in drawn if index == 0} == set(range(7))
