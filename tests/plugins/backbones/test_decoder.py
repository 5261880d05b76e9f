"""The backbone `decoder`: its text tokenizer, weights and text pretraining."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from num2words import num2words
from transformers import AutoModelForCausalLM, AutoTokenizer

import areca_decoder
from areca.component import Kind
from areca.errors import InvalidConfig, InvalidManifest
from areca.fitting.loop import learning_rate_factor
from areca.fitting.text_lm.corpus import tag_line, translations
from areca.fitting.text_lm.pretraining import batch, examples
from areca.interfaces import Backbone, Job
from areca.manifest import FileManifest, Manifest, Utterance
from areca.registry.registry import Registry
from areca.testing import CheckedComponent, run
from areca_decoder import DecoderConfig
from areca_decoder.model import Decoder

LANGUAGES = ("en", "es", "fr", "de", "it")
SMALL = {"layers": 2, "width": 32, "feed_forward": 64, "heads": 2, "kv_heads": 1, "min_count": 8}
CPU = torch.device("cpu")


def make_manifest(root: Path, last: int = 60, split: str = "train") -> Manifest:
    rows = [
        Utterance(
            id=f"{language}-{n}",
            text=num2words(n, lang=language),
            language=language,
            split=split,
            target_text=num2words(n, lang="en"),
            target_language="en",
        )
        for language in LANGUAGES
        for n in range(last)
    ]
    return FileManifest(tuple(rows), root)


def fit(directory: Path, data: Manifest, seed: int = 0, progress=None, **options) -> Path:
    directory.mkdir(exist_ok=True)
    job = Job(directory, seed, CPU, *([progress] if progress else []))
    Decoder.fit(DecoderConfig(**(SMALL | options)), {}, data, job)
    shutil.rmtree(job.work)  # as core does
    return directory


def load(directory: Path, **options) -> Backbone:
    return Decoder.load(DecoderConfig(**(SMALL | options)), {}, directory, device=CPU, dtype=torch.float32)


def hashes(directory: Path) -> dict[str, str]:
    files = [file for file in directory.rglob("*") if file.is_file()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("decoder")
    return fit(root / "made", make_manifest(root))


def test_same_seed_same_bytes_other_seed_other_weights(fitted, tmp_path):
    again, other = fit(tmp_path / "again", make_manifest(tmp_path)), fit(tmp_path / "other", make_manifest(tmp_path), 1)
    assert hashes(again) == hashes(fitted)
    differing = {name for name, value in hashes(other).items() if value != hashes(fitted)[name]}
    assert differing == {"model.safetensors"}


def test_another_process_with_more_threads_makes_the_same_tokenizer(fitted, tmp_path):
    script = (
        "import sys; from num2words import num2words; from areca.fitting.text_lm.corpus import train_tokenizer\n"
        "lines = [num2words(n, lang=l) for l in ('en', 'de', 'fr') for n in range(300)]\n"
        "train_tokenizer(lines, 512, 4).save_pretrained(sys.argv[1])\n"
    )
    made = []
    for threads, hash_seed in (("1", "1"), ("4", "2")):
        directory = tmp_path / threads
        environment = dict(os.environ, RAYON_NUM_THREADS=threads, PYTHONHASHSEED=hash_seed)
        environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        subprocess.run([sys.executable, "-c", script, str(directory)], check=True, env=environment)
        made.append(hashes(directory))
    assert made[0] == made[1]


def hard_texts() -> list[str]:
    sentences = [
        "Three hundred and thirty-four, isn't it?",
        "¿Dónde está el año 1998, señor Núñez?",
        "L'été où j'ai reçu vingt-et-un œufs, ça a coûté 3,50 €.",
        "Zweihundertvierunddreißig Straßen, über fünf Äcker.",
        "Perché è già così tardi? Città e virtù.",
    ]
    oddities = [
        "",
        " ",
        "a",
        " leading",
        "trailing ",
        "two  spaces",
        "tab\tand\nnewline\r\n",
        "[ASR French] deux",
        "<s></s>",
    ]
    draw = random.Random(0)
    noise = ["".join(chr(draw.randrange(1, 0xD7FF)) for _ in range(20)) for _ in range(50)]
    return sentences + [unicodedata.normalize("NFD", s) for s in sentences] + oddities + noise


def test_text_round_trips_exactly_and_nothing_is_added(fitted):
    tokenizer = load(fitted).tokenizer
    for text in hard_texts() + [num2words(n, lang=lang) for lang in LANGUAGES for n in (0, 77, 99, 1234)]:
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.all_special_ids == []


def test_the_directory_loads_without_areca(fitted):
    backbone = load(fitted)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(fitted).eval(), AutoTokenizer.from_pretrained(fitted)
    for text in hard_texts():
        assert tokenizer(text)["input_ids"] == backbone.tokenizer(text)["input_ids"]
    ids = torch.tensor([tokenizer("twenty-one")["input_ids"]])
    assert torch.equal(model(ids).logits, backbone.model(ids).logits)
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (None, None, None)


def test_tags_are_short_and_words_are_shared_between_first_and_later_place(fitted):
    tokenizer = load(fitted).tokenizer
    assert tokenizer.tokenize("[ASR French]") == ["Ġ[ASR", "ĠFrench", "]"]
    assert tokenizer.tokenize("[S2ST French English]") == ["Ġ[S2ST", "ĠFrench", "ĠEnglish", "]"]
    assert tokenizer.tokenize("forty-one forty")[0] == tokenizer.tokenize("forty-one forty")[-1] == "Ġforty"


def test_tags_name_languages_as_tasks_do():
    rows = [Utterance(id="a", language=x, target_language=y) for x, y in (("fr", "en"), ("fr-FR", "English"))]
    assert {tag_line(row, "MT") for row in rows} == {"[MT French English]"}
    assert tag_line(Utterance(id="a", language="Elvish?"), "ASR") == "[ASR Elvish?]"


def test_only_the_training_split_is_used(fitted, tmp_path):
    held_out = make_manifest(tmp_path, last=200, split="test").rows
    data = FileManifest(make_manifest(tmp_path).rows + held_out, tmp_path)
    assert hashes(fit(tmp_path / "made", data)) == hashes(fitted)
    silent = FileManifest((Utterance(id="a", audio="a.wav"),), tmp_path)
    with pytest.raises(InvalidManifest, match="no row of split 'train' has text"):
        fit(tmp_path / "none", silent)


def test_rare_tokens_are_left_out(fitted, tmp_path):
    sizes = [len(load(fit(tmp_path / str(c), make_manifest(tmp_path), min_count=c)).tokenizer) for c in (2, 8, 10_000)]
    assert sizes[0] > sizes[1] > sizes[2] == 256
    capped = load(fit(tmp_path / "cap", make_manifest(tmp_path), vocabulary_size=300))
    assert len(capped.tokenizer) == capped.model.config.vocab_size == 300


@pytest.mark.parametrize("tied", [True, False])
def test_the_model_is_as_configured(tmp_path, tied):
    state = torch.get_rng_state()
    options = {"tied": tied, "context": 99, "attention_dropout": 0.25}
    model = load(fit(tmp_path / "made", make_manifest(tmp_path), **options), **options).model
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training and model.dtype == torch.float32
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) == tied
    c = model.config
    assert (c.model_type, c.num_hidden_layers, c.hidden_size, c.intermediate_size) == ("llama", 2, 32, 64)
    assert (c.num_attention_heads, c.num_key_value_heads) == (2, 1)
    assert (c.max_position_embeddings, c.attention_dropout) == (99, 0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "layers: expected at least 1, got 0"),
        ({"width": 30, "heads": 4}, r"width / heads: expected an even whole number .* got 30 / 4"),
        ({"heads": 4, "kv_heads": 3}, r"kv_heads: expected a divisor of heads \(4\), got 3"),
        ({"vocabulary_size": 100}, "vocabulary_size: expected at least 256, got 100"),
        ({"attention_dropout": 1.0}, "attention_dropout"),
        ({"pretrain_steps": 1, "context": 100}, r"pretrain_length: expected at most context \(100\), got 128"),
    ],
)
def test_incompatible_sizes_are_refused(options, message):
    with pytest.raises(InvalidConfig, match=message):
        areca_decoder.spec(DecoderConfig(**options), {})


PRETRAIN = {"pretrain_steps": 12, "pretrain_batch": 4, "pretrain_length": 32, "save_every": 4, "attention_dropout": 0.1}


class Killed(Exception):
    pass


def test_text_pretraining_learns_and_reports_progress(fitted, tmp_path):
    calls = []
    options = {"pretrain_steps": 60, "pretrain_batch": 8, "pretrain_length": 64, "pretrain_learning_rate": 1e-2}
    made = fit(tmp_path / "made", make_manifest(tmp_path), progress=lambda *call: calls.append(call), **options)
    assert [call[:2] for call in calls] == [(k, 60) for k in range(1, 61)]
    ids = load(made).tokenizer("[MT French English]", return_tensors="pt")["input_ids"]
    losses = [float(load(d).model(input_ids=ids, labels=ids).loss.detach()) for d in (fitted, made)]
    assert losses[0] == pytest.approx(np.log(len(load(fitted).tokenizer)), rel=0.1)  # no better than chance
    assert losses[1] < 0.5 * losses[0]


@pytest.mark.parametrize("killed_at", [3, 6, 8, 12])
def test_a_killed_pretraining_resumes_to_the_same_weights(tmp_path, killed_at):
    undisturbed = fit(tmp_path / "undisturbed", make_manifest(tmp_path), **PRETRAIN)
    seen = []

    def kill(done: int, total: int, message: str = "") -> None:
        seen.append(done)
        if done == killed_at and len(seen) == done:
            raise Killed

    with pytest.raises(Killed):
        fit(tmp_path / "killed", make_manifest(tmp_path), progress=kill, **PRETRAIN)
    resumed = fit(tmp_path / "killed", make_manifest(tmp_path), progress=kill, **PRETRAIN)
    assert hashes(resumed) == hashes(undisturbed)
    assert seen[killed_at:][0] == (killed_at - 1) // 4 * 4 + 1  # it went on from the last save, not from the start


def test_lines_are_encoded_as_segments_and_translations_come_once(fitted, tmp_path):
    data = make_manifest(tmp_path, last=2)
    pairs = translations(FileManifest(data.rows + data.rows, tmp_path))
    assert len(pairs) == 10
    assert pairs[4] == ("[MT French English]", "zéro", "zero")
    tokenizer = load(fitted).tokenizer
    [text, parallel] = examples(tokenizer, ["zéro"], [pairs[4]])
    assert tokenizer.decode(text) == "zéro\n"
    assert parallel.tolist() == [
        i for part in ("[MT French English]", "zéro", "\n", "zero", "\n") for i in encode(tokenizer, part)
    ]


def encode(tokenizer, part: str) -> list[int]:
    return [tokenizer.convert_tokens_to_ids("Ċ")] if part == "\n" else tokenizer(part)["input_ids"]


def test_batches_follow_from_seed_and_step_and_use_every_line():
    lines = [np.full(3 + k, k) for k in range(6)]
    assert torch.equal(batch(lines, 2, 50, 0, 7), batch(lines, 2, 50, 0, 7))
    assert not torch.equal(batch(lines, 2, 50, 0, 7), batch(lines, 2, 50, 0, 8))
    assert not torch.equal(batch(lines, 2, 50, 0, 7), batch(lines, 2, 50, 1, 7))
    assert set(batch(lines, 2, 50, 0, 7).flatten().tolist()) == set(range(6))


def test_schedule_rises_then_falls_to_0():
    rates = [learning_rate_factor(step, 100, warm_up=0.1) for step in range(101)]
    assert rates[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert rates[10:] == pytest.approx([(1 + np.cos(np.pi * k / 90)) / 2 for k in range(91)])


def test_config_json_is_plain(fitted):
    assert json.loads((fitted / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]


def test_the_conformance_kit_passes(tmp_path):
    registry = Registry.discover()
    outcomes = list(run(CheckedComponent(registry.find(Kind.BACKBONE, "decoder"), tmp_path, registry=registry)))
    assert [(o.check, o.message) for o in outcomes if o.state != "pass"] == []
