"""Attack a checkpoint file by file, as its maker could, and print what areca says: a program of `test_hostile`.

Arguments: the folder of a copy of the checkpoint, and a folder for what must never be written. Standard input says yes
to whoever asks. Prints one JSON object for each attack.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from areca import artifact
from areca.artifact import Artifact, seal
from areca.cli.app import app
from areca.errors import ArecaError
from areca.lm.model import SpeechLM
from areca.options import key_of
from areca.registry.registry import Registry

Attack = Callable[[Path], object]
DEEP = "[" * 200_000
NUMBERS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
)
VALUES = (2**40, 10**9, 10**30, -1, 0, 1.5, "8", "x" * 100_000, True, [], [4], {}, {"a": 1}, None)
COUNTED = 3 << 30
"""Bytes of address space beyond what the process has after its imports."""


def changed(name: str, **changes: Any) -> Attack:
    """Change keys of a JSON file."""

    def attack(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return attack


def within(name: str, key: str, value: Any) -> Attack:
    """Change a key of an object inside a JSON file, dotted."""

    def attack(folder: Path) -> None:
        path = folder / name
        whole = inner = json.loads(path.read_text())
        *outer, last = key.split(".")
        for part in outer:
            inner = inner[part]
        inner[last] = value
        path.write_text(json.dumps(whole))

    return attack


def text(name: str, content: str | bytes) -> Attack:
    """Replace a file."""
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def added(name: str, more: str) -> Attack:
    """Append to a file."""
    return lambda folder: (folder / name).write_text((folder / name).read_text() + more)


def yaml_changed(**changes: Any) -> Attack:
    """Change keys of the checkpoint's config."""

    def attack(folder: Path) -> None:
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))

    return attack


def option(part: str, **options: Any) -> Attack:
    """Change options of a part in the checkpoint's config."""

    def attack(folder: Path) -> None:
        path = folder / "config.yaml"
        config = yaml.safe_load(path.read_text())
        found = config
        for key in part.split("."):
            found = found[key]
        found.update(options)
        path.write_text(yaml.safe_dump(config))

    return attack


def tensors(name: str, change: Callable[[dict[str, torch.Tensor]], object], metadata: Any = None) -> Attack:
    """Change what a safetensors file holds."""

    def attack(folder: Path) -> None:
        found = {k: x.clone() for k, x in load_file(folder / name).items()}
        change(found)
        save_file(found, folder / name, metadata)

    return attack


