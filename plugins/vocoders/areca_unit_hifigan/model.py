"""`unit-hifigan` and `hub-unit-hifigan`: a GAN that turns units directly into audio.

It follows Polyak et al. 2021 (Speech resynthesis from discrete disentangled self-supervised representations), without
their pitch codes, and Lee et al. 2022 (Direct speech-to-speech translation with discrete units, section 3.4), who add
the durations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch

from areca.errors import ArecaError, InvalidArtifact, quote
from areca.fitting.resume import save_tensors
from areca.hub.weights import SINGLE
from areca.interfaces import Job
from areca.manifest import Manifest
from areca.specs import TokenizerSpec
from areca.types import Audio, Codes, VoicePrompt, require_codes
from areca_unit_hifigan.corpus import choose_speakers, read_clips
from areca_unit_hifigan.loading import language_number, load_model, locate_files
from areca_unit_hifigan.network import build, describe
from areca_unit_hifigan.options import HubUnitHifiganConfig, UnitHifiganConfig
from areca_unit_hifigan.properties import CONFIG_FILE, SPEAKERS
from areca_unit_hifigan.session import UnitHifiganSession
from areca_unit_hifigan.specs import frames_per_unit
from areca_unit_hifigan.training import train
from areca_unit_hifigan.voice import Voice


class CodeHifigan:
    """A vocoder that speaks units, one utterance at a time, so that batches cannot change the audio."""

    name: str

    def __init__(self, voice: Voice) -> None:
        self.voice = voice

    @torch.inference_mode()
    def synthesize(
        self, codes: list[Codes], voices: Sequence[VoicePrompt | None], *, generator: torch.Generator
    ) -> list[Audio]:
        """Return the speech of each of `codes`; missing durations of deduplicated units are predicted.

        Args:
            codes: one stream of units per utterance.
            voices: None for each utterance.
            generator: not used.

        Raises:
            InvalidCodes: an empty list, or units out of range.
            ArecaError: a voice is given.
        """
        self._refuse(voices)
        require_codes(codes, (self.voice.stream,))
        return [self.voice.speak(c) for c in codes]

    def open(self, voice: VoicePrompt | None, *, generator: torch.Generator) -> UnitHifiganSession:
        """Begin an utterance whose audio is that of `synthesize`.

        Args:
            voice: None.
            generator: not used.

        Raises:
            ArecaError: a voice is given.
        """
        self._refuse([voice])
        return UnitHifiganSession(self.voice)

    def _refuse(self, voices: Sequence[VoicePrompt | None]) -> None:
        if given := [v for v in voices if v is not None]:
            raise ArecaError(f"{self.name} speaks in voices that it was trained on, got {len(given)} voice prompt(s)")


class UnitHifigan(CodeHifigan):
    """A vocoder that is trained on the run's data. Its artifact is a SeamlessM4TCodeHifiGan in the hub's layout."""

    name = "unit-hifigan"

    @staticmethod
    def fit(config: UnitHifiganConfig, needs: Mapping[str, Any], data: Manifest, job: Job) -> None:
        """Train the network on the voice or the speakers that `config` names. Resumes after a kill.

        Raises:
            InvalidManifest: the training split has no speech of the voice, too few speakers, or no recording that is as
                long as a segment.
        """
        speakers, recordings = choose_speakers(config, data)
        tokenizer = job.specs["tokenizer"]
        assert isinstance(tokenizer, TokenizerSpec)
        described = describe(
            config,
            units=tokenizer.streams[0].size,
            frames_per_unit=frames_per_unit(config, tokenizer),
            deduplicated=tokenizer.streams[0].frame_rate_hz is None,
            speakers=speakers,
        )
        clips = read_clips(config, recordings, speakers, data, job)
        model = train(config, build(described, job.seed).to(job.device), clips, job)
        dtype = getattr(torch, config.weights_dtype)
        weights = {name: x.to("cpu", dtype) for name, x in model.state_dict().items()}
        save_tensors(job.directory / SINGLE, weights, {"format": "pt"})
        described.to_json_file(job.directory / CONFIG_FILE)

    @classmethod
    def load(
        cls,
        config: UnitHifiganConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Self:
        """Read the network from `files`. Computation is in float32; `dtype` is ignored.

        Raises:
            InvalidArtifact: the files are not those of `fit`.
        """
        assert files is not None, "a component with the tag fit is loaded from its artifact"
        model = load_model(files, str(files), from_areca=True, error=InvalidArtifact)
        return cls(Voice(model.to(device), _speaker(config, model.config, files), 0))


def _speaker(config: UnitHifiganConfig, described: Any, files: Path) -> int:
    """Return the row of `config.voice` in a fitted vocoder's table; the first one if there is only one speaker."""
    names = getattr(described, SPEAKERS, None)
    if not isinstance(names, list) or len(names) != described.vocoder_num_spkrs or not names:
        raise InvalidArtifact(f"{files / CONFIG_FILE}: expected {SPEAKERS}, a list of names, got {quote(names)}")
    if len(names) == 1 or config.voice is None:
        return 0
    if config.voice not in names:
        raise InvalidArtifact(f"{files / CONFIG_FILE}: expected {config.voice!r} among the {SPEAKERS}")
    return names.index(config.voice)


class HubUnitHifigan(CodeHifigan):
    """A published vocoder, or the artifact of a fitted one."""

    name = "hub-unit-hifigan"

    @classmethod
    def load(
        cls,
        config: HubUnitHifiganConfig,
        needs: Mapping[str, Any],
        files: Path | None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Self:
        """Read the network from the hub or the directory. Computation is in float32; `dtype` is ignored.

        Raises:
            InvalidConfig: the files are not those of a code HiFi-GAN, or the model does not speak the language.
            MissingWeights: the hub cannot be reached.
        """
        directory, source = locate_files(config)
        model = load_model(directory, source)
        return cls(Voice(model.to(device), config.speaker, language_number(config.language, directory, source, model)))

    @staticmethod
    def pinned(config: HubUnitHifiganConfig) -> HubUnitHifiganConfig:
        """Return `config` with its revision replaced by the commit that it names now."""
        return config if config.path is not None else replace(config, revision=locate_files(config)[0].name)
