"""The trackers that a training can report to, and the packages that each needs. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from areca.errors import InvalidConfig, MissingDependency, quote, suggest
from areca.registry.importing import is_installed

TRACKERS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "azure_ml": (("azureml", "azureml-core"),),
        "clearml": (("clearml", "clearml"),),
        "codecarbon": (("codecarbon", "codecarbon"),),
        "comet_ml": (("comet_ml", "comet-ml"),),
        "dagshub": (("dagshub", "dagshub"), ("mlflow", "mlflow")),
        "dvclive": (("dvclive", "dvclive"),),
        "flyte": (("flytekit", "flytekit"),),
        "kubeflow": (),
        "mlflow": (("mlflow", "mlflow"),),
        "neptune": (("neptune", "neptune"),),
        "swanlab": (("swanlab", "swanlab"),),
        "tensorboard": (("tensorboard", "tensorboard"),),
        "trackio": (("trackio", "trackio"),),
        "wandb": (("wandb", "wandb"),),
    }
)
"""The trackers of transformers' Trainer by name: each module that it needs, with the package that provides it."""


def check_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker that does not exist.

    Raises:
        InvalidConfig: a name is unknown; the nearest is suggested.
    """
    for name in names:
        if name not in TRACKERS:
            raise InvalidConfig(
                f"report_to: no tracker is called {quote(name)}{suggest(name, TRACKERS)}; there are "
                f"{', '.join(TRACKERS)}"
            )


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers whose packages are not installed.

    Raises:
        MissingDependency: a package is missing; the message gives the command to install it.
    """
    for name in names:
        if packages := [package for module, package in TRACKERS[name] if not is_installed(module)]:
            raise MissingDependency(
                f"training.report_to: {name} needs {' and '.join(packages)}, not installed: "
                f"pip install {' '.join(packages)}"
            )
