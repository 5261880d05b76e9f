"""Published corpora in their own layouts, and tables and folders of your own. Recordings stay where they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from areca import Component, Kind, hookimpl
from areca_corpora.common_voice import CommonVoiceOptions
from areca_corpora.covost import CovostOptions
from areca_corpora.cvss import CvssOptions
from areca_corpora.fleurs import FleursOptions
from areca_corpora.json_lines import JsonLinesOptions, LhotseOptions
from areca_corpora.kaldi import KaldiOptions
from areca_corpora.librivox import LibriSpeechOptions, MlsOptions
from areca_corpora.own import CsvOptions, FolderOptions, TsvOptions
from areca_corpora.parquet import ParquetOptions
from areca_corpora.voxpopuli import VoxPopuliOptions

ARECA_PLUGIN_API = 1


def _declare(name: str, config: type[Any], summary: str, paper: str | None = None) -> Component:
    return Component(
        kind=Kind.DATASET,
        name=name,
        config=config,
        spec="areca_corpora.options:spec",
        target="areca_corpora.dataset:CorpusDataset",
        summary=summary,
        license="Apache-2.0",
        requires=("torch", "soundfile", "pyarrow"),
        tags=frozenset({"fit"}),
        paper=paper,
    )


@hookimpl
def areca_components() -> Iterable[Component]:
    """Declare the corpora."""
    arxiv = "https://arxiv.org/abs/"
    return [
        _declare("common-voice", CommonVoiceOptions, "Common Voice: read sentences", f"{arxiv}1912.06670"),
        _declare("covost2", CovostOptions, "CoVoST 2: Common Voice with translated texts", f"{arxiv}2007.10310"),
        _declare("cvss", CvssOptions, "CVSS: Common Voice with English speech", f"{arxiv}2201.03713"),
        _declare("voxpopuli", VoxPopuliOptions, "VoxPopuli: the European Parliament", f"{arxiv}2101.00390"),
        _declare("fleurs", FleursOptions, "FLEURS: the same sentences in 102 languages", f"{arxiv}2205.12446"),
        _declare("mls", MlsOptions, "Multilingual LibriSpeech: read books in 8 languages", f"{arxiv}2012.03411"),
        _declare(
            "librispeech",
            LibriSpeechOptions,
            "LibriSpeech: read books in English",
            "https://www.danielpovey.com/files/2015_icassp_librispeech.pdf",
        ),
        _declare("csv", CsvOptions, "a table with commas and quotation marks, and recordings"),
        _declare("tsv", TsvOptions, "a table with tabs, and recordings"),
        _declare("jsonl", JsonLinesOptions, "JSON Lines of other programs by column mapping, and recordings"),
        _declare("lhotse", LhotseOptions, "a CutSet of lhotse in JSON Lines"),
        _declare("kaldi", KaldiOptions, "Kaldi data folders: wav.scp, segments, text, utt2spk"),
        _declare("parquet", ParquetOptions, "Parquet files with recordings inside, as on the Hugging Face hub"),
        _declare("audio-folder", FolderOptions, "every recording in a folder, with or without text files"),
    ]