def shard(folder: Path) -> None:
    """Write the weights a second time, as shards of another model, and leave the first."""
    found = load_file(folder / "lm/model.safetensors")
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    halves = [dict(list(found.items())[::2]), dict(list(found.items())[1::2])]
    for name, half in zip(names, halves, strict=True):
        save_file({k: x.clone() for k, x in half.items()}, folder / "lm" / name)
    index = {k: name for name, half in zip(names, halves, strict=True) for k in half}
    (folder / "lm/model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def pickled(folder: Path) -> None:
    """Give the weights as a pickle."""
    torch.save(load_file(folder / "lm/model.safetensors"), folder / "lm/pytorch_model.bin")
    (folder / "lm/model.safetensors").unlink()


def adapter(folder: Path) -> None:
    """Have another folder's model loaded."""
    shutil.copytree(folder / "lm", folder.parent / "elsewhere", dirs_exist_ok=True)
    base = {"base_model_name_or_path": str(folder.parent / "elsewhere"), "peft_type": "LORA", "r": 1}
    (folder / "lm/adapter_config.json").write_text(json.dumps(base))


def code(folder: Path, mark: Path) -> None:
    """Name code of the checkpoint's own."""
    names = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M", "AutoTokenizer": ["evil.T", "evil.T"]}
    for config in ("lm/config.json", "lm/tokenizer_config.json"):
        changed(config, auto_map=names)(folder)
    (folder / "lm/evil.py").write_text(f"open({str(mark / 'ran')!r}, 'w').close()\n")


def header(folder: Path, entry: dict[str, Any]) -> None:
    """Promise tensors that are not there."""
    content = json.dumps({"model.norm.weight": entry}).encode()
    (folder / "lm/model.safetensors").write_bytes(len(content).to_bytes(8, "little") + content)


LM, LAYOUT, TOKENIZER = "lm/config.json", "lm/vocabulary.json", "lm/text_tokenizer/tokenizer.json"
VOICE, ALPHABET = "parts/vocoder/voice.safetensors", "parts/speech.tokenizer/alphabet.json"
CODEBOOK, ENCODER = "parts/speech.tokenizer/codebook.safetensors", "parts/speech.tokenizer/encoder.safetensors"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


def attacks(mark: Path) -> Iterator[tuple[str, Attack]]:
    """Yield name and deed of every attack that areca must refuse in one line."""
    yield "another model_type: gpt2", changed(LM, model_type="gpt2")
    yield "another model_type: gemma", changed(LM, model_type="gemma")
    yield "another model_type: bert", changed(LM, model_type="bert")
    yield "another model_type: mistral", changed(LM, model_type="mistral")
    yield "unknown model_type", changed(LM, model_type="nonesuch")
    yield "model_type is a list", changed(LM, model_type=["llama"])
    yield "no model_type", text(LM, "{}")
    yield "architectures is a number", changed(LM, architectures=3)
    yield "auto_map", lambda folder: code(folder, mark)
    yield "adapter_config.json", adapter
    yield "pytorch_model.bin", pickled
    yield "shards beside a stale file", shard
    yield "no weights", lambda folder: (folder / "lm/model.safetensors").unlink()
    yield "empty weights", text("lm/model.safetensors", b"")
    yield "half the weights", lambda folder: truncate(folder / "lm/model.safetensors")
    yield "a header of 2^60 bytes", text("lm/model.safetensors", (2**60).to_bytes(8, "little") + b"{}")
    yield (
        "a tensor of 2^60 elements",
        lambda folder: header(folder, {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}),
    )
    yield (
        "a tensor of negative size",
        lambda folder: header(folder, {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}),
    )
    yield "a tensor is missing", tensors("lm/model.safetensors", lambda x: x.pop("model.norm.weight"), {"format": "pt"})
    yield (
        "a tensor too many",
        tensors("lm/model.safetensors", lambda x: x.update({"evil": torch.ones(2)}), {"format": "pt"}),
    )
    yield (
        "a tensor of another shape",
        tensors("lm/model.safetensors", lambda x: x.update({"model.norm.weight": torch.ones(7)}), {"format": "pt"}),
    )
    for key, value in (
        ("quantization_config", {"quant_method": "bitsandbytes", "load_in_4bit": True}),
        ("quantization_config", {"quant_method": "torchao"}),
        ("quantization_config", "x"),
        ("attn_implementation", "evil/kernel"),
        ("_attn_implementation", "kernels-community/flash-attn"),
        ("_attn_implementation", "flash_attention_2"),
        ("_attn_implementation", {"": "evil/kernel"}),
        ("experts_implementation", "evil/kernel"),
        ("use_kernels", True),
        ("kernel_config", {"RMSNorm": "evil/kernel:RMSNorm"}),
        ("fusion_config", {"a": 1}),
        ("transformers_weights", "../../elsewhere/model.safetensors"),
        ("transformers_weights", "adapter_model.bin"),
        ("configuration_files", ["config.4.0.0.json"]),
        ("hidden_act", "nonesuch"),
        ("hidden_act", ["silu"]),
        ("dtype", "nonesuch"),
        ("dtype", 7),
        ("torch_dtype", "load"),
        ("rope_parameters", [1]),
        ("rope_parameters", {"rope_type": "nonesuch"}),
        ("rope_parameters", {"rope_type": "default", "rope_theta": "x"}),
        ("tie_word_embeddings", "no"),
        ("num_labels", 10**9),
        ("layer_types", ["full_attention"] * 3),
        ("is_encoder_decoder", True),
        ("get_text_config", 1),
        ("__class__", "x"),
        ("__dict__", {}),
        ("to_dict", 1),
        ("pad_token_id", "x"),
        ("attention_bias", True),
        ("mlp_bias", True),
    ):
        yield f"{key}: {str(value)[:60]}", changed(LM, **{key: value})
    for name in (LM, LAYOUT, "provenance.json", "parts/vocoder/artifact.json", ALPHABET, TOKENIZER):
        yield f"{name} 200,000 levels", text(name, DEEP)
        yield f"{name} empty", text(name, "")
        yield f"{name} a list", text(name, "[1]")
        yield f"{name} not UTF-8", text(name, b'{"a": "\xff"}')
    for name in (LM, LAYOUT, "provenance.json", "parts/vocoder/artifact.json", ALPHABET):
        yield f"{name} 300 levels", text(name, '{"a":' * 300 + "1" + "}" * 300)
        yield f"{name} NaN", lambda folder, name=name: nan(folder / name)
        yield f"{name} a key twice", lambda folder, name=name: twice(folder / name)
        yield f"{name} lone surrogate", lambda folder, name=name: lone_surrogate(folder / name)
    yield f"{LM} of 9 MB", changed(LM, junk="x" * (9 << 20))
    yield f"{LAYOUT} of 17 MB", changed(LAYOUT, junk="x" * (17 << 20))
    yield "generation_config.json 200,000 levels", text("lm/generation_config.json", DEEP)
    yield "generation_config.json a list", text("lm/generation_config.json", "[1]")
    yield "generation_config.json of strings", text("lm/generation_config.json", '{"num_beams": "x", "top_k": []}')
    for key, value in (
        ("streams", [["speech/0", 2**60]]),
        ("streams", [["speech/0", 256], ["speech/0", 256]]),
        ("streams", [["x/" * 1000, 1]]),
        ("streams", [[f"speech/{i}", 1] for i in range(100_000)]),
        ("streams", "speech"),
        ("text_size", 2**60),
        ("text_size", -1),
        ("text_size", "x"),
        ("text_hash", "0" * 100_000),
        ("controls", {}),
        ("hash", 1),
        ("reads", []),
        ("reads", {"role": "speech"}),
        ("layouts", []),
        ("layouts", {}),
        ("layouts.speech", {"role": "speech", "pattern": None, "streams": []}),
        ("layouts.speech", {"role": ["speech"], "pattern": None, "streams": [{}]}),
        ("layouts.speech.role", "text"),
        ("layouts.speech.pattern", ["flatten"]),
        ("layouts.speech.pattern", "delay"),
        ("layouts.speech.pattern", {"component": ["x"], "revision": 1, "options": {}}),
        ("layouts.speech.pattern", {"component": "flatten", "revision": "1", "options": {}}),
        ("layouts.speech.pattern", {"component": "flatten", "revision": [1], "options": {}}),
        ("layouts.speech.pattern", {"component": "evil:evil/evil", "revision": 1, "options": {}}),
        ("layouts.speech.pattern.options", {"name": "delay", "x" * 1000: DEEP}),
        ("layouts.speech.streams", [{"name": "unit", "size": 256, "frame_rate_hz": 1e300}]),
        ("layouts.speech.streams", [{"name": "unit", "size": 256, "frame_rate_hz": "fast"}]),
        ("layouts.speech.streams", [{"name": "unit", "size": "256", "frame_rate_hz": None}]),
        ("writes.role", "text"),
    ):
        yield f"{LAYOUT} {key}: {str(value)[:60]}", within(LAYOUT, key, value)
        if key != "hash":
            yield f"{LAYOUT} {key}: {str(value)[:60]}, signed", signed(within(LAYOUT, key, value))
    yield "text tokenizer of nothing", text(TOKENIZER, "{}")
    yield "text tokenizer with an added token beyond the text", beyond_the_text
    yield "text tokenizer cut", lambda folder: truncate(folder / TOKENIZER)
    yield "provenance without parts", changed("provenance.json", parts=[])
    yield "provenance without an LM", changed("provenance.json", lm="x")
    yield "provenance of another part", within("provenance.json", "parts.vocoder.weights", "0" * 64)
    yield "provenance revision is text", within("provenance.json", "parts.vocoder.revision", "1")
    yield "provenance contents is a list", within("provenance.json", "parts.vocoder.contents", [1])
    yield "part's files are others", within("parts/vocoder/artifact.json", "files", {})
    yield "alias bomb", added("config.yaml", BOMB)
    for line in (
        "a: !!float x",
        "a: !!int ''",
        "a: !!timestamp x",
        "a: !!python/object/apply:os.system [ls]",
        "a: !!binary aGk=",
        "a: " + "[" * 500,
        "a: " + DEEP,
        "a: &a [*a]",
        "seed: 1",
        "a: .nan",
        "? [a]\n: b",
        "a: \x01",
        "plugins: [${oc.env:HOME}]",
        "plugins: ['${name}']",
        "a: " + "'x " * 400_000 + "'",
        "a: " + "1" * 5000,
    ):
        yield f"config.yaml and {line[:40]!r}", added("config.yaml", line + "\n")
    yield "config.yaml not UTF-8", text("config.yaml", b"name: \xff")
    yield "config.yaml a list", text("config.yaml", "- a")
    yield "seed is a list", yaml_changed(seed=[1])
    yield "tokenizer is a list", yaml_changed(tokenizer=[1])
    yield "tokenizers and tokenizer", yaml_changed(tokenizers={"x": 1})
    yield "tasks are deep", yaml_changed(tasks={"a": 1})
    yield "plugins is a mapping", yaml_changed(plugins={"a": 1}, backbone={"name": "nonesuch"})
    yield "lm.pattern", yaml_changed(lm={"pattern": "delay"})
    sizes: dict[str, tuple[Any, ...]] = {"layers": (10**9, 0, "x"), "width": (2**40, -1), "kernel": (2**40,)}
    for key, value in ((key, value) for key, values in sizes.items() for value in values):
        yield f"tokenizer of {key}: {value}", option("tokenizer.tokenizer", **{key: value})
    yield "tokenizer of other clusters", option("tokenizer.tokenizer", clusters=16)
    yield "tokenizer of other features", option("tokenizer.tokenizer", features="layer")
    sizes = {"layers": (10**9, 10**5, -1), "units": (2**60, None), "width": (2**19, "x"), "more": (1,)}
    for key, value in ((key, value) for key, values in sizes.items() for value in values):
        shape = {"units": 256, "frames_per_unit": 4, "width": 192, "layers": 5, "fine_layers": 1, "longest": 50}
        stated = {"shape": json.dumps(shape | {key: value})}
        yield f"voice of {key}: {value}", tensors(VOICE, lambda x: None, stated)
    yield "voice without a shape", tensors(VOICE, lambda x: None)
    yield "voice of a deep shape", tensors(VOICE, lambda x: None, {"shape": DEEP})
    yield "voice without a tensor", tensors(VOICE, lambda x: x.popitem(), {"shape": "{}"})
    yield "codebook of nothing", tensors(CODEBOOK, lambda x: x.clear() or x.update(a=torch.ones(1)))
    yield "codebook of one dimension", tensors(CODEBOOK, lambda x: x.update(centroids=torch.ones(256)))
    yield "codebook of other features", tensors(CODEBOOK, lambda x: x.update(centroids=torch.ones(256, 3)))
    yield "codebook cut", lambda folder: truncate(folder / CODEBOOK)
    yield "encoder without a tensor", tensors(ENCODER, lambda x: x.popitem())
    yield "encoder cut", lambda folder: truncate(folder / ENCODER)
    yield "alphabet of a number", text(ALPHABET, '{"symbols": 5}')
    yield "alphabet of more", text(ALPHABET, json.dumps({"symbols": "ab" * 1000}))


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def nan(path: Path) -> None:
    """Add a NaN."""
    path.write_text('{"nan": NaN,' + path.read_text().strip()[1:])


def twice(path: Path) -> None:
    """Name a key twice."""
    path.write_text('{"twice": 1, "twice": 2,' + path.read_text().strip()[1:])


def lone_surrogate(path: Path) -> None:
    """Add half of a surrogate pair."""
    path.write_text('{"half": "\\ud800",' + path.read_text().strip()[1:])


def beyond_the_text(folder: Path) -> None:
    """Give a text the id of a control, under a layout that is signed anew."""
    import hashlib

    path = folder / TOKENIZER
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["control"] = 1028
    path.write_text(json.dumps(tokenizer))
    names = sorted(p for p in (folder / "lm/text_tokenizer").iterdir())
    digest = hashlib.sha256()
    for file in names:
        digest.update(f"{file.name}:{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    signed(changed(LAYOUT, text_hash=digest.hexdigest()))(folder)


def signed(attack: Attack) -> Attack:
    """Return the attack with the layout's hash made anew."""

    def both(folder: Path) -> None:
        attack(folder)
        layout = json.loads((folder / LAYOUT).read_text())
        layout.pop("hash", None)
        (folder / LAYOUT).write_text(json.dumps({**layout, "hash": key_of(layout)}))

    return both


def reseal(folder: Path) -> None:
    """Sign the files anew, part by part, as their maker could."""
    for part in (folder / "parts").iterdir():
        try:
            old = Artifact.open(part, verify=False)
        except ArecaError:
            continue  # its artifact.json is what is attacked
        if not old.files:
            continue
        new = seal(part, old.key, old.inputs, old.label)
        provenance = folder / "provenance.json"
        with contextlib.suppress(ValueError):  # it is attacked itself
            provenance.write_text(provenance.read_text().replace(old.fingerprint, new.fingerprint))
    old = Artifact.open(folder, verify=False)
    seal(folder, old.key, old.inputs, old.label)


def measured(call: Callable[[], str]) -> dict[str, Any]:
    """Return what `call` prints or raises, and the computing time that it takes; what hangs is stopped."""
    start_s = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, 120)
    try:
        said = call()
    except BaseException as e:
        said = "".join(traceback.format_exception_only(e)) + traceback.format_exc(limit=-3)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {"said": said[-2000:], "took_s": round(time.process_time() - start_s, 2)}


def run(folder: Path, sound: Path) -> str:
    """Return what ``areca run`` writes to standard error if it fails in a proper way."""
    question = ["run", str(folder), str(sound), "--task", "s2st", "--source", "French", "--target", "English"]
    done = CliRunner().invoke(app, [*question, "-o", str(folder.parent / "out.wav")], input="y\ny\n")
    if isinstance(done.exception, SystemExit) and done.exit_code == 1:
        return done.stderr
    if done.exception is None or isinstance(done.exception, SystemExit):
        return f"exit {done.exit_code}"
    raise done.exception


def loaded(folder: Path) -> str:
    """Return what `SpeechLM.load` says."""
    try:
        SpeechLM.load(folder / "lm", Registry.discover())
    except ArecaError as e:
        return f"error: {e}"
    return "exit 0"


def main(folder: Path, mark: Path, sound: Path, every: int) -> None:
    """Run every attack, or one of `every` so many."""
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("took too long")))
    artifact.sync = lambda path: None  # a disk would wait four thousand times
    whole = folder.parent / "whole"
    shutil.copytree(folder, whole)
    reseal(whole)
    print(json.dumps({"name": "none", **measured(lambda: run(whole, sound))}), flush=True)
    print(json.dumps({"name": "none, LM", **measured(lambda: loaded(whole))}), flush=True)
    here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + COUNTED,) * 2)
    for name, attack in itertools.islice(attacks(mark), 0, None, every):
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        attack(folder)
        reseal(folder)
        print(json.dumps({"name": name, **measured(lambda: run(folder, sound))}), flush=True)
    shutil.rmtree(folder)
    shutil.copytree(whole, folder)
    plain = (folder / LM).read_text()
    for key, value in itertools.islice(itertools.product(NUMBERS, VALUES), 0, None, every):
        changed(LM, **{key: value})(folder)
        print(json.dumps({"name": f"{key}: {str(value)[:30]}", **measured(lambda: loaded(folder))}), flush=True)
        (folder / LM).write_text(plain)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), int(sys.argv[4]))
