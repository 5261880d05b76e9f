"""The heavy half: makes a task of a config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from areca.tasks import Field, Task
from areca_speech import Config, spec, tag_and_languages


class SpeechTask:
    """Loads one of the tasks; there is nothing to fit."""

    @staticmethod
    def load(
        config: Config, needs: Mapping[str, Any], files: Path | None, *, device: torch.device, dtype: torch.dtype
    ) -> Task:
        """Return the task; the other arguments are those of every component, and not used."""
        tag, languages = tag_and_languages(config)
        fields = spec(config, {})
        return Task(tag, tuple(map(Field, fields.inputs)), tuple(map(Field, fields.outputs)), languages)
