"""Text that the LM's text tokenizer cannot represent is reported: in rows, in headers and in inputs."""

from __future__ import annotations

import dataclasses
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import parts
from tests.warm import Warm
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

import areca
from areca.artifacts.store import Store
from areca.errors import ArecaWarning, IncompatibleParts, TextLost
from areca.evaluation.answering import answer_rows, open_answer_journal
from areca.evaluation.prompting import Prompting
from areca.interfaces import Backbone
from areca.lm.model import SpeechLM
from areca.lm.text import TextTokenizer
from areca.manifest import FileManifest, Utterance, read_manifest, write_manifest
from areca.pipeline.pipeline import Pipeline
from areca.run.config import parse_config
from areca.run.decoding import resolve_decoding
from areca.run.options import EvaluationConfig
from areca.specs import Stream
from areca.system import NANO, System
from areca.tasks import Field, Task
from areca.testing.tiny import tiny_backbone
from areca.training.examples import LeftOut, write_examples
from areca.training.task_rows import TaskRows

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ[]0123456789 '"
MT = Task("MT", (Field("source.text"),), (Field("target.text"),), ("source", "target"))
PLUGIN = f"""
from dataclasses import dataclass

from areca import Component, Kind, hookimpl
from areca.specs import BackboneSpec

ARECA_PLUGIN_API = 1
LETTERS = {LETTERS!r}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    pass


def spec(config, needs):
    return BackboneSpec("llama")


class Letters:
    @staticmethod
    def load(config, needs, files, *, device, dtype):
        from tokenizers import Tokenizer, decoders, models
        from transformers import PreTrainedTokenizerFast
        from areca.interfaces import Backbone
        from areca.testing.tiny import tiny_backbone
        fast = Tokenizer(models.BPE({{c: i for i, c in enumerate(LETTERS)}}, []))
        fast.decoder = decoders.Fuse()
        backbone = tiny_backbone(max_position_embeddings=512)
        return Backbone(backbone.model, PreTrainedTokenizerFast(tokenizer_object=fast))


@hookimpl
def areca_components():
    yield Component(kind=Kind.BACKBONE, name="letters", summary="letters without accents", config=Config,
                    spec="letters:spec", target="letters:Letters")
"""


def tokenizer(letters: str = LETTERS, *normaliser: Any) -> TextTokenizer:
    """A tokenizer of single characters, which drops what it has no token for."""
    fast = Tokenizer(models.BPE({c: i for i, c in enumerate(letters)}, []))
    fast.normalizer = normalizers.Sequence(list(normaliser))
    fast.decoder = decoders.Fuse()
    return TextTokenizer.of(PreTrainedTokenizerFast(tokenizer_object=fast))


def sentencepiece() -> TextTokenizer:
    fast = Tokenizer(models.Unigram())
    fast.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", "▁")])
    fast.pre_tokenizer = pre_tokenizers.Metaspace()
    fast.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    fast.train_from_iterator(["un deux trois quatre cinq six sept huit neuf dix"] * 20, trainer)
    return TextTokenizer.of(PreTrainedTokenizerFast(tokenizer_object=fast, unk_token="<unk>"))


def speech_lm(text: TextTokenizer, directory: Path) -> SpeechLM:
    text.write(directory)
    model = tiny_backbone().model
    own = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"))
    return SpeechLM.extend(Backbone(model, own), {"speech": (Stream("unit", 20, 25.0),)}, init="normal")


def rows(*texts: str, language: str = "fr") -> tuple[Utterance, ...]:
    return tuple(
        Utterance(id=f"u{i}", text=text, language=language, target_text="one", target_language="en")
        for i, text in enumerate(texts)
    )


def written(lm: SpeechLM, tmp_path: Path, data: tuple[Utterance, ...], *tasks: Task) -> list[LeftOut]:
    mixed = [TaskRows(f"task{i}", task, 1.0, {}) for i, task in enumerate(tasks or (MT,))]
    return write_examples(tmp_path / "x.arrow", lm, FileManifest(data, Path("/nowhere")), mixed, longest=300)


