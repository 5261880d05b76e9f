"""The command line: output, error messages and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from areca.cli import app, common
from areca.options import list_options
from areca.registry.registry import Registry
from areca.run.config import parse_config

HOOK = "\n@hookimpl\ndef areca_components():\n    return [{}]\n"
RUN = """\
name: little
tokenizer: {name: gadget, size: 40}
backbone: {name: decoder}
tasks: [asr, {chain: [asr, ast], weight: 2}]
"""


@pytest.fixture(scope="module")
def shop(make_world: Callable[[], Any], plugin_code: str) -> Any:
    """A world with a good plugin, one whose heavy dependency is missing, and a broken one."""
    world = make_world()
    world.distribution("good", {"good": plugin_code + HOOK.format("row('gadget')")}, "2.5")
    needy = plugin_code + HOOK.format("row('needy', requires=('no_engine',), extra='engine')")
    world.distribution("needy", {"needy": needy})
    world.distribution("bad", {"raises": "raise RuntimeError('boom')"})
    (world.directory / "run.yaml").write_text(RUN)
    return world


def test_every_verb_has_a_module_and_the_help_names_it(shop: Any) -> None:
    done = shop.areca("--help", COLUMNS="120")
    assert done.returncode == 0
    for verb, (_, summary) in app.VERBS.items():
        assert f" {verb} " in done.stdout and summary in done.stdout
        assert (Path(app.__file__).parent / f"{verb}.py").is_file()


def test_version(shop: Any) -> None:
    assert shop.areca("--version").stdout == "areca 0.1.0\n"


def test_list_shows_health(shop: Any) -> None:
    done = shop.areca("list")
    lines = {line.split()[1]: line.rstrip() for line in done.stdout.splitlines() if len(line.split()) > 3}
    assert done.returncode == 0
    assert lines["gadget"].startswith("tokenizer") and lines["gadget"].endswith("  ok")
    assert lines["needy"].endswith("  missing no_engine: pip install 'needy[engine]'")
    assert lines["bad:raises"].endswith("  broken: RuntimeError: boom")


def test_list_of_a_kind_and_as_json(shop: Any) -> None:
    done = shop.areca("list", "--json", "--kind", "tokenizer")
    listed = json.loads(done.stdout)
    rows = {row["qualified"]: row for row in listed["components"]}
    assert {row["kind"] for row in rows.values()} == {"tokenizer"}
    assert rows["good:good/gadget"]["version"] == "2.5"
    assert rows["good:good/gadget"]["health"] == "ok"
    assert rows["good:good/gadget"]["license"] == "not stated"
    assert rows["areca:units/usm-v2"]["license"] == "Apache-2.0"
    assert rows["needy:needy/needy"]["missing"] == ["no_engine"]
    broken = {"plugin": "raises", "distribution": "bad", "version": "1.0", "error": "RuntimeError: boom"}
    assert broken in listed["broken"]
    wrong = shop.areca("list", "--kind", "tokeniser")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("error: no kind is called 'tokeniser'; did you mean 'tokenizer'?")


def test_show_prints_every_property(shop: Any) -> None:
    done = shop.areca("show", "usm-v2")
    assert done.stdout.startswith("tokenizer usm-v2: units of a speech encoder")
    for line in (
        "  provider  areca:units/usm-v2, version 0.1.0",
        "  licence   Apache-2.0",
        "  tag       fit: `fit` trains it from data and writes its files as an artifact",
        "  paper     https://arxiv.org/abs/2306.12925",
        "  clusters: int = 256\n      Number of units.",
        "  checkpoint_steps: int = 50\n      Training steps between two saved states; an interrupted training loses",
        "      steps. (cannot change results)\n",
    ):
        assert line in done.stdout
    assert "  needs     tokenizer: a tokenizer: its role, or {name: ...}" in shop.areca("show", "dedup").stdout
    assert "licence   Apache-2.0; weights: CC-BY-NC-4.0" in shop.areca("show", "encodec").stdout
    assert "  licence   not stated\n" in shop.areca("show", "gadget").stdout  # nobody states one in its author's place


def test_unknown_name_is_an_error_on_stderr(shop: Any) -> None:
    done = shop.areca("show", "gadgit")
    assert (done.returncode, done.stdout) == (1, "")
    first, *rest = done.stderr.splitlines()
    assert first == "error: no component is called 'gadgit'; did you mean 'gadget'?"
    assert "  broken: bad:raises (1.0): RuntimeError: boom" in rest
    assert "Traceback" not in done.stderr
    debug = shop.areca("show", "gadgit", ARECA_DEBUG="1")
    assert debug.returncode == 1 and "Traceback" in debug.stderr and "UnknownComponent" in debug.stderr


def test_a_name_of_two_kinds_asks_for_the_kind(shop: Any) -> None:
    code = 'row("asr")'
    (shop.directory / "two_kinds.py").write_text(
        shop_code(shop) + HOOK.format(code)  # a tokenizer of a task's name
    )
    done = shop.areca("-p", "./two_kinds.py", "show", "asr")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: 'asr' is the name of several components (task, tokenizer): add --kind task or --kind tokenizer"
    )
    shown = shop.areca("-p", "./two_kinds.py", "show", "asr", "--kind", "tokenizer")
    assert shown.stdout.startswith("tokenizer asr: ")


def shop_code(shop: Any) -> str:
    text = (shop.site / "good.py").read_text()
    return str(text.partition("\n@hookimpl")[0])


def test_wrong_command_suggests(shop: Any) -> None:
    done = shop.areca("lst")
    assert done.returncode == 2
    assert "Did you mean 'list'?" in done.stderr


def test_research_code_is_loaded_by_module_and_by_file(shop: Any) -> None:
    (shop.directory / "my_codec.py").write_text(shop_code(shop) + HOOK.format("row('my-codec')"))
    for plugin in ("my_codec", "./my_codec.py", str(shop.directory / "my_codec.py")):
        done = shop.areca("--plugin", plugin, "show", "my-codec")
        assert "provider  local:my_codec/my-codec" in done.stdout, done.stderr
    (shop.directory / "deep").mkdir()
    (shop.directory / "deep" / "run.yaml").write_text(RUN.replace("gadget", "my-codec"))
    # As the console script does, which has no working directory among the places that modules come from.
    named = shop.areca("-p", "my_codec", "validate", "deep/run.yaml", PYTHONSAFEPATH="1")
    assert "run 'little' is valid" in named.stdout, named.stderr
    absent = shop.areca("-p", "your_codec", "list")
    assert absent.returncode == 1
    assert absent.stderr.startswith("error: plugin 'your_codec' cannot be used: ModuleNotFoundError")


@pytest.mark.parametrize(
    "entry", [e for e in Registry.discover().entries() if e.provider.distribution == "areca"], ids=lambda e: e.qualified
)
def test_config_prints_yaml_that_gives_the_defaults(entry: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from areca.cli.config import config

    component = entry.component
    config(component.name, component.kind)
    printed = capsys.readouterr().out
    values = yaml.safe_load(printed)
    part = values
    for key in (entry.kind.place or "").split():  # as "lm: pattern:" or "tasks: -"
        part = part[0] if key == "-" else part[key.rstrip(":")]
    assert part.pop("name") == component.name
    defaults = {o.name: o.default for o in list_options(entry.options())}
    assert part == {name: list(v) if isinstance(v, tuple) else v for name, v in defaults.items()}


def test_config_can_be_pasted_into_a_run(shop: Any) -> None:
    texts = [shop.areca("config", name).stdout for name in ("gadget", "decoder", "asr")]
    source = yaml.safe_load("\n".join(texts))
    assert list(source) == ["tokenizer", "backbone", "tasks"]
    source["tokenizer"] = {"name": "mfcc-kmeans"}  # this process does not see that world
    assert parse_config(source, root=Path.cwd()).tasks[0].name == "asr"
    assert "  # Number of codes.\n  size: 16\n" in texts[0]
    assert "# a tokenizer: its role, or {name: ...}" in shop.areca("config", "dedup").stdout


def test_validate_prints_each_part_with_its_spec(shop: Any) -> None:
    done = shop.areca("validate", "run.yaml", "tokenizer.size=50")
    assert done.returncode == 0, done.stderr
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "speech tokenizer gadget unit[50] at 25 Hz, from 16000 Hz x 1 ok" in rows
    assert "backbone backbone decoder llama ok" in rows
    assert "asr+ast task ast source.audio -> target.text ok" in rows
    assert rows[-1] == "run 'little' is valid: the LM reads 'speech' and writes 'speech'"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tokenizer.siz=3", "error: tokenizer 'gadget': no option is called 'siz'; did you mean 'size'?"),
        ("tokenizer.size=big", "error: tokenizer 'gadget': option 'size' is 'big', expected int"),
        ("tokenizer.name=gadgit", "error: no tokenizer is called 'gadgit'; did you mean 'gadget'?"),
        ("lm.writes=speach", "error: lm.writes: no tokenizer has the role 'speach'; did you mean 'speech'?"),
        ("seed", "error: override 'seed': expected key=value, like training.steps=100"),
    ],
)
def test_validate_reports_what_is_wrong(shop: Any, override: str, message: str) -> None:
    done = shop.areca("validate", "run.yaml", override)
    assert done.returncode == 1
    assert done.stderr.startswith(message)


def test_doctor_finds_what_is_broken(shop: Any) -> None:
    done = shop.areca("doctor")
    assert done.returncode == 1
    assert "Python 3." in done.stdout and "pluggy 1." in done.stdout and "torch 2." in done.stdout
    assert f"artifacts are stored in {shop.directory / 'home'} (ARECA_HOME)" in done.stdout
    assert "  broken: bad:raises (1.0): RuntimeError: boom" in done.stdout
    assert "  tokenizer needy: missing no_engine: pip install 'needy[engine]'" in done.stdout
    assert "  good:good 2.5: gadget" in done.stdout
    well = shop.areca("doctor", ARECA_PLUGINS="good")
    assert well.returncode == 0
    assert "ARECA_PLUGINS=good leaves out all other plugins" in well.stdout


def test_check_prints_every_check_and_fails_with_one(shop: Any) -> None:
    done = shop.warm("check", "gadget", "size=20")
    assert done.returncode == 1  # it has no heavy half
    lines = done.stdout.splitlines()
    assert "pass  summary" in lines and "skip  decode: it has no tag decode" in lines
    assert any(line.startswith("fail  target: BrokenPlugin: good:good/gadget: importing") for line in lines)
    assert lines[-1].startswith("good:good/gadget: ") and " failed, " in lines[-1]
    skipped = shop.warm("check", "needy")
    assert skipped.returncode == 0
    assert "skip  codes: needy needs no_engine, not installed: pip install 'needy[engine]'" in skipped.stdout
    wrong = shop.warm("check", "gadget", "size")
    assert wrong.stderr.startswith("error: option 'size': expected key=value")


def test_check_refuses_misspelt_options(shop: Any) -> None:
    done = shop.areca("check", "gadget", "siz=20")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: tokenizer 'gadget': no option is called 'siz'; did you mean 'size'?")


def test_ctrl_c_prints_how_to_resume(world: Any) -> None:
    # A shell without job control starts what runs in its background deaf to Ctrl-C.
    code = "import signal, sys, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from areca.cli.app import app\nfrom areca import cli\nimport areca.cli.list as verb\n"
    code += "def slow(kind=None):\n    print('started', flush=True)\n    time.sleep(60)\n"
    code += "verb.list_ = slow\nsys.argv = ['areca', 'list']\ncli.main()\n"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err == "\ninterrupted: finished work is kept; the same command resumes from there\n"


def test_progress_prints_the_last_line_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with common.progress("fit") as report:
        for done in range(1, 101):
            report(done, 100, f"loss {1 / done:.2f}")
    assert capsys.readouterr().err == "fit: 100/100 loss 0.01\n"


def test_progress_prints_the_time_left_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr(common.time, "monotonic", lambda: now_s)
    with common.progress("train") as report:
        for done in (500, 510, 520):  # it goes on from a state; the first call knows no pace
            now_s += 12
            report(done, 5000, "loss 1.00, 2 tokens/s")
        report(521, 5000, "too soon")
        report(1, 600, "the next part")
        now_s += 60
        report(3, 600)
        for done in range(4, 12):  # the pace of the last six lines
            now_s += 10
            report(done, 600)
        report(600, 600, "done")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:4] == [
        "train: 500/5000 loss 1.00, 2 tokens/s",
        "train: 510/5000 loss 1.00, 2 tokens/s, 1:29:48 left",
        "train: 520/5000 loss 1.00, 2 tokens/s, 1:29:36 left",
        "train: 3/600 4:58:30 left",
    ]
    assert lines[-2:] == ["train: 11/600 1:38:10 left", "train: 600/600 done"]


def test_progress_redraws_one_line_on_a_terminal() -> None:
    code = "from areca.cli import common\nwith common.progress('fit') as report:\n"
    code += "    for done in range(1, 101): report(done, 100, f'loss {done}')\n"
    import pty

    leader, follower = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=follower, env=env)
    os.close(follower)
    shown = b""
    while True:
        try:
            block = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        shown += block
    assert process.wait() == 0
    os.close(leader)
    assert b"100/100" in shown and b"loss 100" in shown
    assert shown.count(b"\n") <= 2
