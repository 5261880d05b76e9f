"""`soundstorm`: units to codec tokens by parallel decoding, and the codec's decoder (Borsos et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from areca.fitting.codec_vocoder.layout import Layout, layout_of
from areca.fitting.codec_vocoder.pairs import read_pairs, select_recordings, spread
from areca.fitting.codec_vocoder.stored import describe_layout, read_layout
from areca.fitting.codec_vocoder.voices import (
    Prompt,
    choose_own_voice,
    encode_prompt,
    encode_voices,
    load_prompt,
    save_prompt,
)
from areca.fitting.codec_vocoder.windows import Track
from areca.fitting.resume import save_tensors
from areca.hub.tensors import read_module
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.types import Audio, Codes, VoicePrompt, require_codes
from areca_soundstorm.decoding import Plan, decode
from areca_soundstorm.network import Network
from areca_soundstorm.options import SoundStormConfig
from areca_soundstorm.training import train

_NETWORK, _VOICE = "network.safetensors", "voice.safetensors"


class SoundStorm:
    """A vocoder that continues a voice prompt in codec tokens, and decodes them.

    Args:
        config: the options.
        layout: how the codes of both tokenizers fit together.
        net: the network, in evaluation mode.
        needs: the loaded tokenizers, ``semantic`` and ``acoustic``.
        own_voice: the voice without a prompt.
    """

    def __init__(
        self, config: SoundStormConfig, layout: Layout, net: Network, needs: Mapping[str, Any], own_voice: Prompt
    ) -> None:
        self.config, self.layout, self.net, self.needs, self.own_voice = config, layout, net, needs, own_voice

    @staticmethod
    def fit(config: SoundStormConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the network on the recordings of the training split, of both sides. Resumes after a kill.

        Raises:
            InvalidManifest: the training split has no audible audio, or none of the speaker `config.own_voice`.
        """
        layout = layout_of(job.specs["semantic"], job.specs["acoustic"])
        selected = select_recordings(config, data, job.seed)
        voice = choose_own_voice(config, data, selected, job.seed)
        save_prompt(job.directory / _VOICE, encode_prompt(voice, needs, layout, config.prompt_s))
        net = train(config, layout, needs["acoustic"], read_pairs(selected, layout, job), job)
        weights = {name: x.to(getattr(torch, config.weights_dtype)) for name, x in net.state_dict().items()}
        save_tensors(job.directory / _NETWORK, weights, describe_layout(layout))

    @staticmethod
    def load(
        config: SoundStormConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> SoundStorm:
        """Read the network and its own voice from `files`. Computation is in float32; `dtype` is ignored.

        Raises:
            InvalidArtifact: a file is damaged, or does not fit the options.
        """
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        layout = read_layout(files / _NETWORK)
        net = read_module(files / _NETWORK, lambda: Network(config, layout))
        return SoundStorm(config, layout, net.to(device).eval(), needs, load_prompt(files / _VOICE, layout))

    def synthesize(
        self, codes: list[Codes], voices: Sequence[VoicePrompt | None], *, generator: torch.Generator
    ) -> list[Audio]:
        """Return the speech of each of `codes` in its voice. An utterance's speech does not depend on the others.

        Args:
            codes: one stream of units per utterance; missing durations of deduplicated units are predicted.
            voices: a recording of each voice, of any rate and number of channels; None: the vocoder's own voice.
            generator: CPU generator that draws the seed of all sampling.

        Raises:
            InvalidCodes: an empty list, or units out of range.
            InvalidAudio: a voice prompt is silent or too short; the message names it.
        """
        acoustic = self.decode(codes, voices, generator=generator)
        audios: list[Audio] = self.needs["acoustic"].decode(acoustic)
        return audios

    def decode(
        self, codes: list[Codes], voices: Sequence[VoicePrompt | None], *, generator: torch.Generator
    ) -> list[Codes]:
        """Return the codec tokens of each utterance; arguments and errors are those of `synthesize`."""
        require_codes(codes, self.layout.semantic.streams)
        prompts = self._encode_voices(voices)
        seed = int(torch.randint(1 << 62, (), generator=generator))
        tracks = [Track(p, self._condition(c), seed) for p, c in zip(prompts, codes, strict=True)]
        decode(self.net, tracks, self._plan)
        return [Codes(tuple(track.codes.cpu().clone())) for track in tracks]

    def _encode_voices(self, voices: Sequence[VoicePrompt | None]) -> list[Prompt]:
        return encode_voices(voices, self.own_voice, self.needs, self.layout, self.config.prompt_s)

    @torch.inference_mode()
    def _condition(self, codes: Codes) -> torch.Tensor:
        """Return the unit of each codec frame, int64 ``[F]``, on the network's device."""
        units, durations = codes.streams[0].to(self.net.condition.weight.device), codes.durations
        if durations is None and self.net.duration is not None:
            durations = self.net.duration.predict(units)
        return spread(units, durations, self.layout.repeats)

    @property
    def _plan(self) -> Plan:
        config, frames = self.config, self.layout.frames
        missing = len(self.layout.sizes) - len(config.iterations)
        return Plan(
            iterations=config.iterations + (1,) * missing,
            temperature=config.temperature,
            window=frames(config.window_s),
            overlap=frames(config.overlap_s),
            batch=frames(config.decoding_batch_s),
        )
