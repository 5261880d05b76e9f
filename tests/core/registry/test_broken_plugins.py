"""An invalid plugin never breaks a verb; the error of a local plugin names its file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOOK = "\n@hookimpl\ndef areca_components():\n    {}\n"

ROWS = {
    "kind_unknown": (
        "dataclasses.replace(row('x'), kind='gadget')",
        "with the unknown kind 'gadget'",
    ),
    "kind_near": ("dataclasses.replace(row('x'), kind='tokeniser')", "did you mean 'tokenizer'?; expected one of"),
    "kind_none": ("dataclasses.replace(row('x'), kind=None)", "kind of 'x' is None, expected the name of a kind"),
    "name_number": ("row(7)", "component name 7: expected lowercase words"),
    "name_odd": ("row('\\x1b[31mred')", r"component name '\x1b[31mred': expected lowercase words"),
    "name_long": ("row('A' * 10_000)", "component name 'AAA"),
    "summary_none": ("dataclasses.replace(row('x'), summary=None)", "summary of 'x' is None, expected one line"),
    "summary_lines": ("dataclasses.replace(row('x'), summary='a\\nb')", r"summary of 'x' is 'a\nb', expected one line"),
    "summary_half": ("dataclasses.replace(row('x'), summary='\\ud800')", r"summary of 'x' is '\ud800', expected one"),
    "spec_function": ("dataclasses.replace(row('x'), spec=spec)", "spec of 'x' is <function spec"),
    "target_none": ("dataclasses.replace(row('x'), target=None)", "target of 'x' is None, expected 'package.module"),
    "requires_text": ("row('x', requires='torch')", "requires of 'x' is 'torch', expected a tuple of top-level"),
    "requires_none": ("row('x', requires=None)", "requires of 'x' is None, expected a tuple"),
    "requires_deep": ("row('x', requires=('json.decoder',))", "requires of 'x' is ('json.decoder',), expected"),
    "requires_number": ("row('x', requires=(7,))", "requires of 'x' is (7,), expected a tuple"),
    "tags_text": ("row('x', tags='fit')", "tags of 'x' is 'fit', expected a set"),
    "tags_mixed": ("row('x', tags=frozenset({1, 'fit'}))", "expected a set, like frozenset({'decode'})"),
    "needs_none": ("row('x', needs=None)", "needs of 'x' is None, expected {'semantic'"),
    "needs_kind": ("row('x', needs={'inner': 'codec'})", "declares 'x' with the unknown kind 'codec'"),
    "needs_number": ("row('x', needs={'inner': 3})", "needs of 'x' is {'inner': 3}, expected"),
    "tag_of_another": (
        "row('x', tags=frozenset({'acme/live'}))",
        "tags that this plugin defines begin with 'tag_of",
    ),
    "needs_key": ("row('x', needs={3: Kind.TOKENIZER})", "needs of 'x' is {3: <Kind.TOKENIZER"),
    "needs_tags_text": ("row('x', needs={'a': Kind.TOKENIZER}, needs_tags={'a': 'fit'})", "needs_tags of 'x' is {'a'"),
    "revision_text": ("row('x', revision='2')", "revision of 'x' is '2', expected a whole number, 1 or more"),
    "revision_true": ("row('x', revision=True)", "revision of 'x' is True, expected a whole number"),
    "reads_list": (
        "row('x', revision=3, loads_revisions=[2])",
        "loads_revisions of 'x' is [2], expected a set of earlier revisions",
    ),
    "extra_list": ("row('x', extra=['a'])", "extra of 'x' is ['a'], expected one line of text or None"),
    "paper_number": ("row('x', paper=2306)", "paper of 'x' is 2306, expected one line of text or None"),
    "license_number": ("row('x', license=2)", "license of 'x' is 2, expected one line of text or None"),
    "check_list": ("row('x', check=[1])", "check of 'x' is [1], expected options"),
    "config_instance": ("dataclasses.replace(row('x'), config=Config())", "config of 'x': expected a dataclass type"),
    "config_words": (
        "dataclasses.replace(row('x'), config='Config')",
        "config of 'x': expected a dataclass type or 'package.module:name', got 'Config'",
    ),
    "config_unresolved": ("dataclasses.replace(row('x'), config=Lost)", "type of a field cannot be resolved: name 'No"),
    "config_default": ("dataclasses.replace(row('x'), config=Raising)", "ZeroDivisionError: integer division"),
    "around_the_rules": ("around(row('x'))", "kind of 'x' is 7, expected the name of a kind"),
    "subclass": ("lax()", "which is not an areca.Component"),
    "hostile_object": ("Hostile()", "RuntimeError: no repr"),
    "hostile_error": ("raise_(HostileError())", "HostileError: its message cannot be read (RuntimeError)"),
    "long_error": ("raise_(ValueError('long ' * 10_000))", "ValueError: long long"),
    "stops": ("raise_(Stop('enough'))", "Stop: enough"),
    "many_lines": ("raise_(ValueError('one\\ntwo\\nthree'))", "ValueError: one two three"),
}
"""A component that cannot be used, and what `areca list` says of its plugin."""

MODULES = {
    "no_list": ("return 7", "TypeError: 'int' object is not iterable"),
    "endless": ("while True: yield row('x')", "declares tokenizer 'x' twice"),
    "half": ("yield row('x')\n    1 / 0", "ZeroDivisionError: division by zero"),
}
STRANGE = """
import dataclasses
from areca import Component as _Component

