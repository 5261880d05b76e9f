"""Recordings of some 60 people by Debian package name: audio without transcripts, in 29 languages."""

from __future__ import annotations

from collections.abc import Iterable

from areca import Component, Kind, hookimpl

ARECA_PLUGIN_API = 1


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare `people`."""
    return [
        Component(
            kind=Kind.DATASET,
            name="people",
            config="areca_people.options:PeopleConfig",
            spec="areca_people.options:spec",
            target="areca_people.dataset:People",
            summary="speech of some 60 people in 29 languages, from Debian packages, without transcripts",
            license="Apache-2.0",
            requires=("av",),
            tags=frozenset({"fit", "resume"}),
            extra="formats",
            check={"packages": ("kajongg",), "speaker_s": 20.0},
        )
    ]
