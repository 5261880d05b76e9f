"""The heavy half: build a task from a config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from areca.tasks import Field, Task
from areca_speech import Config, spec, tag_and_languages


class SpeechTask:
    """The target of the five tasks. Tasks have nothing to train."""

    @staticmethod
    def load(
        config: Config, needs: Mapping[str, Any], files: Path | None, *, device: torch.device, dtype: torch.dtype
    ) -> Task:
        """Return the task. Only `config` is used; every component takes the other arguments."""
        tag, languages = tag_and_languages(config)
        fields = spec(config, {})
        return Task(tag, tuple(map(Field, fields.inputs)), tuple(map(Field, fields.outputs)), languages)