@pytest.mark.parametrize(
    ("text", "spelt", "lost"),
    [
        (tokenizer(), ["un ete", "  two  spaces "], {"un été": "un t", "ß": "", "日本": ""}),
        (tokenizer("abcdefghijklmnopqrstuvwxyz []", normalizers.Lowercase()), ["[ASR French]"], {"É": ""}),
        (tokenizer(LETTERS, normalizers.NFD(), normalizers.StripAccents()), ["un été"], {"œuf": "uf"}),
        (tokenizer(LETTERS, normalizers.NFKC()), ["ＡＢＣ １２"], {"é": ""}),
        (sentencepiece(), ["deux  trois", "un"], {"deux été": "deux t"}),
        (TextTokenizer.read(NANO / "lm" / "text_tokenizer"), ["un été", "日本語", "[ASR Japanese]", "\x00 <s>"], {}),
    ],
    ids=["letters", "lowercase", "accents", "width", "sentencepiece", "bytes"],
)
def test_changed_texts_are_found_with_their_decoded_text(
    text: TextTokenizer, spelt: list[str], lost: dict[str, str]
) -> None:
    found = text.find_misspelled([*spelt, *lost])
    assert {a: "".join(b.split()) for a, b in found.items()} == {a: "".join(b.split()) for a, b in lost.items()}
    assert text.find_misspelled([*lost]) == found  # what was seen before is not forgotten
    assert text.find_misspelled([]) == {}


def test_rows_that_lose_letters_are_counted_and_shown_once_a_task(tmp_path: Path) -> None:
    lm = speech_lm(tokenizer(), tmp_path)
    data = rows("un", "un été", "deux", "là-bas", "un été")
    back = Task("BACK", (Field("target.text"),), (Field("source.text"),), ("target", "source"))
    fine = Task("FINE", (Field("target.text"),), (Field("target.text"),), ("target",))
    with pytest.warns(TextLost) as caught:
        counts = written(lm, tmp_path, data, MT, back, fine)
    assert counts == [LeftOut(0, 3), LeftOut(0, 3), LeftOut(0, 0)]
    assert len(caught) == 2
    message = str(caught[0].message)
    assert "task task0: " in message and "3 of 5 rows" in message
    assert "row 'u1': 'un été' becomes 'un t'" in message and "choose a backbone" in message
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert written(lm, tmp_path, rows("un", "deux")) == [LeftOut(0, 0)]


def test_a_header_that_loses_letters_is_refused_before_training(tmp_path: Path) -> None:
    lm = speech_lm(tokenizer("abcdefghijklmnopqrstuvwxyz []"), tmp_path)
    with pytest.raises(IncompatibleParts, match=r"task0.*header '\[MT French English\]' to '\[ rench nglish\]'"):
        written(lm, tmp_path, rows("un"))
    assert not (tmp_path / "x.arrow").exists()
    lowercasing = speech_lm(tokenizer("abcdefghijklmnopqrstuvwxyz []", normalizers.Lowercase()), tmp_path / "lower")
    assert written(lowercasing, tmp_path, rows("un")) == [LeftOut(0, 0)]


def test_a_country_taken_for_a_language_warns_once_a_task_and_its_name_does_not(tmp_path: Path) -> None:
    lm = speech_lm(tokenizer(), tmp_path)
    with pytest.warns(ArecaWarning, match="'kr' is read as Kanuri; .* South Korea, write 'ko'") as caught:
        written(lm, tmp_path, rows("un", "deux", language="kr"))
    assert len(caught) == 1
    assert written(lm, tmp_path, rows("un", "deux", language="Kanuri")) == [LeftOut(0, 0)]


def test_headers_that_become_the_same_are_refused(tmp_path: Path) -> None:
    lm = speech_lm(tokenizer(LETTERS, normalizers.Lowercase()), tmp_path)
    twin = dataclasses.replace(MT, tag="mt")
    with pytest.raises(IncompatibleParts, match=r"tasks task0 and task1.*'\[MT French English\]' and '\[mt French"):
        written(lm, tmp_path, rows("un"), MT, twin)
    assert written(lm, tmp_path, rows("un"), MT, MT) == [LeftOut(0, 0)] * 2  # one task twice is asked in one way


def test_a_tokenizer_without_a_token_for_the_unknown_is_an_error_in_a_line() -> None:
    fast = Tokenizer(models.WordLevel({"un": 0}, unk_token="<unk>"))
    text = TextTokenizer.of(PreTrainedTokenizerFast(tokenizer_object=fast))
    with pytest.raises(IncompatibleParts, match=r"cannot encode 'deux': WordLevel error"):
        text.encode("deux")
    with pytest.raises(IncompatibleParts, match="cannot encode"):
        text.find_misspelled(["un deux"])


