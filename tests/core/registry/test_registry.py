"""Discovery of valid and invalid plugins in real distributions, and its messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

HOOK = """
@hookimpl
def areca_components():
    return [{}]
"""

SURVEY = """
import json
from areca.component import Kind
from areca.errors import ArecaError
from areca.registry.registry import Registry

registry = Registry.discover()

def outcome(call):
    try:
        return str(call())
    except ArecaError as e:
        return f"{type(e).__name__}: {e}"

def find(name, kind=Kind.TOKENIZER):
    return outcome(lambda: registry.find(kind, name).qualified)

print(json.dumps({
    "names": [e.qualified for e in registry.entries(Kind.TOKENIZER)],
    "broken": {b.provider.plugin: str(b) for b in registry.broken},
    "found": {n: find(n) for n in ("gadget", "gadgit", "twin", "twin_a/twin", "twin-a:twin_a/twin",
                                   "twin-b:twin_b/twin", "good:nothing/gadget")},
    "other kind": find("gadget", Kind.VOCODER),
    "missing": registry.find(Kind.TOKENIZER, "gadget").missing(),
    "heavy": outcome(lambda: registry.find(Kind.TOKENIZER, "gadget").target()),
    "heavy without extra": outcome(lambda: registry.find(Kind.TOKENIZER, "gadget-2").target()),
    "no module": outcome(lambda: registry.find(Kind.TOKENIZER, "hollow").target()),
}))
"""


@pytest.fixture(scope="module")
def survey(make_world: Callable[[], Any], plugin_code: str) -> dict[str, Any]:
    """What one process makes of a world of good, broken and ambiguous plugins."""
    world = make_world()
    rows = "row('gadget', requires=('no_engine',), extra='engine'), row('gadget-2', requires=('no_engine', 'json'))"
    world.distribution("good", {"good": plugin_code + HOOK.format(rows + ", row('hollow')")}, "2.5")
    for letter in "ab":
        world.distribution(f"twin-{letter}", {f"twin_{letter}": plugin_code + HOOK.format("row('twin')")}, f"{letter}1")
    broken = {
        "raises": "raise RuntimeError('boom')",
        "exits": "raise SystemExit('enough')",
        "misspelt_hook": plugin_code + HOOK.replace("areca_components", "areca_component").format("row('x')"),
        "no_hook": plugin_code,
        "unmarked_hook": plugin_code + HOOK.replace("@hookimpl", "").format("row('x')"),
        "nothing": plugin_code + HOOK.format(""),
        "no_component": plugin_code + HOOK.format("'gadget'"),
        "twice": plugin_code + HOOK.format("row('x'), row('x')"),
        "old_api": plugin_code.replace("ARECA_PLUGIN_API = 1", "ARECA_PLUGIN_API = 0") + HOOK.format("row('x')"),
        "no_api": plugin_code.replace("ARECA_PLUGIN_API = 1", "") + HOOK.format("row('x')"),
        "bad_name": plugin_code + HOOK.format("row('My_Codec')"),
        "bad_tag": plugin_code + HOOK.format("row('x', tags=frozenset({'decodes'}))"),
        "bad_need": plugin_code + HOOK.format("row('x', needs={'size': Kind.TOKENIZER})"),
        "bad_needs_tags": plugin_code + HOOK.format("row('x', needs_tags={'inner': frozenset({'decode'})})"),
        "bad_reads": plugin_code + HOOK.format("row('x', revision=3, loads_revisions=frozenset({2, 3}))"),
        "thawed": plugin_code.replace("frozen=True, ", "") + HOOK.format("row('x')"),
    }
    world.distribution("bad", broken)
    (world.site / "raises.py").rename(world.site / "raises_.py")  # `raises` is an entry point without a module
    world.distribution("worse", {"raises_in_hook": plugin_code + HOOK.format("1 / 0"), "raises_": broken["raises"]})
    result = world.python(SURVEY)
    assert isinstance(result, dict)
    return result


def test_installed_components_are_found(survey: dict[str, Any]) -> None:
    assert "good:good/gadget" in survey["names"]
    assert survey["found"]["gadget"] == "good:good/gadget"


def test_broken_plugins_hide_nothing_and_declare_nothing(survey: dict[str, Any]) -> None:
    theirs = [name for name in survey["names"] if name.startswith(("bad:", "worse:"))]
    assert theirs == []
    assert len([name for name in survey["names"] if name.startswith(("good:", "twin-"))]) == 5


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        ("raises", "bad:raises (1.0): ModuleNotFoundError: No module named 'raises'"),
        ("raises_", "worse:raises_ (1.0): RuntimeError: boom"),
        ("raises_in_hook", "worse:raises_in_hook (1.0): ZeroDivisionError: division by zero"),
        ("exits", "bad:exits (1.0): BrokenPlugin: exits: enough"),
        ("misspelt_hook", "implements a hook that does not exist: 'areca_component'; did you mean 'areca_components'?"),
        ("no_hook", "declares no component: implement the hook areca_components"),
        ("unmarked_hook", "areca_components is not marked as a hook implementation: mark it with @areca.hookimpl"),
        ("nothing", "declares no component: implement the hook areca_components"),
        ("no_component", "declares 'gadget', which is not an areca.Component"),
        ("twice", "declares tokenizer 'x' twice"),
        ("old_api", "declares plugin API 0, expected 1: its module needs 'ARECA_PLUGIN_API = 1'"),
        ("no_api", "declares no plugin API, expected 1: its module needs 'ARECA_PLUGIN_API = 1'"),
        ("bad_name", "component name 'My_Codec': expected lowercase words joined by '-', like 'my-codec'"),
        (
            "bad_tag",
            "tags of 'x': ['decodes'] unknown; expected ['codebooks', 'decode', 'features', 'fit', 'resume'",
        ),
        ("bad_need", "need 'size' of 'x' is also the name of an option: rename one of them"),
        ("bad_needs_tags", "needs_tags of 'x': ['inner'] are not needs of it; expected names from []"),
        ("bad_reads", "loads_revisions of 'x': [3] must be from 1 to 2, before revision 3"),
        ("thawed", "config of 'x': Config must be @dataclass(frozen=True)"),
    ],
)
def test_broken_plugin_says_why(survey: dict[str, Any], plugin: str, message: str) -> None:
    assert message in survey["broken"][plugin]


def test_unknown_name_suggests_the_nearest_and_lists_the_broken(survey: dict[str, Any]) -> None:
    message = survey["found"]["gadgit"]
    assert message.startswith("UnknownComponent: no tokenizer is called 'gadgit'; did you mean 'gadget'?")
    assert "  installed: " in message and " gadget, gadget-2, " in message
    assert "  broken: worse:raises_ (1.0): RuntimeError: boom" in message


def test_unknown_name_says_where_it_is_known(survey: dict[str, Any]) -> None:
    assert "other kind: there is a tokenizer 'gadget'" in survey["other kind"]


def test_one_name_twice_is_ambiguous_and_the_names_offered_resolve(survey: dict[str, Any]) -> None:
    message = survey["found"]["twin"]
    assert message.startswith("AmbiguousComponent: 2 plugins provide tokenizer 'twin'; write one of\n")
    offered = [line.split()[0] for line in message.splitlines()[1:-1]]
    assert offered == ["twin-a:twin_a/twin", "twin-b:twin_b/twin"]
    assert [survey["found"][name] for name in offered] == offered
    assert survey["found"]["twin_a/twin"] == "twin-a:twin_a/twin"


def test_missing_heavy_dependency_names_the_pip_line(survey: dict[str, Any]) -> None:
    assert survey["missing"] == ["no_engine"]
    expected = "MissingDependency: tokenizer 'gadget' needs no_engine, not installed: pip install 'good[engine]'"
    assert survey["heavy"] == expected
    assert survey["heavy without extra"].endswith("needs no_engine, not installed: pip install no_engine")


def test_missing_heavy_half_is_the_plugins_fault(survey: dict[str, Any]) -> None:
    assert survey["no module"].startswith("BrokenPlugin: good:good/hollow: importing 'good_model:Model' failed")


def test_allow_list(make_world: Callable[[], Any], plugin_code: str) -> None:
    world = make_world()
    world.distribution("one", {"one": plugin_code + HOOK.format("row('one')")})
    world.distribution("two", {"two": plugin_code + HOOK.format("row('two')"), "raises": "raise RuntimeError"})
    names = "import json; from areca.registry.registry import Registry; r = Registry.discover()\n"
    names += "print(json.dumps([[e.component.name for e in r.entries()], len(r.broken)]))"
    assert world.python(names, ARECA_PLUGINS="one") == [["one"], 0]
    assert world.python(names, ARECA_PLUGINS=" two,raises") == [["two"], 1]
    assert world.python(names, ARECA_PLUGINS="") == [[], 0]


def test_an_unknown_name_says_what_the_allow_list_leaves_out(make_world: Callable[[], Any], plugin_code: str) -> None:
    world = make_world()
    world.distribution("one", {"one": plugin_code + HOOK.format("row('one')")})
    world.distribution("two", {"two": plugin_code + HOOK.format("row('two')"), "another": "raise RuntimeError"})
    code = "import json; from areca.registry.registry import Registry; from areca.errors import UnknownComponent\n"
    code += "try: Registry.discover().find('tokenizer', 'two')\n"
    code += "except UnknownComponent as e: print(json.dumps(str(e).splitlines()))"
    last = world.python(code, ARECA_PLUGINS="one")[-1]
    head, _, names = last.partition(": ")
    assert head == "  left out by ARECA_PLUGINS" and {"another", "codecs", "two"} <= set(names.split(", "))
    assert names.split(", ") == sorted(set(names.split(", ")) - {"one"})
    shown = world.areca("show", "two", ARECA_PLUGINS="one").stderr.splitlines()
    assert shown[-1] == last
    assert "left out" not in world.areca("show", "tow").stderr


def test_trace_says_what_is_loaded_and_how_long_it_took(make_world: Callable[[], Any], plugin_code: str) -> None:
    world = make_world()
    world.distribution("one", {"one": plugin_code + HOOK.format("row('one')"), "raises": "raise RuntimeError"})
    code = "from areca.registry.registry import Registry; from areca.component import Kind\n"
    code += "r = Registry.discover(); r.find(Kind.TOKENIZER, 'one').target()"
    (world.site / "one_model.py").write_text("class Model: pass")
    quiet = world.run("-c", code, ARECA_PLUGINS="one,raises")
    loud = world.run("-c", code, ARECA_PLUGINS="one,raises", ARECA_TRACE="1")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    lines = [line.rsplit(" loaded in ", 1) for line in loud.stderr.splitlines()]
    whats, times = zip(*lines, strict=True)
    assert whats == ("areca: one:one", "areca: one:raises", "areca: one_model:Model of one:one/one")
    assert all(t.endswith(" ms") and float(t.removesuffix(" ms")) >= 0 for t in times)


LOCAL = """
import json, sys
from pathlib import Path
from areca.component import Kind
from areca.errors import ArecaError
from areca.registry.registry import Registry