class Lax(_Component):
    def __post_init__(self): pass
    def __eq__(self, other): raise RuntimeError("no eq")

def lax():
    plain = row("x")
    return Lax(**{f.name: getattr(plain, f.name) for f in dataclasses.fields(plain)} | {"kind": "metric"})

class Hostile:
    def __eq__(self, other): raise RuntimeError("no eq")
    def __repr__(self): raise RuntimeError("no repr")

class HostileError(Exception):
    def __str__(self): raise RuntimeError("no text")

class Stop(BaseException): pass

@dataclass(frozen=True)
class Lost:
    size: "NoSuchType" = 1

@dataclass(frozen=True)
class Raising:
    size: int = dataclasses.field(default_factory=lambda: 1 // 0)

def around(component):
    object.__setattr__(component, "kind", 7)
    return component

def raise_(error):
    raise error
"""


@pytest.fixture(scope="module")
def shop(make_world: Callable[[], Any], plugin_code: str) -> Any:
    """A world with one good plugin and every kind of broken one."""
    world = make_world()
    world.distribution("good", {"good": plugin_code + HOOK.format("return [row('gadget')]")})
    rows = {name: plugin_code + STRANGE + HOOK.format(f"return [{code}]") for name, (code, _) in ROWS.items()}
    modules = {name: plugin_code + HOOK.format(code) for name, (code, _) in MODULES.items()}
    odd = {"hook_arguments": plugin_code + HOOK.replace("()", "(x)").format("return [row('x')]")}
    world.distribution("odd", rows | modules | odd)
    world.distribution("unreadable", {})
    (world.site / "unreadable-1.0.dist-info" / "entry_points.txt").write_text("[areca]\nno equals sign\n")
    world.distribution("double", {"double": plugin_code + HOOK.format("return [row('double')]")})
    (world.site / "double-1.0.dist-info" / "entry_points.txt").write_text("[areca]\ndouble = double\ndouble = good\n")
    return world


@pytest.fixture(scope="module")
def broken(shop: Any) -> dict[str, str]:
    """What `areca list --json` says of each broken plugin."""
    done = shop.areca("list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    listed = json.loads(done.stdout)
    theirs = {row["qualified"] for row in listed["components"] if not row["qualified"].startswith("areca:")}
    assert {"good:good/gadget", "double:double/double"} <= theirs
    assert not [name for name in theirs if name.startswith(("odd:", "unreadable:"))]
    return {row["plugin"]: row["error"] for row in listed["broken"]}


@pytest.mark.parametrize(("plugin", "message"), [(name, m) for name, (_, m) in (ROWS | MODULES).items()])
def test_an_invalid_declaration_breaks_only_its_plugin(broken: dict[str, str], plugin: str, message: str) -> None:
    assert message in broken[plugin]
    assert len(broken[plugin]) < 500 and "\n" not in broken[plugin]


def test_metadata_that_cannot_be_read_and_hooks_that_cannot_be_called(broken: dict[str, str]) -> None:
    assert "entry_points.txt" in broken
    assert broken["double"] == "BrokenPlugin: double has two plugins that are called 'double'"
    assert broken["hook_arguments"].startswith("PluginValidationError: ")


@pytest.mark.parametrize("verb", [["list"], ["doctor"], ["show", "gadget"], ["config", "gadget"]])
def test_no_verb_is_broken_by_it(shop: Any, verb: list[str]) -> None:
    done = shop.areca(*verb)
    assert done.stderr == ""
    assert done.returncode == (verb == ["doctor"])
    assert "gadget" in done.stdout
    if verb in (["list"], ["doctor"]):
        assert "declares 'x' with the unknown kind 'gadget'; expected one of tokenizer, " in done.stdout


SPECS = {
    "raises": ("return 1 // 0", "'sp:spec' failed: ZeroDivisionError"),
    "nothing": ("return None", "'sp:spec' returned None, expected TokenizerSpec"),
    "other": (
        "from areca.specs import TaskSpec\n    return TaskSpec((), ('source.text',))",
        "returned TaskSpec(inputs=(), outputs=('source.text',)",
    ),
    "no_streams": ("return TokenizerSpec(None, 16_000)", "streams is None, expected a tuple of areca.specs.Stream"),
    "no_rate": ("return TokenizerSpec((Stream('a', 2, 25.0),), '16')", "sample_rate_hz is '16', expected"),
    "no_size": ("return TokenizerSpec((Stream('a', '2', 25.0),), 16_000)", "size must be at least 1, got '2'"),
}


@pytest.mark.parametrize("case", SPECS)
def test_a_spec_that_fails_is_one_line_of_validate(world: Any, plugin_code: str, case: str) -> None:
    code, message = SPECS[case]
    text = plugin_code.replace("    return TokenizerSpec", f"    {code}\n    return TokenizerSpec")
    (world.directory / "sp.py").write_text(text + HOOK.format("return [row('gadget')]"))
    run = "plugins: [./sp.py]\ntokenizer: {name: gadget}\nbackbone: {name: decoder}\ntasks: [asr]\n"
    (world.directory / "run.yaml").write_text(run)
    done = world.areca("validate", "run.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ") and message in done.stderr and "Traceback" not in done.stderr


def test_a_default_that_is_not_yaml_is_shown_unchanged(world: Any, plugin_code: str) -> None:
    text = plugin_code.replace("size: int = 16", "size: object = Kind\n    many: range = range(3)\n    one: int = 16")
    (world.directory / "odd.py").write_text(text + HOOK.format("return [row('gadget')]"))
    for verb in ("show", "config"):
        done = world.areca("-p", "./odd.py", verb, "gadget")
        assert (done.returncode, done.stderr) == (0, "")
        assert "range(0, 3)" in done.stdout


OWN = {
    "syntax": ("x = 1\ndef areca_components(:\n", "line 2: SyntaxError: "),
    "api": ("from areca import hookimpl\n" + HOOK.format("return []"), "local:own declares no plugin API, expected"),
    "no_hook": ("ARECA_PLUGIN_API = 1\n", "local:own declares no component: implement the hook areca_components"),
    "unmarked": (
        "ARECA_PLUGIN_API = 1\n\ndef areca_components():\n    return []\n",
        "line 3: areca_components is not",
    ),
    "raises": ("import json\n\n\nx = json.loads('{')\n", "line 4: JSONDecodeError: "),
    "bad_row": (
        "from areca import Component, Kind, hookimpl\nARECA_PLUGIN_API = 1\n@hookimpl\ndef areca_components():\n"
        "    yield Component(kind=Kind.TASK, name='X', config=int, spec='a:b', target='a:b', summary='')\n",
        "line 5: ValueError: component name 'X'",
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_an_error_in_a_local_plugin_names_file_and_line(world: Any, case: str) -> None:
    code, message = OWN[case]
    path: Path = world.directory / "own.py"
    path.write_text(code)
    for name in ("./own.py", "own"):
        done = world.areca("-p", name, "list")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: plugin '{path}' cannot be used: {path}: {message}"), done.stderr
        assert "Traceback" not in done.stderr


def test_an_error_in_a_module_imported_by_a_local_plugin_names_that_module(world: Any) -> None:
    (world.directory / "own.py").write_text("import helper_of_own\n")
    (world.directory / "helper_of_own.py").write_text("\n1 / 0\n")
    done = world.areca("-p", "./own.py", "list")
    assert f"{world.directory / 'helper_of_own.py'}: line 2: ZeroDivisionError" in done.stderr


def test_override_gives_a_name_to_a_local_plugin(world: Any, plugin_code: str) -> None:
    world.distribution("acme", {"acme": plugin_code + HOOK.format("return [row('mfcc-kmeans')]")})
    (world.directory / "own.py").write_text(plugin_code + HOOK.format("return [row('mfcc-kmeans'), row('dedup')]"))
    run = "plugins: [./own.py]\ntokenizer: {name: mfcc-kmeans}\nbackbone: {name: decoder}\ntasks: [asr]\n"
    (world.directory / "run.yaml").write_text(run)
    done = world.areca("validate", "run.yaml")
    assert done.returncode == 1 and "3 plugins provide tokenizer 'mfcc-kmeans'; write one of" in done.stderr
    assert "or choose a plugin in the run's YAML: 'override: [own]'" in done.stderr
    for name, mine in {"own": True, "local:own": True, "own/mfcc-kmeans": True, "units": False}.items():
        done = world.areca("validate", "run.yaml", f"override=[{name}]")
        assert done.returncode == 0 and ("unit[16]" in done.stdout) == mine, done.stderr
    done = world.areca("validate", "run.yaml", "override=[own/dedup]")
    assert done.returncode == 1 and "3 plugins provide" in done.stderr
    done = world.areca("validate", "run.yaml", "override=[owm]")
    assert done.stderr.startswith("error: override: no plugin or component is called 'owm'; did you mean 'own'?")


RESOLVED = """
import json
from pathlib import Path
from areca.run.config import parse_config
from areca.errors import ArecaError
from areca.run.explicit import explicit_config

source = {
    "plugins": ["./own.py"], "override": ["own"],
    "tokenizer": {"name": "mfcc-kmeans"}, "backbone": {"name": "decoder"},
    "tasks": ["asr", {"chain": ["asr", {"name": "ast"}], "weight": 2}, {"name": "s2st"}],
}
kept = explicit_config(parse_config(source, root=Path.cwd()))
print(json.dumps({
    "kept": kept,
    "without": [
        part.entry.qualified for part in parse_config(source, root=Path.cwd(), trusted=False).tokenizers.values()
    ],
    "again": parse_config(kept, root=Path.cwd(), plugins=["own"], trusted=False).tokenizers["speech"].entry.qualified,
}))
"""


def test_a_checkpoint_keeps_full_names_and_overrides_nothing(world: Any, plugin_code: str) -> None:
    """Written as it was in the YAML, the name would mean the built-in part where the checkpoint is used."""
    rows = "row('mfcc-kmeans'), task('ast')"
    task = "def task(name):\n    return dataclasses.replace(row(name), kind=Kind.TASK, spec='own:task_spec')\n"
    spec = "from areca.specs import TaskSpec\n"
    spec += "def task_spec(c, n):\n    return TaskSpec(('source.audio',), ('target.text',))\n"
    code = "import dataclasses\n" + plugin_code + task + spec + HOOK.format(f"return [{rows}]")
    (world.directory / "own.py").write_text(code)
    (world.directory / "own_model.py").write_text("class Model: pass\n")
    found = world.python(RESOLVED)
    assert found["kept"]["tokenizer"]["name"] == "local:own/mfcc-kmeans"
    chain = {"chain": ["asr", {"name": "local:own/ast"}], "weight": 2}
    assert found["kept"]["tasks"] == ["asr", chain, {"name": "s2st"}]
    assert "override" not in found["kept"]
    assert found["without"] == ["areca:units/mfcc-kmeans"]
    assert found["again"] == "local:own/mfcc-kmeans"
