"""Plugins in files: what they bring is everywhere, what is wrong with them is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.plugin_bench import forgetting
from tests.cli.world import WORDS, lay

from holdfast.cli.front import run
from holdfast.core import catalog
from holdfast.run.store import Store

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin" / "corners.py"
SUITE = """[[check]]
use = "check:worst-case"
attacks = ["attack:corners"]
limit = 20
probes = 0
[[check]]
use = "check:clean"
"""
MORE = """
import torch
from holdfast.core.records import Finding, Severity
from holdfast.run.executors import Here
from holdfast.run.plugins import extend


@extend("reader", "bright")
def rows(rest):
    n = int(rest)
    y = torch.arange(n) % 3
    x = torch.zeros(n, 1, 6, 6)
    for k in range(3):
        x[y == k, :, :, 2 * k : 2 * k + 2] = 0.75
    return x, y


@extend("executor", "slowly")
def slowly(rest, make):
    print("RAN ON", rest, len(make().batches))
    return Here()


@extend("section", "house-rules")
def rules(results):
    yield Finding(severity=Severity.GOOD, says=f"We looked at <b>{results['suite']}</b>.")
"""


@pytest.fixture(scope="module")
def laid(tmp_path_factory):
    return lay(tmp_path_factory.mktemp("laid"))


@pytest.fixture
def here(laid, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    shutil.copytree(laid, folder)
    shutil.copy(EXAMPLE, folder)
    (folder / "mine.toml").write_text(SUITE)
    monkeypatch.chdir(folder)
    with forgetting():
        yield folder


@pytest.fixture
def asked(here):
    return [*WORDS, "mine.toml", "--plugin", "corners.py", "--exit-zero"]


def latest(folder: Path) -> Path:
    store = Store(folder / ".holdfast")
    return store.folder(store.find_run("last").id)


def test_the_example_is_one_file_of_at_most_25_lines():
    assert [p.name for p in EXAMPLE.parent.iterdir() if p.suffix == ".py"] == ["corners.py"]
    assert len(EXAMPLE.read_text("utf-8").splitlines()) <= 25


def test_a_method_of_a_plugin_is_listed_with_where_it_comes_from(here, capsys):
    assert run(["list", "attack", "--plugin", "corners.py"]) == 0
    (line,) = [t for t in capsys.readouterr().out.splitlines() if t.startswith("attack:corners")]
    assert line.endswith("(from corners.py)")
    assert run(["list", "attack", "--plugin", "corners.py", "--json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["attack:corners"]["origin"] == "corners.py"
    assert "origin" not in rows["attack:pgd"]


def test_its_settings_have_a_schema(here, capsys):
    assert run(["show", "attack:corners", "--plugin", "corners.py", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["origin"] == "corners.py"
    assert shown["settings"]["steps"] == {
        "default": 3, "minimum": 1, "title": "Steps", "type": "integer"
    }  # fmt: skip
    assert run(["show", "corners"]) == 0
    assert "From plugin corners.py" in capsys.readouterr().out


def test_an_audit_uses_it_names_it_and_repeats_it(here, asked, capsys):
    assert run([*asked, "--json"]) == 0
    out, err = capsys.readouterr()
    results = json.loads(out)
    (card,) = [m for m in results["methods"] if m["key"] == "attack:corners"]
    assert card["origin"] == "corners.py" and card["settings"] == {"steps": 3}
    assert "--plugin corners.py" in results["command"]
    assert "2 checks to run" in err
    html = (latest(here) / "report.html").read_text("utf-8")
    assert "attack:corners" in html and "From plugin corners.py" in html
    assert run(asked) == 0
    assert "checks to run" not in capsys.readouterr().err
    assert run(["audit", "net.pt", "--exit-zero"]) == 0  # with the options of the last audit
    assert "checks to run" not in capsys.readouterr().err


def test_a_changed_plugin_recomputes_its_cells_and_no_others(here, asked, capsys):
    assert run(asked) == 0
    text = Path("corners.py").read_text("utf-8")
    Path("corners.py").write_text(text.replace("[1.0]", "[0.5]"))
    capsys.readouterr()
    with forgetting():  # as a new process
        catalog._ENTRIES.pop("attack:corners")
        assert run(asked) == 0
    assert "1 checks to run, 1 found finished" in capsys.readouterr().err


def test_attack_finds_it_too(here, capsys):
    line = ["attack", *WORDS[1:-1], "--attack", "corners", "--set", "steps=2", "--json"]
    assert run([*line, "--plugin", "corners.py"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "--plugin corners.py" in told["command"] and told["attack"]["use"] == "attack:corners"


def test_holdfast_toml_names_plugins(here, capsys):
    (here / "holdfast.toml").write_text('plugins = ["corners.py"]\n')
    assert run(["show", "attack:corners"]) == 0
    assert "From plugin corners.py" in capsys.readouterr().out
    (here / "holdfast.toml").write_text('plugins = "corners.py"\n')
    assert run(["list", "attack"]) == 2
    assert "E0167" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_beside_this_one_have_it_too(here, asked, capsys):
    assert run([*asked, "--on", "local:2", "--json"]) == 0
    outcomes = json.loads(capsys.readouterr().out)["outcomes"]
    assert [o["error"] for o in outcomes] == ["", ""]


def test_readers_executors_and_sections(here, capsys):
    (here / "more.py").write_text(MORE)
    line = ["audit", "net.pt", "--arch", "net.py:build", "--data", "bright:60", "--profile"]
    line += ["mine.toml", "--plugin", "corners.py", "--plugin", "more.py", "--on", "slowly:now"]
    assert run([*line, "--threat", "linf:0.05", "--exit-zero"]) == 0
    out = capsys.readouterr().out
    assert "RAN ON now 60" in out and "n=60" in out
    html = (latest(here) / "report.html").read_text("utf-8")
    assert "House rules" in html and "We looked at &lt;b&gt;mine&lt;/b&gt;." in html


def test_a_section_that_fails_says_so_and_the_report_stands(here, asked):
    text = MORE.replace("yield Finding", "raise KeyError('x')\n    yield Finding")
    (here / "more.py").write_text(text)
    assert run([*asked, "--plugin", "more.py"]) == 0
    assert "the section failed: KeyError" in (latest(here) / "report.html").read_text("utf-8")


PRESET = """
from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import register
FGSM = register("attack", name="fgsm", says="Another one.")(PGD(steps=9))
"""
CLASS = EXAMPLE.read_text("utf-8").replace('@register("attack")', '@register("attack", name="pgd")')
WRONG = {
    "no file": (None, "E0167", "there is no Python file"),
    "syntax": ("x = 1\nif x:\nprint(x)\n", "E0168", "line 3 of bad.py: IndentationError"),
    "a name": ("import torch\n\nfoo()\n", "E0168", "line 3 of bad.py: NameError"),
    "a module": ("import no_such_thing\n", "E0168", "line 1 of bad.py: ModuleNotFoundError"),
    "a kind": (EXAMPLE.read_text("utf-8").replace('register("attack")', 'register("atack")'),
               "E0168", "no kind 'atack'"),
    "a class of that name": (CLASS, "E0169", "'attack:pgd' is a name of the catalogue"),
    "a preset of that name": (PRESET, "E0169", "'attack:fgsm' is a name of the catalogue"),
    "our reader": (MORE.replace('"bright"', '"digits"'), "E0169", "the reader 'digits'"),
    "our executor": (MORE.replace('"slowly"', '"local"'), "E0169", "the executor 'local'"),
    "no slot": (MORE.replace('"section"', '"page"'), "E0170", "no slot 'page'"),
    "no function": (MORE + '\nextend("reader", "three")(3)\n', "E0170", "cannot be called"),
    "a colon": (MORE.replace('"bright"', '"a:b"'), "E0170", "holds a colon"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(here, capsys, case):
    text, code, says = WRONG[case]
    if text is not None:
        (here / "bad.py").write_text(text)
    before = catalog.find("attack:fgsm").thing, catalog.find("attack:pgd").thing
    assert run(["list", "attack", "--plugin", "bad.py"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(code) and says in err
    assert len(err.strip().splitlines()) == 2
    assert before == (catalog.find("attack:fgsm").thing, catalog.find("attack:pgd").thing)


def test_what_a_reader_fails_with_is_told(here, capsys):
    (here / "more.py").write_text(MORE)
    line = ["audit", "net.pt", "--arch", "net.py:build", "--data", "bright:many"]
    assert run([*line, "--plugin", "more.py"]) == 2
    err = capsys.readouterr().err
    assert "E0170" in err and "the reader 'bright' failed: ValueError" in err


def test_no_help_text_imports_a_plugin(here, capsys):
    (here / "holdfast.toml").write_text('plugins = ["bad.py"]\n')
    (here / "bad.py").write_text("raise SystemExit(9)\n")
    for name in ("audit", "attack", "certify", "shift", "harden", "monitor", "list", "show"):
        assert run([name, "--plugin", "bad.py", "--help"]) == 0
        assert "--plugin" in capsys.readouterr().out
