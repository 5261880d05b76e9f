"""Published corpora in their own layouts, and tables and folders of your own. Recordings stay where they are."""

from __future__ import annotations

from collections.abc import Iterable

from areca import Component, Kind, hookimpl

ARECA_PLUGIN_API = 1


def _declare(name: str, config: str, summary: str, paper: str | None = None) -> Component:
    return Component(
        kind=Kind.DATASET,
        name=name,
        config=f"areca_corpora.{config}",
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
        _declare(
            "common-voice", "common_voice:CommonVoiceOptions", "Common Voice: read sentences", f"{arxiv}1912.06670"
        ),
        _declare(
            "covost2", "covost:CovostOptions", "CoVoST 2: Common Voice with translated texts", f"{arxiv}2007.10310"
        ),
        _declare("cvss", "cvss:CvssOptions", "CVSS: Common Voice with English speech", f"{arxiv}2201.03713"),
        _declare("voxpopuli", "voxpopuli:VoxPopuliOptions", "VoxPopuli: the European Parliament", f"{arxiv}2101.00390"),
        _declare("fleurs", "fleurs:FleursOptions", "FLEURS: the same sentences in 102 languages", f"{arxiv}2205.12446"),
        _declare(
            "mls", "librivox:MlsOptions", "Multilingual LibriSpeech: read books in 8 languages", f"{arxiv}2012.03411"
        ),
        _declare(
            "librispeech",
            "librivox:LibriSpeechOptions",
            "LibriSpeech: read books in English",
            "https://www.danielpovey.com/files/2015_icassp_librispeech.pdf",
        ),
        _declare("csv", "own:CsvOptions", "a table with commas and quotation marks, and recordings"),
        _declare("tsv", "own:TsvOptions", "a table with tabs, and recordings"),
        _declare(
            "jsonl", "json_lines:JsonLinesOptions", "JSON Lines of other programs by column mapping, and recordings"
        ),
        _declare("lhotse", "json_lines:LhotseOptions", "a CutSet of lhotse in JSON Lines"),
        _declare("kaldi", "kaldi:KaldiOptions", "Kaldi data folders: wav.scp, segments, text, utt2spk"),
        _declare(
            "parquet", "parquet:ParquetOptions", "Parquet files with recordings inside, as on the Hugging Face hub"
        ),
        _declare("audio-folder", "own:FolderOptions", "every recording in a folder, with or without text files"),
    ]
