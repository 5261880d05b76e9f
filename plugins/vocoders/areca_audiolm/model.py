"""`audiolm`: units to coarse and then fine codec tokens by two LMs, and the codec's decoder (Borsos et al. 2022)."""

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
from areca.fitting.durations import DurationNet
from areca.fitting.resume import save_tensors
from areca.hub.tensors import read_module
from areca.interfaces import Job
from areca.lm.model import SpeechLM
from areca.manifest import Manifest
from areca.registry.registry import Registry
from areca.types import Audio, Codes, VoicePrompt, require_codes
from areca_audiolm.decoding import CoarseTrack, generate_coarse, generate_fine
from areca_audiolm.layout import count_coarse
from areca_audiolm.options import AudioLMConfig
from areca_audiolm.stages import stages_of
from areca_audiolm.training import train_durations, train_stage

_VOICE, _DURATIONS = "voice.safetensors", "durations.safetensors"


class AudioLM:
    """A vocoder that continues a voice prompt in codec tokens, and decodes them.

    Args:
        config: the options.
        layout: how the codes of both tokenizers fit together.
        lms: the LM of each stage, in evaluation mode.
        durations: predicts the durations of deduplicated units; None: the units have a constant rate.
        needs: the loaded tokenizers, ``semantic`` and ``acoustic``.
        own_voice: the voice without a prompt.
    """

    def __init__(
        self,
        config: AudioLMConfig,
        layout: Layout,
        lms: Sequence[SpeechLM],
        durations: DurationNet | None,
        needs: Mapping[str, Any],
        own_voice: Prompt,
    ) -> None:
        self.config, self.layout, self.needs, self.own_voice = config, layout, needs, own_voice
        self.stages = tuple(zip(stages_of(config, layout), lms, strict=True))
        self.durations = durations

    @staticmethod
    def fit(config: AudioLMConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the stages on the recordings of the training split, of both sides. Resumes after a kill.

        Raises:
            InvalidManifest: the training split has no audible audio, or none of the speaker `config.own_voice`.
            ArecaError: several processes train together.
        """
        layout = layout_of(job.specs["semantic"], job.specs["acoustic"], "audiolm")
        selected = select_recordings(config, data, job.seed)
        voice = choose_own_voice(config, data, selected, job.seed)
        prompt = encode_prompt(voice, needs, layout, config.prompt_s)
        save_prompt(job.directory / _VOICE, prompt, describe_layout(layout))
        pairs = read_pairs(selected, layout, job)
        if layout.has_durations:
            save_tensors(job.directory / _DURATIONS, train_durations(config, layout, pairs, job).state_dict())
        for stage in stages_of(config, layout):
            train_stage(stage, config, layout, pairs, job)

    @staticmethod
    def load(
        config: AudioLMConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> AudioLM:
        """Read the LMs and the vocoder's own voice from `files`. Computation is in float32; `dtype` is ignored.

        Raises:
            InvalidArtifact: a file is damaged, or does not fit the options.
        """
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        layout, registry, lms = read_layout(files / _VOICE), Registry.discover(), []
        for stage in stages_of(config, layout):
            lms.append(SpeechLM.load(files / stage.name, registry, device).eval())
            stage.check(lms[-1], files / stage.name)
        durations = None
        if layout.has_durations:
            durations = read_module(files / _DURATIONS, lambda: DurationNet(layout.units, config.longest))
            durations.to(device).eval()
        return AudioLM(config, layout, lms, durations, needs, load_prompt(files / _VOICE, layout))

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
        prompts = encode_voices(voices, self.own_voice, self.needs, self.layout, self.config.prompt_s)
        seed = int(torch.randint(1 << 62, (), generator=generator))
        utterances = [self._begin(prompt, one, seed) for prompt, one in zip(prompts, codes, strict=True)]
        batch = self.layout.frames(self.config.decoding_batch_s)
        (coarse, lm), *fine = self.stages
        generate_coarse(coarse, lm, utterances, overlap=self.layout.frames(self.config.overlap_s), batch=batch)
        levels = [one.codes for one in utterances]
        for stage, lm in fine:
            found = generate_fine(stage, lm, levels, seed=seed, batch=batch)
            levels = [torch.cat(both, dim=1) for both in zip(levels, found, strict=True)]
        return [Codes(tuple(one.T.contiguous().clone())) for one in levels]

    @torch.inference_mode()
    def _begin(self, prompt: Prompt, codes: Codes, seed: int) -> CoarseTrack:
        units, durations = codes.streams[0].cpu(), codes.durations
        if durations is None and self.durations is not None:
            durations = self.durations.predict(units.to(self.durations.embedding.weight.device)).cpu()
        return CoarseTrack(
            prompt,
            count_coarse(self.config, self.layout),
            units,
            spread(torch.arange(len(units)), durations, self.layout.repeats),
            seed=seed,
            repeats=self.layout.repeats,
            has_durations=self.layout.has_durations,
        )