def outcome(*plugins, root=Path("research")):
    try:
        registry = Registry.discover(plugins, root=root)
        return [e.qualified for e in registry.entries() if e.provider.distribution == "local"]
    except ArecaError as e:
        return f"{type(e).__name__}: {e}"
"""


def test_research_code_comes_in_by_file_and_by_module(world: Any, plugin_code: str) -> None:
    (world.directory / "research").mkdir()
    for name, rows in (("my_codec", "row('my-codec')"), ("bad_codec", "row('My')"), ("json", "row('x')")):
        (world.directory / "research" / f"{name}.py").write_text(plugin_code + HOOK.format(rows))
    (world.directory / "research" / "my_codec_model.py").write_text("class Model: pass")
    found = world.python(
        LOCAL
        + """
from areca.registry.parts import resolve
registry = Registry.discover(["./my_codec.py"], root=Path("research"))
part = resolve(registry, Kind.TOKENIZER, {"name": "my-codec", "size": 5}, role="speech")
print(json.dumps({
    "part": [part.spec.streams[0].size, part.entry.target().__name__, part.entry.qualified],
    "file": outcome("./my_codec.py"), "module": outcome("my_codec"), "both": outcome("./my_codec.py", "my_codec"),
    "no file": outcome("./your_codec.py"), "no module": outcome("your_codec"), "bad": outcome("bad_codec.py"),
    "taken": outcome("./json.py"),
}))
"""
    )
    assert found["part"] == [5, "Model", "local:my_codec/my-codec"]
    assert found["file"] == found["module"] == found["both"] == ["local:my_codec/my-codec"]
    assert "plugin './your_codec.py' cannot be used: FileNotFoundError: no such file: " in found["no file"]
    assert "plugin 'your_codec' cannot be used: ModuleNotFoundError" in found["no module"]
    assert found["bad"].startswith("BrokenPlugin: plugin 'bad_codec.py' cannot be used")
    assert "component name 'My'" in found["bad"]
    assert "another module is called 'json': rename the file" in found["taken"]


def test_research_code_that_was_changed_is_another_part(world: Any, plugin_code: str) -> None:
    (world.directory / "research").mkdir()
    names = ("my_codec.py", "my_codec_model.py", "filters.py", "unrelated.py")
    code, model, filters, unrelated = (world.directory / "research" / name for name in names)
    code.write_text(plugin_code + HOOK.format("row('my-codec')"))
    model.write_text("import json, torch\ndef fit():\n    from filters import low\nclass Model: pass")

    def key() -> str:
        found = world.python(
            LOCAL
            + """
