"""Recipes and studies: values put in place of others, hostile YAML, overrides."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import yaml
from hypothesis import strategies as st

from areca.run.config import read_config
from areca.run.explicit import explicit_config
from areca.run.study import read_study
from areca.system import NANO
from tests.fuzz.inputs import Input
from tests.fuzz.mutate import VALUES, damaged, nested

INPUTS = 1700
WRITES = False
_RECIPES = Path(__file__).parents[2] / "recipes"
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
HOSTILE = (
    *(BOMB, "a: &a [*a]\n", "<<: [1]\n", "a: !!float x\n", 'a: !!int ""\n', "a: !!timestamp x\n", "a: !!binary x\n"),
    *(
        "a: !!python/object/apply:os.system [id]\n",
        "a: " + "[" * 500 + "]" * 500 + "\n",
        "? [a]\n: b\n",
        "a: !!set {b}\n",
    ),
    *(
        "name: ${oc.env:FUZZ_SECRET}\n",
        "name: ${name}\n",
        "name: ${seed}\n",
        "name: ${oc.decode:x}\n",
        "%YAML 9.9\n---\n",
    ),
    *("a: 1\na: 2\n", "--- 1\n--- 2\n", "a: \x07\n", "\t- a\n", "plugins: [/nowhere.py, os]\n", "data: {name: say}\n"),
    *("tokenizer: {name: dedup, tokenizer: speech}\n", "a: 1_000:59\n", "a: 2026-13-45\n", "\ufeffname: x\n", "*x\n"),
)
_OVERRIDES = (
    *("training.steps=1e999", "a[0]=1", "=x", "x", "seed=99999999999999999999", "seed=null", "tasks=[]", "tasks=asr"),
    *(
        "tokenizer.name=no",
        "tokenizer=speech",
        "backbone={}",
        "lm.reads=x",
        "lm.pattern=delay",
        "data=no.jsonl",
        "..=1",
    ),
    *(
        "a.b.c.d=${a}",
        "training.report_to=[wandb]",
        "name=" + "x" * 5000,
        "vocoder=null",
        "plugins=[a]",
        "a={b: [c",
        "é=ü",
    ),
)


def prepare(folder: Path) -> None:
    """Copy the recipes, the studies and the shipped checkpoint's config."""
    shutil.copytree(_RECIPES, folder, dirs_exist_ok=True)
    shutil.copy(NANO / "config.yaml", folder / "checkpoint.yaml")


@st.composite
def strategy(draw: st.DrawFn, folder: Path) -> Input:
    """Draw a recipe or a study beside the others, and overrides."""
    random = Random(draw(st.integers(0, 2**64 - 1)))
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*.yaml"))}
    name = draw(st.sampled_from(sorted(files)))
    kind = draw(st.sampled_from(("values", "values", "values", "bytes", "hostile", "added")))
    content = files[name]
    if kind == "values":
        content = changed_yaml(yaml.safe_load(content), draw, random)
    elif kind == "bytes":
        content = damaged(content, random, files[draw(st.sampled_from(sorted(files)))])
    else:
        hostile = draw(st.sampled_from(HOSTILE)).encode()
        content = hostile if kind == "hostile" else hostile + content
    overrides = draw(st.lists(st.sampled_from(_OVERRIDES) | st.text(max_size=12), max_size=3))
    return Input({**files, name: content}, {"name": name, "overrides": overrides if draw(st.booleans()) else []})


def changed_yaml(tree: Any, draw: st.DrawFn, random: Random) -> bytes:
    """Return YAML of `tree` after one to three values have become others."""
    for _ in range(draw(st.integers(1, 3))):
        place, key = random_place(tree, random)
        if place is not None:
            deep = nested(random.choice((3, 60)))
            place[key] = draw(st.sampled_from((*VALUES, deep)) | st.text(max_size=10) | st.integers())
            if isinstance(place, dict) and random.random() < 0.2:
                place[random.choice(VALUES[:30])] = place.pop(key)
    return yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", errors="surrogatepass")


def random_place(tree: Any, random: Random) -> tuple[Any, Any]:
    """Return a mapping or list inside `tree`, and one of its keys; (None, None) where it is empty."""
    places = []
    stack = [tree]
    while stack:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        places += [(node, key) for key in keys]
        stack += [node[key] for key in keys]
    return random.choice(places) if places else (None, None)


def run(folder: Path, arguments: Any) -> None:
    """Read it as a run or a study, and say every option of it."""
    path = folder / arguments["name"]
    if "ablations" in path.parts:
        read_study(path)
    else:
        run = read_config(path, arguments["overrides"])
        if run.backbone.name == "decoder":  # others may ask a hub for the commit that they name
            explicit_config(run)