@pytest.fixture(scope="module")
def system(root: Path) -> System:
    """A checkpoint whose text tokenizer knows no accents; one row of its data has one."""
    (root / "letters.py").write_text(PLUGIN)
    source = read_manifest(root / "corpus" / "manifest.jsonl")
    first = next(row.id for row in source.rows if row.split == "train")
    changed = [dataclasses.replace(row, text="un été") if row.id == first else row for row in source.rows]
    write_manifest(root / "corpus" / "accents.jsonl", changed)
    run = {
        "name": "letters",
        "plugins": ["./letters.py"],
        "data": "corpus/accents.jsonl",
        "tokenizer": {"name": "mfcc-kmeans", "clusters": 16},
        "backbone": {"name": "letters"},
        "tasks": ["mt", "asr"],
        "lm": {"init": "normal"},
        "training": {"steps": 1, "batch_tokens": 512, "longest_tokens": 400, "optimizer": "adamw"},
    }
    pipeline = Pipeline(parse_config(run, root=root), Store(root / "store"))
    with pytest.warns(TextLost) as caught:
        directory = pipeline.checkpoint().directory
    assert len(caught) == 2 and "'un été' becomes 'un t'" in str(caught[0].message)
    summary = json.loads((pipeline.lm().directory / "training.json").read_text())
    assert [(task["task"], task["text_lost"], task["too_long"]) for task in summary["tasks"]] == [
        ("mt", 1, 0),
        ("asr", 1, 0),
    ]
    parts = json.loads((directory / "provenance.json").read_text())["parts"]
    assert parts["backbone"]["license"] == "not stated"  # the plugin states none
    assert parts["speech"]["license"] == "Apache-2.0"
    return areca.load(directory, plugins=[str(root / "letters.py")])


def test_inputs_that_lose_letters_warn(system: System, root: Path) -> None:
    with pytest.warns(TextLost, match=r"'un été' becomes 'un t' \(and 1 more\)") as caught:
        system.run("mt", text=["un été", "deux", "là"], source="French", target="English", decoding=None)
    assert len(caught) == 1
    with pytest.warns(TextLost, match=r"'\[MT French Māori\]' becomes '\[MT French Mori\]'"):
        system.run("mt", text="un", source="fr", target="mi")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        system.run("mt", text="un ete", source="French", target="English")
        system.run("mt", text="un", source="Kanuri", target="English")
    with pytest.warns(ArecaWarning, match="'kr' is read as Kanuri") as caught:
        system.run("mt", text="un", source="kr", target="English")
    assert len(caught) == 1


def test_an_evaluation_warns_once_a_task(system: System, tmp_path: Path) -> None:
    manifest = FileManifest(rows("été", "là", "où", "çà"), tmp_path)
    with pytest.warns(TextLost) as caught:
        answer_rows(
            system, manifest, "mt", manifest.rows, open_answer_journal(tmp_path / "a.jsonl"), tmp_path,
            1, resolve_decoding(parts.REGISTRY, "greedy"), Prompting(manifest, EvaluationConfig(), takes_voice=False),
        )  # fmt: skip
    assert len(caught) == 1


def test_the_command_line_shows_it_in_one_line(system: System, root: Path, warm: Warm) -> None:
    command = ["-p", str(root / "letters.py"), "run", str(system.checkpoint.directory)]
    arguments = ["--task", "mt", "--source", "fr", "--target", "en", "--text", "un été"]
    done = warm.run(*command, *arguments, cwd=root, env={**os.environ})
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert "'un été' becomes 'un t'" in line


def test_many_rows_cost_little(tmp_path: Path) -> None:
    text = TextTokenizer.read(NANO / "lm" / "text_tokenizer")
    generator = torch.Generator().manual_seed(0)
    words = ["un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "été", "où", "garçon"]
    drawn = torch.randint(len(words), (100_000, 12), generator=generator).tolist()
    texts = [" ".join(words[i] for i in row) for row in drawn]
    start_s = time.process_time()
    assert text.find_misspelled(texts) == {}
    assert time.process_time() - start_s < 5  # 0.6 s on an idle core; one by one it is 10