from areca.registry.parts import resolve
registry = Registry.discover(["./my_codec.py"], root=Path("research"))
print(json.dumps(resolve(registry, Kind.TOKENIZER, {"name": "my-codec"}, role="speech").key(None, 0)))
"""
        )
        assert isinstance(found, str)
        return found

    keys = [key(), key()]
    unrelated.write_text("x = 1")
    keys.append(key())
    filters.write_text("import my_codec_model, numpy\nlow = 1")
    keys.append(key())
    filters.write_text("import my_codec_model, numpy\nlow = 2")
    keys.append(key())
    model.write_text(model.read_text() + "\n# fixed")
    keys.append(key())
    code.write_text(code.read_text() + "# as the paper has it\n")
    keys.append(key())
    assert [keys.index(k) for k in keys] == [0, 0, 0, 3, 4, 5, 6]


KINDS = """
from areca.specs import KindSpec

@dataclass(frozen=True)
class RoomSpec:
    size_m2: float

    def __str__(self):
        return f"{self.size_m2:g} m2"

def room_spec(config, needs):
    return RoomSpec(20.0)
"""


def test_a_plugin_may_only_observe(make_world: Callable[[], Any]) -> None:
    world = make_world()
    code = (
        "from areca import hookimpl\nARECA_PLUGIN_API = 1\n@hookimpl\ndef areca_training_callbacks(run, directory):\n"
    )
    world.distribution("watch", {"watch": code + "    return []\n"})
    listed = world.areca("list", "--json")
    assert listed.returncode == 0 and json.loads(listed.stdout)["broken"] == [], listed.stdout


def test_a_plugin_adds_a_kind_and_another_that_comes_before_it_has_a_component_of_it(
    make_world: Callable[[], Any], plugin_code: str
) -> None:
    world = make_world()
    room = KINDS + "@hookimpl\ndef areca_kinds():\n    yield KindSpec(name='room', spec=RoomSpec, place='rooms: -')\n"
    code = "def spec(config, needs):\n    import rooms\n    return rooms.RoomSpec(20.0)\n"
    hall = "@hookimpl\ndef areca_components():\n    yield replace(row('hall', tags={'halls/echo'}), kind='room')\n"
    world.distribution("halls", {"halls": "from dataclasses import replace\n" + plugin_code + code + hall})
    world.distribution("rooms", {"rooms": plugin_code + room})
    listed = world.areca("list", "--kind", "room")
    assert (listed.returncode, listed.stdout.split()[:2]) == (0, ["kind", "name"]), listed.stderr
    assert "room  hall" in " ".join(listed.stdout.split()).replace("room hall", "room  hall")
    assert "tag       halls/echo: defined by this plugin" in world.areca("show", "hall").stdout
    assert world.areca("config", "hall").stdout.startswith("rooms:\n- name: hall")
    refused = world.areca("new", "room", "my-hall").stderr
    assert refused.startswith("error: `areca new` makes a tokenizer, a backbone") and refused.endswith("not a room\n")
