"""The heavy half: build a task from a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from areca.tasks import Task
from areca_speech import Config, FieldsConfig, spec, tag_and_languages


class SpeechTask:
    """The target of the six tasks. Tasks have nothing to train."""

    @staticmethod
    def load(
        config: Config, needs: Mapping[str, Any], files: Path | None, *, device: torch.device, dtype: torch.dtype
    ) -> Task:
        """Return the task. Only `config` is used; every component takes the other arguments."""
        tag, languages = tag_and_languages(config)
        fields = spec(config, {})
        task = Task(tag, fields.input_fields, fields.output_fields, languages)
        return replace(task, format=config.format) if isinstance(config, FieldsConfig) else task
