"""Metrics and a normaliser in use: chosen by name, checked, and named in signatures."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from areca.artifacts.loader import PartLoader
from areca.artifacts.store import Store
from areca.errors import BrokenPlugin, InvalidConfig, quote
from areca.interfaces import Metric
from areca.registry.entry import LOCAL
from areca.registry.parts import Part
from areca.registry.registry import Registry
from areca.run.scoring import resolve_metrics, resolve_normaliser, to_mapping
from areca.specs import MetricSpec, NormaliserSpec
from areca.statistics import RESAMPLES, SEED, Counts, Estimate, bootstrap, paired_p
from areca.types import Example

_FIRST_PARTY = "areca"
"""The distribution whose components are named without it in signatures."""


@dataclass(frozen=True, slots=True)
class OpenMetric:
    """A loaded metric.

    Args:
        label: its name in the results, unique in an evaluation.
        component: the entry of ``evaluation.metrics`` that names it, as a mapping with an unambiguous name.
        instance: the loaded component.
        spec: what it reads, and how its score is shown.
        component_signature: component, revision, options and library versions: the first part of its signature.
    """

    label: str
    component: Mapping[str, Any]
    instance: Metric
    spec: MetricSpec
    component_signature: str

    def scores_language(self, language: str | None) -> bool:
        """Return whether it scores answers in `language` (ISO 639-1)."""
        return not self.spec.languages or language in self.spec.languages

    def signature(self, language: str | None) -> str:
        """Return a text that is equal for answers that are scored in the same way.

        It names the component, the bootstrap and what the metric itself adds for `language` (ISO 639-1). Counts are
        added up only where signatures are equal.
        """
        drawn = [] if self._optional("interval") else [f"bs:{RESAMPLES}", f"seed:{SEED}"]
        details = self._optional("details")
        return "|".join([self.component_signature, *drawn, *([str(details(language))] if details else [])])

    def count(self, examples: Sequence[Example]) -> list[tuple[float, ...]]:
        """Return the counts of each example.

        Raises:
            BrokenPlugin: the metric does not return a row of finite numbers for each example.
        """
        rows = [tuple(map(float, row)) for row in self.instance.count(examples)]
        if len(rows) != len(examples) or any(not row or not all(map(math.isfinite, row)) for row in rows):
            raise BrokenPlugin(
                f"metric {self.label!r}: expected a row of finite counts for each of {len(examples)} examples, "
                f"got {quote(rows)}"
            )
        return rows

    def item(self, counts: Sequence[float]) -> float:
        """Return the score of one example.

        Raises:
            BrokenPlugin: it is not a finite number.
        """
        value = float((self._optional("item_score") or self.instance.score)(counts))
        if not math.isfinite(value):
            raise BrokenPlugin(f"metric {self.label!r}: the score of {quote(tuple(counts))} is {value}, not finite")
        return value

    def corpus(self, counts: Counts, questions: Sequence[Any] | None = None) -> Estimate:
        """Return the score of many examples together, with its 95 % interval.

        Args:
            counts: one row for each example.
            questions: the question of each example. Answers to one question are drawn together for the interval. None:
                every example has its own question.

        Raises:
            InvalidConfig: there are no examples.
        """
        repeated = questions is not None and len(set(questions)) < len(counts)
        interval = self._optional("interval")
        if repeated or interval is None or not counts:
            return bootstrap(counts, self.instance.score, groups=questions)
        low, high = interval(counts)
        return Estimate(
            self.instance.score([sum(column) for column in zip(*counts, strict=True)]), low, high, len(counts)
        )

    def paired_p(self, baseline: Counts, counts: Counts) -> float:
        """Return the p-value of the difference of two systems on the same items; a row of counts for each item."""
        return paired_p(baseline, counts, self.instance.score, p_value=self._optional("p_value"))

    def _optional(self, method: str) -> Any:
        return getattr(self.instance, method, None)


class OpenNormaliser:
    """A loaded normaliser. Each text is normalised once.

    Args:
        part: the component.
        instance: the loaded component.
    """

    def __init__(self, part: Part, instance: Any) -> None:
        assert isinstance(part.spec, NormaliserSpec)
        self.name, self.signature, self._languages = part.name, sign_component(part), part.spec.languages
        self._normalise = functools.lru_cache(maxsize=200_000)(instance.normalise)

    def __call__(self, text: str, language: str | None) -> str:
        """Return `text` as metrics compare it."""
        return str(self._normalise(text, language or ""))

    def require(self, languages: Iterable[str | None]) -> None:
        """Check that the normaliser reads `languages` (ISO 639-1); None: not known.

        Raises:
            InvalidConfig: its spec names languages, and one of `languages` is not among them.
        """
        for language in sorted({language or "" for language in languages}):
            if self._languages and language not in self._languages:
                raise InvalidConfig(
                    f"normaliser {self.name!r} reads {', '.join(self._languages)}, not {language!r}; use the "
                    "normaliser 'basic'"
                )


def open_metrics(registry: Registry, wanted: Sequence[Any], device: str = "cpu") -> list[OpenMetric]:
    """Load metrics; `wanted` and errors are those of `areca.run.scoring.resolve_metrics`."""
    parts, loader = resolve_metrics(registry, wanted), PartLoader(Store(), device=device)
    names = [part.name for part in parts]
    return [
        _open(part, loader, _label(part) if names.count(part.name) > 1 else part.name, to_mapping(value, "metric"))
        for part, value in zip(parts, wanted, strict=True)
    ]


def open_normaliser(registry: Registry, wanted: Any) -> OpenNormaliser:
    """Load a normaliser; `wanted` and errors are those of `areca.run.scoring.resolve_normaliser`."""
    part = resolve_normaliser(registry, wanted)
    return OpenNormaliser(part, PartLoader(Store()).instance(part))


def _open(part: Part, loader: PartLoader, label: str, options: Mapping[str, Any]) -> OpenMetric:
    assert isinstance(part.spec, MetricSpec)
    name = part.name if part.entry.provider.distribution == _FIRST_PARTY else part.entry.qualified
    return OpenMetric(label, {**options, "name": name}, loader.instance(part), part.spec, sign_component(part))


def _label(part: Part) -> str:
    return f"{part.name}@{hashlib.sha256(sign_component(part).encode()).hexdigest()[:8]}"


def sign_component(part: Part) -> str:
    """Return a component's part of a signature: ``name/revision``, options, needs and versions of required modules.

    The name is qualified unless the component comes with areca. For a local plugin, the hash of its code is added.
    """
    component, provider = part.entry.component, part.entry.provider
    name = part.name if provider.distribution == _FIRST_PARTY else part.entry.qualified
    identity = part.identity()
    code = f"@{identity['code'][:8]}" if provider.distribution == LOCAL else ""
    options = [f"{key}:{_plain(value)}" for key, value in sorted(identity["config"].items())]
    needs = [f"{need}:{sign_component(need_part)}" for need, need_part in sorted(part.needs.items())]
    return "|".join([f"{name}/{component.revision}{code}", *options, *needs, *_list_versions(component.requires)])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _list_versions(modules: Sequence[str]) -> list[str]:
    by_module = _list_distributions() if modules else {}
    return [f"{module}:{metadata.version(name)}" for module in modules for name in by_module.get(module, ())[:1]]


@functools.cache
def _list_distributions() -> Mapping[str, Sequence[str]]:
    return metadata.packages_distributions()  # slow: reads the metadata of every distribution
