"""The shipped checkpoint with files changed, its seals made good again: what a stranger's checkpoint may hold."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from pathlib import Path
from random import Random
from typing import Any

import torch
from hypothesis import strategies as st

from areca.artifact import META
from areca.options import key_of
from areca.system import NANO, load
from areca.types import Audio
from tests.fuzz.inputs import Input
from tests.fuzz.mutate import VALUES, damaged, nested
from tests.fuzz.yamls import HOSTILE, changed_yaml, random_place

INPUTS = 600
WRITES = False
_KEYS: dict[str, Any] = {
    "auto_map": {"AutoConfig": "x.C", "AutoModelForCausalLM": "x.M"},
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    "model_type": "mamba",
    "architectures": ["GPT2LMHeadModel"],
    "_attn_implementation": "kernels-community/flash-attn",
    "use_kernels": True,
    "torch_dtype": "float4",
    "dtype": 7,
    "tie_word_embeddings": False,
    "rope_scaling": {"type": "x", "factor": "y"},
    "vocab_size": 2**40,
    "num_hidden_layers": 10**9,
    "tokenizer_class": "../x",
    "chat_template": "{{ ''.__class__ }}",
    "base_model_name_or_path": "../outside",
}
_ADDED = {
    "lm/adapter_config.json": b'{"base_model_name_or_path": "../../outside", "peft_type": "LORA"}',
    "lm/pytorch_model.bin": b"\x80\x04cos\nsystem\n(S'id'\ntR.",
    "lm/model.safetensors.index.json": b'{"metadata": {}, "weight_map": {"x": "../../outside/victim.wav"}}',
    "lm/model-00001-of-00002.safetensors": b"\x08\0\0\0\0\0\0\0{}      ",
    "lm/x.py": b"raise SystemError('ran code')\n",
    "lm/special_tokens_map.json": b'{"eos_token": 7}',
    "lm/generation_config.json": b'{"max_length": -1, "num_beams": "x"}',
    "plugin.py": b"raise SystemError('ran code')\n",
}
_ODD = {"weird": "\ud800", "long": "y" * 100_000}


def prepare(folder: Path) -> None:
    """Copy the shipped checkpoint."""
    shutil.copytree(NANO, folder, dirs_exist_ok=True)


@st.composite
def strategy(draw: st.DrawFn, folder: Path) -> Input:
    """Draw the files that differ from the shipped ones; no bytes: the file is missing."""
    random = Random(draw(st.integers(0, 2**64 - 1)))
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    changed: dict[str, bytes] = {}
    missing: list[str] = []
    for _ in range(draw(st.sampled_from((1, 1, 1, 2)))):
        name = draw(st.sampled_from(names))
        content = (folder / name).read_bytes()
        kind = draw(st.sampled_from(("structure",) * 8 + ("bytes", "bytes", "added", "missing")))
        if kind == "missing":
            missing.append(name)
        elif kind == "added":
            added = draw(st.sampled_from(sorted(_ADDED)))
            changed[added] = _ADDED[added]
        elif kind == "bytes":
            changed[name] = damaged(content, random, content[:2000])
        else:
            changed[name] = _structure(name, content, draw, random)
    return Input(changed, {"missing": missing, "sealed": draw(st.integers(0, 9)) > 0})


def _structure(name: str, content: bytes, draw: st.DrawFn, random: Random) -> bytes:
    if name.endswith(".yaml"):
        import yaml

        hostile = draw(st.integers(0, 3)) == 0
        start = draw(st.sampled_from(HOSTILE)).encode() if hostile else b""
        return start + changed_yaml(yaml.safe_load(content), draw, random)
    if name.endswith(".safetensors"):
        (size,) = struct.unpack("<Q", content[:8])
        said = _json(json.loads(content[8 : 8 + size]), draw, random)
        length = draw(st.sampled_from((len(said), len(said), len(said), 0, 2**63, len(content))))
        return struct.pack("<Q", length) + said + content[8 + size :]
    return _json(json.loads(content), draw, random)


def _json(tree: Any, draw: st.DrawFn, random: Random) -> bytes:
    whole = draw(st.integers(0, 30))
    if whole == 0:
        return b"[" * 200_000 + b"]" * 200_000
    if whole == 1:
        return json.dumps(draw(st.sampled_from(VALUES))).encode()
    for _ in range(draw(st.integers(1, 2))):
        if isinstance(tree, dict) and draw(st.integers(0, 2)) == 0:
            key = draw(st.sampled_from(sorted(_KEYS)))
            tree[key] = _KEYS[key]
            continue
        # A tokenizer's file is nearly all words: take what stands at the top as often.
        place, key = (
            (tree, random.choice(list(tree)))
            if isinstance(tree, dict) and tree and draw(st.booleans())
            else (random_place(tree, random))
        )
        if place is not None and draw(st.integers(0, 4)) == 0:
            del place[key]
        elif place is not None:
            place[key] = draw(st.sampled_from((*VALUES, *_ODD.values(), nested(300))) | st.integers() | st.floats())
    return json.dumps(tree).encode()


def _seal(folder: Path, beside: str = "") -> None:
    """Write the hashes of what is there into an artifact's ``artifact.json``, where that is still one."""
    try:
        meta = json.loads((folder / META).read_bytes())
        paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).as_posix() != META)
        files = {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
        meta["files"] = files
        meta["fingerprint"] = key_of({"key": meta["key"], "files": files})
        (folder / META).write_text(json.dumps(meta))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return


def run(folder: Path, arguments: Any) -> None:
    """Seal and load it, and transcribe a third of a second."""
    whole = folder.parent / "checkpoint"
    system = load(whole)
    secret = json.dumps(system.run_config.source, default=str)
    assert "fuzz-secret" not in secret, "the environment was copied into a checkpoint's config"
    sound = Audio(0.1 * torch.sin(torch.arange(5000) / 10)[None], 16_000)
    system.run("asr", audio=sound, source="fr")
    _ = system.vocoder


def arrange(folder: Path, arguments: Any) -> None:
    """Put the changed files over a copy of the shipped checkpoint, and seal its parts, then all of it."""
    whole = folder.parent / "checkpoint"
    shutil.copytree(NANO, whole, copy_function=shutil.copyfile)
    shutil.copytree(folder, whole, dirs_exist_ok=True)
    for name in arguments["missing"]:
        (whole / name).unlink(missing_ok=True)
    if arguments["sealed"]:
        for part in sorted(whole.glob("parts/*")):
            _seal(part)
        _seal(whole)
